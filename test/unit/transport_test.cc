#include "common/transport.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "common/map_store.h"
#include "test/support/raw_socket.h"
#include "test/support/seed.h"
#include "test/support/temporary_directory.h"

using namespace pairfs;
using namespace pairfs::test;
using namespace std::chrono_literals;

namespace {

SharedBytes bytes(const std::string& text) { return SharedBytes::from(text); }

// Sockets of this thread without a Poller, which go on only while they are called.
class AtWork {
 public:
  explicit AtWork(std::vector<Socket*> sockets) : before_(std::exchange(all, all)) {
    all.insert(all.end(), sockets.begin(), sockets.end());
  }
  ~AtWork() { all = before_; }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  static inline thread_local std::vector<Socket*> all;

 private:
  std::vector<Socket*> before_;
};

template <class Condition>
bool eventually(Condition&& condition, Duration limit = 15s) {
  const Instant end = boot_now() + limit;
  while (!condition()) {
    if (boot_now() > end) return false;
    for (Socket* socket : AtWork::all) socket->work();
    std::this_thread::sleep_for(200us);
  }
  return true;
}

std::optional<Message> receive(Socket& socket, Duration limit = 15s) {
  std::optional<Message> message;
  eventually([&] { return (message = socket.receive()).has_value(); }, limit);
  return message;
}

bool send(Socket& socket, const std::string& text) {
  return eventually([&] { return socket.send({}, bytes(text)); });
}

size_t resident_bytes() {
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096;
}

// True when a question reaches the server and its answer comes back, each within `limit`.
bool talks(Socket& client, Socket& server, Duration limit = 15s) {
  const AtWork at_work({&client, &server});
  static std::atomic<int> count{0};
  const std::string question = "question " + std::to_string(++count);
  if (!send(client, question)) return false;
  while (auto asked = receive(server, limit)) {
    if (asked->head.view() != question) continue;
    if (!server.send(asked->envelope, bytes("answer to " + question))) return false;
    while (auto answer = receive(client, limit))
      if (answer->head.view() == "answer to " + question) return true;
    return false;
  }
  return false;
}

}  // namespace

TEST_CASE("head, bulk and envelope arrive as they were sent") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  Socket client = Socket::client(context, server.endpoint());
  const AtWork at_work({&server, &client});
  const std::string large(3 << 20, 'x');
  REQUIRE(eventually([&] { return client.send({"hop1", "hop2"}, bytes("head"), bytes(large)); }));
  auto message = receive(server);
  REQUIRE(message.has_value());
  REQUIRE(message->envelope.size() == 3);
  CHECK(message->envelope[1] == "hop1");
  CHECK(message->envelope[2] == "hop2");
  CHECK(message->head.view() == "head");
  CHECK(message->bulk.view() == large);
  REQUIRE(server.send(message->envelope, bytes("reply")));
  message = receive(client);
  REQUIRE(message.has_value());
  CHECK(message->envelope == std::vector<Bytes>{"hop1", "hop2"});
  CHECK(message->bulk.empty());
}

TEST_CASE("sending to nobody says so") {
  Context context;
  TemporaryDirectory directory;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  CHECK_FALSE(server.send({"unknown"}, bytes("x")));
  CHECK_FALSE(server.send({}, bytes("x")));
  Socket client = Socket::client(context, "ipc://" + directory.file("nobody"));
  CHECK_FALSE(client.send({}, bytes("x")));
}

TEST_CASE("a reply to a client that vanished is refused, once that is known") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  std::vector<Bytes> envelope;
  {
    Socket client = Socket::client(context, server.endpoint());
    const AtWork at_work({&server, &client});
    REQUIRE(send(client, "hello"));
    envelope = receive(server)->envelope;
    CHECK(server.send(envelope, bytes("x")));
  }
  const AtWork at_work({&server});
  CHECK(eventually([&] { return !server.send(envelope, bytes("x")); }));
}

