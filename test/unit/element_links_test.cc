#include "node/element_links.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <future>

#include "test/support/temporary_directory.h"

using namespace pairfs;
using namespace std::chrono_literals;

namespace {
constexpr uint64_t kCluster = 77;
constexpr VolumeId kVolume{1, 0};

std::unique_ptr<Element> open(const std::shared_ptr<ElementClient>& client,
                              const std::string& path) {
  std::string why;
  return open_remote_element(ElementClient::channel(client, kVolume, 1), "1.0-e0", path, false,
                             &why);
}
}  // namespace

TEST_CASE("the elements of a partner that fell silent are given up before one answer is due") {
  Context context;
  Socket silent = Socket::server(context, "tcp://127.0.0.1:*");
  const auto client = std::make_shared<ElementClient>(context, silent.endpoint(), kCluster, 1);
  auto due = std::async(std::launch::async, [&] {
    ElementCall call;
    call.kind = ElementCallKind::kSize;
    return ElementClient::channel(client, kVolume, 1)->call(call, {}, nullptr).error;
  });
  for (int i = 0; i < 20; ++i) CHECK(open(client, "/nowhere") == nullptr);
  CHECK(due.wait_for(0s) == std::future_status::timeout);
  CHECK(due.get() == ETIMEDOUT);
}

TEST_CASE("a partner that lives, as others say, is waited for") {
  Context context;
  Socket silent = Socket::server(context, "tcp://127.0.0.1:*");
  const auto client = std::make_shared<ElementClient>(context, silent.endpoint(), kCluster, 1);
  std::promise<void> ended;
  auto pulse = std::async(std::launch::async, [&, end = ended.get_future()] {
    while (end.wait_for(10ms) == std::future_status::timeout) client->note_partner(boot_now());
  });
  auto due = std::async(std::launch::async, [&] {
    ElementCall call;
    call.kind = ElementCallKind::kSize;
    return ElementClient::channel(client, kVolume, 1)->call(call, {}, nullptr).error;
  });
  for (int i = 0; i < 5; ++i) CHECK(open(client, "/nowhere") == nullptr);
  CHECK(due.wait_for(0s) == std::future_status::ready);
  ended.set_value();
}

TEST_CASE("elements are found where a partner has moved to") {
  test::TemporaryDirectory directory;
  const std::string path = directory.file("element");
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  Context context;
  const auto serve = [&] {
    return std::make_unique<ElementServer>(context, "tcp://127.0.0.1:*", kCluster,
                                           std::set<std::string>{path});
  };
  auto before = serve();
  const auto client = std::make_shared<ElementClient>(context, before->endpoint(), kCluster, 1);
  CHECK(open(client, path) != nullptr);
  before.reset();
  const auto after = serve();
  client->move_to(context, after->endpoint());
  const Instant limit = boot_now() + 15s;
  while (open(client, path) == nullptr) REQUIRE(boot_now() < limit);
}
