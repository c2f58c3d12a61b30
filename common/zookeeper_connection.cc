#include "common/zookeeper_connection.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "common/ensure.h"
#include "common/logging.h"

namespace pairfs {
namespace {

using namespace std::chrono_literals;

constexpr int kSessionTimeoutMs = 4000;  // a silent server is left after two thirds of it
constexpr Duration kOpenPause = 200ms;

zhandle_t* as_handle(void* handle) { return static_cast<zhandle_t*>(handle); }

void to_log(const char* message) {
  log_debug("zookeeper.message", "text=\"{}\"", printable(message));
}

ZooKeeperConnection::Code code_of(int rc) {
  using Code = ZooKeeperConnection::Code;
  switch (rc) {
    case ZOK:
      return Code::kDone;
    case ZNONODE:
      return Code::kAbsent;
    case ZNODEEXISTS:
      return Code::kExists;
    case ZBADVERSION:
      return Code::kWrongVersion;
    default:
      return Code::kUnknown;
  }
}

}  // namespace

// Written by the library's threads, read by the owner's.
struct ZooKeeperConnection::Inbox {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::mutex mutex;
  std::vector<Event> events;
  std::atomic<bool> connected{false};
  std::atomic<bool> expired{false};

  ~Inbox() { ::close(fd); }
  void put(Event event) {
    {
      const std::lock_guard lock(mutex);
      events.push_back(std::move(event));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t told = ::write(fd, &one, sizeof one);
  }
};

// What a call keeps until its completion, which frees it.
struct ZooKeeperConnection::Call {
  Inbox* inbox;
  Event event;
  std::string path, counter;
  Bytes value;
  zoo_op_t operations[2]{};
  zoo_op_result_t results[2]{};
  Stat counted{};

  void finish(int rc) {
    event.code = code_of(rc);
    inbox->put(std::move(event));
    delete this;
  }
  static Call* of(const void* data) { return const_cast<Call*>(static_cast<const Call*>(data)); }
};

// On the library's threads.
struct ZooKeeperConnection::Callbacks {
  static void watched(zhandle_t*, int type, int state, const char*, void* context) {
    auto* inbox = static_cast<Inbox*>(context);
    if (type == ZOO_SESSION_EVENT) {
      inbox->connected = state == ZOO_CONNECTED_STATE;
      if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE)
        inbox->expired = true;
    }
    inbox->put({});
  }
  static void got(int rc, const char* value, int length, const Stat* stat, const void* data) {
    Call* call = Call::of(data);
    if (rc == ZOK) {
      if (length > 0) call->event.value.assign(value, static_cast<size_t>(length));
      call->event.version = stat->version;
    }
    call->finish(rc);
  }
  static void listed(int rc, const String_vector* names, const void* data) {
    Call* call = Call::of(data);
    for (int32_t i = 0; rc == ZOK && i < names->count; ++i)
      call->event.names.emplace_back(names->data[i]);
    call->finish(rc);
  }
  static void created(int rc, const char*, const void* data) { Call::of(data)->finish(rc); }
  static void swapped(int rc, const void* data) {
    Call* call = Call::of(data);
    call->event.version = call->counted.version;
    call->finish(rc);
  }
};

ZooKeeperConnection::ZooKeeperConnection(std::string hosts)
    : hosts_(std::move(hosts)), inbox_(std::make_unique<Inbox>()) {
  ENSURE(inbox_->fd >= 0, "eventfd: {}", std::strerror(errno));
  zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
  zoo_deterministic_conn_order(0);
}

ZooKeeperConnection::~ZooKeeperConnection() { close(); }

int ZooKeeperConnection::fd() const { return inbox_->fd; }
bool ZooKeeperConnection::connected() const { return handle_ != nullptr && inbox_->connected; }

std::vector<ZooKeeperConnection::Event> ZooKeeperConnection::take_events() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t cleared = ::read(inbox_->fd, &count, sizeof count);
  const std::lock_guard lock(inbox_->mutex);
  return std::exchange(inbox_->events, {});
}

void ZooKeeperConnection::maintain(Instant now) {
  if (inbox_->expired) {
    log_warn("zookeeper.session_expired", "hosts={}", printable(hosts_));
    close();
  }
  if (handle_ != nullptr || now < open_again_) return;
  open_again_ = now + kOpenPause;
  open();
}

// Fails when no host's name can be resolved: tried again later.
void ZooKeeperConnection::open() {
  handle_ = zookeeper_init2(hosts_.c_str(), Callbacks::watched, kSessionTimeoutMs, nullptr,
                            inbox_.get(), 0, to_log);
}

void ZooKeeperConnection::close() {
  if (handle_ != nullptr) zookeeper_close(as_handle(handle_));
  handle_ = nullptr;
  inbox_->connected = false;
  inbox_->expired = false;
}

ZooKeeperConnection::Call* ZooKeeperConnection::begin(uint64_t ticket) {
  Call* call = new Call;
  call->inbox = inbox_.get();
  call->event.ticket = ticket;
  return call;
}

// `started`: what the library said; unless it took the call, no completion follows.
void ZooKeeperConnection::end(Call* call, int started) {
  if (started != ZOK) call->finish(ZCONNECTIONLOSS);
}

void ZooKeeperConnection::get(uint64_t ticket, const std::string& path, bool watch) {
  Call* call = begin(ticket);
  end(call, zoo_aget(as_handle(handle_), path.c_str(), watch ? 1 : 0, Callbacks::got, call));
}

void ZooKeeperConnection::children(uint64_t ticket, const std::string& path) {
  Call* call = begin(ticket);
  end(call, zoo_aget_children(as_handle(handle_), path.c_str(), 0, Callbacks::listed, call));
}

void ZooKeeperConnection::create(uint64_t ticket, const std::string& path, const Bytes& value) {
  Call* call = begin(ticket);
  end(call,
      zoo_acreate(as_handle(handle_), path.c_str(), value.data(), static_cast<int>(value.size()),
                  &ZOO_OPEN_ACL_UNSAFE, 0, Callbacks::created, call));
}

void ZooKeeperConnection::swap(uint64_t ticket, const std::string& path, const Bytes& value,
                               int64_t expected_version, const std::string& counter) {
  Call* call = begin(ticket);
  call->path = path;
  call->counter = counter;
  call->value = value;
  const int length = static_cast<int>(call->value.size());
  if (expected_version < 0)
    zoo_create_op_init(&call->operations[0], call->path.c_str(), call->value.data(), length,
                       &ZOO_OPEN_ACL_UNSAFE, 0, nullptr, 0);
  else
    zoo_set_op_init(&call->operations[0], call->path.c_str(), call->value.data(), length,
                    static_cast<int>(expected_version), nullptr);
  zoo_set_op_init(&call->operations[1], call->counter.c_str(), "", 0, -1, &call->counted);
  end(call,
      zoo_amulti(as_handle(handle_), 2, call->operations, call->results, Callbacks::swapped, call));
}

}  // namespace pairfs
