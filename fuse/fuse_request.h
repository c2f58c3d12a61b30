// One FUSE request under way: who asks, its answer (given once), and its interruption. Shared by
// the callbacks that work on it. One thread.
//
// A request whose caller was killed is answered EINTR before its command is; the command goes on,
// and its callback finds answered() true: it then undoes what only this caller could have used.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>

#include "common/commands.h"
#include "fuse/command_caller.h"
#include "fuse/fuse_headers.h"
#include "fuse/interrupts.h"
#include "fuse/lookup_holds.h"

namespace pairfs {

class FuseRequest : public std::enable_shared_from_this<FuseRequest> {
 public:
  FuseRequest(fuse_req_t req, CommandCaller& caller, Interrupts& interrupts, LookupHolds& holds);
  ~FuseRequest();
  FuseRequest(const FuseRequest&) = delete;
  FuseRequest& operator=(const FuseRequest&) = delete;

  const fuse_ctx& context() const { return context_; }
  // With supplementary groups, which are read from /proc, for everyone but root.
  Credentials credentials() const;

  // Sends a command for this request; an interruption concerns the newest one. `done` runs also
  // when the request has been answered meanwhile.
  template <class C>
  void call(const C& command, std::function<void(Outcome<C>)> done, SharedBytes bulk = {},
            std::optional<Duration> retry_limit = std::nullopt) {
    ticket_ = caller_.call<C>(command, std::move(done), std::move(bulk), retry_limit);
    watch();
  }
  // It waits for something else than a command of its own, and is answered when its caller is
  // killed.
  void watch();
  // The request waits for a lock: any signal ends it.
  void set_blocking_lock() { blocking_lock_ = true; }

  // The command is sent even when the caller is killed first (an unlock).
  void set_must_finish() { must_finish_ = true; }

  bool answered() const { return req_ == nullptr; }
  // Each answers, unless answered() already. False: the kernel did not take the answer.
  bool error(int errno_value);
  bool done() { return error(0); }
  bool entry(const fuse_entry_param& entry);
  bool created(const fuse_entry_param& entry, const fuse_file_info& file);
  bool opened(const fuse_file_info& file);
  bool attributes(const struct stat& attributes);
  bool data(BytesView bytes);
  bool written(size_t count);
  bool link_target(const Bytes& target);
  bool filesystem(const struct statvfs& statistics);
  bool xattr_size(size_t size);
  bool lock(const struct flock& lock);
  bool offset(uint64_t offset);
  // For fuse_add_direntry, which only asks for the session behind it.
  fuse_req_t raw() const { return req_; }

  // ---- for Interrupts ----
  pid_t thread() const { return context_.pid; }
  bool blocking_lock() const { return blocking_lock_; }
  // A signal came to a blocking lock.
  void cancel_lock();
  // The caller has been killed.
  void abandon();

 private:
  static void interrupted(fuse_req_t req, void* self);
  fuse_req_t take();

  fuse_req_t req_;
  fuse_ctx context_;
  CommandCaller& caller_;
  Interrupts& interrupts_;
  LookupHolds& holds_;
  Ticket ticket_ = 0;
  bool blocking_lock_ = false;
  bool must_finish_ = false;
  bool watched_ = false;
};

using RequestPtr = std::shared_ptr<FuseRequest>;

}  // namespace pairfs
