// A session with a ZooKeeper ensemble, as far as the map store needs one. Calls are asynchronous:
// each ends in one Event with its ticket, taken by the owner's loop when fd() is readable. Made
// again by maintain() when the session has expired. One thread, the owner's (the library's own
// threads only fill the inbox). zookeeper_connection.cc is the one file that includes zookeeper.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs {

class ZooKeeperConnection {
 public:
  enum class Code {
    kDone,
    kAbsent,  // the node, or its parent
    kExists,
    kWrongVersion,
    kUnknown,  // not connected, or lost meanwhile: it may have happened
  };
  struct Event {
    uint64_t ticket = 0;  // 0: the session's state changed, or a watch fired
    Code code = Code::kUnknown;
    Bytes value;                     // of get()
    int64_t version = 0;             // of get(): the node's; of swap(): the counter's
    std::vector<std::string> names;  // of children()
  };

  // `hosts`: "host:port[,host:port...]".
  explicit ZooKeeperConnection(std::string hosts);
  ~ZooKeeperConnection();
  ZooKeeperConnection(const ZooKeeperConnection&) = delete;
  ZooKeeperConnection& operator=(const ZooKeeperConnection&) = delete;

  int fd() const;
  std::vector<Event> take_events();
  // Opens the session anew when there is none. Call at each wake-up.
  void maintain(Instant now);
  bool connected() const;

  // `watch`: an Event with ticket 0 when the node changes; a hint only.
  void get(uint64_t ticket, const std::string& path, bool watch);
  void children(uint64_t ticket, const std::string& path);
  void create(uint64_t ticket, const std::string& path, const Bytes& value);
  // In one step: creates `path` (expected_version -1) or sets it when it has that version, and
  // counts `counter` up.
  void swap(uint64_t ticket, const std::string& path, const Bytes& value, int64_t expected_version,
            const std::string& counter);

 private:
  struct Inbox;
  struct Call;
  struct Callbacks;
  Call* begin(uint64_t ticket);
  void end(Call* call, int started);
  void open();
  void close();

  const std::string hosts_;
  const std::unique_ptr<Inbox> inbox_;
  void* handle_ = nullptr;
  Instant open_again_{};
};

}  // namespace pairfs
