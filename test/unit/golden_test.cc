// The bytes on the wire are a promise to other versions, and to the log on disk: a change must be
// meant. To write the file anew: PAIRFS_GOLDEN_WRITE=1 pairfs-test-wire
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "common/codec.h"
#include "common/header.h"
#include "test/support/all_types.h"
#include "test/support/random_command.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {

std::string hex(BytesView bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

MessageHeader counted_header() {
  MessageHeader h;
  h.op = 0x4101;
  h.flags = kFlagReply | kFlagHasBulkCrc;
  h.status = ReplyStatus::kBusy;
  h.slice = 0x0102;
  h.volume = {0x0304, 0x0506};
  h.error = 0x0708090a;
  h.cluster_id = 0x1011121314151617;
  h.epoch = 0x1819;
  h.sender = 0x2021222324252627;
  h.receiver = 0x3031323334353637;
  h.request = {0x4041424344454647, 0x50515253, 0x6061626364656667};
  h.trace_id = 0x7071727374757677;
  h.bulk_length = 0x00080910;
  h.bulk_crc = 0x81828384;
  h.lease_ms = 0x91929394;
  h.lease_grants = 0x95969798;
  h.changed[0] = 0xa1a2a3a4a5a6a7a8;
  h.changed[1] = 0xb1b2b3b4b5b6b7b8;
  return h;
}

std::string golden_text() {
  std::ostringstream out;
  out << "# name, op code (- for none), bytes in hex. Written by pairfs-test-wire.\n";
  out << "header.with.body - " << hex(make_head(counted_header(), "body")) << "\n";
  for_each_wire_type([&]<class T>(const std::string& name, std::type_identity<T>) {
    out << name << " ";
    if constexpr (requires { T::kOp; }) {
      out << T::kOp;
    } else {
      out << "-";
    }
    const std::string bytes = hex(encode(counted_value<T>()));
    out << " " << (bytes.empty() ? "(empty)" : bytes) << "\n";
  });
  return out.str();
}

}  // namespace

TEST_CASE("the bytes of header, commands and messages are those of the golden file") {
  const std::string path = PAIRFS_SOURCE_DIR "/test/golden/wire.txt";
  const std::string now = golden_text();
  if (std::getenv("PAIRFS_GOLDEN_WRITE") != nullptr) {
    std::ofstream(path) << now;
    return;
  }
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  std::istringstream now_lines(now);
  std::string want, have;
  INFO("if the change is meant: PAIRFS_GOLDEN_WRITE=1 pairfs-test-wire");
  while (std::getline(expected, want)) {
    std::getline(now_lines, have);
    REQUIRE(have == want);
  }
  CHECK_FALSE(std::getline(now_lines, have));
}
