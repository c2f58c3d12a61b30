// Typed commands with callbacks over ClientCore: call() submits, deliver() runs the callbacks of
// what was answered. One thread, the loop's; a callback may call again.
#pragma once

#include <deque>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fuse/client_core.h"
#include "fuse/mount_statistics.h"

namespace pairfs {

template <class C>
struct Outcome {
  int error = 0;  // errno; 0: reply is valid
  typename C::Reply reply;
  SharedBytes bulk;          // of a Read
  uint64_t open_serial = 0;  // of Open and CreateFile: for ClientCore::handle_lost
  bool ok() const { return error == 0; }
};

class CommandCaller {
 public:
  // `statistics`, if any, must outlive it.
  explicit CommandCaller(ClientCore& core, MountStatistics* statistics = nullptr)
      : core_(core), statistics_(statistics) {}

  // The loop's time, set at each wake-up; what call() passes on.
  void set_now(Instant now) { now_ = now; }
  Instant now() const { return now_; }
  ClientCore& core() { return core_; }

  // `done` is called once, from deliver(), unless forget() comes first; or, with ticket 0, from
  // within this call: the answer was known under a lease.
  template <class C>
  Ticket call(const C& command, std::function<void(Outcome<C>)> done, SharedBytes bulk = {},
              std::optional<Duration> retry_limit = std::nullopt) {
    if (auto known = core_.answer(command, now_)) {
      Outcome<C> outcome;
      outcome.error = known->error;
      outcome.reply = std::move(known->reply);
      done(std::move(outcome));
      return 0;
    }
    const Ticket ticket = core_.submit(command, now_, std::move(bulk), retry_limit);
    callbacks_[ticket] = [this, start = now_,
                          done = std::move(done)](ClientCore::Completion& completion) {
      if (statistics_ != nullptr) statistics_->count_command(now_ - start);
      Outcome<C> outcome;
      outcome.error = completion.error;
      outcome.open_serial = completion.open_serial;
      outcome.bulk = std::move(completion.bulk);
      if (outcome.ok()) {
        auto reply = decode<typename C::Reply>(completion.body.view());
        if (reply)
          outcome.reply = std::move(*reply);
        else
          outcome.error = EIO;  // an executor that speaks another version
      }
      done(std::move(outcome));
    };
    return ticket;
  }
  // Runs it, from deliver() or at once, when all writes of the inode that were answered are
  // executed; id 0: of all inodes.
  void when_written(InodeRef inode, std::function<void()> then) {
    if (written(inode))
      then();
    else
      when_written_.emplace_back(inode, std::move(then));
  }
  // Runs it, from deliver() or at once, when the session is not far behind with its writes.
  void when_not_far_behind(std::function<void()> then) {
    if (core_.is_far_behind())
      when_room_.push_back(std::move(then));
    else
      then();
  }
  void forget(Ticket ticket) { callbacks_.erase(ticket); }

  // True when any callback ran.
  bool deliver() {
    bool any = false;
    for (ClientCore::Completion& completion : core_.take_completions()) {
      auto node = callbacks_.extract(completion.ticket);
      if (node.empty()) continue;
      any = true;
      node.mapped()(completion);
    }
    while (!when_room_.empty() && !core_.is_far_behind()) {
      any = true;
      const auto then = std::move(when_room_.front());
      when_room_.pop_front();
      then();
    }
    for (auto& [inode, then] : std::exchange(when_written_, {})) {
      if (!written(inode)) {
        when_written_.emplace_back(inode, std::move(then));
        continue;
      }
      any = true;
      then();
    }
    return any;
  }

 private:
  bool written(InodeRef inode) const {
    return inode.id == 0 ? !core_.has_writes_behind() : !core_.has_writes_behind(inode);
  }

  ClientCore& core_;
  MountStatistics* statistics_;
  Instant now_{};
  std::unordered_map<Ticket, std::function<void(ClientCore::Completion&)>> callbacks_;
  std::vector<std::pair<InodeRef, std::function<void()>>> when_written_;
  std::deque<std::function<void()>> when_room_;
};

}  // namespace pairfs
