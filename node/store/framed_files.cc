#include "node/store/framed_files.h"

#include <cstring>

#include "common/crc32c.h"
#include "common/logging.h"
#include "node/store/fields.h"

namespace pairfs {
namespace {

constexpr size_t kWriteOutBytes = 1 << 20;

bool frame_is_good(const std::string& name, uint64_t frame, BytesView bytes) {
  if (bytes.size() <= 4) return false;
  const auto stored = FieldReader(bytes).little<uint32_t>();
  return stored == frame_crc(name, frame, bytes.substr(4));
}

}  // namespace

uint32_t frame_crc(const std::string& file_name, uint64_t frame, BytesView content) {
  // Tables keep their number for life, so a frame of another table is noticed, too.
  Bytes place;
  put_little(&place, frame);
  const size_t slash = file_name.rfind('/');
  if (file_name.ends_with(".sst")) place += file_name.substr(slash + 1);
  return crc32c(content, crc32c(place));
}

FramedFiles::FramedFiles(RaidGroup& group, std::vector<size_t> members)
    : group_(group), members_(std::move(members)) {}

std::vector<size_t> FramedFiles::members() const {
  std::lock_guard lock(mutex_);
  return members_;
}

bool FramedFiles::any_ok() const {
  for (const size_t i : members()) {
    if (group_.member(i).takes_writes()) return true;
  }
  return false;
}

Status FramedFiles::on_each(const char* doing, const std::function<Status(Element&)>& call) {
  for (const size_t i : members()) {
    if (!group_.member(i).takes_writes())
      continue;  // also one that adopt() fills at the end of a rebuild
    const Status done = call(*group_.member(i).element);
    if (done.error() == ENOSPC || done.error() == EDQUOT) {
      PAIRFS_TRY(group_.without_room(i, doing));
      continue;
    }
    if (!done.ok()) group_.fail(i, doing, done.error());
  }
  return any_ok() ? success() : Status(Errno{EIO});
}

Result<std::vector<Element::Entry>> FramedFiles::list(const std::string& directory) {
  Errno error{EIO};
  for (const size_t i : members()) {
    if (!group_.member(i).ok()) continue;
    auto entries = group_.member(i).element->list(directory);
    if (entries.ok()) return entries;
    error = entries.failure();
  }
  return error;
}

Result<std::unique_ptr<FramedFiles::Writer>> FramedFiles::create(const std::string& name) {
  PAIRFS_TRY(on_each("create", [&](Element& element) -> Status {
    const Status gone = element.unlink(name);
    if (!gone.ok() && gone.error() != ENOENT) return gone;
    return element.write(name, 0, {});
  }));
  return std::unique_ptr<Writer>(new Writer(*this, name));
}

Status FramedFiles::Writer::append(BytesView content) {
  content_crc_ = crc32c(content, content_crc_);
  content_bytes_ += content.size();
  while (!content.empty()) {
    const size_t step = std::min<size_t>(content.size(), kFrameContentBytes - tail_.size());
    tail_ += content.substr(0, step);
    content.remove_prefix(step);
    tail_written_ = false;
    if (tail_.size() == kFrameContentBytes) {
      frame_tail();
      tail_.clear();
      tail_written_ = true;
      if (out_.size() >= kWriteOutBytes) PAIRFS_TRY(write_out());
    }
  }
  return success();
}

// Puts a frame of the tail behind `out_`.
void FramedFiles::Writer::frame_tail() {
  const uint64_t frame = written_frames_ + out_.size() / kFrameBytes;
  put_little(&out_, frame_crc(name_, frame, tail_));
  out_ += tail_;
}

Status FramedFiles::Writer::write_out() {
  if (out_.empty()) return success();
  const BytesView part = out_;
  const Status written = files_.on_each("write", [&](Element& element) {
    return element.write(name_, written_frames_ * kFrameBytes, {&part, 1});
  });
  // Also after an error: the writer's user gives the file up.
  written_frames_ += out_.size() / kFrameBytes;
  out_.clear();
  return written;
}

Status FramedFiles::Writer::flush() {
  if (!tail_written_) frame_tail();
  tail_written_ = true;
  return write_out();
}

Status FramedFiles::Writer::sync() {
  PAIRFS_TRY(flush());
  return files_.on_each("sync", [&](Element& element) { return element.sync(name_); });
}

Result<uint64_t> FramedFiles::size(const std::string& name) {
  // Members may differ when somebody cut or lengthened a copy: the longest good one counts.
  std::vector<std::pair<size_t, uint64_t>> copies;  // member, stored bytes
  int error = ENOENT;
  bool equal = true;
  for (const size_t i : members()) {
    if (!group_.member(i).ok()) continue;
    const auto stored = group_.member(i).element->size(name);
    if (stored.ok()) {
      copies.emplace_back(i, *stored);
      equal &= *stored == copies.front().second;
    } else if (stored.error() != ENOENT) {
      error = stored.error();
    }
  }
  if (copies.empty()) return Errno{error};
  if (equal) return framed_content_bytes(copies.front().second);
  bool found = false;
  uint64_t longest = 0;
  for (const auto& [i, stored] : copies) {
    char frame[kFrameBytes];
    const uint64_t last = stored == 0 ? 0 : (stored - 1) / kFrameBytes;
    const auto count = group_.member(i).element->read(name, last * kFrameBytes, frame);
    if (stored != 0 && (!count.ok() || !frame_is_good(name, last, {frame, *count}))) continue;
    found = true;
    longest = std::max(longest, stored);
  }
  if (!found) return Errno{EIO};
  return framed_content_bytes(longest);
}

Result<size_t> FramedFiles::read(const std::string& name, uint64_t content_bytes,
                                 uint64_t offset_bytes, std::span<char> into) {
  if (offset_bytes >= content_bytes || into.empty()) return size_t{0};
  const uint64_t end = std::min<uint64_t>(content_bytes, offset_bytes + into.size());
  const uint64_t first = offset_bytes / kFrameContentBytes;
  const uint64_t last = (end - 1) / kFrameContentBytes;
  const uint64_t last_content =
      std::min(kFrameContentBytes, content_bytes - last * kFrameContentBytes);
  std::vector<char> frames((last - first) * kFrameBytes + 4 + last_content);
  PAIRFS_TRY(read_frames(name, first, frames));
  size_t done = 0;
  for (uint64_t at = offset_bytes; at < end;) {
    const uint64_t frame = at / kFrameContentBytes, skip = at % kFrameContentBytes;
    const uint64_t step = std::min(end - at, kFrameContentBytes - skip);
    std::memcpy(into.data() + done, frames.data() + (frame - first) * kFrameBytes + 4 + skip, step);
    done += step;
    at += step;
  }
  return done;
}

Status FramedFiles::read_frames(const std::string& name, uint64_t first_frame,
                                std::span<char> frames) {
  // One file is read from one member, so that the members' page caches share the work.
  const size_t start = std::hash<std::string>()(name);
  const std::vector<size_t> all = members();
  size_t good_bytes = 0, chosen = group_.size();
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t candidate = all[(start + i) % all.size()];
    auto& member = group_.member(candidate);
    if (!member.ok()) continue;
    const bool remote = member.element->is_remote();
    if (chosen == group_.size() || !remote) chosen = candidate;
    if (!remote) break;
  }
  if (chosen < group_.size()) {
    auto count = group_.member(chosen).element->read(name, first_frame * kFrameBytes, frames);
    good_bytes = count.ok() ? *count : 0;
  }
  for (size_t at = 0; at < frames.size(); at += kFrameBytes) {
    const auto frame = frames.subspan(at, std::min<size_t>(kFrameBytes, frames.size() - at));
    const uint64_t number = first_frame + at / kFrameBytes;
    if (at + frame.size() <= good_bytes &&
        frame_is_good(name, number, {frame.data(), frame.size()})) {
      continue;
    }
    PAIRFS_TRY(recover_frame(name, number, frame, chosen));
  }
  return success();
}

