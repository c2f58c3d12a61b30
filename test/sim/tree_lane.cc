// A client works in a directory tree of its own, so that a model in memory knows every right
// answer. Where an outcome cannot be known (the session expired under way, both nodes of a pair
// lost power), the tree is read back and must be one that the model allows.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "common/codec.h"
#include "test/sim/client_host.h"
#include "test/sim/tree_model.h"
#include "test/sim/tree_reader.h"

namespace pairfs::sim {
namespace {
using namespace std::chrono_literals;
using Type = ModelInode::Type;

constexpr size_t kInodesMax = 40;
constexpr uint64_t kOffsetMax = 12 << 10;
constexpr uint64_t kPieceMax = 5 << 10;

class TreeLane final : public Lane {
 public:
  TreeLane(ClientHost& client, Simulation& sim)
      : client_(client), sim_(sim), reader_(client), top_("own-" + client.name()) {}

  void start() override { make_top(); }
  void stop() override { stopped_ = true; }
  bool idle() const override { return stopped_ && !busy_; }
  bool checked() const override { return checked_; }
  void lost_something() override {
    doubtful_ = true;
    // How much is gone is not known to a client that does not fsync.
    if (!client_.world().swarm.durable_clients) lost_any_ = true;
  }
  void check() override {
    busy_ = true;
    read_back([this] {
      checked_ = true;
      busy_ = false;
    });
  }

 private:
  using Completion = ClientCore::Completion;
  using Then = std::function<void()>;

  void make_top() {
    busy_ = true;
    MakeDirectory make{kRootInode, Name(top_), 0755, 0, {}, {}};
    client_.submit(make, [this](const Completion& c) {
      const auto reply = decode<EntryReply>(c.body.view());
      if (c.error != 0 || !reply)
        return sim_.fail("{} making {}: errno {}", client_.name(), top_, c.error);
      tree_ = TreeModel();
      tree_.at(TreeModel::kRoot).ref = reply->attributes.inode;
      before_ = tree_;
      make_durable({kRootInode, reply->attributes.inode});
    });
  }

  void go_on() {
    client_.later(sim_.random.duration(1ms, client_.world().swarm.think_max), [this] {
      if (stopped_) return;
      note_lost_sessions();
      if (doubtful_) return settle();
      busy_ = true;
      next();
    });
  }

  // ---- what is not known is read back ----

  // Both what the last change left and what was before it are allowed.
  void settle() {
    busy_ = true;
    read_back([this] {
      busy_ = false;
      go_on();
    });
  }

  void read_back(Then then) {
    doubtful_ = false;
    sim_.count("client.read_back");
    reader_.read(tree_.at(TreeModel::kRoot).ref, [this, then](const TreeModel* seen) {
      if (doubtful_) return read_back(then);  // something was lost meanwhile
      if (seen == nullptr && lost_any_) {     // the tree's own directory is gone
        lost_any_ = false;
        top_ += "-again";
        return make_top();
      }
      if (seen == nullptr)
        return sim_.fail("{} cannot read its tree back: {}", client_.name(), reader_.why());
      const std::string now = tree_.compare(*seen);
      if (!now.empty()) {
        const std::string before = before_known_ ? before_.compare(*seen) : now;
        if (!before.empty() && !lost_any_)
          return sim_.fail("{}: {}{}{}", client_.name(), top_, now,
                           before_known_ ? "; before the last change: " + before : "");
        drop_handles();
        before_.drop_all_handles();
        tree_ = before.empty() ? before_ : *seen;
      }
      before_known_ = false;
      lost_any_ = false;
      then();
    });
  }

  // ---- one command ----

  // Sends a change whose errno the model knows. `after` is the tree when it is done.
  template <class C>
  void change(const C& command, int expected, TreeModel after, std::vector<InodeRef> touched,
              std::function<void(const Completion&, TreeModel*)> done = {}, SharedBytes bulk = {}) {
    before_ = tree_;
    before_known_ = true;
    const uint64_t lost_before = client_.sessions_lost();
    client_.submit(
        command,
        [this, expected, after = std::move(after), touched, done, lost_before,
         answered = std::make_shared<bool>(false)](const Completion& c) {
          if (std::exchange(*answered, true)) {
            doubtful_ = lost_any_ = true;
            return;
          }
          sim_.count(fmt::format("answer.{}", c.error == 0 ? "ok" : "refused"));
          TreeModel result = after;
          const bool unknown = c.error == EIO && client_.sessions_lost() != lost_before;
          if (c.error != expected && !unknown && !doubtful_) {
            for (const std::string& line : before_.lines())
              sim_.tell("{} has {}", client_.name(), line);
            return sim_.fail("{}: {} got errno {}, the model says {}", client_.name(), C::kName,
                             c.error, expected);
          }
          if (c.error == 0 && done) done(c, &result);
          if (c.error == expected || unknown) tree_ = std::move(result);
          if (unknown) note_unknown();
          if (c.error != 0 && !unknown) return finished();
          make_durable(touched);
        },
        std::move(bulk));
  }

