// FUSE requests that a signal interrupted. The kernel sends one INTERRUPT per request, for a
// timer's signal as for SIGKILL, so an interrupted request is remembered and its caller looked at
// again every 100 ms: no program sees an EINTR that a local filesystem would not give, and a killed
// process dies at once, whatever the servers do. A blocking lock ends with EINTR at any signal.
// Source: design section 7; fs/fuse/dev.c, request_wait_answer. One thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "common/types.h"

namespace pairfs {

class FuseRequest;

class Interrupts {
 public:
  void interrupted(const std::shared_ptr<FuseRequest>& request);
  // Looks at the callers when due.
  void wake(Instant now);
  Instant next_wake() const;  // Instant::max(): none is interrupted

 private:
  std::vector<std::weak_ptr<FuseRequest>> requests_;
  Instant next_look_{};  // at once when in the past
};

// A signal is pending, for the thread or its group, that will end it before it sees an errno:
// SIGKILL, or another one that it neither catches, ignores nor blocks. False when it is gone or out
// of sight. (A pending timer's signal keeps the kernel from turning SIGTERM into SIGKILL.)
bool is_killed(pid_t thread);
// The thread is on its way out (PF_EXITING): nobody reads an errno any more.
bool is_exiting(pid_t thread);

}  // namespace pairfs
