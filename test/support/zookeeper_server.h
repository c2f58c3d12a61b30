// A real ZooKeeper server of one's own, on a free port of 127.0.0.1, as Debian packages it. Only
// with --all (PAIRFS_TEST_ALL), and where java and the package are.
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "common/ensure.h"
#include "test/support/temporary_directory.h"

namespace pairfs::test {

class ZooKeeperServer {
 public:
  static bool available() {
    return std::getenv("PAIRFS_TEST_ALL") != nullptr && ::access(kJava, X_OK) == 0 &&
           ::access(kJar, R_OK) == 0;
  }
  ZooKeeperServer() : port_(free_port()) { start(); }
  ~ZooKeeperServer() { stop(); }
  ZooKeeperServer(const ZooKeeperServer&) = delete;
  ZooKeeperServer& operator=(const ZooKeeperServer&) = delete;

  // As make_map_client() takes it.
  std::string endpoint(const std::string& directory) const {
    return "zookeeper://127.0.0.1:" + std::to_string(port_) + directory;
  }
  // Returns when it answers.
  void start() {
    std::ofstream(directory_.file("zoo.cfg"))
        << "dataDir=" << directory_.file("data") << "\nclientPort=" << port_
        << "\nclientPortAddress=127.0.0.1\ntickTime=500\nadmin.enableServer=false\n"
           "4lw.commands.whitelist=ruok\n";
    pid_ = ::fork();
    ENSURE(pid_ >= 0, "fork");
    if (pid_ == 0) {
      const std::string log = directory_.file("log"), config = directory_.file("zoo.cfg");
      if (::freopen(log.c_str(), "a", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(126);
      ::execl(kJava, kJava, "-Xmx96m", "-XX:TieredStopAtLevel=1", "-cp", kJar,
              "org.apache.zookeeper.server.quorum.QuorumPeerMain", config.c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 1200 && !answers(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ENSURE(answers(), "the ZooKeeper server does not start: see {}", directory_.file("log"));
  }
  // As kill -9.
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void freeze() { ::kill(pid_, SIGSTOP); }
  void thaw() { ::kill(pid_, SIGCONT); }

 private:
  static constexpr const char* kJava = "/usr/bin/java";
  static constexpr const char* kJar = "/usr/share/java/zookeeper.jar";

  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  static uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    ENSURE(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
               ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0,
           "no free port");
    ::close(fd);
    return ntohs(address.sin_port);
  }
  bool answers() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port_);
    char reply[4];
    const bool yes =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::write(fd, "ruok", 4) == 4 && ::read(fd, reply, 4) == 4;
    ::close(fd);
    return yes;
  }

  TemporaryDirectory directory_;
  const uint16_t port_;
  pid_t pid_ = 0;
};

}  // namespace pairfs::test
