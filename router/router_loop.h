// The router's shell: the clients' socket, one socket per node, the map client, and, in the router
// that holds the map, the map's socket. It carries out what RouterCore decides. One thread owns it
// and calls run(); nothing blocks in it but the wait for messages (and the disk, in a map swap).
//
// It can run inside another process, in the thread of its one client: without an address to listen
// at, with that thread's Poller, and with submit() and step() in place of the clients' socket and
// run().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/logging.h"
#include "common/map_store.h"
#include "common/transport.h"
#include "router/map_server.h"
#include "router/router_config.h"
#include "router/router_core.h"

namespace pairfs {

class RouterLoop {
 public:
  // Listens, unless settings.listen is empty; `map_store` is null when the router holds no map.
  // `shared`: somebody else's Poller, which then waits for this. Throws std::runtime_error with a
  // sentence when an endpoint cannot be used.
  RouterLoop(Context& context, RouterSettings settings, std::unique_ptr<FileMapStore> map_store,
             Poller* shared = nullptr);
  RouterLoop(const RouterLoop&) = delete;
  RouterLoop& operator=(const RouterLoop&) = delete;

  // As bound, with the port that was chosen; map_endpoint is empty when there is none.
  const std::string& endpoint() const { return settings_.listen; }
  std::string map_endpoint() const;

  // Serves until `stop_fd` is readable.
  void run(int stop_fd);
  // Handles what has come, at most a batch of each socket; true when there may be more.
  bool step(Instant now);
  Instant next_wake() const;

  // ---- without a socket for clients ----
  // A message of the one client; its answer comes from take_answers(), maybe at once.
  void submit(SharedBytes head, SharedBytes bulk, Instant now);
  std::vector<Message> take_answers() { return std::exchange(answers_, {}); }

 private:
  struct NodeLink {
    NodeInfo info;
    Socket socket;
    uint64_t dropped_before = 0;
  };

  // Each handles at most a batch; true when there may be more.
  bool drain_clients(Instant now);
  bool drain_node(NodeLink& link, Instant now);
  bool drain_map(Instant now);
  void on_client_message(const Message& message, Instant now);
  void answer(const std::vector<Bytes>& envelope, const SharedBytes& head,
              const SharedBytes& bulk = {});
  void read_links(NodeLink& link);
  void send_answers(Instant now);
  void send_refusals(std::vector<RouterCore::Refusal> refusals);
  void take_map();
  void connect_nodes(const std::vector<NodeInfo>& nodes);
  void note_malformed(const char* where, const char* why, uint64_t count, Instant now);
  void note_dropped(const Socket& socket, uint64_t* before, const char* where, Instant now);
  Bytes status_json(Instant now) const;

  Context& context_;
  RouterSettings settings_;
  RouterCore core_;
  MapReadService reads_;  // of the copy, for clients
  std::optional<Socket> clients_;
  std::vector<Message> answers_;  // for submit()'s client
  uint64_t clients_dropped_before_ = 0;
  std::unique_ptr<MapServer> map_server_;
  std::unique_ptr<Socket> map_socket_;
  uint64_t map_dropped_before_ = 0;
  std::unique_ptr<MapClient> map_client_;
  std::map<std::string, std::unique_ptr<NodeLink>> nodes_;
  std::unique_ptr<Poller> own_poller_;
  Poller& poller_;
  LogLimiter malformed_limiter_{std::chrono::seconds(10)};
};

}  // namespace pairfs
