#include "node/log/segment_file.h"

#include <fmt/core.h>

#include <cstring>

#include "common/crc32c.h"
#include "common/ensure.h"

namespace pairfs {
namespace {

constexpr uint64_t kMagic = 0x474553474f4c4650;  // "PFLOGSEG"
constexpr uint32_t kFormatVersion = 1;

struct HeadBytes {  // the head's first bytes on disk, little-endian
  uint64_t magic;
  uint32_t crc;  // crc32c of what follows, through boot_id
  uint32_t format_version;
  uint64_t cluster_id;
  uint64_t incarnation;
  uint64_t first_sequence;
  uint32_t volume;
  uint32_t previous_chain;
  char boot_id[64];
};
static_assert(sizeof(HeadBytes) == 112);

uint32_t head_crc(const HeadBytes& head) {
  const auto* from = reinterpret_cast<const char*>(&head.format_version);
  const auto* end = reinterpret_cast<const char*>(&head + 1);
  return crc32c({from, static_cast<size_t>(end - from)});
}

}  // namespace

std::shared_ptr<SegmentFile> SegmentFile::open_spare(LogFiles& files, const std::string& name) {
  auto segment = std::make_shared<SegmentFile>();
  segment->name = name;
  segment->file = files.open(name);
  return segment->file == nullptr ? nullptr : segment;
}

void SegmentFile::adopt(LogFiles& files, const std::string& new_name, const SegmentHead& new_head) {
  head = new_head;
  write_head();
  files.rename(name, new_name);
  name = new_name;
}

void SegmentFile::write_head() {
  HeadBytes bytes{};
  bytes.magic = kMagic;
  bytes.format_version = kFormatVersion;
  bytes.cluster_id = head.cluster_id;
  bytes.incarnation = head.incarnation;
  bytes.first_sequence = head.first_sequence;
  bytes.volume = head.volume.packed();
  bytes.previous_chain = head.previous_chain;
  std::strncpy(bytes.boot_id, head.boot_id.c_str(), sizeof bytes.boot_id - 1);
  bytes.crc = head_crc(bytes);
  Bytes block(kSegmentHeadBytes, '\0');
  std::memcpy(block.data(), &bytes, sizeof bytes);
  const BytesView piece = block;
  file->write(0, &piece, 1);
}

std::shared_ptr<SegmentFile> SegmentFile::create(LogFiles& files, const std::string& name,
                                                 const SegmentHead& head, uint64_t size_bytes) {
  files.preallocate(name, size_bytes);
  auto segment = open_spare(files, name);
  ENSURE(segment != nullptr, "{} in {} went away", name, files.place());
  segment->head = head;
  segment->write_head();
  int error = segment->file->sync();
  if (error == 0) error = files.sync_names();
  if (error != 0)
    throw LogFailure(
        fmt::format("cannot sync {}/{}: {}", files.place(), name, std::strerror(error)));
  return segment;
}

std::shared_ptr<SegmentFile> SegmentFile::open(LogFiles& files, const std::string& name,
                                               uint64_t cluster_id, VolumeId volume) {
  auto segment = open_spare(files, name);
  if (segment == nullptr) return nullptr;
  const Bytes block = segment->file->read(0, kSegmentHeadBytes);
  HeadBytes bytes{};
  if (block.size() < kSegmentHeadBytes) return nullptr;
  std::memcpy(&bytes, block.data(), sizeof bytes);
  if (bytes.magic != kMagic || bytes.crc != head_crc(bytes)) return nullptr;
  const std::string path = files.place() + "/" + name;
  if (bytes.format_version != kFormatVersion)
    throw LogFailure(fmt::format("{} has log format {}, this program reads {}", path,
                                 bytes.format_version, kFormatVersion));
  if (bytes.cluster_id != cluster_id || bytes.volume != volume.packed())
    throw LogFailure(
        fmt::format("{} belongs to volume {} of cluster {:016x}, expected volume {} "
                    "of cluster {:016x}",
                    path, to_string(VolumeId::unpack(bytes.volume)), bytes.cluster_id,
                    to_string(volume), cluster_id));
  bytes.boot_id[sizeof bytes.boot_id - 1] = '\0';
  segment->head = {bytes.cluster_id,     volume,       bytes.incarnation, bytes.first_sequence,
                   bytes.previous_chain, bytes.boot_id};
  return segment;
}

}  // namespace pairfs
