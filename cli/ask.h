// Questions to daemons, many at once, each answered or given up within one time limit. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/codec.h"
#include "common/messages.h"

namespace pairfs::cli {

struct Question {
  std::string endpoint;
  uint16_t op = 0;
  Bytes body;
};
struct Answered {
  uint64_t cluster_id = 0;  // of who answered
  Bytes body;
};

// One answer per question, in their order; nullopt for those that came to nothing within
// `timeout`. `cluster_id` 0: whichever cluster it is (only routers answer that).
std::vector<std::optional<Answered>> ask_all(const std::vector<Question>& questions,
                                             uint64_t cluster_id, Duration timeout);

template <class Request>
Question question(const std::string& endpoint, const Request& request) {
  return {endpoint, Request::kOp, encode(request)};
}

}  // namespace pairfs::cli
