// A router inside another process, in a thread of its own: it saves a hop. Implemented by the
// router's library, which a program that wants one links.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/transport.h"

namespace pairfs {

class EmbeddedRouter {
 public:
  virtual ~EmbeddedRouter() = default;  // stops it and waits for its thread
  // Where clients of the same Context reach it.
  virtual std::string endpoint() const = 0;
};

// `map_endpoints`: where the map can be read, as for make_map_client(). nullptr: `why` is a sentence.
std::unique_ptr<EmbeddedRouter> start_embedded_router(Context& context, uint64_t cluster_id,
                                                      const std::vector<std::string>& map_endpoints,
                                                      std::string* why);

}  // namespace pairfs