  // With clients that fsync, an unlucky moment can only cost the last change.
  void make_durable(std::vector<InodeRef> touched) {
    if (!client_.world().swarm.durable_clients || touched.empty()) return finished();
    const InodeRef inode = touched.back();
    touched.pop_back();
    client_.submit(Fsync{inode}, [this, touched](const Completion& c) {
      if (c.error != 0 && c.error != ESTALE && !doubtful_ && c.error != EIO)
        return sim_.fail("{}: Fsync got errno {}", client_.name(), c.error);
      make_durable(touched);
    });
  }

  void finished() {
    if (!doubtful_) before_known_ = false;
    busy_ = false;
    go_on();
  }

  void note_unknown() {
    doubtful_ = true;
    for (const auto& [id, inode] : tree_.inodes())
      if (inode.ref.id == 0) tree_.at(id).handles = 0;
  }

  // Handles do not outlive their session.
  void note_lost_sessions() {
    if (client_.sessions_lost() == sessions_lost_) return;
    sessions_lost_ = client_.sessions_lost();
    drop_handles();
  }

  void drop_handles() {
    std::vector<int> open;
    for (const auto& [id, inode] : tree_.inodes())
      for (int i = 0; i < inode.handles; ++i) open.push_back(id);
    for (const int id : open) {
      client_.core().release(ref(id), client_.local_now());
      tree_.drop_handle(id);
    }
  }

  template <class C>
  void question(const C& command, int expected,
                std::function<std::string(const Completion&)> check) {
    const uint64_t lost_before = client_.sessions_lost();
    client_.submit(command, [this, expected, check, lost_before](const Completion& c) {
      const bool lost = client_.sessions_lost() != lost_before;
      if (!doubtful_ && c.error != expected && !lost)
        return sim_.fail("{}: {} got errno {}, the model says {}", client_.name(), C::kName,
                         c.error, expected);
      if (!doubtful_ && c.error == 0 && expected == 0)
        if (const std::string why = check(c); !why.empty())
          return sim_.fail("{}: {}: {}", client_.name(), C::kName, why);
      finished();
    });
  }

  // ---- choosing ----

  int any(Type type, bool with_orphans = false) {
    std::vector<int> found;
    for (const auto& [id, inode] : tree_.inodes())
      if (inode.type == type && (with_orphans || inode.nlink > 0)) found.push_back(id);
    return found.empty() ? 0 : found[sim_.random.between(0, found.size() - 1)];
  }
  Name any_name() {
    return Name(std::string(1, static_cast<char>('a' + sim_.random.between(0, 5))));
  }
  // A name that is there, mostly.
  Name known_name(int directory) {
    const auto& entries = tree_.at(directory).entries;
    if (entries.empty() || sim_.random.one_in(6)) return any_name();
    auto at = entries.begin();
    std::advance(at, static_cast<long>(sim_.random.between(0, entries.size() - 1)));
    return Name(at->first);
  }
  InodeRef ref(int id) { return tree_.at(id).ref; }

  void next() {
    const bool full = tree_.inodes().size() > kInodesMax;
    switch (sim_.random.between(full ? 4 : 0, 16)) {
      case 0:
        return make(Type::kDirectory);
      case 1:
        return make(Type::kFile);
      case 2:
        return make(Type::kSymlink);
      case 3:
        return link();
      case 4:
        return create_open();
      case 5:
        return unlink();
      case 6:
        return remove_directory();
      case 7:
      case 8:
        return rename();
      case 9:
      case 10:
        return write();
      case 11:
        return set_attributes();
      case 12:
        return read();
      case 13:
        return get_attributes();
      case 14:
        return list();
      case 15:
        return look_up();
      default:
        return xattr();
    }
  }

  // ---- changes ----

  static void take_ref(const Completion& c, TreeModel* tree, int made) {
    const auto reply = decode<EntryReply>(c.body.view());
    if (reply && made != 0) tree->at(made).ref = reply->attributes.inode;
  }

