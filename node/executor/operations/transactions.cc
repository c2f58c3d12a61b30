// Prepare, Decide, Conclude, ForgetTransaction, ResolveTransaction: two-phase commit, seen by one
// volume. All may come twice, late, and in any order.
//
// * A vote of yes, and the promise in it, is synced before it is sent; so is the decision before
//   anyone is told, and each participant's part before it is confirmed.
// * The coordinator's Conclude is the commit point. An attempt without one is aborted: asking for
//   it (ResolveTransaction) makes sure that none can follow.
// * The newest attempt that is over is remembered per slot of the client, so that nothing late can
//   prepare or commit it a second time.
#include "common/codec.h"
#include "common/test_switch.h"
#include "node/executor/operations/operations.h"
#include "node/executor/operations/transaction_parts.h"

namespace pairfs {

namespace {
// Ends an attempt on this volume, carrying out its parts when it commits.
void finish_attempt(Context& context, const FinishedRow& row, bool commit, Resolved& resolved) {
  const TransactionId& id = row.id;
  IntentTable& intents = context.state.intents;
  context.transaction = &id;
  context.deciding = true;
  for (const Intent* intent : intents.of(id)) {
    if (commit) apply_part(context, *intent, resolved);
    context.tx.erase(intent_key(id, intent->prepare.stage));
  }
  intents.remove(id);
  if (intents.set_finished(row)) context.tx.put(finished_key(id), encode_finished(row));
}

// True when the client's slot has an answer to this request, or to a later one.
bool is_answered(const Context& context, const RequestId& request) {
  const Session* session = context.state.sessions.find(request.session);
  return session != nullptr && session->last_sequence(request.slot) >= request.sequence;
}

// The client's answer, in the slot of its request, unless its session is gone.
void store_client_reply(Context& context, const Conclude& command) {
  const RequestId& request = command.id.request;
  Session* session = context.state.sessions.find(request.session);
  if (session == nullptr) return;
  ReplyRow& last = session->slots[request.slot];
  if (last.sequence >= request.sequence) return;
  // The changes of a transaction are told by recalls, to its own client too.
  session->told_changes[request.slot] = {request.sequence, kLeaseChangesTold, {}};
  last = {request.sequence, static_cast<int32_t>(command.error), command.reply, command.slice};
  context.tx.put(reply_key(request.session, request.slot), encode_reply_row(last));
}
}  // namespace

Result<PrepareReply> run(Context& context, Prepare& command) {
  IntentTable& intents = context.state.intents;
  context.out.needs_sync = !PAIRFS_MUTANT(vote_unsynced);
  if (const Intent* before = intents.find(command.id, command.stage)) {
    context.unlogged = true;
    return before->reply;
  }
  if (intents.is_finished(command.id)) return Errno{kNotLogged + ECANCELED};
  context.transaction = &command.id;
  auto vote = check_part(context, command);
  if (!vote) {
    context.out.needs_sync = false;
    if (vote.error() >= kNotLogged) return vote.failure();
    return Errno{kNotLogged + vote.error()};
  }
  vote->volume = context.config.volume;
  context.tx.put(intent_key(command.id, command.stage),
                 encode_intent_row({encode(command), encode(*vote)}));
  intents.add({command, *vote});
  return *vote;
}

Result<Empty> run(Context& context, Decide& command) {
  IntentTable& intents = context.state.intents;
  context.out.needs_sync = command.commit && !PAIRFS_MUTANT(part_unsynced);
  if (intents.of(command.id).empty() && (command.commit || intents.is_finished(command.id))) {
    context.unlogged = true;
    return Empty{};
  }
  finish_attempt(context, {command.id, false}, command.commit, command.resolved);
  return Empty{};
}

Result<Empty> run(Context& context, Conclude& command) {
  IntentTable& intents = context.state.intents;
  context.out.needs_sync = command.commit && !PAIRFS_MUTANT(decision_unsynced);
  if (intents.is_concluded(command.id) || intents.decisions().contains(command.id)) {
    context.unlogged = true;
    return Empty{};
  }
  // The client's slice went on to a volume that answers its retries now. (Not before the line
  // above: an earlier copy of this very command may have come in time.)
  if (!context.replaying && !context.owns(command.slice) && !PAIRFS_MUTANT(concluded_without_slice))
    return Errno{kNotLogged + ECANCELED};
  if (is_answered(context, command.id.request) && !PAIRFS_MUTANT(answered_and_concluded))
    return Errno{kNotLogged + EALREADY};
  if (intents.is_finished(command.id)) return Errno{kNotLogged + ECANCELED};
  finish_attempt(context, {command.id, true}, command.commit, command.resolved);
  if (command.commit && !command.participants.empty()) {
    context.tx.put(decision_key(command.id), encode_participants(command.participants));
    intents.add_decision(command.id, command.participants);
  }
  store_client_reply(context, command);
  return Empty{};
}

Result<Empty> run(Context& context, ForgetTransaction& command) {
  if (!context.state.intents.decisions().contains(command.id)) {
    context.unlogged = true;
    return Empty{};
  }
  context.tx.erase(decision_key(command.id));
  context.state.intents.remove_decision(command.id);
  return Empty{};
}

Result<ResolveReply> run(Context& context, ResolveTransaction& command) {
  IntentTable& intents = context.state.intents;
  context.out.needs_sync = true;
  const bool committed = intents.decisions().contains(command.id);
  if (committed || intents.is_finished(command.id)) {
    context.unlogged = true;
    return ResolveReply{committed};
  }
  const FinishedRow row{command.id, false};
  if (PAIRFS_MUTANT(abort_not_remembered)) {
    context.unlogged = true;
    return ResolveReply{false};
  }
  intents.set_finished(row);
  context.tx.put(finished_key(command.id), encode_finished(row));
  return ResolveReply{false};
}

}  // namespace pairfs
