// parse_head: the bytes as they are, and with their crc made right, so that damage gets past it.
#include <cstring>

#include "common/crc32c.h"
#include "common/ensure.h"
#include "common/header.h"
#include "test/fuzz/fuzz_target.h"

using namespace pairfs;

namespace {

void check(BytesView frame) {
  HeaderError error{};
  const auto parsed = parse_head(frame, &error);
  if (!parsed) {
    ENSURE(to_string(error) != std::string("unknown"), "error without a name");
    return;
  }
  ENSURE(parsed->body.size() == frame.size() - kHeaderBytes, "body of {}", parsed->body.size());
  const Bytes again = make_head(parsed->header, parsed->body);
  const auto parsed_again = parse_head(again, nullptr);
  ENSURE(parsed_again.has_value(), "a header that was read cannot be written");
  ENSURE(make_head(parsed_again->header, parsed_again->body) == again, "not stable");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes frame(reinterpret_cast<const char*>(data), size);
  check(frame);
  if (frame.size() >= kHeaderBytes) {
    std::memset(frame.data() + 4, 0, 4);
    const uint32_t crc = crc32c(frame);
    std::memcpy(frame.data() + 4, &crc, 4);
    check(frame);
  }
  return 0;
}

std::vector<Bytes> pairfs::test::fuzz_seeds(std::mt19937_64& random) {
  std::vector<Bytes> seeds;
  for (int i = 0; i < 20; ++i) {
    MessageHeader header;
    header.op = static_cast<uint16_t>(random());
    header.flags = static_cast<uint16_t>(random()) & kKnownFlags;
    header.slice = static_cast<Slice>(random() % kSliceCount);
    header.cluster_id = random();
    header.bulk_length = static_cast<uint32_t>(random());
    seeds.push_back(make_head(header, Bytes(random() % 100, 'x')));
  }
  return seeds;
}
