#include "common/codec.h"

#include <doctest/doctest.h>

#include <set>

#include "common/header.h"
#include "test/support/all_types.h"
#include "test/support/random_command.h"
#include "test/support/seed.h"

using namespace pairfs;
using namespace pairfs::test;

TEST_CASE("every type comes back from its bytes as it was, and from no other length") {
  const uint64_t seed = test_seed();
  INFO("repeat with PAIRFS_SEED=" << seed);
  std::mt19937_64 random(seed);
  for_each_wire_type([&]<class T>(const std::string& name, std::type_identity<T>) {
    INFO(name);
    for (int i = 0; i < 60; ++i) {
      const T value = random_value<T>(random);
      const Bytes bytes = encode(value);
      const auto back = decode<T>(bytes);
      REQUIRE(back.has_value());
      REQUIRE(field_text(*back) == field_text(value));
      REQUIRE(encode(*back) == bytes);
      REQUIRE_FALSE(decode<T>(bytes + '\0').has_value());
      if (!bytes.empty()) {
        REQUIRE_FALSE(decode<T>(BytesView(bytes).substr(0, bytes.size() - 1)).has_value());
        REQUIRE_FALSE(decode<T>(BytesView(bytes).substr(0, random() % bytes.size())).has_value());
      }
    }
  });
}

TEST_CASE("a count beyond its field's cap or the remaining bytes is refused") {
  Lookup lookup;
  lookup.name = "name";
  const Bytes bytes = encode(lookup);
  const size_t length_at = 16;  // behind the parent's id and generation
  for (const uint32_t lie : {0xffff'ffffU, 256U, 200U, 5U}) {
    Bytes bad = bytes;
    bad.replace(length_at, 4, reinterpret_cast<const char*>(&lie), 4);
    CHECK_FALSE(decode<Lookup>(bad).has_value());
  }
  // As long as the bytes say, but longer than a name may be.
  lookup.name = Bytes(256, 'x');
  CHECK_FALSE(decode<Lookup>(encode(lookup)).has_value());
  lookup.name = Bytes(255, 'x');
  CHECK(decode<Lookup>(encode(lookup)).has_value());

  Bytes list = encode(OpenInodesReply{});
  const uint32_t many = 1 << 20;
  list.replace(0, 4, reinterpret_cast<const char*>(&many), 4);
  CHECK_FALSE(decode<OpenInodesReply>(list).has_value());
}

TEST_CASE("a bool is one of two octets") {
  Bytes bytes = encode(EntryReply{});
  bytes.back() = 2;
  CHECK_FALSE(decode<EntryReply>(bytes).has_value());
}

TEST_CASE("op codes are unique and kinds keep to their ranges") {
  std::set<uint16_t> seen{MapRead::kOp, MapSwap::kOp,      NodeStatus::kOp,
                          kLinkOp,      RouterStatus::kOp, AdminRequest::kOp};
  const size_t others = seen.size();
  size_t commands = 0;
  for_each_command_type([&]<class C>(std::type_identity<C>) {
    ++commands;
    INFO(C::kName);
    seen.insert(C::kOp);
    CHECK((C::kOp < 64) == (C::kKind == Kind::kRead));
    CHECK((C::kOp >= 128) == (C::kKind == Kind::kInternal));
    CHECK(std::string(command_name(C::kOp)) == C::kName);
  });
  CHECK(seen.size() == commands + others);
}
