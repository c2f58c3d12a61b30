// Which parts a client's command has, on which volumes, in which order: each next one from what the
// one before found. No I/O.
#pragma once

#include <memory>
#include <optional>

#include "node/executor/executor.h"

namespace pairfs {

class TransactionScript {
 public:
  virtual ~TransactionScript() = default;
  struct Step {
    Slice slice = 0;
    TransactionPart part;
  };
  // The first (last == nullptr) or next part; nullopt: all are prepared.
  virtual std::optional<Step> next(const PrepareReply* last) = 0;
  // Asked when next() gave nullopt: the client's encoded reply; whether anything is to be changed.
  virtual Bytes reply() const = 0;
  virtual bool changes_anything() const { return true; }
  // An errno that the parts together make necessary; 0: none.
  virtual int refusal() const { return 0; }

  Credentials credentials;
};

// nullptr: no such command concerns several volumes, or it is malformed. `plan` is
// Executed::reply of the command.
std::unique_ptr<TransactionScript> make_script(const CommandInput& client, BytesView plan);

}  // namespace pairfs
