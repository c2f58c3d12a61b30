// What a volume's files on an element are called, and the two small records that say what they
// are: the superblock (whose element is this) and the token (where a consistency point is).
// Formats: docs/storage_format.md. No I/O beyond one element's superblocks.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "node/store/element.h"
#include "node/store/volume_store.h"

namespace pairfs {

inline constexpr uint32_t kStorageVersion = 1;

// One opening of a volume: every open has files of its own, so that no process ever writes what
// another one may read.
struct Opening {
  Epoch epoch = 0;
  uint32_t number = 0;  // of the opening within the epoch
  friend auto operator<=>(const Opening&, const Opening&) = default;
};

std::string metadata_directory(Opening opening);  // "meta.3.0"
std::string superblock_name(Opening opening);     // "superblock.3.0"
std::string confirmed_name(Opening opening);      // "confirmed.3.0"
// The opening in a name like these, also of "segment.3.0.7" and "meta.3.0.tmp".
struct OwnedName {
  std::string kind;  // "meta", "superblock", "confirmed", "segment"
  Opening opening;
  std::string rest;  // "7", "tmp"
};
std::optional<OwnedName> parse_owned_name(const std::string& name);

struct Superblock {
  uint32_t version = kStorageVersion;
  uint64_t cluster_id = 0;
  VolumeId volume;
  std::string element_id;
  uint8_t raid_level = 0;
  uint8_t element_index = 0;
  uint8_t element_count = 0;
  Opening opening;
};
// Two equal copies, so that damage to one is survived.
Bytes encode_superblock(const Superblock& superblock);
std::optional<Superblock> decode_superblock(BytesView bytes);

struct Token {
  Opening opening;
  uint64_t number = 0;  // of the consistency point in its opening, from 1
  Sequence sequence = 0;
  std::string manifest;  // file name
  uint64_t manifest_bytes = 0;
  uint32_t manifest_crc = 0;
  uint64_t in_sync = 0;  // bit i: element i has all of it
  Bytes group;           // encode_group_record(); empty in version 1
};
Bytes encode_token(const Token& token);
std::optional<Token> decode_token(BytesView bytes);

// Makes the element a member of this opening: nobody else can then have the opening's name there
// (EEXIST). With `has_data` an opening without a token is refused from then on.
Status claim_element(Element& element, const Superblock& superblock, bool has_data);

}  // namespace pairfs
