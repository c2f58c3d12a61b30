// What stat and whole trees look like, as text that can be compared between two filesystems.
//
// Owns: which fields count. Inode and device numbers, block counts and the sizes of directories
// differ between filesystems and are left out; hard links show as names of one group.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>

namespace pairfs::fsx {

struct SnapshotOptions {
  bool directory_links = true;  // compare the link counts of directories
  bool change_times = true;     // compare whether mtime and ctime moved
  bool access_times = false;    // compare whether atime moved
};

// "file 0644 links 1 owner 0:0 size 12".
std::string stat_text(const struct stat& status, const SnapshotOptions& options);

// A stat before and after an operation, with the times that moved: "... moved mc".
// A time set by hand (before the year 2005) is given as it is.
std::string change_text(const std::optional<struct stat>& before,
                        const std::optional<struct stat>& after, const SnapshotOptions& options);

// Every name below `top` with its stat, contents, link target, attributes and hard link group.
std::map<std::string, std::string> tree_text(const std::string& top,
                                             const SnapshotOptions& options);

// A short hash of bytes, in hex.
std::string hash_text(const std::string& bytes);

}  // namespace pairfs::fsx
