// The requests that one node has been sent and has not answered, so that their clients can be told
// at once when it is lost or no longer the executor, rather than by their own timeouts. A hint and
// no state that matters: a forgotten request is retried by its client, and one told twice is
// executed once, as its id stays the same. No I/O; one thread.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "common/header.h"

namespace pairfs {

class InFlight {
 public:
  // At most twice this many are remembered; the oldest are forgotten, so that requests that are
  // never answered do not add up.
  static constexpr size_t kGenerationMax = 16384;

  struct Request {
    std::vector<Bytes> envelope;
    MessageHeader header;  // as the client sent it
  };
  void add(const std::vector<Bytes>& envelope, const MessageHeader& header);
  void remove(const RequestId& id);
  // Forgets and returns those that `wanted` picks.
  std::vector<Request> take_if(const std::function<bool(const MessageHeader&)>& wanted);
  size_t size() const { return young_.size() + old_.size(); }

 private:
  struct Hash {
    size_t operator()(const RequestId& id) const {
      return std::hash<uint64_t>()(id.session ^ (uint64_t{id.slot} << 48) ^
                                   id.sequence * 0x9e37'79b9'7f4a'7c15ULL);
    }
  };
  using Table = std::unordered_map<RequestId, Request, Hash>;
  Table young_, old_;
};

}  // namespace pairfs
