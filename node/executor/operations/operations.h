// One overload per command: what it does to the volume, as a Linux filesystem would. An errno
// means that nothing happened. Mutations write what they decide into the command, and when
// context.replaying is set they decide nothing.
#pragma once

#include "common/result.h"
#include "node/executor/context.h"

namespace pairfs {

#define PAIRFS_OPERATION(Command) Result<Command::Reply> run(Context& context, Command& command)
PAIRFS_OPERATION(Lookup);
PAIRFS_OPERATION(GetAttributes);
PAIRFS_OPERATION(ReadLink);
PAIRFS_OPERATION(Open);
PAIRFS_OPERATION(Read);
PAIRFS_OPERATION(ReadDirectory);
PAIRFS_OPERATION(Access);
PAIRFS_OPERATION(StatFs);
PAIRFS_OPERATION(GetXattr);
PAIRFS_OPERATION(ListXattr);
PAIRFS_OPERATION(Seek);
PAIRFS_OPERATION(TestLock);
PAIRFS_OPERATION(Close);
PAIRFS_OPERATION(RenewSession);
PAIRFS_OPERATION(DeclareOpens);
PAIRFS_OPERATION(Fsync);
PAIRFS_OPERATION(GiveBack);
PAIRFS_OPERATION(MakeNode);
PAIRFS_OPERATION(CreateFile);
PAIRFS_OPERATION(MakeDirectory);
PAIRFS_OPERATION(MakeSymlink);
PAIRFS_OPERATION(MakeLink);
PAIRFS_OPERATION(Unlink);
PAIRFS_OPERATION(RemoveDirectory);
PAIRFS_OPERATION(Rename);
PAIRFS_OPERATION(Write);
PAIRFS_OPERATION(SetAttributes);
PAIRFS_OPERATION(SetXattr);
PAIRFS_OPERATION(RemoveXattr);
PAIRFS_OPERATION(Allocate);
PAIRFS_OPERATION(CopyRange);
PAIRFS_OPERATION(SetLock);
PAIRFS_OPERATION(CancelLock);
PAIRFS_OPERATION(OpenSession);
PAIRFS_OPERATION(CloseSession);
PAIRFS_OPERATION(FreeInode);
PAIRFS_OPERATION(UpdateAtime);
PAIRFS_OPERATION(ExpireSession);
PAIRFS_OPERATION(BeginEpoch);
PAIRFS_OPERATION(ConsistencyPoint);
PAIRFS_OPERATION(ElementsChanged);
PAIRFS_OPERATION(NoteWriters);
PAIRFS_OPERATION(NoteUnanswered);
PAIRFS_OPERATION(Prepare);
PAIRFS_OPERATION(Decide);
PAIRFS_OPERATION(Conclude);
PAIRFS_OPERATION(ForgetTransaction);
PAIRFS_OPERATION(ResolveTransaction);
PAIRFS_OPERATION(ReceiveSlice);
PAIRFS_OPERATION(TakeSlice);
PAIRFS_OPERATION(GiveSlice);
PAIRFS_OPERATION(OpenSlice);
PAIRFS_OPERATION(ClearSlice);
#undef PAIRFS_OPERATION

}  // namespace pairfs
