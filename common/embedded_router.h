// A router inside another process, in its one client's thread: it saves a hop, and its commands
// reach the nodes' sockets from that thread. Implemented by the router's library, which a program
// that wants one links.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/transport.h"

namespace pairfs {

class EmbeddedRouter {
 public:
  virtual ~EmbeddedRouter() = default;
  // A request, as it would go to a router's socket.
  virtual void submit(SharedBytes head, SharedBytes bulk, Instant now) = 0;
  // Handles what came. Call after each wake-up and at next_wake(). True when there may be more.
  virtual bool step(Instant now) = 0;
  virtual Instant next_wake() const = 0;
  // The answers since the last call. Call after submit() and step().
  virtual std::vector<Message> take_answers() = 0;
};

// Its sockets wake `poller`. `map_endpoints`: where the map can be read, as for make_map_client().
// nullptr: `why` is a sentence.
std::unique_ptr<EmbeddedRouter> make_embedded_router(Context& context, Poller& poller,
                                                     uint64_t cluster_id,
                                                     const std::vector<std::string>& map_endpoints,
                                                     std::string* why);

}  // namespace pairfs
