// The file by which a daemon tells its supervisor that it serves: `ready_file` in its
// configuration. Appears whole (written beside, then renamed): {"pid": 123, "endpoint":
// "tcp://..."} and goes with the object that announced it. A killed daemon leaves it, so that
// readers compare the pid.
#pragma once

#include <string>
#include <utility>

namespace pairfs {

class ReadyFile {
 public:
  // An empty path: does nothing.
  explicit ReadyFile(std::string path) : path_(std::move(path)) {}
  ~ReadyFile();
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;

  // `endpoint` is where this process serves, with the port that was chosen; `link_endpoint` (nodes)
  // is left out when empty. False when the file cannot be written: errno tells.
  bool announce(const std::string& endpoint, const std::string& link_endpoint = "");

 private:
  std::string path_;
  bool announced_ = false;
};

}  // namespace pairfs
