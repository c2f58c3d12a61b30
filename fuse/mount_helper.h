// Being called by mount(8) as /sbin/mount.fuse.pairfs: another command line than our own. No I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pairfs {

// `program` is a mount helper's name: mount.something, in whatever directory.
bool is_mount_helper(const std::string& program);

struct HelperCall {
  std::string source, path;
  std::vector<std::string> options;  // each as behind -o
  bool fake = false;                 // check, but do not mount
};

// SOURCE DIRECTORY [-sfnvw] [-r] [-o OPTIONS] [-t TYPE], in any order, without the program's name.
// Source: mount(8), "External helpers". nullopt: `why` is a sentence.
std::optional<HelperCall> read_helper_call(const std::vector<std::string>& words, std::string* why);

}  // namespace pairfs
