// What one epoll descriptor watches for the sockets of a thread, and the times at which they want
// to be looked at. A Poller drives one; a Socket that no Poller has drives its own.
#pragma once

#include <sys/epoll.h>

#include <vector>

#include "common/types.h"

namespace pairfs {

// One of a socket's descriptors. Called from EventSet::wait(); only notes what it is told.
class Watched {
 public:
  virtual ~Watched() = default;
  virtual void on_events(uint32_t events) = 0;
};

// A socket, as an EventSet sees it.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // Sends what was gathered. True: there is something to take, so nobody may sleep.
  virtual bool before_wait(Instant now) = 0;
  virtual void after_wait() = 0;
  virtual Instant next_tick() const = 0;
  virtual void tick(Instant now, bool stood_still) = 0;
};

class EventSet {
 public:
  EventSet();
  ~EventSet();
  EventSet(const EventSet&) = delete;
  EventSet& operator=(const EventSet&) = delete;

  void watch(int fd, uint32_t events, Watched& watched);
  void change(int fd, uint32_t events, Watched& watched);
  void watch_plain(int fd);  // for ready_fds() only
  void forget(int fd);
  void add(EventSource& source);
  void remove(EventSource& source);

  // Waits for at most `timeout` (rounded up to 1 ms; what is not positive does not wait).
  void wait(Duration timeout);
  const std::vector<int>& ready_fds() const { return ready_fds_; }
  Instant now() const { return now_; }  // of the last wait

  bool driven = false;  // by a Poller

 private:
  int epoll_;
  std::vector<EventSource*> sources_;
  std::vector<int> ready_fds_;
  Instant now_;
};

}  // namespace pairfs