TEST_CASE("link events tell connection, loss and return, and nothing queues meanwhile") {
  Context context;
  TemporaryDirectory directory;
  const std::string endpoint = "ipc://" + directory.file("s");
  auto server = std::make_unique<Socket>(Socket::server(context, endpoint));
  Socket client = Socket::client(context, endpoint);
  std::vector<Socket::LinkEvent> seen;
  const auto saw = [&](size_t count) {
    return eventually([&] {
      for (const auto event : client.link_events()) seen.push_back(event);
      return seen.size() >= count;
    });
  };
  auto at_work = std::make_unique<AtWork>(std::vector{server.get(), &client});
  REQUIRE(saw(1));
  CHECK(talks(client, *server));
  at_work.reset();
  server.reset();
  REQUIRE(saw(2));
  CHECK(eventually([&] { return !client.send({}, bytes("for the predecessor")); }));
  server = std::make_unique<Socket>(Socket::server(context, endpoint));
  at_work = std::make_unique<AtWork>(std::vector{server.get(), &client});
  REQUIRE(saw(3));
  using Event = Socket::LinkEvent;
  CHECK(seen == std::vector<Event>{Event::kConnected, Event::kDisconnected, Event::kConnected});
  REQUIRE(send(client, "for the successor"));
  CHECK(receive(*server)->head.view() == "for the successor");
}

TEST_CASE("a socket in use is not taken away, one left behind by a dead process is") {
  Context context;
  TemporaryDirectory directory;
  const std::string endpoint = "ipc://" + directory.file("s");
  Socket first = Socket::server(context, endpoint);
  CHECK_THROWS_WITH(Socket::server(context, endpoint),
                    doctest::Contains("another process listens there"));
  Socket client = Socket::client(context, endpoint);
  CHECK(talks(client, first));

  const std::string left = directory.file("left");
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, left.c_str(), left.size() + 1);
    RawSocket dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE(::bind(dead.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK_NOTHROW(Socket::server(context, "ipc://" + left));

  Socket tcp = Socket::server(context, "tcp://127.0.0.1:*");
  CHECK_THROWS_WITH(Socket::server(context, tcp.endpoint()), doctest::Contains("in use"));
}

TEST_CASE("garbage on a port disturbs nobody") {
  const uint64_t seed = test_seed();
  INFO("repeat with PAIRFS_SEED=" << seed);
  std::mt19937_64 random(seed);
  Context context;
  TemporaryDirectory directory;
  for (const std::string& where :
       {std::string("tcp://127.0.0.1:*"), "ipc://" + directory.file("s")}) {
    Socket server = Socket::server(context, where);
    Socket client = Socket::client(context, server.endpoint());
    REQUIRE(talks(client, server));
    // The start of a right greeting, so that some of the garbage meets the later states.
    const Bytes greeting = Bytes("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16) + Bytes(48, '\0');
    const Bytes ready = Bytes(
        "\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06"
        "DEALER\x08Identity\0\0\0\0",
        40);
    std::vector<RawSocket> open;
    for (int i = 0; i < 200; ++i) {
      RawSocket raw = RawSocket::connect(server.endpoint());
      Bytes garbage(random() % 300, '\0');
      for (char& c : garbage) c = static_cast<char>(random());
      if (i % 4 == 0) garbage.insert(0, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      if (i % 4 == 1) garbage.insert(0, greeting);
      if (i % 4 == 2) garbage.insert(0, greeting + ready);
      if (i % 4 == 3) garbage = greeting + ready + Bytes("\x02\xff\xff\xff\xff\xff\xff\xff\x7f", 9);
      raw.send(garbage);
      if (i % 8 == 0) open.push_back(std::move(raw));
      while (server.receive()) {
      }
    }
    CHECK(talks(client, server));
    // Who has just connected comes through as well.
    Socket late = Socket::client(context, server.endpoint());
    CHECK(talks(late, server));
  }
}

TEST_CASE("a client that meets garbage instead of a server goes on trying") {
  Context context;
  std::string endpoint;
  RawSocket listener = RawSocket::listen(&endpoint);
  Socket client = Socket::client(context, endpoint);
  const AtWork at_work({&client});
  for (int i = 0; i < 3; ++i) {
    REQUIRE(eventually([&] {
      pollfd waiting{listener.fd(), POLLIN, 0};
      return ::poll(&waiting, 1, 0) == 1;
    }));
    RawSocket raw = listener.accept();
    raw.send("SSH-2.0-nothing of yours\r\n");
    CHECK_FALSE(client.receive().has_value());
  }
}

TEST_CASE("wrong frame counts are dropped and counted") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  Socket client = Socket::client(context, server.endpoint());
  const AtWork at_work({&server, &client});
  REQUIRE(talks(client, server));
  REQUIRE(client.send(std::vector<Bytes>(8, "hop"), bytes("too many hops")));
  REQUIRE(eventually([&] { return !server.receive() && server.dropped_count() == 1; }));
  CHECK(talks(client, server));
}

TEST_CASE("what waits for a peer that does not read is bounded by bytes") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  Socket client = Socket::client(context, server.endpoint());
  const AtWork at_work({&server, &client});
  Socket other = Socket::client(context, server.endpoint());
  REQUIRE(send(client, "hello"));
  const auto envelope = receive(server)->envelope;
  const size_t before = resident_bytes();
  const SharedBytes megabyte = bytes(std::string(1 << 20, 'x'));

  // Each message with bytes of its own, as they would come from a disk.
  const auto fill = [&](Socket& from, const std::vector<Bytes>& to) {
    size_t sent = 0;
    for (int refused = 0; refused < 100 && sent < 3000;) {
      if (from.send(to, bytes("head"), bytes(std::string(1 << 20, 'x')))) {
        ++sent;
      } else {
        ++refused;
        std::this_thread::sleep_for(1ms);
      }
    }
    return sent;
  };
  const size_t to_server = fill(client, {});
  CHECK(to_server < 1000);  // 64 at the sender, 256 at the receiver, the kernel's buffers
  const size_t to_client = fill(server, envelope);
  CHECK(to_client < 1000);
  CHECK(resident_bytes() - before < size_t{1200} << 20);

  // Another client of the same server is not held up.
  CHECK(talks(other, server));

  // All that was accepted arrives, and then it goes on.
  size_t arrived = 0;
  REQUIRE(eventually([&] {
    while (client.receive()) ++arrived;
    return arrived >= to_client;
  }));
  CHECK(arrived == to_client);
  REQUIRE(eventually([&] { return server.send(envelope, bytes("head"), megabyte); }));
}

TEST_CASE("a client whose connection broke unseen by the server is heard again") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  CuttableProxy proxy(server.endpoint());
  Socket client = Socket::client(context, proxy.endpoint());
  const AtWork at_work({&server, &client});
  REQUIRE(talks(client, server));
  for (int i = 0; i < 3; ++i) {
    client.link_events();
    proxy.cut();
    size_t events = 0;
    REQUIRE(eventually([&] { return (events += client.link_events().size()) >= 2; }));
    CHECK(talks(client, server));
  }
}

