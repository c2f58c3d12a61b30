#include "node/log_replay.h"

#include "common/codec.h"
#include "common/test_switch.h"

namespace pairfs {

Replayed replay_log(const CommandLog& log, Sequence after, Executor& executor) {
  Replayed out;
  const auto replay = [&](const LogRecord& record) {
    if (record.op == ConsistencyPoint::kOp || record.op == ElementsChanged::kOp) return true;
    if (record.op == BeginEpoch::kOp) {
      const auto begin = decode<BeginEpoch>(record.body.view());
      if (begin && record.sequence == 1) executor.format(1, begin->now, begin->slices);
      return true;
    }
    PAIRFS_REACHED(p6_tail_replayed);
    if (PAIRFS_MUTANT(takeover_drops_tail) && record.sequence == log.last()) return false;
    const CommandInput input{record.op, record.request, record.slice, record.body, record.bulk};
    const Executed executed = executor.replay(input, record.sequence);
    ++out.commands;
    if (executed.outcome_crc == record.outcome_crc) return true;
    out.why = fmt::format(
        "replaying record {} ({}) of volume {} gave errno {}, the log has {}: the log and the "
        "stored "
        "state do not belong together",
        record.sequence, command_name(record.op), to_string(record.volume), executed.error,
        record.error);
    return false;
  };
  try {
    log.read(after + 1, replay);
  } catch (const LogFailure& failure) {
    out.why = failure.what();
    out.log_bad = true;
  }
  return out;
}

}  // namespace pairfs
