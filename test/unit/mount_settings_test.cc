#include <doctest/doctest.h>

#include "fuse/mount_settings.h"
#include "fuse/node_table.h"

namespace pairfs::test {
namespace {

TEST_CASE("routers are host:port, tcp:// or ipc:///, and nothing else") {
  CHECK(to_endpoint("host:7400") == "tcp://host:7400");
  CHECK(to_endpoint("tcp://10.0.0.1:7400") == "tcp://10.0.0.1:7400");
  CHECK(to_endpoint("ipc:///run/r1") == "ipc:///run/r1");
  for (const char* wrong : {"", "host", "host:", ":7400", "host:0", "host:70000", "host:74x",
                            "ipc://relative", "http://host:80", "host:7400/sub"})
    CHECK_MESSAGE(!to_endpoint(wrong), wrong);
}

TEST_CASE("mount options are read, those of fstab ignored, and unknown ones named") {
  MountSettings settings;
  std::string why;
  CHECK(apply_options("noatime,retry=60,_netdev,x-systemd.automount,nosuid", &settings, &why));
  CHECK(!settings.update_atime);
  CHECK(settings.retry_limit == std::chrono::seconds(60));
  CHECK(settings.kernel_options == std::vector<std::string>{"nosuid"});
  CHECK(apply_options("retry=forever", &settings, &why));
  CHECK(!settings.retry_limit);
  CHECK(!apply_options("ro,frobnicate", &settings, &why));
  CHECK(why.find("frobnicate") != std::string::npos);
  for (const char* wrong : {"retry=", "retry=0", "retry=-1", "retry=1s"})
    CHECK_MESSAGE(!apply_options(wrong, &settings, &why), wrong);
}

TEST_CASE("a node lives as long as the kernel's lookup count") {
  NodeTable nodes;
  nodes.looked_up({5, 1});
  nodes.looked_up({5, 1});
  nodes.forget(5, 1);
  CHECK(nodes.find(5) == InodeRef{5, 1});
  nodes.looked_up({5, 2});  // the id was used again
  CHECK(nodes.find(5) == InodeRef{5, 2});
  nodes.forget(5, 2);
  CHECK(!nodes.find(5));
  nodes.forget(1, 100);
  CHECK(nodes.find(1) == kRootInode);
}

}  // namespace
}  // namespace pairfs::test
