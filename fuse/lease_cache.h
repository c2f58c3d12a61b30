// What a mount may answer by itself: attributes, names (absent ones too), listings, extended
// attributes and link targets of the inodes on which its session holds leases. It owns the answers
// and the rules by which they may be given; ClientCore tells it of commands, replies, recalls and
// time. No I/O, no clock; ClientCore's thread.
//
// Why a cached answer is never older than a completed change. Another client's change is not
// answered before this client gave the lease back or it ran out: recall() and the granter's term
// see to it. Of its own changes the mount knows when they begin and end: what they touch is
// forgotten at their begin, and a reply is believed only when nothing touched the inode since its
// request began, so that neither a recall that overtakes a grant nor an answer from before a change
// does harm.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/access_check.h"
#include "common/commands.h"
#include "common/header.h"

namespace pairfs {

// An answer without a round trip: errno, or (0) the reply.
template <class C>
struct CachedAnswer {
  int error = 0;
  typename C::Reply reply;
};

class LeaseCache {
 public:
  static constexpr size_t kItemsMax = 400'000;   // inodes, names and listed entries
  static constexpr size_t kListedMax = 100'000;  // entries of one directory

  // What a request was about; kept with it from begin() to end().
  struct Note {
    uint64_t begun = 0;
    bool mutation = false;
    InodeRef first, second;  // as the command names them; id 0: none
    Name name, second_name;
    uint64_t cookie = 0;
    bool as_root = false;
    bool reads = false;  // moves the access time
  };
  // What came with a reply.
  struct Grant {
    VolumeId volume;
    uint32_t bits = 0;  // LeaseGrant
    uint64_t changed[2] = {};
    bool told = false;  // false: nobody knows what a mutation changed
  };

  // ---- answers ----
  // nullopt: the executor must be asked.
  std::optional<CachedAnswer<Lookup>> answer(const Lookup& command, Instant now);
  std::optional<CachedAnswer<GetAttributes>> answer(const GetAttributes& command, Instant now);
  std::optional<CachedAnswer<Access>> answer(const Access& command, Instant now);
  std::optional<CachedAnswer<ReadLink>> answer(const ReadLink& command, Instant now);
  std::optional<CachedAnswer<GetXattr>> answer(const GetXattr& command, Instant now);
  std::optional<CachedAnswer<ListXattr>> answer(const ListXattr& command, Instant now);
  std::optional<CachedAnswer<ReadDirectory>> answer(const ReadDirectory& command, Instant now);
  // Why the last answer() did not know: attributes or the ACL of an inode that it has names of. id
  // 0: something else. Asked for once per inode.
  struct Missing {
    InodeRef inode;
    bool acl = false;
  };
  Missing take_missing() { return std::exchange(missing_, {}); }

  // ---- commands ----
  template <class C>
  Note begin(const C& command) {
    Note note;
    note.begun = ++clock_;
    note.mutation = C::kKind != Kind::kRead;
    if constexpr (requires { command.parent; }) {
      note.first = command.parent;
      note.name = command.name;
    } else if constexpr (requires { command.inode; }) {
      note.first = command.inode;
    }
    if constexpr (requires { command.new_parent; }) {
      note.second = command.new_parent;
      note.second_name = command.new_name;
    }
    if constexpr (std::is_same_v<C, MakeLink>) note.second = command.inode;
    if constexpr (requires { command.cookie; }) note.cookie = command.cookie;
    if constexpr (std::is_same_v<C, GetXattr>) note.name = Name(BytesView(command.name));
    if constexpr (std::is_same_v<C, GetXattr> || std::is_same_v<C, ListXattr>)
      note.as_root = is_root(command.credentials);
    if constexpr (requires { command.update_atime; }) note.reads = command.update_atime;
    if constexpr (std::is_same_v<C, ReadLink>) note.reads = true;
    if constexpr (kTouches<C>) touch(note, !kKeepsAccess<C>);
    return note;
  }
  // The command's outcome; `reply` is valid when `error` is 0.
  template <class C>
  void end(const Note& note, const Grant& grant, int error, const typename C::Reply& reply) {
    if constexpr (kTouches<C>) {
      untouch(note);
      take_changes(grant);
      if constexpr (std::is_same_v<typename C::Reply, EntryReply>)
        if (error == 0) entry_changed(note, reply.attributes.inode.id);
    }
    if (note.reads && error == 0) note_read(note.first);
    if (grant.bits != 0) take(note, grant, error, reply, std::type_identity<C>{});
  }

  // ---- leases ----
  // Leases that `volume` granted in this epoch hold until then; those of earlier epochs are gone.
  void renewed(VolumeId volume, Epoch epoch, Instant until, Instant now);
  bool holds_of(VolumeId volume) const { return granters_.contains(volume); }
  // Nobody else sees or changes the file (kGrantWriter).
  bool is_writer(const InodeRef& inode, Instant now) const;
  void end_writer(uint64_t inode_id);
  // An executor wants it back. Answers may be given to it at once.
  void recall(uint64_t inode_id);
  // All that the volume granted.
  void drop_volume(VolumeId volume);

  struct Counters {
    uint64_t answered = 0, recalled = 0, late = 0;
  };
  const Counters& counters() const { return counters_; }
  size_t items() const { return items_; }

 private:
  // Of a command that changes inodes which it names.
  template <class C>
  static constexpr bool kTouches =
      C::kKind == Kind::kMutation && !std::is_same_v<C, SetLock> &&
      !std::is_same_v<C, CancelLock> && !std::is_same_v<C, OpenSession> &&
      !std::is_same_v<C, CloseSession>;
  // Owner, group, mode and ACL of the inodes stay.
  template <class C>
  static constexpr bool kKeepsAccess = requires(const C& command) {
    command.parent;
  };

