// What common/transport says on the wire is ZeroMQ's: libzmq itself is the other end here.
#include <doctest/doctest.h>
#include <zmq.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "common/map_store.h"
#include "common/transport.h"
#include "test/support/temporary_directory.h"

using namespace pairfs;
using pairfs::test::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

using Frames = std::vector<std::string>;

// A socket of libzmq, with a context of its own.
class Foreign {
 public:
  explicit Foreign(int type) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, type)) {
    const int none = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
  }
  ~Foreign() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Foreign(const Foreign&) = delete;
  Foreign& operator=(const Foreign&) = delete;
  std::string bind(const std::string& at) {
    REQUIRE(zmq_bind(socket_, at.c_str()) == 0);
    char name[256];
    size_t length = sizeof name;
    zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, name, &length);
    return name;
  }
  void connect(const std::string& endpoint) {
    REQUIRE(zmq_connect(socket_, endpoint.c_str()) == 0);
  }
  void set(int option, int value) {
    REQUIRE(zmq_setsockopt(socket_, option, &value, sizeof value) == 0);
  }
  void send(const Frames& frames) {
    for (size_t i = 0; i < frames.size(); ++i)
      REQUIRE(zmq_send(socket_, frames[i].data(), frames[i].size(),
                       i + 1 < frames.size() ? ZMQ_SNDMORE : 0) >= 0);
  }
  // Empty: nothing is there.
  Frames receive() {
    Frames frames;
    for (int more = 1; more != 0;) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      const bool got = zmq_msg_recv(&message, socket_, frames.empty() ? ZMQ_DONTWAIT : 0) >= 0;
      if (got)
        frames.emplace_back(static_cast<char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
      more = got ? zmq_msg_more(&message) : 0;
      zmq_msg_close(&message);
    }
    return frames;
  }

 private:
  void* context_;
  void* socket_;
};

template <class Condition>
bool eventually(Condition&& condition) {
  const Instant end = boot_now() + 15s;
  while (!condition()) {
    if (boot_now() > end) return false;
    std::this_thread::sleep_for(200us);
  }
  return true;
}

}  // namespace

TEST_CASE("a DEALER of libzmq asks, and gets its answer") {
  Context context;
  TemporaryDirectory directory;
  Socket server = Socket::server(context, "ipc://" + directory.file("s"));
  Foreign dealer(ZMQ_DEALER);
  dealer.connect(server.endpoint());
  const std::string large(3 << 20, 'x');
  dealer.send({"", "head", large});
  std::optional<Message> message;
  REQUIRE(eventually([&] { return (message = server.receive()).has_value(); }));
  CHECK(message->envelope.size() == 1);
  CHECK(message->head.view() == "head");
  CHECK(message->bulk.view() == large);
  REQUIRE(server.send(message->envelope, SharedBytes::from("answer"), message->bulk));
  Frames answer;
  REQUIRE(eventually([&] {
    server.work();
    return !(answer = dealer.receive()).empty();
  }));
  CHECK(answer == Frames{"", "answer", large});
}

TEST_CASE("a ROUTER of libzmq is asked, and its answer arrives; it knows the socket's identity") {
  Context context;
  Foreign router(ZMQ_ROUTER);
  TemporaryDirectory directory;
  Socket client = Socket::client(context, router.bind("ipc://" + directory.file("s")));
  REQUIRE(eventually([&] { return client.send({"hop"}, SharedBytes::from("head")); }));
  Frames question;
  REQUIRE(eventually([&] {
    client.work();
    return !(question = router.receive()).empty();
  }));
  REQUIRE(question.size() == 4);
  CHECK(question[0].size() == 17);
  CHECK(Frames(question.begin() + 1, question.end()) == Frames{"hop", "", "head"});
  router.send({question[0], "hop", "", "answer"});
  std::optional<Message> message;
  REQUIRE(eventually([&] { return (message = client.receive()).has_value(); }));
  CHECK(message->envelope == std::vector<Bytes>{"hop"});
  CHECK(message->head.view() == "answer");
}

TEST_CASE("the heartbeats of libzmq are answered: an idle connection stays") {
  Context context;
  TemporaryDirectory directory;
  Socket server = Socket::server(context, "ipc://" + directory.file("s"));
  Foreign dealer(ZMQ_DEALER);
  dealer.set(ZMQ_HEARTBEAT_IVL, 50);
  dealer.set(ZMQ_HEARTBEAT_TIMEOUT, 300);
  dealer.set(ZMQ_RECONNECT_IVL, -1);  // a connection that is lost is not made again
  dealer.connect(server.endpoint());
  dealer.send({"", "first"});
  REQUIRE(eventually([&] { return server.receive().has_value(); }));
  const Instant end = boot_now() + 1500ms;
  CHECK(eventually([&] {
    server.work();
    return boot_now() > end;
  }));
  dealer.send({"", "second"});
  CHECK(eventually([&] { return server.receive().has_value(); }));
}
