// A router in a thread of the test, on free ports, until the end of the scope.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "router/router_loop.h"

namespace pairfs::test {

class RouterThread {
 public:
  // With `map_dir` it holds the map and serves it on `map_listen`.
  RouterThread(Context& context, uint64_t cluster_id, const std::string& map_dir,
               std::vector<std::string> map_endpoints = {},
               const std::string& map_listen = "tcp://127.0.0.1:*") {
    RouterSettings settings;
    settings.name = "r";
    settings.cluster_id = cluster_id;
    settings.listen = "tcp://127.0.0.1:*";
    settings.map_dir = map_dir;
    settings.map_listen = map_listen;
    settings.map_endpoints = std::move(map_endpoints);
    std::unique_ptr<FileMapStore> store;
    if (!map_dir.empty()) {
      std::string why;
      store = FileMapStore::open(map_dir, &why);
      ENSURE(store != nullptr, "{}", why);
    }
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop_ = std::make_unique<RouterLoop>(context, settings, std::move(store));
    thread_ = std::thread([this] { loop_->run(stop_fd_); });
  }
  ~RouterThread() {
    const uint64_t one = 1;
    ENSURE(::write(stop_fd_, &one, sizeof one) == sizeof one, "eventfd");
    thread_.join();
    ::close(stop_fd_);
  }
  RouterThread(const RouterThread&) = delete;
  RouterThread& operator=(const RouterThread&) = delete;

  const std::string& endpoint() const { return loop_->endpoint(); }
  std::string map_endpoint() const { return loop_->map_endpoint(); }

 private:
  int stop_fd_ = -1;
  std::unique_ptr<RouterLoop> loop_;
  std::thread thread_;
};

}  // namespace pairfs::test