  void make(Type type) {
    const int directory = any(Type::kDirectory);
    const Name name = any_name();
    TreeModel after = tree_;
    int made = 0;
    const Bytes target = type == Type::kSymlink ? Bytes("to-" + name) : Bytes();
    const uint32_t mode = type == Type::kDirectory ? 0755 : type == Type::kFile ? 0644 : 0777;
    const int expected = after.make(directory, name, type, mode, target, &made);
    const auto done = [made](const Completion& c, TreeModel* tree) { take_ref(c, tree, made); };
    const InodeRef parent = ref(directory);
    if (type == Type::kDirectory)
      change(MakeDirectory{parent, name, mode, 0, {}, {}}, expected, after, {parent}, done);
    else if (type == Type::kFile)
      change(MakeNode{parent, name, S_IFREG | mode, 0, 0, {}, {}}, expected, after, {parent}, done);
    else
      change(MakeSymlink{parent, name, LinkTarget(target), {}, {}}, expected, after, {parent},
             done);
  }

  // Makes a file and opens it, or closes one that is open.
  void create_open() {
    for (const auto& [id, inode] : tree_.inodes()) {
      if (inode.handles == 0 || !sim_.random.one_in(3)) continue;
      client_.core().release(inode.ref, client_.local_now());
      tree_.drop_handle(id);
      return finished();
    }
    const int directory = any(Type::kDirectory);
    const Name name = any_name();
    TreeModel after = tree_;
    int made = 0;
    const int expected = after.make(directory, name, Type::kFile, 0600, {}, &made);
    if (made != 0) after.at(made).handles = 1;
    change(CreateFile{ref(directory), name, 0600, 0, O_CREAT | O_EXCL | O_RDWR, {}, {}}, expected,
           after, {ref(directory)},
           [made](const Completion& c, TreeModel* tree) { take_ref(c, tree, made); });
  }

  void link() {
    const int inode = any(Type::kFile);
    if (inode == 0) return make(Type::kFile);
    const int directory = any(Type::kDirectory);
    const Name name = any_name();
    TreeModel after = tree_;
    const int expected = after.link(inode, directory, name);
    change(MakeLink{ref(inode), ref(directory), name, {}, {}}, expected, after,
           {ref(directory), ref(inode)});
  }

  void unlink() {
    const int directory = any(Type::kDirectory);
    const Name name = known_name(directory);
    TreeModel after = tree_;
    const int expected = after.unlink(directory, name);
    change(Unlink{ref(directory), name, {}, {}}, expected, after, {ref(directory)});
  }

  void remove_directory() {
    const int directory = any(Type::kDirectory);
    const Name name = known_name(directory);
    TreeModel after = tree_;
    const int expected = after.remove_directory(directory, name);
    change(RemoveDirectory{ref(directory), name, {}, {}}, expected, after, {ref(directory)});
  }

  void rename() {
    const int from = any(Type::kDirectory), to = any(Type::kDirectory);
    const Name name = known_name(from);
    const Name new_name = sim_.random.one_in(2) ? any_name() : known_name(to);
    const bool no_replace = sim_.random.one_in(5);
    TreeModel after = tree_;
    const int expected = after.rename(from, name, to, new_name, no_replace);
    change(Rename{ref(from),
                  name,
                  ref(to),
                  new_name,
                  no_replace ? uint32_t{RENAME_NOREPLACE} : 0,
                  {},
                  {}},
           expected, after, {ref(from), ref(to)});
  }

  void write() {
    const int file = any(Type::kFile, true);
    if (file == 0) return make(Type::kFile);
    const bool append = sim_.random.one_in(3);
    const uint64_t offset =
        append ? tree_.at(file).content.size() : sim_.random.between(0, kOffsetMax);
    const Bytes data(sim_.random.between(1, kPieceMax),
                     static_cast<char>('A' + sim_.random.between(0, 25)));
    TreeModel after = tree_;
    after.write(file, offset, data);
    change(Write{.inode = ref(file), .offset_bytes = append ? 0 : offset, .append = append}, 0,
           after, {ref(file)}, {}, SharedBytes::from(data));
  }

  void set_attributes() {
    const int file = any(Type::kFile, true);
    if (file == 0) return make(Type::kFile);
    TreeModel after = tree_;
    SetAttributes set{.inode = ref(file)};
    if (sim_.random.one_in(2)) {
      set.valid = SetAttributes::kSize;
      set.size_bytes = sim_.random.between(0, kOffsetMax);
      after.truncate(file, set.size_bytes);
    } else {
      set.valid = SetAttributes::kMode;
      set.mode = 0600 | static_cast<uint32_t>(sim_.random.between(0, 077));
      after.at(file).mode = set.mode;
    }
    change(set, 0, after, {ref(file)});
  }

