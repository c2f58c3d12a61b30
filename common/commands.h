// The commands of pairfs: one struct per command (common/commands/), and one list of them.
// Codec, dispatch, metric names, "does the partner log it?", retry rule, random generator and
// round-trip tests derive from that list. Adding a command: its struct, an entry in the
// list, the FUSE callback, the executor's overload, a test.
//
// A struct names its fields once, in serialize(); the wire order is that order. `resolved` is zero
// on the way to the executor, which fills it in before the command is logged, so that a replay
// decides nothing anew.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/commands/basics.h"
#include "common/commands/files.h"
#include "common/commands/names.h"
#include "common/commands/reads.h"
#include "common/commands/replies.h"
#include "common/commands/sessions.h"
#include "common/commands/slices.h"
#include "common/commands/transactions.h"
#include "common/commands/volume.h"

namespace pairfs {

template <class... Ts>
struct TypeList {};

// The list. Op codes are explicit and never reused; a retired one stays reserved in
// docs/protocol.md.
using CommandList =
    TypeList<Lookup, GetAttributes, ReadLink, Open, Read, ReadDirectory, Access, StatFs, GetXattr,
             ListXattr, Seek, TestLock, Close, RenewSession, DeclareOpens, Fsync, GiveBack,
             MakeNode, CreateFile, MakeDirectory, MakeSymlink, MakeLink, Unlink, RemoveDirectory,
             Rename, Write, SetAttributes, SetXattr, RemoveXattr, Allocate, CopyRange, SetLock,
             CancelLock, OpenSession, CloseSession, FreeInode, UpdateAtime, ExpireSession,
             BeginEpoch, ConsistencyPoint, ElementsChanged, NoteWriters, NoteUnanswered, Prepare,
             Decide, Conclude, ForgetTransaction, ResolveTransaction, ReceiveSlice, TakeSlice,
             GiveSlice, OpenSlice, ClearSlice>;

template <class Visitor, class... Ts>
void for_each_command_type(Visitor&& visitor, TypeList<Ts...>) {
  (visitor(std::type_identity<Ts>{}), ...);
}
// Calls visitor(std::type_identity<Command>{}) for every command.
template <class Visitor>
void for_each_command_type(Visitor&& visitor) {
  for_each_command_type(visitor, CommandList{});
}
// Calls visitor(std::type_identity<Command>{}) for the command with this op code; false when there
// is none.
template <class Visitor>
bool visit_command_type(uint16_t op, Visitor&& visitor) {
  bool found = false;
  for_each_command_type([&]<class C>(std::type_identity<C> type) {
    if (!found && C::kOp == op) {
      found = true;
      visitor(type);
    }
  });
  return found;
}
// The command's name, for logs and metrics; "Unknown" when there is none.
const char* command_name(uint16_t op);
// True when the partner logs it.
bool is_logged(uint16_t op);

}  // namespace pairfs
