// Random commands on few names, so that they meet: the rows must stay sound, and a replay of the
// log must give the same outcomes and the same state. PAIRFS_TEST_SEED runs one seed.
#include <linux/falloc.h>
#include <linux/fs.h>

#include <cstdlib>
#include <random>

#include "common/acl.h"
#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::user;
using pairfs::test::VolumeHarness;

namespace {

class RandomClient {
 public:
  explicit RandomClient(uint64_t seed) : random_(seed) { known_.push_back(kRootInode); }

  void step() {
    v_.now += std::chrono::milliseconds(below(300));
    if (below(20) != 0) v_.wall.nanoseconds = static_cast<uint32_t>(below(1'000'000'000));
    switch (below(20)) {
      case 0:
      case 1:
        make();
        break;
      case 2:
        made(v_.send(CreateFile{.parent = any(),
                                .name = name(),
                                .mode = 0666,
                                .umask = 022,
                                .flags = below(2) ? uint32_t{O_RDWR} : O_RDWR | O_TRUNC,
                                .credentials = who()}));
        break;
      case 3:
        made(v_.send(
            MakeDirectory{.parent = any(), .name = name(), .mode = 0777, .credentials = who()}));
        break;
      case 4:
        made(v_.send(MakeLink{.inode = any(), .parent = any(), .name = name()}));
        break;
      case 5:
      case 6:
        v_.send(Unlink{.parent = any(), .name = name(), .credentials = who()});
        break;
      case 7:
        v_.send(RemoveDirectory{.parent = any(), .name = name()});
        break;
      case 8:
      case 9:
        v_.send(Rename{any(),
                       name(),
                       any(),
                       name(),
                       below(4) == 0 ? uint32_t{RENAME_EXCHANGE} : 0,
                       who(),
                       {}});
        break;
      case 10:
      case 11:
        write();
        break;
      case 12:
        v_.send(SetAttributes{
            .inode = any(), .valid = SetAttributes::kSize, .size_bytes = below(100'000)});
        break;
      case 13:
        allocate();
        break;
      case 14:
        v_.send(CopyRange{
            any(), below(50'000), any(), below(50'000), below(30'000), below(2) == 0, who(), {}});
        break;
      case 15:
        v_.send(SetAttributes{.inode = any(),
                              .valid = SetAttributes::kMode,
                              .mode = static_cast<uint32_t>(below(010000))});
        break;
      case 16:
        open_or_close();
        break;
      case 17:
        xattr();
        break;
      case 18:
        lock();
        break;
      default:
        v_.run_follow_ups();
        for (const auto& input : v_.executor->take_granted()) v_.execute(input);
    }
  }
  VolumeHarness& volume() { return v_; }

 private:
  uint64_t below(uint64_t limit) { return random_() % limit; }
  InodeRef any() { return known_[below(known_.size())]; }
  Name name() { return Name(std::string(1, static_cast<char>('a' + below(6)))); }
  Credentials who() { return below(5) == 0 ? user(5, 5, {6}) : Credentials{}; }
  template <class A>
  void made(const A& answer) {
    if (answer.error != 0) return;
    if (known_.size() < 30)
      known_.push_back(answer.reply.attributes.inode);
    else
      known_[1 + below(29)] = answer.reply.attributes.inode;
  }
  void make() { made(v_.send(MakeNode{.parent = any(), .name = name(), .mode = S_IFREG | 0644})); }
  void write() {
    v_.send(Write{.inode = any(),
                  .offset_bytes = below(60'000),
                  .append = below(3) == 0,
                  .clear_privileges = below(2) == 0,
                  .credentials = who()},
            VolumeHarness::kClient, Bytes(below(20'000), static_cast<char>('a' + below(26))));
  }
  void allocate() {
    constexpr uint32_t kModes[] = {0, FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    v_.send(Allocate{.inode = any(),
                     .mode = kModes[below(5)],
                     .offset_bytes = below(100'000),
                     .length_bytes = 1 + below(50'000),
                     .clear_privileges = below(2) == 0,
                     .credentials = who()});
  }
  void open_or_close() {
    if (below(2) == 0)
      v_.open(any(), O_RDONLY);
    else
      v_.close(any());
  }
  void xattr() {
    const XattrName xattr_name(below(3) == 0 ? "security.capability"
                                             : "user." + std::to_string(below(3)));
    if (below(3) == 0) {
      v_.send(RemoveXattr{.inode = any(), .name = xattr_name});
    } else if (below(3) == 0) {
      const Acl acl{{AclEntry::kUserObj, 7},
                    {AclEntry::kUser, 6, 5},
                    {AclEntry::kGroupObj, 5},
                    {AclEntry::kMask, static_cast<uint16_t>(below(8))},
                    {AclEntry::kOther, 1}};
      v_.send(SetXattr{.inode = any(),
                       .name = XattrName(below(2) == 0 ? kAccessAclName : kDefaultAclName),
                       .value = encode_acl(acl)});
    } else {
      v_.send(SetXattr{.inode = any(), .name = xattr_name, .value = Bytes(below(50), 'v')});
    }
  }
  void lock() {
    constexpr uint8_t kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
    const uint64_t start = below(100);
    v_.send_as(SetLock{.inode = any(),
                       .range = {kTypes[below(3)], start, start + below(50), below(4), 1},
                       .whole_file = below(4) == 0,
                       .wait = below(2) == 0},
               {VolumeHarness::kClient, static_cast<uint32_t>(6 + below(20)), ++lock_sequence_});
  }

  std::mt19937_64 random_;
  VolumeHarness v_;
  std::vector<InodeRef> known_;
  uint64_t lock_sequence_ = 0;
};

void run_seed(uint64_t seed) {
  CAPTURE(seed);
  RandomClient client(seed);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 300; ++i) client.step();
    client.volume().check_replay(round == 2);
  }
}
}  // namespace

TEST_CASE("random commands keep the volume sound, and replay to the same state") {
  if (const char* seed = std::getenv("PAIRFS_TEST_SEED")) {
    run_seed(std::strtoull(seed, nullptr, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= 20; ++seed) run_seed(seed);
}
