// The bytes of ZMTP 3.1 with its NULL mechanism, as ZeroMQ's sockets speak it over a stream
// (rfc.zeromq.org/spec/37): greeting, READY, PING, PONG and the heads of frames. No I/O, no state.
#pragma once

#include <optional>

#include "common/types.h"

namespace pairfs::zmtp {

inline constexpr size_t kGreetingBytes = 64;
inline constexpr size_t kFrameHeadBytesMax = 9;

enum FrameFlag : uint8_t { kMore = 1, kLong = 2, kCommand = 4 };

struct FrameHead {
  uint8_t flags = 0;
  uint64_t length_bytes = 0;  // of what follows the head
  size_t head_bytes = 0;
};

// What each side says first.
Bytes greeting();
// False as soon as `begin`, the first bytes of a greeting or all of it, cannot be one of version 3
// with the NULL mechanism.
bool may_be_greeting(BytesView begin);

// Whole command frames. `socket_type`: "DEALER" or "ROUTER".
Bytes ready_command(BytesView socket_type, BytesView identity);
Bytes ping_command();
Bytes pong_command(BytesView context);

void put_frame_head(Bytes& out, uint64_t length_bytes, bool more);

enum class Parsed { kWhole, kNeedsMore, kBad };
// The head of the frame that `bytes` begin with. kBad: unknown flags.
Parsed parse_frame_head(BytesView bytes, FrameHead* head);

struct Command {
  enum class Kind { kReady, kPing, kPong, kOther } kind = Kind::kOther;
  BytesView identity;  // kReady: may be empty
  BytesView context;   // kPing
};
// nullopt: not a command.
std::optional<Command> parse_command(BytesView body);

}  // namespace pairfs::zmtp
