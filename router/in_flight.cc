#include "router/in_flight.h"

#include <utility>

namespace pairfs {

void InFlight::add(const std::vector<Bytes>& envelope, const MessageHeader& header) {
  if (young_.size() >= kGenerationMax) old_ = std::exchange(young_, {});
  young_.insert_or_assign(header.request, Request{envelope, header});
}

void InFlight::remove(const RequestId& id) {
  if (young_.erase(id) == 0) old_.erase(id);
}

std::vector<InFlight::Request> InFlight::take_if(
    const std::function<bool(const MessageHeader&)>& wanted) {
  std::vector<Request> out;
  for (Table* table : {&old_, &young_}) {
    for (auto at = table->begin(); at != table->end();) {
      if (!wanted(at->second.header)) {
        ++at;
        continue;
      }
      out.push_back(std::move(at->second));
      at = table->erase(at);
    }
  }
  return out;
}

}  // namespace pairfs
