// The small value types that every part shares. No behaviour beyond comparison and printing.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace pairfs {

using Bytes = std::string;           // octets, not text
using BytesView = std::string_view;  // octets, not text

// Monotonic time of one machine: CLOCK_BOOTTIME in a daemon, simulated time in the simulator.
using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Wall-clock time of a file, as in struct timespec. Seconds may be negative.
struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(seconds, nanoseconds);
  }
};
// The next representable time.
constexpr Timestamp next_after(Timestamp t) {
  return t.nanoseconds == 999'999'999 ? Timestamp{t.seconds + 1, 0}
                                      : Timestamp{t.seconds, t.nanoseconds + 1};
}

using Slice = uint16_t;
inline constexpr unsigned kSliceCount = 4096;

using Epoch = uint64_t;        // a volume's version of ownership; 0 = none
using Sequence = uint64_t;     // of a volume's commands, from 1; 0 = before the first
using Incarnation = uint64_t;  // of a node process: start time above random bits, never 0
using SessionId = uint64_t;    // of a client: random, never 0

// A volume's number in the cluster: pair id (from 1) and index in the pair. Printed "1.0".
struct VolumeId {
  uint16_t pair = 0;
  uint16_t index = 0;
  friend auto operator<=>(const VolumeId&, const VolumeId&) = default;
  uint32_t packed() const { return uint32_t{pair} << 16 | index; }
  static VolumeId unpack(uint32_t v) {
    return {static_cast<uint16_t>(v >> 16), static_cast<uint16_t>(v & 0xffff)};
  }
  template <class Archive>
  void serialize(Archive& ar) {
    ar(pair, index);
  }
};
inline std::string to_string(VolumeId id) {
  return std::to_string(id.pair) + "." + std::to_string(id.index);
}

// An inode. The id carries its slice in the upper 16 bits (id 1, the root, is slice 0); the
// generation is the epoch that created it. The same id with another generation is another inode
// and is answered with ESTALE.
struct InodeRef {
  uint64_t id = 0;
  uint64_t generation = 0;
  Slice slice() const { return static_cast<Slice>(id >> 48); }
  friend auto operator<=>(const InodeRef&, const InodeRef&) = default;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(id, generation);
  }
};
inline constexpr InodeRef kRootInode{1, 1};
constexpr uint64_t make_inode_id(Slice slice, uint64_t counter) {
  return uint64_t{slice} << 48 | (counter & 0xffff'ffff'ffffULL);
}

// Who asks, and how to know the question again; the same on every retry. Slot kUnslotted marks a
// command that may be executed twice without harm (reads); its sequence only matches the reply.
struct RequestId {
  SessionId session = 0;
  uint32_t slot = 0;
  uint64_t sequence = 0;
  friend auto operator<=>(const RequestId&, const RequestId&) = default;
  template <class Archive>
  void serialize(Archive& ar) {
    ar(session, slot, sequence);
  }
};
inline constexpr uint32_t kUnslotted = 0xffff'ffff;
inline constexpr uint32_t kSlotsPerSession = 64;  // of one session on one volume

// Immutable octets with shared ownership: a received frame, or a part of one, passed on without
// a copy. Safe to share between threads, as the bytes never change.
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::shared_ptr<const void> owner, BytesView view)
      : owner_(std::move(owner)), view_(view) {}
  static SharedBytes from(Bytes bytes) {
    auto owner = std::make_shared<const Bytes>(std::move(bytes));
    BytesView view = *owner;
    return {std::move(owner), view};
  }
  BytesView view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  SharedBytes part(size_t offset, size_t length) const {
    return {owner_, view_.substr(offset, length)};
  }

 private:
  std::shared_ptr<const void> owner_;
  BytesView view_;
};

}  // namespace pairfs