TEST_CASE("messages are whole, whatever moment the connection breaks") {
  Context context;
  Socket server = Socket::server(context, "tcp://127.0.0.1:*");
  CuttableProxy proxy(server.endpoint());
  Socket client = Socket::client(context, proxy.endpoint());
  const AtWork at_work({&client});
  REQUIRE(talks(client, server));
  size_t arrived = 0;
  const auto drain = [&] {
    while (auto message = server.receive()) {
      if (message->head.view().starts_with("question")) continue;
      ++arrived;
      const std::string head(message->head.view());
      REQUIRE(head.starts_with("head "));
      REQUIRE(message->bulk.size() == 5000 + std::stoul(head.substr(5)) % 1000);
    }
  };
  const auto send_one = [&](size_t i) {
    client.send({"hop"}, bytes("head " + std::to_string(i)),
                bytes(std::string(5000 + i % 1000, 'x')));
  };
  for (size_t i = 0; i < 20000; ++i) {
    if (i % 997 == 500) proxy.cut();
    send_one(i);
    if (i % 16 == 0) drain();
    if (i % 997 == 400) {
      const size_t before = arrived;
      REQUIRE(eventually([&] {
        send_one(i);
        drain();
        return arrived > before;
      }));
    }
    // Questions may be lost too, as the proxy cuts when it comes to it.
    if (i % 997 == 900) REQUIRE(eventually([&] { return talks(client, server, 100ms); }));
  }
  CHECK(server.dropped_count() == 0);
}

