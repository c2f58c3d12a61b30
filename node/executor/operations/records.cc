// BeginEpoch, ConsistencyPoint and ElementsChanged: records that the log needs and the volume's
// rows do not. NoteWriters: what a later executor needs to know.
#include "node/executor/operations/operations.h"

namespace pairfs {

Result<Empty> run(Context&, BeginEpoch&) { return Empty{}; }
Result<Empty> run(Context&, ConsistencyPoint&) { return Empty{}; }
Result<Empty> run(Context&, ElementsChanged&) { return Empty{}; }

Result<Empty> run(Context& context, NoteWriters& command) {
  if (command.inode_ids.size() != command.sessions.size()) return Errno{EINVAL};
  WritersRow row;
  for (size_t i = 0; i < command.inode_ids.size(); ++i)
    row.writers.emplace_back(command.inode_ids[i], command.sessions[i]);
  context.tx.put(writers_key(), encode_writers(row));
  if (!context.replaying) context.state.noted_writers = {row.writers.begin(), row.writers.end()};
  return Empty{};
}

Result<Empty> run(Context& context, NoteUnanswered& command) {
  if (context.replaying)
    context.state.changed_before.insert(command.inode_ids.begin(), command.inode_ids.end());
  return Empty{};
}

}  // namespace pairfs