Status FramedFiles::recover_frame(const std::string& name, uint64_t frame, std::span<char> bytes,
                                  size_t bad_member, bool only_look) {
  for (const size_t i : members()) {
    auto& member = group_.member(i);
    if (i == bad_member || !member.ok()) continue;
    auto count = member.element->read(name, frame * kFrameBytes, bytes);
    if (!count.ok() || *count != bytes.size() ||
        !frame_is_good(name, frame, {bytes.data(), bytes.size()})) {
      continue;
    }
    if (only_look || !group_.mends() || bad_member >= group_.size() ||
        !group_.member(bad_member).ok())
      return success();
    auto& bad = group_.member(bad_member);
    const BytesView good(bytes.data(), bytes.size());
    if (auto written = bad.element->write(name, frame * kFrameBytes, {&good, 1}); written.ok()) {
      ++bad.repaired_blocks;
      log_warn("frame.repaired", "element={} file={} frame={}", group_.name_of(bad_member).id, name,
               frame);
    } else {
      group_.fail(bad_member, "repair", written.error());
    }
    return success();
  }
  log_error("frame.lost", "file={} frame={}", name, frame);
  return Errno{EIO};
}

Result<Bytes> FramedFiles::read_unchecked(size_t member, const std::string& name,
                                          uint64_t content_bytes) {
  const uint64_t frames = (content_bytes + kFrameContentBytes - 1) / kFrameContentBytes;
  std::vector<char> stored(frames * kFrameBytes);
  PAIRFS_ASSIGN(const size_t count, group_.member(member).element->read(name, 0, stored));
  if (framed_content_bytes(count) < content_bytes) return Errno{EIO};
  Bytes content;
  for (uint64_t frame = 0; frame < frames; ++frame) {
    content.append(stored.data() + frame * kFrameBytes + 4,
                   std::min(kFrameContentBytes, content_bytes - content.size()));
  }
  return content;
}

