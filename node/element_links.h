// Elements over the network: a server for the elements that only this node reaches, and a channel
// to the partner's server. Each has a thread of its own, so that neither waits for the node's loop,
// nor the loop for a disk. Format of the messages: docs/protocol.md, "Elements of the partner".
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "common/header.h"
#include "common/map_store.h"
#include "common/transport.h"
#include "node/store/element_call.h"

namespace pairfs {

inline constexpr uint16_t kElementOp = 221;

// A file descriptor that wakes a Poller; any thread rings.
class Bell {
 public:
  Bell();
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  void ring();
  void silence();
  int fd() const { return fd_; }

 private:
  int fd_;
};

class ElementServer {
 public:
  // `paths`: directories that may be opened as they are; others only when they hold a superblock of
  // this cluster, or are empty and to be made. Throws std::runtime_error when the endpoint is
  // taken.
  ElementServer(Context& context, const std::string& endpoint, uint64_t cluster_id,
                std::set<std::string> paths);
  ~ElementServer();
  const std::string& endpoint() const { return endpoint_; }

 private:
  struct Work {
    std::vector<Bytes> envelope;
    MessageHeader header;
    ElementCall call;
    SharedBytes written;
  };
  struct Answer {
    std::vector<Bytes> envelope;
    MessageHeader header;
    ElementAnswer answer;
    SharedBytes read;
  };
  void serve();
  void work();
  ElementAnswer carry_out(const Work& work, Bytes* read);
  std::shared_ptr<Element> open(const ElementCall& call, std::string* why);
  bool is_stale(VolumeId volume, Epoch epoch);

  const uint64_t cluster_id_;
  const std::set<std::string> paths_;
  Socket socket_;
  const std::string endpoint_;
  Bell bell_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> waiting_;
  std::deque<Answer> answers_;
  std::map<std::string, std::shared_ptr<Element>> open_;  // by path
  std::map<VolumeId, Epoch> epochs_;  // the highest that called: older ones are refused
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// The partner's elements. One for a node; channel() makes the ends that elements use.
class ElementClient {
 public:
  ElementClient(Context& context, const std::string& endpoint, uint64_t cluster_id,
                Incarnation incarnation);
  ~ElementClient();
  // The partner serves its elements there from now on; calls under way end with EHOSTUNREACH. Any
  // thread. Throws as the constructor does.
  void move_to(Context& context, const std::string& endpoint);
  // The partner is alive, as something that it sent elsewhere shows. Any thread.
  void note_partner(Instant now) { heard_at_.store(now, std::memory_order_relaxed); }
  // Calls in the name of that epoch of the volume. The client must outlive the channel's calls.
  static std::shared_ptr<ElementChannel> channel(std::shared_ptr<ElementClient> client,
                                                 VolumeId volume, Epoch epoch);

 private:
  class Channel;
  struct Call {
    MessageHeader header;
    Bytes body;
    SharedBytes bulk;
    bool done = false;
    ElementAnswer answer;
    SharedBytes read;
  };
  ElementAnswer call(VolumeId volume, Epoch epoch, const ElementCall& call, SharedBytes written,
                     SharedBytes* read);
  void run();
  void fail_all(int error);

  const uint64_t cluster_id_;
  const Incarnation incarnation_;
  Socket socket_;
  Bell bell_;
  std::mutex mutex_;
  std::atomic<Instant> heard_at_{boot_now()};  // the partner, here or elsewhere
  std::optional<Socket> next_socket_;          // takes the place of socket_, which is the thread's
  std::condition_variable answered_;
  std::deque<std::shared_ptr<Call>> to_send_;
  std::map<uint64_t, std::shared_ptr<Call>> waiting_;  // by trace id
  uint64_t next_id_ = 1;
  bool connected_ = false, was_connected_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace pairfs
