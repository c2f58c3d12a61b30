// A volume's copy through memory: a ring that the logger owns and the executor of the same machine
// maps, too. A record is the logger's from the moment at which the executor has published it,
// before the logger has seen it: what is published stays when either process dies, and the logger's
// next life finds it (docs/decisions/0031).
//
// One atomic word, the gate, holds both whether the ring is open and how much is published. So each
// publication either comes before the logger's closing, and counts, or fails: a logger that takes
// over closes first, takes what is there, and knows that nothing comes behind it.
//
// LogRingReader: the logger's loop. LogRingWriter: the executor's loop. Bytes: docs/log_format.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/types.h"

namespace pairfs {

// Shared and zeroed when new. The mapping lives as long as this.
class RingMemory {
 public:
  virtual ~RingMemory() = default;
  virtual char* data() = 0;
  virtual size_t size_bytes() const = 0;
};

// Where a node keeps the rings of the volumes that it logs. Any call may fail: then messages do.
class RingPlace {
 public:
  virtual ~RingPlace() = default;
  virtual std::shared_ptr<RingMemory> make(
      VolumeId volume) = 0;  // this node's, in place of an older
  virtual std::shared_ptr<RingMemory> own(VolumeId volume) = 0;      // as an earlier life left it
  virtual std::shared_ptr<RingMemory> partner(VolumeId volume) = 0;  // the partner's
};
// Files of a directory that both nodes reach.
std::shared_ptr<RingPlace> open_ring_directory(std::string directory, std::string node,
                                               std::string partner);

// Who may publish in a ring, and for whom (P1).
struct RingTerms {
  uint64_t cluster_id = 0;
  VolumeId volume;
  Epoch epoch = 0;
  Incarnation executor = 0;
  Incarnation logger = 0;
  friend bool operator==(const RingTerms&, const RingTerms&) = default;
};

class LogRingReader {
 public:
  // A ring open on these terms, in fresh memory. `boot`: names the running kernel's life.
  LogRingReader(std::shared_ptr<RingMemory> memory, const RingTerms& terms, uint64_t boot);
  // What an earlier life of this node left: closed, and nullptr when it is another volume's, or the
  // machine was started since, so that it may lack what the log has.
  static std::unique_ptr<LogRingReader> recover(std::shared_ptr<RingMemory> memory,
                                                uint64_t cluster_id, VolumeId volume,
                                                uint64_t boot);

  const RingTerms& terms() const { return terms_; }
  // Nothing can be published from here on. What was is still to be taken.
  void close();
  // Hands over what was published, in its order, and makes its room free once `take` has returned
  // true. False: `take` did not. The octets are `take`'s only while it runs.
  bool drain(const std::function<bool(SharedBytes records)>& take);

 private:
  LogRingReader(std::shared_ptr<RingMemory> memory, RingTerms terms);
  std::shared_ptr<RingMemory> memory_;
  RingTerms terms_;
};

class LogRingWriter {
 public:
  // nullptr: it is not open, or not on these terms.
  static std::unique_ptr<LogRingWriter> attach(std::shared_ptr<RingMemory> memory,
                                               const RingTerms& terms);
  // Publishes the pieces as one. False: no room, or it was closed; nothing happened then.
  bool publish(const std::vector<BytesView>& pieces);
  // Published and not yet taken.
  uint64_t waiting_bytes() const;
  uint64_t capacity_bytes() const;
  bool open() const;
  const RingTerms& terms() const { return terms_; }

 private:
  LogRingWriter(std::shared_ptr<RingMemory> memory, const RingTerms& terms, uint64_t gate);
  std::shared_ptr<RingMemory> memory_;
  RingTerms terms_;
  uint64_t gate_;  // as it is when all that was published here is all that was published
};

}  // namespace pairfs
