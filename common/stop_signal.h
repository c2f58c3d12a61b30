// SIGTERM and SIGINT as a readable file descriptor for the Poller, so that a daemon's loop ends
// itself. Construct in main before any thread starts (libraries start some), as the signals
// are blocked in every thread made afterwards. SIGPIPE is ignored too.
#pragma once

namespace pairfs {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  int fd() const { return fd_; }
  // True from the first SIGTERM or SIGINT on. Never blocks.
  bool requested();

 private:
  int fd_;
  bool requested_ = false;
};

}  // namespace pairfs
