// Decoding of every command, reply and message. Input: a number that chooses the type (two octets),
// then its bytes. What decodes must encode to the same bytes: there is one encoding of a value, or
// the crc of a log record would depend on who wrote it.
#include <cstring>

#include "common/codec.h"
#include "common/ensure.h"
#include "test/fuzz/fuzz_target.h"
#include "test/support/all_types.h"
#include "test/support/random_command.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {

template <class T>
void check(const std::string& name, BytesView bytes) {
  const auto value = decode<T>(bytes);
  if (!value) return;
  ENSURE(encode(*value) == bytes, "{} has two encodings", name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t wanted = data[0] | data[1] << 8;
  const BytesView bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t index = 0;
  for_each_wire_type([&]<class T>(const std::string& name, std::type_identity<T>) {
    if (index++ == wanted) check<T>(name, bytes);
  });
  return 0;
}

std::vector<Bytes> pairfs::test::fuzz_seeds(std::mt19937_64& random) {
  std::vector<Bytes> seeds;
  uint16_t index = 0;
  for_each_wire_type([&]<class T>(const std::string&, std::type_identity<T>) {
    for (int i = 0; i < 4; ++i) {
      Bytes seed(reinterpret_cast<const char*>(&index), 2);
      seeds.push_back(seed + encode(random_value<T>(random)));
    }
    ++index;
  });
  return seeds;
}
