#include "common/network_policy.h"

#include <doctest/doctest.h>

using pairfs::refuse_listen;

TEST_CASE("only this machine may be listened to by default") {
  for (const char* fine : {"tcp://127.0.0.1:7400", "tcp://127.0.0.1:*", "tcp://127.1.2.3:1",
                           "ipc:///run/pairfs/r1", "inproc://x"})
    CHECK_FALSE(refuse_listen(fine, false).has_value());
  for (const char* open : {"tcp://0.0.0.0:7400", "tcp://*:7400", "tcp://192.168.1.1:7400",
                           "tcp://eth0:7400", "tcp://128.0.0.1:*", "tcp://1270.0.0.1:7"}) {
    CHECK(refuse_listen(open, false).has_value());
    CHECK_FALSE(refuse_listen(open, true).has_value());
  }
}

TEST_CASE("what is no endpoint is refused in any case") {
  for (const char* bad : {"", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:80",
                          "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:7x",
                          "udp://127.0.0.1:7400", "127.0.0.1:7400", "ipc://relative", "ipc://"})
    CHECK(refuse_listen(bad, true).has_value());
  CHECK(refuse_listen("ipc:///" + std::string(106, 'x'), true).has_value());
  CHECK_FALSE(refuse_listen("ipc:///" + std::string(105, 'x'), true).has_value());
}
