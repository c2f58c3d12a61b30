// BeginEpoch, ConsistencyPoint and ElementsChanged: records that the log needs and the volume's
// rows do not.
#include "node/executor/operations/operations.h"

namespace pairfs {

Result<Empty> run(Context&, BeginEpoch&) { return Empty{}; }
Result<Empty> run(Context&, ConsistencyPoint&) { return Empty{}; }
Result<Empty> run(Context&, ElementsChanged&) { return Empty{}; }

}  // namespace pairfs
