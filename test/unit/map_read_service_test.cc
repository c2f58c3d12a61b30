#include "router/map_read_service.h"

#include <doctest/doctest.h>

#include "common/codec.h"

using namespace pairfs;
using namespace std::chrono_literals;

namespace {

const Instant kStart{1h};

MessageHeader request(uint64_t sequence) {
  MessageHeader h;
  h.op = MapRead::kOp;
  h.request = {1, kUnslotted, sequence};
  return h;
}

MapEntry entry(const char* key) {
  MapEntry out;
  out.key = BytesView(key);
  out.version = 1;
  return out;
}

MapReadReply body_of(const MapReadService::Answer& answer, uint64_t sequence) {
  const auto parsed = parse_head(answer.head.view(), nullptr);
  REQUIRE(parsed.has_value());
  CHECK(parsed->header.request.sequence == sequence);
  CHECK(parsed->header.flags == kFlagReply);
  const auto reply = decode<MapReadReply>(parsed->body);
  REQUIRE(reply.has_value());
  return *reply;
}

}  // namespace

TEST_CASE("who knows an older map is answered at once, who knows this one waits for the next") {
  MapReadService service(1);
  service.set_map(3, {entry("a")});
  service.on_read({"x"}, request(1), {2, 1000}, kStart);
  service.on_read({"x"}, request(2), {3, 1000}, kStart);
  service.on_read({"x"}, request(3), {3, 0}, kStart);
  auto answers = service.take_answers(kStart);
  REQUIRE(answers.size() == 2);
  CHECK(body_of(answers[0], 1).entries.size() == 1);
  CHECK(body_of(answers[1], 3).entries.empty());
  CHECK(service.next_wake() == kStart + 1000ms);

  service.set_map(4, {entry("a"), entry("b")});
  CHECK(service.next_wake() <= kStart);
  answers = service.take_answers(kStart + 1ms);
  REQUIRE(answers.size() == 1);
  CHECK(body_of(answers[0], 2).map_version == 4);
  CHECK(body_of(answers[0], 2).entries.size() == 2);
  CHECK(service.next_wake() == Instant::max());
}

TEST_CASE("who has waited long enough is told that nothing changed") {
  MapReadService service(1);
  service.set_map(3, {entry("a")});
  service.take_answers(kStart);
  service.on_read({"x"}, request(1), {3, 0xffff'ffff}, kStart);
  CHECK(service.next_wake() == kStart + MapReadService::kWaitMax);
  CHECK(service.take_answers(kStart + 9s).empty());
  const auto answers = service.take_answers(kStart + 10s);
  REQUIRE(answers.size() == 1);
  CHECK(body_of(answers[0], 1).map_version == 3);
  CHECK(body_of(answers[0], 1).entries.empty());
}

TEST_CASE("no more requests wait than the bound says") {
  MapReadService service(1);
  service.set_map(3, {entry("a")});
  service.take_answers(kStart);
  for (size_t i = 0; i < MapReadService::kWaitersMax + 5; ++i)
    service.on_read({"x"}, request(i), {3, 1000}, kStart);
  CHECK(service.take_answers(kStart).size() == 5);
}
