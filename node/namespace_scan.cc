#include "node/namespace_scan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/row_codec.h"
#include "node/executor/schema.h"
#include "node/executor/slice_table.h"

namespace pairfs {
namespace {

using Json = nlohmann::json;
constexpr size_t kRowsMax = 20'000;

std::string to_hex(BytesView bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}
Bytes from_hex(const std::string& text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<char>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16)));
  return out;
}

}  // namespace

Json scan_namespace(const VolumeStore& store, const Json& arguments) {
  const std::string after = arguments.value("after", "");
  const size_t rows_max = std::min(arguments.value("rows", kRowsMax), kRowsMax);
  SliceTable slices;
  slices.load(store);
  Json inodes = Json::array(), entries = Json::array();
  Bytes last;
  size_t rows = 0;
  const Bytes from = after.empty() ? family_key(Family::kInode) : from_hex(after) + '\0';
  store.scan(from, after_prefix(family_key(Family::kEntry)), [&](BytesView key, BytesView value) {
    last = Bytes(key);
    const auto slice = slice_of_key(key);
    if (!slice || !slices.owns(*slice)) return ++rows < rows_max;
    const auto id = read_big_endian<uint64_t>(key, 1);
    if (key[0] == static_cast<char>(Family::kInode)) {
      if (const auto inode = decode_inode(id, value))
        inodes.push_back({id, inode->generation, inode->type(), inode->nlink, inode->parent.id,
                          inode->parent.generation});
    } else if (const auto entry = decode_entry(value)) {
      entries.push_back({id, entry->inode.id, entry->inode.generation, entry->type});
    }
    return ++rows < rows_max;
  });
  return {{"inodes", std::move(inodes)},
          {"entries", std::move(entries)},
          {"after", to_hex(last)},
          {"end", rows < rows_max}};
}

}  // namespace pairfs