TEST_CASE("a stopped peer costs its sender no more than the bound, and goes on when it wakes") {
  TemporaryDirectory directory;
  const std::string endpoint = "ipc://" + directory.file("s");
  // The child answers every message with its size until it gets an empty one.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Context context;
    Socket server = Socket::server(context, endpoint);
    Poller poller;
    poller.add(server);
    for (;;) {
      poller.wait(10s);
      while (auto message = server.receive()) {
        if (message->head.view() == "end") ::_exit(0);
        server.send(message->envelope, bytes(std::to_string(message->bulk.size())));
      }
    }
  }
  Context context;
  Socket client = Socket::client(context, endpoint);
  const AtWork at_work({&client});
  REQUIRE(send(client, "hello"));
  REQUIRE(receive(client).has_value());
  ::kill(child, SIGSTOP);
  size_t accepted = 0;
  for (int refused = 0; refused < 50;) {
    if (client.send({}, bytes("head"), bytes(std::string(1 << 20, 'x')))) {
      REQUIRE(++accepted < 200);
    } else {
      ++refused;
      std::this_thread::sleep_for(1ms);
    }
  }
  ::kill(child, SIGCONT);
  for (size_t i = 0; i < accepted; ++i) {
    const auto answer = receive(client);
    REQUIRE(answer.has_value());
    CHECK(answer->head.view() == "1048576");
  }
  REQUIRE(send(client, "end"));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("small messages of one wake-up go out together, and a waiting poller sends them") {
  Context context;
  Socket server = Socket::server(context, "inproc://together");
  Socket client = Socket::client(context, server.endpoint());
  REQUIRE(talks(client, server));
  Poller poller;
  poller.add(client);
  constexpr int kCount = 100;
  for (int i = 0; i < kCount; ++i) REQUIRE(client.send({}, bytes(std::to_string(i))));
  CHECK_FALSE(server.receive().has_value());
  poller.wait(0s);
  for (int i = 0; i < kCount; ++i) {
    const auto message = receive(server);
    REQUIRE(message.has_value());
    CHECK(message->head.view() == std::to_string(i));
    REQUIRE(server.send(message->envelope, bytes("answer")));
  }
  int answers = 0;
  while (answers < kCount) {
    poller.wait(15s);
    while (client.receive()) ++answers;
  }
  CHECK(answers == kCount);
}

TEST_CASE("a poller is woken by a peer that connects, sends, leaves and comes back") {
  Context context;
  TemporaryDirectory directory;
  const std::string endpoint = "ipc://" + directory.file("s");
  Socket client = Socket::client(context, endpoint);
  Poller poller;
  poller.add(client);
  for (int life = 0; life < 3; ++life) {
    std::jthread peer([&] {
      Context own;
      Socket server = Socket::server(own, endpoint);
      Poller own_poller;
      own_poller.add(server);
      for (bool said = false; !said;) {
        own_poller.wait(15s);
        while (auto message = server.receive())
          said |= server.send(message->envelope, bytes("bye"));
      }
      own_poller.wait(0s);
    });
    std::vector<Socket::LinkEvent> seen;
    bool heard = false;
    const Instant end = boot_now() + 15s;
    while (seen.size() < 2 && boot_now() < end) {
      poller.wait(end - boot_now());
      for (const auto event : client.link_events()) {
        seen.push_back(event);
        if (event == Socket::LinkEvent::kConnected) CHECK(client.send({}, bytes("hello")));
      }
      while (client.receive()) heard = true;
    }
    CHECK(heard);
    using Event = Socket::LinkEvent;
    CHECK(seen == std::vector<Event>{Event::kConnected, Event::kDisconnected});
  }
}

TEST_CASE("a poller with a time that has passed does not wait") {
  Context context;
  Socket server = Socket::server(context, "inproc://poller");
  Poller poller;
  poller.add(server);
  const Instant start = boot_now();
  poller.wait(-5s);
  CHECK(boot_now() - start < 1s);
}
