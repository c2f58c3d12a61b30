#include "node/executor/transaction_script.h"

#include <linux/fs.h>
#include <sys/stat.h>

#include "common/codec.h"

namespace pairfs {

namespace {
using Part = TransactionPart;
using Step = TransactionScript::Step;

Step step(Part::What what, const InodeRef& inode, uint32_t flags = 0) {
  Step made{inode.slice(), {}};
  made.part.what = what;
  made.part.inode = inode;
  made.part.flags = flags;
  return made;
}
Step take_name(const InodeRef& directory, const Name& name, uint32_t flags) {
  Step made = step(Part::kTakeName, directory, flags);
  made.part.name = name;
  return made;
}
Step give_name(const InodeRef& directory, const Name& name, const InodeRef& inode, uint32_t type,
               uint32_t flags) {
  Step made = step(Part::kGiveName, directory, flags);
  made.part.name = name;
  made.part.other = inode;
  made.part.type = type;
  return made;
}
uint32_t owner_flag(bool owner_only) { return owner_only ? uint32_t{Part::kOwnerOnly} : 0; }
Bytes remote_entry(const InodeRef& inode, uint32_t type) {
  return encode(EntryReply{.attributes = {.inode = inode, .mode = type}, .remote = true});
}

// unlink, rmdir: the name goes before the link count comes down.
class RemoveScript final : public TransactionScript {
 public:
  RemoveScript(InodeRef parent, Name name, uint32_t flags)
      : parent_(parent), name_(std::move(name)), flags_(flags) {}
  std::optional<Step> next(const PrepareReply* last) override {
    if (last == nullptr) return take_name(parent_, name_, flags_);
    if (removed_) return std::nullopt;
    removed_ = true;
    return step(Part::kRemoveInode, last->inode, owner_flag(last->owner_only));
  }
  Bytes reply() const override { return encode(Empty{}); }

 private:
  InodeRef parent_;
  Name name_;
  uint32_t flags_;
  bool removed_ = false;
};

// link: the link count goes up before the name appears.
class LinkScript final : public TransactionScript {
 public:
  explicit LinkScript(const MakeLink& command) : command_(command) {}
  std::optional<Step> next(const PrepareReply* last) override {
    if (last == nullptr) return step(Part::kAddLink, command_.inode);
    if (named_) return std::nullopt;
    named_ = true;
    type_ = last->type;
    return give_name(command_.parent, command_.name, command_.inode, type_, Part::kNewName);
  }
  Bytes reply() const override { return remote_entry(command_.inode, type_); }

 private:
  MakeLink command_;
  uint32_t type_ = 0;
  bool named_ = false;
};

class MakeDirectoryScript final : public TransactionScript {
 public:
  MakeDirectoryScript(const MakeDirectory& command, Part plan)
      : command_(command), plan_(std::move(plan)) {}
  std::optional<Step> next(const PrepareReply* last) override {
    if (last == nullptr) return Step{plan_.inode.slice(), plan_};
    if (made_.id != 0) return std::nullopt;
    made_ = last->inode;
    return give_name(command_.parent, command_.name, made_, S_IFDIR, Part::kNewName);
  }
  Bytes reply() const override { return remote_entry(made_, S_IFDIR); }

 private:
  MakeDirectory command_;
  Part plan_;
  InodeRef made_;
};

// rename: old name; new name; for a directory that gets another parent the way from there to the
// root, volume by volume; the inode itself; the inode that loses the new name.
class RenameScript final : public TransactionScript {
 public:
  explicit RenameScript(const Rename& command) : command_(command) {}
  std::optional<Step> next(const PrepareReply* last) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTaken;
        return take_name(command_.parent, command_.name, 0);
      case State::kTaken: {
        source_ = *last;
        state_ = State::kGiven;
        const bool no_replace = (command_.flags & RENAME_NOREPLACE) != 0;
        return give_name(command_.new_parent, command_.new_name, source_.inode, source_.type,
                         Part::kRename | (no_replace ? uint32_t{Part::kNoReplace} : 0));
      }
      case State::kGiven:
        target_ = *last;
        if (target_.same) return std::nullopt;
        state_ = State::kWalking;
        if (moves_directory()) return walk_from(command_.new_parent);
        return move_source();
      case State::kWalking:
        if (last->next.id != 0) return walk_from(last->next);
        return move_source();  // the types are looked at after the way, as Linux does
      case State::kMoved:
        if (target_.inode.id == 0 || removed_) return std::nullopt;
        removed_ = true;
        return step(Part::kRemoveInode, target_.inode, owner_flag(target_.owner_only));
    }
    return std::nullopt;
  }
  Bytes reply() const override { return encode(Empty{}); }
  bool changes_anything() const override { return !target_.same; }
  int refusal() const override {
    if (target_.same || target_.inode.id == 0) return 0;
    if (source_.type == S_IFDIR && target_.type != S_IFDIR) return ENOTDIR;
    if (source_.type != S_IFDIR && target_.type == S_IFDIR) return EISDIR;
    return 0;
  }

