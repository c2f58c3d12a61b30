// What stands behind a Socket (transport.h, where each call is described): libzmq's socket for tcp
// (zeromq_socket.cc), or streams of our own on one machine (stream_socket.cc). Both speak ZMTP.
#pragma once

#include <memory>
#include <string>

#include "common/event_set.h"
#include "common/transport.h"

namespace pairfs {

class SocketImpl : public EventSource {
 public:
  using LinkEvent = Socket::LinkEvent;
  virtual bool send(const std::vector<Bytes>& envelope, const SharedBytes& head,
                    const SharedBytes& bulk) = 0;
  virtual std::optional<Message> receive() = 0;
  virtual std::vector<LinkEvent> take_link_events() = 0;
  virtual void work() = 0;
  virtual uint64_t dropped() const = 0;
  virtual const std::string& endpoint() const = 0;
  // From now on these watch its descriptors.
  virtual void move_to(std::shared_ptr<EventSet> events) = 0;
};

// Both throw std::runtime_error with a sentence when the endpoint cannot be had.
std::unique_ptr<SocketImpl> make_zeromq_socket(Context& context, const std::string& endpoint,
                                               bool is_server);
std::unique_ptr<SocketImpl> make_stream_socket(Context& context, const std::string& endpoint,
                                               bool is_server);

// A fresh routing id per life, so that a server never takes a socket for its predecessor.
Bytes random_identity();

// A context of libzmq, ended with its last owner.
std::shared_ptr<void> make_zeromq_context();

}  // namespace pairfs
