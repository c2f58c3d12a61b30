// OpenSession, CloseSession, ExpireSession, RenewSession, GiveBack.
//
// A session exists from its logged OpenSession to its logged close or expiry; its id is never used
// again. With it go its reply rows, locks, open handles, and the orphans that only it held. What
// keeps it alive is any command of it; the timers are in memory and start anew with each executor.
#include "node/executor/operations/declared.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
// While a sealed slice is on its way the target has been told of the session and of its locks.
Status check_nothing_sealed(const Context& context) {
  if (!context.replaying && context.state.slices.any_sealed()) return Errno{kHeld};
  return success();
}

void end_session(Context& context, SessionId id) {
  VolumeState& state = context.state;
  Transaction& tx = context.tx;
  for (const auto& [inode_id, owner] : state.locks.of_session(id)) {
    tx.erase(lock_key(inode_id, id, static_cast<uint8_t>(owner.space), owner.owner));
    state.locks.set_held(inode_id, owner, {});
  }
  state.locks.stop_waiting(id);
  if (const Session* session = state.sessions.find(id))
    for (const auto& [slot, reply] : session->slots) tx.erase(reply_key(id, slot));
  tx.erase(session_key(id));
  tx.put(expired_key(id), {});
  state.handles.remove_session(id);
  state.leases.forget(id);
  state.sessions.close(id);
  update_all_declared(state);
}
}  // namespace

void update_all_declared(VolumeState& state) {
  bool all = true;
  for (const auto& [id, session] : state.sessions.live()) all = all && session.declared;
  state.handles.set_all_declared(all);
}

Result<Empty> run(Context& context, OpenSession& command) {
  const SessionId id = context.input.request.session;
  if (context.state.sessions.find(id) != nullptr) return Empty{};
  SessionRow row{command.host, command.mount, command.resolved.now};
  context.tx.put(session_key(id), encode_session(row));
  Session& session = context.state.sessions.open(id, std::move(row));
  session.heard = context.now;
  return Empty{};
}

Result<Empty> run(Context& context, CloseSession&) {
  PAIRFS_TRY(check_nothing_sealed(context));
  end_session(context, context.input.request.session);
  return Empty{};
}

Result<Empty> run(Context& context, ExpireSession& command) {
  Session* session = context.state.sessions.find(command.session);
  if (session == nullptr) return Errno{kNotLogged};
  if (!context.replaying && context.now - session->heard < context.config.session_timeout)
    return Errno{kNotLogged};
  PAIRFS_TRY(check_nothing_sealed(context));
  end_session(context, command.session);
  return Empty{};
}

Result<Empty> run(Context&, RenewSession&) { return Empty{}; }

Result<Empty> run(Context& context, GiveBack& command) {
  for (const uint64_t number : command.numbers)
    context.state.leases.given_back(context.input.request.session, number);
  return Empty{};
}

}  // namespace pairfs
