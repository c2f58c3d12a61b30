// Replays a volume's log into an executor that is at a consistency point. Worker thread, while
// nobody appends to the log.
#pragma once

#include <string>

#include "node/executor/executor.h"
#include "node/log/command_log.h"

namespace pairfs {

struct Replayed {
  Sequence commands = 0;
  std::string why;       // "" or the sentence that says why it stopped
  bool log_bad = false;  // because of the log, which the partner's may replace
};
// Executes what the log has behind `after`. Throws RowsUnreadable when the store cannot be read.
Replayed replay_log(const CommandLog& log, Sequence after, Executor& executor);

}  // namespace pairfs
