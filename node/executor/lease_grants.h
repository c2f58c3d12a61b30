// What a command means for leases: which inodes its answer waits for, which others' leases it wants
// back, and what its own session may hold from now on. Called by the executor around an operation;
// loop thread.
#pragma once

#include <array>

#include "common/header.h"
#include "node/executor/context.h"

namespace pairfs {

// The inodes that a client knows to be changed by its command, as command or reply name them; 0:
// none.
using NamedInodes = std::array<uint64_t, 3>;

template <class C>
NamedInodes named_inodes(const C& command, const Result<typename C::Reply>& result) {
  NamedInodes named{};
  if constexpr (requires { command.inode; }) named[0] = command.inode.id;
  if constexpr (requires { command.parent; }) named[1] = command.parent.id;
  if constexpr (requires { command.new_parent; }) named[2] = command.new_parent.id;
  if constexpr (std::is_same_v<typename C::Reply, EntryReply>)
    if (result && !result->remote) named[2] = result->attributes.inode.id;
  return named;
}

// The answer waits for recalls of what the command saw.
void note_seen(Context& context);
// The transaction's rows are about to be applied: others' leases on their inodes are wanted back,
// and the answer waits for them. Writes the changed inodes that are not `named` into
// Executed::changed; false: there are too many of them.
bool note_changed(Context& context, const NamedInodes& named);
// A promise is kept even after its client has its answer, so what it will change is wanted back
// now.
void note_promised(Context& context, const Prepare& command, const Result<PrepareReply>& vote);
// The answer waits until the sessions said that they hold nothing of earlier executors.
void wait_for_earlier_leases(VolumeState& state, SessionId asker, Executed& out);

// Grants `bit` on the inode to the session that asks, and tells with `acl_bit` of an ACL that it
// may have.
void grant_lease(Context& context, const InodeRef& inode, uint32_t bit, uint32_t acl_bit);
// The session may answer its next writes of the inode itself, or will be let to soon.
void let_write_behind(Context& context, const InodeRef& inode);
// kHeld when another session may have answered writes of the file that are not executed: it is
// asked to give the file back.
Status check_not_written_behind(const Context& context, uint64_t inode_id);

// Grants on all entries with attributes, or on none.
void grant_listing(Context& context, const DirectoryReply& reply);

// What the session may hold because of this answer.
template <class C>
void grant_leases(Context& context, const C& command, const Result<typename C::Reply>& result) {
  if (context.out.lease_ms == 0) return;
  const bool absent = std::is_same_v<C, Lookup> && result.error() == ENOENT;
  const bool no_xattr = std::is_same_v<C, GetXattr> && result.error() == ENODATA;
  if (!result && !absent && !no_xattr) return;
  if constexpr (std::is_same_v<C, Rename>) {
    grant_lease(context, command.parent, kGrantFirst, kGrantFirstAcl);
    const bool one = (context.out.lease_grants & kGrantFirst) != 0;
    if (command.new_parent == command.parent) return;
    context.out.lease_grants &= ~uint32_t{kGrantFirst};
    if (one) grant_lease(context, command.new_parent, kGrantFirst, kGrantFirstAcl);
  } else if constexpr (requires { command.parent; }) {
    grant_lease(context, command.parent, kGrantFirst, kGrantFirstAcl);
  } else if constexpr (std::is_same_v<C, GetAttributes> || std::is_same_v<C, Open> ||
                       std::is_same_v<C, ReadLink> || std::is_same_v<C, GetXattr> ||
                       std::is_same_v<C, ListXattr> || std::is_same_v<C, ReadDirectory> ||
                       std::is_same_v<C, Write> || std::is_same_v<C, SetAttributes>) {
    grant_lease(context, command.inode, kGrantFirst, kGrantFirstAcl);
  }
  if constexpr (std::is_same_v<C, Write>)
    if ((context.out.lease_grants & kGrantFirst) != 0 && context.input.write_behind)
      let_write_behind(context, command.inode);
  if constexpr (std::is_same_v<typename C::Reply, EntryReply>)
    if (result && !result->remote)
      grant_lease(context, result->attributes.inode, kGrantEntry, kGrantEntryAcl);
  if constexpr (std::is_same_v<C, ReadDirectory>)
    if (command.with_attributes) grant_listing(context, *result);
}

}  // namespace pairfs
