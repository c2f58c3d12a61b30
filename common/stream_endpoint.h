// Where a stream listens or connects: "ipc:///path", and "inproc://name", which nobody outside this
// process reaches. All non-blocking. One thread.
#pragma once

#include <sys/socket.h>

#include <string>

#include "common/types.h"

namespace pairfs {

class StreamEndpoint {
 public:
  // `scope`: inproc names of one scope are one space. Throws std::runtime_error: not an endpoint.
  StreamEndpoint(std::string text, uint64_t scope);

  const std::string& text() const { return text_; }
  bool in_process() const { return kind_ == Kind::kInProcess; }

  // A listening descriptor. Throws std::runtime_error with a sentence, also when another process
  // listens there.
  int listen();
  // The next who connected to a descriptor of listen(); -1: nobody waits.
  int accept(int listening) const;
  // After listen(), when nobody listens any more: the path of an ipc endpoint goes.
  void forget_path() const;

  // Begins to connect. `connecting`: a descriptor that is writable when that has ended, or is
  // connected already. False: nobody is there.
  bool connect(int* connecting) const;

 private:
  enum class Kind { kPath, kInProcess };
  struct Address {
    sockaddr_storage bytes{};
    socklen_t length = 0;
  };
  Address local_address() const;

  std::string text_;
  Kind kind_;
  uint64_t scope_;
  uint64_t bound_inode_ = 0;
};

}  // namespace pairfs
