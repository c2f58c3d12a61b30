// A directory of the test's own that goes with it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace pairfs::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    // In memory where there is room: these tests sync a lot.
    const auto root = std::filesystem::is_directory("/dev/shm")
                          ? std::filesystem::path("/dev/shm")
                          : std::filesystem::temp_directory_path();
    std::string name = (root / "pairfs-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace pairfs::testing
