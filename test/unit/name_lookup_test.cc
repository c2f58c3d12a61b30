#include "common/name_lookup.h"

#include <doctest/doctest.h>

#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "common/map_store.h"
#include "common/transport.h"

using namespace pairfs;
using namespace std::chrono_literals;

namespace {

// A name server of the test's own: what it has not been told yet, it is silent about.
class Names {
 public:
  ResolveHost resolver() {
    return [this](const std::string& host) {
      std::unique_lock lock(mutex_);
      ++asked_[host];
      told_.wait(lock, [&] { return ended_ || addresses_.contains(host); });
      return addresses_[host];
    };
  }
  void tell(const std::string& host, std::vector<std::string> addresses) {
    std::lock_guard lock(mutex_);
    addresses_[host] = std::move(addresses);
    told_.notify_all();
  }
  int asked(const std::string& host) {
    std::lock_guard lock(mutex_);
    return asked_[host];
  }
  void end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    told_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  std::map<std::string, std::vector<std::string>> addresses_;
  std::map<std::string, int> asked_;
  bool ended_ = false;
};

// The lookups' threads may outlive a test that fails.
std::shared_ptr<Names> make_names() {
  static std::vector<std::shared_ptr<Names>> kept;
  kept.push_back(std::make_shared<Names>());
  return kept.back();
}

std::string port_of(const Socket& server) {
  return server.endpoint().substr(server.endpoint().rfind(':'));
}

// Whether a message comes through within the limit; both sockets belong to the poller.
bool passes(Poller& poller, Socket& client, Socket& server, Duration limit = 10s) {
  const Instant end = boot_now() + limit;
  while (boot_now() < end) {
    client.link_events();
    client.send({}, SharedBytes::from("message"));
    poller.wait(1ms);
    if (server.receive()) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a name server that is silent holds up only who asked for that name") {
  const auto names = make_names();
  Context context(names->resolver());
  names->tell("known", {"127.0.0.1"});
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  Socket slow = Socket::client(context, "tcp://silent" + port_of(server));
  Socket by_name = Socket::client(context, "tcp://known" + port_of(server));
  Socket by_address = Socket::client(context, "tcp://127.0.0.1" + port_of(server));
  Poller poller;
  for (const Socket* socket : {&server, &slow, &by_name, &by_address}) poller.add(*socket);
  CHECK(passes(poller, by_address, server));
  CHECK(passes(poller, by_name, server));
  CHECK(names->asked("silent") == 1);
  CHECK_FALSE(slow.send({}, SharedBytes::from("nobody")));
  names->tell("silent", {"127.0.0.1"});
  CHECK(passes(poller, slow, server));
  CHECK(slow.endpoint() == "tcp://silent" + port_of(server));
}

TEST_CASE("a host that was not known yet, or has another address, is found") {
  const auto names = make_names();
  Context context(names->resolver());
  names->tell("host", {});
  auto server = std::make_unique<Socket>(Socket::server(context, "tcp://127.0.0.1:*"));
  const std::string port = port_of(*server);
  Socket client = Socket::client(context, "tcp://host" + port);
  Poller poller;
  poller.add(client);
  poller.add(*server);
  CHECK_FALSE(passes(poller, client, *server, 300ms));
  names->tell("host", {"127.0.0.1"});
  CHECK(passes(poller, client, *server));

  const int before = names->asked("host");
  server.reset();
  Socket moved = Socket::server(context, "tcp://127.0.0.2" + port);
  poller.add(moved);
  CHECK_FALSE(passes(poller, client, moved, 300ms));
  CHECK(names->asked("host") > before);
  names->tell("host", {"127.0.0.2"});
  CHECK(passes(poller, client, moved));
}

TEST_CASE("a socket without a poller finds a named host too") {
  const auto names = make_names();
  Context context(names->resolver());
  names->tell("host", {"127.0.0.1"});
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  Socket client = Socket::client(context, "tcp://host" + port_of(server));
  const Instant end = boot_now() + 10s;
  bool sent = false, received = false;
  while (!received && boot_now() < end) {
    sent = sent || client.send({}, SharedBytes::from("message"));
    received = server.receive().has_value();
    std::this_thread::sleep_for(200us);
  }
  CHECK(received);
}

TEST_CASE("what is no endpoint is refused, named or not") {
  Context context;
  CHECK_THROWS_AS(Socket::client(context, "tcp://host"), std::runtime_error);
  CHECK_THROWS_AS(Socket::client(context, "tcp://127.0.0.1"), std::runtime_error);
}

TEST_CASE("a lookup that is under way does not hold up the end") {
  const auto names = make_names();
  auto ended = std::async(std::launch::async, [&] {
    Context context(names->resolver());
    Socket client = Socket::client(context, "tcp://silent:1");
  });
  CHECK(ended.wait_for(5s) == std::future_status::ready);
  names->end();
}
