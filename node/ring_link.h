// One volume's copy through memory, both ends of it: what this node's volume publishes in its
// partner's ring while it executes, and takes from its own while it logs. Falls back to messages
// whenever there is no ring: callers need not care. The loop's thread.
#pragma once

#include "node/log/command_log.h"
#include "node/log/log_ring.h"

namespace pairfs {

struct RingLinkConfig {
  std::shared_ptr<RingPlace> place;  // null: records go as messages
  uint64_t cluster_id = 0;
  VolumeId volume;
  std::string boot_id;
};

class RingLink {
 public:
  explicit RingLink(RingLinkConfig config) : config_(std::move(config)) {}

  // What was published for an earlier life of this node belongs into its log before anybody asks
  // what that holds. Throws LogFailure.
  void recover(CommandLog& log);

  // ---- logger ----
  // Appends what was published. True: there was something. Throws LogFailure, also when it does not
  // continue the log: it was promised, and is lost here.
  bool take(CommandLog& log);
  // Opens a ring on these terms, or closes the one that is open on others; what had been published
  // there is in the log then. Call after each change of role.
  void serve(const std::optional<RingTerms>& wanted, CommandLog& log, Instant now);

  // ---- executor ----
  // True: the partner holds the records. False: they must go as a message.
  bool copy(const RingTerms& terms, const std::vector<BytesView>& records, Instant now);
  // True once when the partner had better take what waits.
  bool wants_taker();
  uint64_t copied_count() const { return copied_; }  // calls of copy() that did

 private:
  uint64_t boot() const;
  const RingLinkConfig config_;
  std::unique_ptr<LogRingReader> reader_;
  std::unique_ptr<LogRingWriter> writer_;
  Instant attach_at_{};
  Instant open_at_{};
  bool asked_taker_ = false;
  uint64_t copied_ = 0;
};

}  // namespace pairfs
