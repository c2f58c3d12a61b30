// A fresh directory under TMPDIR that goes, with all that is in it, at the end of the scope.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "common/ensure.h"

namespace pairfs::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "pairfs-test-XXXXXX").string();
    ENSURE(::mkdtemp(path_.data()) != nullptr, "mkdtemp {}", path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace pairfs::test
