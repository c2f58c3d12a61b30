// The parts of transactions between volumes: what each checks before it is promised, and what it
// does when its transaction commits. Locks keep what was checked true until then.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

// What a vote of yes tells the coordinator; an errno is a no. Changes nothing but the inode
// counter.
Result<PrepareReply> check_part(Context& context, Prepare& prepare);
void apply_part(Context& context, const Intent& intent, Resolved& resolved);

}  // namespace pairfs
