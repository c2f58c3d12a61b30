#include "common/embedded_router.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "common/ensure.h"
#include "router/router_loop.h"

namespace pairfs {
namespace {

class EmbeddedRouterImpl final : public EmbeddedRouter {
 public:
  // Throws std::runtime_error with a sentence when an endpoint cannot be used.
  EmbeddedRouterImpl(Context& context, RouterSettings settings)
      : loop_(context, std::move(settings), nullptr), stop_(::eventfd(0, EFD_CLOEXEC)) {
    ENSURE(stop_ >= 0, "eventfd: {}", std::strerror(errno));
    thread_ = std::thread([this] { loop_.run(stop_); });
  }
  ~EmbeddedRouterImpl() override {
    const uint64_t one = 1;
    ENSURE(::write(stop_, &one, sizeof one) == sizeof one, "eventfd: {}", std::strerror(errno));
    thread_.join();
    ::close(stop_);
  }
  std::string endpoint() const override { return loop_.endpoint(); }

 private:
  RouterLoop loop_;
  const int stop_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<EmbeddedRouter> start_embedded_router(Context& context, uint64_t cluster_id,
                                                      const std::vector<std::string>& map_endpoints,
                                                      std::string* why) {
  RouterSettings settings;
  settings.name = "embedded";
  settings.cluster_id = cluster_id;
  settings.listen = "inproc://embedded-router";
  settings.map_endpoints = map_endpoints;
  try {
    return std::make_unique<EmbeddedRouterImpl>(context, std::move(settings));
  } catch (const std::runtime_error& error) {
    *why = error.what();
    return nullptr;
  }
}

}  // namespace pairfs