  void xattr() {
    const int file = any(Type::kFile);
    if (file == 0) return make(Type::kFile);
    const Bytes name = sim_.random.one_in(2) ? "user.a" : "user.b";
    auto& xattrs = tree_.at(file).xattrs;
    const auto known = xattrs.find(name);
    if (sim_.random.one_in(2)) {
      const Bytes value = known == xattrs.end() ? Bytes() : known->second;
      return question(GetXattr{ref(file), XattrName(name), {}}, known == xattrs.end() ? ENODATA : 0,
                      [value](const Completion& c) -> std::string {
                        const auto reply = decode<XattrReply>(c.body.view());
                        return reply && BytesView(reply->value) == value ? "" : "another value";
                      });
    }
    TreeModel after = tree_;
    const Bytes value = fmt::format("{:x}", sim_.random.next());
    after.at(file).xattrs[name] = value;
    change(SetXattr{ref(file), XattrName(name), XattrValue(value), 0, {}, {}}, 0, after,
           {ref(file)});
  }

  // ---- questions ----

  void read() {
    const int file = any(Type::kFile, true);
    if (file == 0) return make(Type::kFile);
    const uint64_t offset = sim_.random.between(0, kOffsetMax);
    const auto length = static_cast<uint32_t>(sim_.random.between(1, 2 * kPieceMax));
    const Bytes& content = tree_.at(file).content;
    const Bytes expected = offset < content.size() ? content.substr(offset, length) : Bytes();
    question(Read{ref(file), offset, length, true}, 0,
             [expected, offset](const Completion& c) -> std::string {
               const BytesView got = c.bulk.view();
               if (got == expected) return "";
               const size_t at = static_cast<size_t>(
                   std::mismatch(got.begin(), got.end(), expected.begin(), expected.end()).first -
                   got.begin());
               return fmt::format("{} bytes at {}, expected {}; they differ from byte {} on",
                                  got.size(), offset, expected.size(), at);
             });
  }

  void get_attributes() {
    const int file = any(Type::kFile, true);
    if (file == 0) return make(Type::kFile);
    const ModelInode inode = tree_.at(file);
    question(GetAttributes{inode.ref}, 0, [inode](const Completion& c) -> std::string {
      const auto reply = decode<AttributesReply>(c.body.view());
      if (!reply) return "unreadable";
      const Attributes& a = reply->attributes;
      if (a.size_bytes != inode.content.size())
        return fmt::format("size {}, expected {}", a.size_bytes, inode.content.size());
      if (a.nlink != static_cast<uint32_t>(inode.nlink))
        return fmt::format("{} links, expected {}", a.nlink, inode.nlink);
      return (a.mode & 07777) == inode.mode ? "" : fmt::format("mode {:o}", a.mode);
    });
  }

  void list() {
    const int directory = any(Type::kDirectory);
    const ModelInode inode = tree_.at(directory);
    question(ReadDirectory{.inode = inode.ref, .max_bytes = 1 << 20}, 0,
             [this, inode](const Completion& c) -> std::string {
               const auto reply = decode<DirectoryReply>(c.body.view());
               if (!reply) return "unreadable";
               std::map<Bytes, InodeRef> seen;
               for (const DirectoryEntry& e : reply->entries)
                 if (e.name != "." && e.name != "..") seen[e.name] = e.inode;
               for (const auto& [name, id] : inode.entries) {
                 if (!seen.contains(name)) return name + " is missing";
                 if (seen[name] != ref(id)) return name + " is another inode";
               }
               return seen.size() == inode.entries.size() ? "" : "names that should not be there";
             });
  }

  void look_up() {
    const int directory = any(Type::kDirectory);
    const Name name = known_name(directory);
    const int inode = tree_.find(directory, name);
    const InodeRef expected = inode == 0 ? InodeRef{} : ref(inode);
    question(Lookup{ref(directory), name, {}}, inode == 0 ? ENOENT : 0,
             [expected](const Completion& c) -> std::string {
               const auto reply = decode<EntryReply>(c.body.view());
               return reply && reply->attributes.inode == expected ? "" : "another inode";
             });
  }

  ClientHost& client_;
  Simulation& sim_;
  TreeReader reader_;
  std::string top_;
  uint64_t sessions_lost_ = 0;
  TreeModel tree_, before_;
  bool before_known_ = false;  // the last change may not have happened, or be undone
  bool doubtful_ = false;
  bool lost_any_ = false;
  bool busy_ = false, stopped_ = false, checked_ = false;
};

}  // namespace

std::unique_ptr<Lane> make_tree_lane(ClientHost& client) {
  return std::make_unique<TreeLane>(client, client.world().sim);
}

}  // namespace pairfs::sim