  enum class Known : uint8_t {
    kNothing,
    kAccess,
    kAll
  };  // of the attributes; kAccess: owner, mode
  struct Child {
    InodeRef inode;  // id 0: there is no such name
    uint32_t type = 0;
    bool remote = false;
    bool in_doubt = false;  // an own command may have changed it
  };
  struct Directory {
    std::unordered_map<Bytes, Child> names;
    bool all_names = false;               // a name that is not here is absent
    std::vector<DirectoryEntry> listing;  // without attributes, by cookie
    bool listed = false;                  // to the end
  };
  struct Node {
    InodeRef inode;
    VolumeId volume;
    bool held = false;
    bool writer = false;      // is_writer()
    bool asked = false;       // take_missing() named it
    uint64_t changed_at = 0;  // when something last made its answers doubtful
    uint32_t changing = 0;    // own commands under way that change it
    uint64_t told_by = 0;  // the own command (its `begun`) whose reply tells how it is since then
    Known known = Known::kNothing;
    Attributes attributes;
    bool acl_known = false;
    std::optional<Acl> acl;
    std::unique_ptr<Directory> directory;
    std::optional<LinkTarget> target;
    std::map<Bytes, std::optional<XattrValue>> xattrs;
    std::optional<XattrValue> xattr_names[2];  // as others see them, as root does
    std::list<uint64_t>::iterator place;
  };
  struct Granter {
    Epoch epoch = 0;
    Instant until{};
  };

  Node& node_of(uint64_t inode_id);
  Node* valid(const InodeRef& inode, Instant now);
  void clear(Node& node);
  void forget_access(Node& node);
  void set_name(Node& node, BytesView name, const Child& child);
  void drop_listing(Node& node);
  void evict();
  Result<std::optional<Acl>> acl_of(Node& node);
  Status may(Node& node, const Credentials& who, uint32_t mask);
  bool reading_is_noted(const Node& node, bool update_atime) const;

  static std::vector<InodeRef> touched(const Note& note);
  void touch(const Note& note, bool access);
  void doubt_name(const InodeRef& directory, const Name& name);
  void entry_changed(const Note& note, uint64_t inode_id);
  void untouch(const Note& note);
  void take_changes(const Grant& grant);
  void note_read(const InodeRef& inode);
  // The node, held from now on, when the grant is believed.
  Node* hold(const Note& note, const Grant& grant, const InodeRef& inode);
  void take_attributes(const Note& note, const Grant& grant, const Attributes& attributes,
                       bool acl);
  void take_child(const Note& note, const Grant& grant, BytesView name, int error,
                  const EntryReply& reply);
  void take_listing(const Note& note, const Grant& grant, const DirectoryReply& reply);

  template <class C>
  void take(const Note& note, const Grant& grant, int error, const typename C::Reply& reply,
            std::type_identity<C>) {
    const bool first = (grant.bits & kGrantFirst) != 0;
    const bool first_acl = (grant.bits & kGrantFirstAcl) != 0;
    if constexpr (std::is_same_v<typename C::Reply, EntryReply>) {
      take_child(note, grant, note.name, error, reply);
      if constexpr (std::is_same_v<C, MakeDirectory>)
        if (error == 0 && !reply.remote) take_empty(note, reply.attributes.inode);
    } else if constexpr (std::is_same_v<C, Unlink> || std::is_same_v<C, RemoveDirectory>) {
      if (error == 0 && first) take_gone(note, grant);
    } else if constexpr (std::is_same_v<C, Rename>) {
      if (error == 0 && first) take_renamed(note, grant);
    } else if constexpr (std::is_same_v<typename C::Reply, AttributesReply>) {
      if (error == 0 && first) take_attributes(note, grant, reply.attributes, first_acl);
    } else if constexpr (std::is_same_v<C, Write>) {
      if (error == 0 && first) take_attributes(note, grant, reply.attributes, first_acl);
      if (error == 0 && (grant.bits & kGrantWriter) != 0) take_writer(note, grant);
    } else if constexpr (std::is_same_v<C, GetXattr>) {
      if (first) take_xattr(note, grant, error, reply.value);
    } else if constexpr (std::is_same_v<C, ListXattr>) {
      if (first && error == 0) take_xattr_names(note, grant, reply.value);
    } else if constexpr (std::is_same_v<C, ReadLink>) {
      if (first && error == 0) take_target(note, grant, reply.target);
    } else if constexpr (std::is_same_v<C, ReadDirectory>) {
      if (first && error == 0) take_listing(note, grant, reply);
    }
  }
  void take_writer(const Note& note, const Grant& grant);
  void take_empty(const Note& note, const InodeRef& made);
  void take_gone(const Note& note, const Grant& grant);
  void take_renamed(const Note& note, const Grant& grant);
  void take_xattr(const Note& note, const Grant& grant, int error, const XattrValue& value);
  void take_xattr_names(const Note& note, const Grant& grant, const XattrValue& value);
  void take_target(const Note& note, const Grant& grant, const LinkTarget& target);

  uint64_t clock_ = 0;  // counts what happens, to tell before from after
  uint64_t floor_ = 0;  // replies to requests that began before it are not believed
  std::unordered_map<uint64_t, Node> nodes_;
  std::list<uint64_t> by_use_;  // most recently used first
  std::map<VolumeId, Granter> granters_;
  size_t items_ = 0;
  Missing missing_;
  Counters counters_;
};

}  // namespace pairfs
