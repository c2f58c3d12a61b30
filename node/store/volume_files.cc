#include "node/store/volume_files.h"

#include <charconv>

#include "common/crc32c.h"
#include "node/store/fields.h"

namespace pairfs {
namespace {

constexpr uint32_t kTokenMagic = 0x4b545046;  // "FPTK"
constexpr uint32_t kTokenVersion = 2;
constexpr BytesView kSuperblockMagic = "PAIRFSSB";
constexpr size_t kSuperblockBytes = 4096;

std::string owned_name(const char* kind, Opening opening) {
  return fmt::format("{}.{}.{}", kind, opening.epoch, opening.number);
}

template <class T>
bool take_number(std::string_view* text, T* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

void put_text(Bytes* out, const std::string& text) {
  put_little(out, static_cast<uint16_t>(text.size()));
  *out += text;
}

void put_crc(Bytes* out) { put_little(out, crc32c(*out)); }

// Takes the crc off the end; nullopt when it is wrong.
std::optional<BytesView> checked(BytesView bytes) {
  if (bytes.size() < 4) return std::nullopt;
  const BytesView body = bytes.substr(0, bytes.size() - 4);
  if (FieldReader(bytes.substr(body.size())).little<uint32_t>() != crc32c(body)) {
    return std::nullopt;
  }
  return body;
}

}  // namespace

std::string metadata_directory(Opening opening) { return owned_name("meta", opening); }
std::string superblock_name(Opening opening) { return owned_name("superblock", opening); }
std::string confirmed_name(Opening opening) { return owned_name("confirmed", opening); }

std::optional<OwnedName> parse_owned_name(const std::string& name) {
  OwnedName owned;
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return std::nullopt;
  owned.kind = name.substr(0, dot);
  if (owned.kind != "meta" && owned.kind != "superblock" && owned.kind != "confirmed" &&
      owned.kind != "segment") {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(name).substr(dot + 1);
  if (!take_number(&rest, &owned.opening.epoch) || !rest.starts_with('.')) return std::nullopt;
  rest.remove_prefix(1);
  if (!take_number(&rest, &owned.opening.number)) return std::nullopt;
  if (rest.starts_with('.')) rest.remove_prefix(1);
  owned.rest = rest;
  return owned;
}

Bytes encode_superblock(const Superblock& superblock) {
  Bytes copy(kSuperblockMagic);
  put_little(&copy, superblock.version);
  put_little(&copy, superblock.cluster_id);
  put_little(&copy, superblock.volume.packed());
  put_little(&copy, superblock.raid_level);
  put_little(&copy, superblock.element_index);
  put_little(&copy, superblock.element_count);
  put_little(&copy, superblock.opening.epoch);
  put_little(&copy, superblock.opening.number);
  put_text(&copy, superblock.element_id);
  copy.resize(kSuperblockBytes - 4);
  put_crc(&copy);
  return copy + copy;
}

std::optional<Superblock> decode_superblock(BytesView bytes) {
  for (size_t at : {size_t{0}, kSuperblockBytes}) {
    if (bytes.size() < at + kSuperblockBytes) break;
    const auto body = checked(bytes.substr(at, kSuperblockBytes));
    if (!body || !body->starts_with(kSuperblockMagic)) continue;
    FieldReader fields(body->substr(kSuperblockMagic.size()));
    Superblock superblock;
    superblock.version = fields.little<uint32_t>();
    superblock.cluster_id = fields.little<uint64_t>();
    superblock.volume = VolumeId::unpack(fields.little<uint32_t>());
    superblock.raid_level = fields.little<uint8_t>();
    superblock.element_index = fields.little<uint8_t>();
    superblock.element_count = fields.little<uint8_t>();
    superblock.opening.epoch = fields.little<uint64_t>();
    superblock.opening.number = fields.little<uint32_t>();
    superblock.element_id = fields.take(fields.little<uint16_t>());
    if (fields.complete()) return superblock;
  }
  return std::nullopt;
}

Bytes encode_token(const Token& token) {
  Bytes bytes;
  put_little(&bytes, kTokenMagic);
  put_little(&bytes, kTokenVersion);
  put_little(&bytes, token.opening.epoch);
  put_little(&bytes, token.opening.number);
  put_little(&bytes, token.number);
  put_little(&bytes, token.sequence);
  put_little(&bytes, token.manifest_bytes);
  put_little(&bytes, token.manifest_crc);
  put_little(&bytes, token.in_sync);
  put_text(&bytes, token.manifest);
  put_little(&bytes, static_cast<uint32_t>(token.group.size()));
  bytes += token.group;
  put_crc(&bytes);
  return bytes;
}

std::optional<Token> decode_token(BytesView bytes) {
  const auto body = checked(bytes);
  if (!body) return std::nullopt;
  FieldReader fields(*body);
  if (fields.little<uint32_t>() != kTokenMagic) return std::nullopt;
  const auto version = fields.little<uint32_t>();
  if (version < 1 || version > kTokenVersion) return std::nullopt;
  Token token;
  token.opening.epoch = fields.little<uint64_t>();
  token.opening.number = fields.little<uint32_t>();
  token.number = fields.little<uint64_t>();
  token.sequence = fields.little<uint64_t>();
  token.manifest_bytes = fields.little<uint64_t>();
  token.manifest_crc = fields.little<uint32_t>();
  token.in_sync = fields.little<uint64_t>();
  token.manifest = fields.take(fields.little<uint16_t>());
  if (version > 1) token.group = fields.take(fields.little<uint32_t>());
  return fields.at_end() ? std::optional(token) : std::nullopt;
}

Status claim_element(Element& element, const Superblock& superblock, bool has_data) {
  const Bytes bytes = encode_superblock(superblock);
  const BytesView part = bytes;
  const std::string name = superblock_name(superblock.opening), temporary = name + ".tmp";
  Status done = element.write(temporary, 0, {&part, 1});
  if (done.ok()) done = element.sync(temporary);
  if (done.ok()) done = element.link(temporary, name);
  (void)element.unlink(temporary);
  if (done.ok() && has_data) done = element.write(confirmed_name(superblock.opening), 0, {});
  if (done.ok()) done = element.sync_directory("");
  return done;
}

}  // namespace pairfs
