#include "common/zmtp.h"

#include <algorithm>

namespace pairfs::zmtp {
namespace {

constexpr size_t kSignatureBytes = 10;
constexpr size_t kMechanismAt = 12;
constexpr size_t kMechanismBytes = 20;
constexpr char kNull[kMechanismBytes + 1] = "NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
constexpr size_t kPingTtlBytes = 2;

void put_big_endian(Bytes& out, uint64_t value, size_t bytes) {
  for (size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i));
}
uint64_t get_big_endian(BytesView bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

void put_property(Bytes& out, BytesView name, BytesView value) {
  out += static_cast<char>(name.size());
  out += name;
  put_big_endian(out, value.size(), 4);
  out += value;
}

Bytes command(BytesView name, BytesView rest) {
  Bytes out;
  out += static_cast<char>(kCommand);
  out += static_cast<char>(1 + name.size() + rest.size());
  out += static_cast<char>(name.size());
  out += name;
  out += rest;
  return out;
}

// The Identity among the properties of a READY; nullopt: malformed.
std::optional<BytesView> identity_in(BytesView properties) {
  BytesView identity;
  while (!properties.empty()) {
    const size_t name_bytes = static_cast<uint8_t>(properties[0]);
    if (properties.size() < 1 + name_bytes + 4) return std::nullopt;
    const BytesView name = properties.substr(1, name_bytes);
    const uint64_t value_bytes = get_big_endian(properties.substr(1 + name_bytes, 4));
    properties.remove_prefix(1 + name_bytes + 4);
    if (properties.size() < value_bytes) return std::nullopt;
    if (name == "Identity") identity = properties.substr(0, value_bytes);
    properties.remove_prefix(value_bytes);
  }
  return identity;
}

}  // namespace

Bytes greeting() {
  Bytes out("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
  out.append(kNull, kMechanismBytes);
  out.resize(kGreetingBytes, '\0');
  return out;
}

bool may_be_greeting(BytesView begin) {
  if (!begin.empty() && begin[0] != '\xff') return false;
  if (begin.size() >= kSignatureBytes && (begin[kSignatureBytes - 1] & 1) == 0) return false;
  if (begin.size() > kSignatureBytes && static_cast<uint8_t>(begin[kSignatureBytes]) < 3)
    return false;
  if (begin.size() <= kMechanismAt) return true;
  const size_t known = std::min(begin.size() - kMechanismAt, kMechanismBytes);
  return begin.substr(kMechanismAt, known) == BytesView(kNull, known);
}

Bytes ready_command(BytesView socket_type, BytesView identity) {
  Bytes properties;
  put_property(properties, "Socket-Type", socket_type);
  put_property(properties, "Identity", identity);
  return command("READY", properties);
}
Bytes ping_command() { return command("PING", BytesView("\0\0", kPingTtlBytes)); }
Bytes pong_command(BytesView context) { return command("PONG", context.substr(0, 16)); }

void put_frame_head(Bytes& out, uint64_t length_bytes, bool more) {
  const uint8_t flags = more ? kMore : 0;
  if (length_bytes <= 0xff) {
    out += static_cast<char>(flags);
    out += static_cast<char>(length_bytes);
    return;
  }
  out += static_cast<char>(flags | kLong);
  put_big_endian(out, length_bytes, 8);
}

Parsed parse_frame_head(BytesView bytes, FrameHead* head) {
  if (bytes.empty()) return Parsed::kNeedsMore;
  head->flags = static_cast<uint8_t>(bytes[0]);
  const bool command_with_more = (head->flags & kCommand) != 0 && (head->flags & kMore) != 0;
  if ((head->flags & ~(kMore | kLong | kCommand)) != 0 || command_with_more) return Parsed::kBad;
  head->head_bytes = (head->flags & kLong) != 0 ? 9 : 2;
  if (bytes.size() < head->head_bytes) return Parsed::kNeedsMore;
  head->length_bytes = get_big_endian(bytes.substr(1, head->head_bytes - 1));
  return Parsed::kWhole;
}

std::optional<Command> parse_command(BytesView body) {
  if (body.empty() || body.size() < 1u + static_cast<uint8_t>(body[0])) return std::nullopt;
  const BytesView name = body.substr(1, static_cast<uint8_t>(body[0]));
  const BytesView rest = body.substr(1 + name.size());
  Command out;
  if (name == "READY") {
    out.kind = Command::Kind::kReady;
    const auto identity = identity_in(rest);
    if (!identity) return std::nullopt;
    out.identity = *identity;
  } else if (name == "PING") {
    out.kind = Command::Kind::kPing;
    if (rest.size() < kPingTtlBytes) return std::nullopt;
    out.context = rest.substr(kPingTtlBytes);
  } else if (name == "PONG") {
    out.kind = Command::Kind::kPong;
  }
  return out;
}

}  // namespace pairfs::zmtp