 private:
  enum class State { kStart, kTaken, kGiven, kWalking, kMoved };
  bool moves_directory() const {
    return source_.type == S_IFDIR && command_.parent != command_.new_parent;
  }
  Step walk_from(const InodeRef& directory) const {
    Step made = step(Part::kWalkUp, directory);
    made.part.other = source_.inode;
    return made;
  }
  std::optional<Step> move_source() {
    state_ = State::kMoved;
    if (refusal() != 0) return std::nullopt;
    Step made = step(Part::kMoveInode, source_.inode, owner_flag(source_.owner_only));
    if (moves_directory()) made.part.other = command_.new_parent;
    return made;
  }

  Rename command_;
  State state_ = State::kStart;
  PrepareReply source_, target_;
  bool removed_ = false;
};

// rename with RENAME_EXCHANGE: both names, of which the first one is held until the second says
// what it is to stand for; the ways up for each directory that gets another parent; both inodes.
class ExchangeScript final : public TransactionScript {
 public:
  explicit ExchangeScript(const Rename& command) : command_(command) {}
  std::optional<Step> next(const PrepareReply* last) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kHeld;
        return name_step(Part::kHoldName, command_.parent, command_.name, {});
      case State::kHeld:
        source_ = *last;
        state_ = State::kSwapped;
        return name_step(Part::kSwapName, command_.new_parent, command_.new_name, source_);
      case State::kSwapped:
        target_ = *last;
        if (target_.same) return std::nullopt;
        state_ = State::kBothSwapped;
        return name_step(Part::kSwapName, command_.parent, command_.name, target_);
      case State::kBothSwapped:
        state_ = State::kWalkingNew;
        if (moves(source_)) return walk(command_.new_parent, source_);
        [[fallthrough]];
      case State::kWalkingNew:
        if (moves(source_) && last->next.id != 0) return walk(last->next, source_);
        state_ = State::kWalkingOld;
        if (moves(target_)) return walk(command_.parent, target_);
        [[fallthrough]];
      case State::kWalkingOld:
        if (moves(target_) && last->next.id != 0) return walk(last->next, target_);
        state_ = State::kMoved;
        return move(source_, command_.new_parent);
      case State::kMoved:
        state_ = State::kBothMoved;
        return move(target_, command_.parent);
      case State::kBothMoved:
        break;
    }
    return std::nullopt;
  }
  Bytes reply() const override { return encode(Empty{}); }
  bool changes_anything() const override { return !target_.same; }

 private:
  enum class State {
    kStart,
    kHeld,
    kSwapped,
    kBothSwapped,
    kWalkingNew,
    kWalkingOld,
    kMoved,
    kBothMoved
  };
  bool moves(const PrepareReply& child) const {
    return child.type == S_IFDIR && command_.parent != command_.new_parent;
  }
  static Step name_step(Part::What what, const InodeRef& directory, const Name& name,
                        const PrepareReply& other) {
    Step made = step(what, directory);
    made.part.name = name;
    made.part.other = other.inode;
    made.part.type = other.type;
    return made;
  }
  static Step walk(const InodeRef& directory, const PrepareReply& child) {
    Step made = step(Part::kWalkUp, directory);
    made.part.other = child.inode;
    return made;
  }
  Step move(const PrepareReply& child, const InodeRef& parent) const {
    Step made = step(Part::kMoveInode, child.inode, owner_flag(child.owner_only));
    if (moves(child)) made.part.other = parent;
    return made;
  }

  Rename command_;
  State state_ = State::kStart;
  PrepareReply source_, target_;
};

std::unique_ptr<TransactionScript> script_for(const Unlink& c, BytesView) {
  return std::make_unique<RemoveScript>(c.parent, c.name, Part::kWantFile);
}
std::unique_ptr<TransactionScript> script_for(const RemoveDirectory& c, BytesView) {
  return std::make_unique<RemoveScript>(c.parent, c.name, Part::kWantDirectory);
}
std::unique_ptr<TransactionScript> script_for(const MakeLink& c, BytesView) {
  return std::make_unique<LinkScript>(c);
}
std::unique_ptr<TransactionScript> script_for(const Rename& c, BytesView) {
  if ((c.flags & RENAME_EXCHANGE) != 0) return std::make_unique<ExchangeScript>(c);
  return std::make_unique<RenameScript>(c);
}
std::unique_ptr<TransactionScript> script_for(const MakeDirectory& c, BytesView plan) {
  auto part = decode<TransactionPart>(plan);
  if (!part) return nullptr;
  return std::make_unique<MakeDirectoryScript>(c, std::move(*part));
}

template <class C>
std::unique_ptr<TransactionScript> script_of(const CommandInput& client, BytesView plan) {
  const auto command = decode<C>(client.body.view());
  if (!command) return nullptr;
  auto script = script_for(*command, plan);
  if (script) script->credentials = command->credentials;
  return script;
}
}  // namespace

std::unique_ptr<TransactionScript> make_script(const CommandInput& client, BytesView plan) {
  switch (client.op) {
    case Unlink::kOp:
      return script_of<Unlink>(client, plan);
    case RemoveDirectory::kOp:
      return script_of<RemoveDirectory>(client, plan);
    case MakeLink::kOp:
      return script_of<MakeLink>(client, plan);
    case Rename::kOp:
      return script_of<Rename>(client, plan);
    case MakeDirectory::kOp:
      return script_of<MakeDirectory>(client, plan);
    default:
      return nullptr;
  }
}

}  // namespace pairfs
