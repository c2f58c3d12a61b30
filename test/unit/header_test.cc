#include "common/header.h"

#include <doctest/doctest.h>

#include <cstring>

#include "common/crc32c.h"

using namespace pairfs;

namespace {

MessageHeader sample() {
  MessageHeader h;
  h.op = 65;
  h.flags = kFlagRetry;
  h.slice = 4095;
  h.volume = {3, 1};
  h.error = -5;
  h.cluster_id = 0x1122334455667788;
  h.epoch = 9;
  h.sender = 10;
  h.receiver = 11;
  h.request = {12, 13, 14};
  h.trace_id = 15;
  h.bulk_length = 16;
  h.bulk_crc = 17;
  return h;
}

// The frame with one field overwritten and the crc made right again.
template <class T>
Bytes with(Bytes frame, size_t at, T value) {
  std::memcpy(frame.data() + at, &value, sizeof value);
  const uint32_t zero = 0;
  std::memcpy(frame.data() + 4, &zero, 4);
  const uint32_t crc = crc32c(frame);
  std::memcpy(frame.data() + 4, &crc, 4);
  return frame;
}

HeaderError error_of(BytesView frame) {
  HeaderError error{};
  REQUIRE_FALSE(parse_head(frame, &error).has_value());
  return error;
}

}  // namespace

TEST_CASE("a header comes back from its bytes as it was") {
  const Bytes frame = make_head(sample(), "body");
  CHECK(frame.size() == kHeaderBytes + 4);
  const auto parsed = parse_head(frame, nullptr);
  REQUIRE(parsed.has_value());
  const MessageHeader& h = parsed->header;
  CHECK(parsed->body == "body");
  CHECK(h.op == 65);
  CHECK(h.flags == kFlagRetry);
  CHECK(h.slice == 4095);
  CHECK(h.volume == VolumeId{3, 1});
  CHECK(h.error == -5);
  CHECK(h.cluster_id == 0x1122334455667788);
  CHECK(h.epoch == 9);
  CHECK(h.sender == 10);
  CHECK(h.receiver == 11);
  CHECK(h.request == RequestId{12, 13, 14});
  CHECK(h.trace_id == 15);
  CHECK(h.body_length == 4);
  CHECK(h.bulk_length == 16);
  CHECK(h.bulk_crc == 17);
}

TEST_CASE("each kind of damage has its error") {
  const Bytes frame = make_head(sample(), "body");
  CHECK(error_of("") == HeaderError::kTooShort);
  CHECK(error_of(BytesView(frame).substr(0, kHeaderBytes - 1)) == HeaderError::kTooShort);
  CHECK(error_of(with<uint16_t>(frame, 0, 127)) == HeaderError::kBadLength);
  CHECK(error_of(with<uint16_t>(frame, 2, 2)) == HeaderError::kBadVersion);
  CHECK(error_of(with<uint16_t>(frame, 10, 16)) == HeaderError::kBadFlags);
  CHECK(error_of(with<uint16_t>(frame, 14, 4096)) == HeaderError::kBadBody);
  CHECK(error_of(with<uint32_t>(frame, 68, 5)) == HeaderError::kBadBody);
  CHECK(error_of(BytesView(frame).substr(0, frame.size() - 1)) == HeaderError::kBadBody);
  CHECK(error_of(frame + "x") == HeaderError::kBadBody);
}

TEST_CASE("every flipped bit of header and body is noticed") {
  const Bytes frame = make_head(sample(), "body");
  for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes bad = frame;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(parse_head(bad, nullptr).has_value());
  }
}