Status FramedFiles::adopt(size_t index, const std::string& directory) {
  Element& element = *group_.member(index).element;
  const auto own = [&](const char* doing, const Status& done) {
    if (!done.ok()) group_.fail(index, doing, done.error());
    return done;
  };
  const Status made = element.make_directory(directory);
  if (made.error() != EEXIST) PAIRFS_TRY(own("make directory", made));
  PAIRFS_ASSIGN(const auto entries, list(directory));
  FramedFiles copy(group_, {index});
  std::vector<char> buffer(1 << 20);
  for (const Element::Entry& entry : entries) {
    const std::string name = directory + "/" + entry.name;
    PAIRFS_ASSIGN(const uint64_t bytes, size(name));
    PAIRFS_ASSIGN(auto writer, copy.create(name));
    for (uint64_t at = 0; at < bytes;) {
      PAIRFS_ASSIGN(const size_t count, read(name, bytes, at, buffer));
      PAIRFS_TRY(writer->append({buffer.data(), count}));
      at += count;
    }
    PAIRFS_TRY(writer->sync());
  }
  PAIRFS_TRY(own("sync directory", element.sync_directory(directory)));
  PAIRFS_TRY(own("sync directory", element.sync_directory("")));
  std::lock_guard lock(mutex_);
  members_.push_back(index);
  return success();
}

void FramedFiles::drop(size_t index) {
  std::lock_guard lock(mutex_);
  std::erase(members_, index);
}

FramedFiles::Check FramedFiles::check(const std::string& name, bool only_look) {
  Check out;
  const auto content_bytes = size(name);
  if (!content_bytes.ok()) {
    if (content_bytes.error() != ENOENT) out.lost_frames = 1;
    return out;
  }
  const uint64_t frames = (*content_bytes + kFrameContentBytes - 1) / kFrameContentBytes;
  Bytes bytes;
  for (const size_t i : members()) {
    for (uint64_t frame = 0; frame < frames && group_.member(i).ok(); ++frame) {
      const uint64_t content =
          std::min(kFrameContentBytes, *content_bytes - frame * kFrameContentBytes);
      bytes.assign(4 + content, '\0');
      const auto count = group_.member(i).element->read(name, frame * kFrameBytes, bytes);
      ++out.read_frames;
      if (count.ok() && *count == bytes.size() && frame_is_good(name, frame, bytes)) continue;
      if (recover_frame(name, frame, bytes, i, only_look).ok()) {
        ++out.mended_frames;
      } else {
        ++out.lost_frames;
      }
    }
  }
  return out;
}

}  // namespace pairfs
