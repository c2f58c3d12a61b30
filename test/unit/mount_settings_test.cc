#include <doctest/doctest.h>

#include "common/mount_source.h"
#include "fuse/mount_helper.h"
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
  CHECK(settings.cache);
  CHECK(apply_options("nocache", &settings, &why));
  CHECK(!settings.cache);
  CHECK(settings.retry_limit == std::chrono::seconds(60));
  CHECK(settings.kernel_options == std::vector<std::string>{"nosuid"});
  CHECK(apply_options("retry=forever", &settings, &why));
  CHECK(!settings.retry_limit);
  CHECK(!apply_options("ro,frobnicate", &settings, &why));
  CHECK(why.find("frobnicate") != std::string::npos);
  for (const char* wrong : {"retry=", "retry=0", "retry=-1", "retry=1s"})
    CHECK_MESSAGE(!apply_options(wrong, &settings, &why), wrong);
}

TEST_CASE("a mount source names routers, and behind them maybe a directory") {
  const auto split = [](const char* text) {
    const MountSource source = split_mount_source(text);
    return source.routers + " " + source.subtree;
  };
  CHECK(split("r1:7400,r2:7400") == "r1:7400,r2:7400 ");
  CHECK(split("r1:7400,r2:7400:/a,b/c:/d/") == "r1:7400,r2:7400 /a,b/c:/d");
  CHECK(split("tcp://r1:7400,tcp://r2:7400:/a") == "tcp://r1:7400,tcp://r2:7400 /a");
  CHECK(split("ipc:///run/r1") == "ipc:///run/r1 ");
  CHECK(split("ipc:///run/r1,ipc:///run/r2:/x") == "ipc:///run/r1,ipc:///run/r2 /x");
  CHECK(split("r1:7400:/") == "r1:7400 ");
}

TEST_CASE("mount(8) calls its helper in a way of its own") {
  CHECK(is_mount_helper("/sbin/mount.fuse.pairfs"));
  CHECK(!is_mount_helper("/usr/bin/pairfs-mount"));
  std::string why;
  const auto call = read_helper_call(
      {"r1:7400:/a", "/mnt", "-s", "-nv", "-o", "rw,_netdev", "-r", "-t", "fuse.pairfs"}, &why);
  REQUIRE(call);
  CHECK(call->source == "r1:7400:/a");
  CHECK(call->path == "/mnt");
  CHECK(call->options == std::vector<std::string>{"rw,_netdev", "ro"});
  CHECK(!call->fake);
  CHECK(read_helper_call({"-f", "r1:7400", "/mnt", "-orw"}, &why)->fake);
  CHECK(!read_helper_call({"r1:7400"}, &why));
  CHECK(!read_helper_call({"r1:7400", "/mnt", "-x"}, &why));
  CHECK(why.find("-x") != std::string::npos);
}

TEST_CASE("a node lives as long as the kernel's lookup count") {
  NodeTable nodes;
  nodes.looked_up(InodeRef{5, 1});
  nodes.looked_up(InodeRef{5, 1});
  nodes.forget(5, 1);
  CHECK(nodes.find(5) == InodeRef{5, 1});
  nodes.looked_up(InodeRef{5, 2});  // the id was used again
  CHECK(nodes.find(5) == InodeRef{5, 2});
  nodes.forget(5, 2);
  CHECK(!nodes.find(5));
  nodes.forget(1, 100);
  CHECK(nodes.find(1) == kRootInode);
  nodes.set_root({77, 3});  // of a subtree
  CHECK(nodes.find(1) == InodeRef{77, 3});
}

TEST_CASE(
    "what was removed has its last attributes as long as the kernel holds it, but for files") {
  NodeTable nodes;
  Attributes directory{.inode = {5, 1}, .mode = S_IFDIR | 0700, .nlink = 2, .uid = 7};
  nodes.looked_up(directory);
  directory.uid = 8;
  nodes.note(directory);
  const auto removed = nodes.after_removal({5, 1});
  REQUIRE(removed);
  CHECK(removed->nlink == 0);
  CHECK(removed->uid == 8);
  CHECK(!nodes.after_removal({5, 2}));
  nodes.looked_up(Attributes{.inode = {6, 1}, .mode = S_IFREG | 0600});
  CHECK(!nodes.after_removal({6, 1}));
  nodes.looked_up(Attributes{.inode = {7, 1}, .mode = S_IFIFO | 0600});
  CHECK(nodes.after_removal({7, 1}));
  nodes.forget(5, 1);
  CHECK(!nodes.after_removal({5, 1}));
}

}  // namespace
}  // namespace pairfs::test
