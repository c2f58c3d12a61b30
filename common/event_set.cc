#include "common/event_set.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "common/ensure.h"
#include "common/map_store.h"

namespace pairfs {
namespace {

constexpr int kEventsMax = 64;  // taken per wait; the rest is there at the next one
constexpr Duration kStandstill = std::chrono::seconds(4);

// Plain descriptors are told from the addresses of Watched, which are even, by their lowest bit.
uint64_t plain(int fd) { return static_cast<uint64_t>(fd) << 1 | 1; }

}  // namespace

EventSet::EventSet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), now_(boot_now()) {
  ENSURE(epoll_ >= 0, "epoll_create1: {}", std::strerror(errno));
}
EventSet::~EventSet() { ::close(epoll_); }

void EventSet::watch(int fd, uint32_t events, Watched& watched) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<uintptr_t>(&watched);
  ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl: {}",
         std::strerror(errno));
}
void EventSet::change(int fd, uint32_t events, Watched& watched) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = reinterpret_cast<uintptr_t>(&watched);
  ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0, "epoll_ctl: {}",
         std::strerror(errno));
}
void EventSet::watch_plain(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = plain(fd);
  ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl: {}",
         std::strerror(errno));
}
void EventSet::forget(int fd) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  std::erase(ready_fds_, fd);
}

void EventSet::add(EventSource& source) { sources_.push_back(&source); }
void EventSet::remove(EventSource& source) { std::erase(sources_, &source); }

void EventSet::wait(Duration timeout) {
  ready_fds_.clear();
  const Instant before = boot_now();
  bool at_once = timeout <= Duration::zero();
  Instant due = Instant::max();
  for (EventSource* source : sources_) {
    at_once |= source->before_wait(before);
    due = std::min(due, source->next_tick());
  }
  if (at_once) timeout = Duration::zero();
  if (due != Instant::max()) timeout = std::min(timeout, std::max(due - before, Duration::zero()));
  const int64_t rounded_up_ms = timeout.count() / 1'000'000 + (timeout.count() % 1'000'000 > 0);
  epoll_event events[kEventsMax];
  const int count = ::epoll_wait(epoll_, events, kEventsMax,
                                 static_cast<int>(std::clamp<int64_t>(rounded_up_ms, 0, INT_MAX)));
  for (int i = 0; i < count; ++i) {
    const uint64_t data = events[i].data.u64;
    if ((data & 1) != 0)
      ready_fds_.push_back(static_cast<int>(data >> 1));
    else
      reinterpret_cast<Watched*>(static_cast<uintptr_t>(data))->on_events(events[i].events);
  }
  const Instant last = now_;
  now_ = rounded_up_ms == 0 ? before : boot_now();
  if (count > 0)
    for (EventSource* source : sources_) source->after_wait();
  if (now_ < due) return;
  const bool stood_still = now_ - std::max(last, due) > kStandstill;
  for (EventSource* source : sources_)
    if (source->next_tick() <= now_) source->tick(now_, stood_still);
}

}  // namespace pairfs
