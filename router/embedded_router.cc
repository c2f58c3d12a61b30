#include "common/embedded_router.h"

#include <stdexcept>

#include "router/router_loop.h"

namespace pairfs {
namespace {

class EmbeddedRouterImpl final : public EmbeddedRouter {
 public:
  // Throws std::runtime_error with a sentence when an endpoint cannot be used.
  EmbeddedRouterImpl(Context& context, Poller& poller, RouterSettings settings)
      : loop_(context, std::move(settings), nullptr, &poller) {}
  void submit(SharedBytes head, SharedBytes bulk, Instant now) override {
    loop_.submit(std::move(head), std::move(bulk), now);
  }
  bool step(Instant now) override { return loop_.step(now); }
  Instant next_wake() const override { return loop_.next_wake(); }
  std::vector<Message> take_answers() override { return loop_.take_answers(); }

 private:
  RouterLoop loop_;
};

}  // namespace

std::unique_ptr<EmbeddedRouter> make_embedded_router(Context& context, Poller& poller,
                                                     uint64_t cluster_id,
                                                     const std::vector<std::string>& map_endpoints,
                                                     std::string* why) {
  RouterSettings settings;
  settings.name = "embedded";
  settings.cluster_id = cluster_id;
  settings.map_endpoints = map_endpoints;
  try {
    return std::make_unique<EmbeddedRouterImpl>(context, poller, std::move(settings));
  } catch (const std::runtime_error& error) {
    *why = error.what();
    return nullptr;
  }
}

}  // namespace pairfs
