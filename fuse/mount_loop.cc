#include "fuse/mount_loop.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <sstream>
#include <stdexcept>

#include "common/logging.h"
#include "common/map_store.h"
#include "fuse/mount_point.h"

namespace pairfs {
namespace {

constexpr size_t kRequestsPerWake = 64;
constexpr size_t kReadAheadBytes = 4 * kIoMaxBytes;  // several requests under way
constexpr size_t kMessagesPerWake = 256;
constexpr Duration kInitLimit = std::chrono::seconds(5);
// What mapped pages still hold is written back within this time after a stop, then the rest goes.
constexpr Duration kUnmountLimit = std::chrono::seconds(3);
constexpr Duration kCloseLimit = std::chrono::seconds(2);

constexpr char kNoAnswer[] = "its servers do not answer; check them, or wait with -o wait";
constexpr size_t kRoutersMax = 64;  // that one mount connects to

// Of who mounts: the way into a subtree is theirs to walk.
Credentials own_credentials() {
  Credentials out;
  out.uid = ::geteuid();
  out.gid = ::getegid();
  std::vector<gid_t> groups(static_cast<size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<size_t>(std::max(count, 0)));
  out.groups = CappedList<uint32_t, 65536>(groups.begin(), groups.end());
  return out;
}

uint64_t random_word() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

ClientCore::Settings core_settings(const MountSettings& settings) {
  ClientCore::Settings out;
  out.incarnation = random_word() | 1;
  out.random_seed = random_word();
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  out.host = host;
  out.mount = settings.path;
  out.routers = settings.routers.size();
  out.retry_limit = settings.retry_limit;
  out.cache = settings.cache;
  out.write_behind = settings.write_behind;
  return out;
}

}  // namespace

MountLoop::MountLoop(Context& context, const MountSettings& settings, StopSignal& stop)
    : context_(context),
      settings_(settings),
      stop_(stop),
      core_(core_settings(settings)),
      mount_(core_, {settings.update_atime, settings.kernel_permissions}),
      endpoints_(settings.routers) {
  for (const std::string& router : settings_.routers)
    sockets_.push_back(Socket::client(context, router));
  for (const auto& socket : sockets_) poller_.add(*socket);
  poller_.add_fd(stop_.fd());
}

MountLoop::~MountLoop() = default;

bool MountLoop::find_cluster(Duration limit) {
  const Instant until = limit == Duration::max() ? Instant::max() : boot_now() + limit;
  while (!core_.map()) {
    const Instant now = boot_now();
    if (now >= until || stop_.requested()) return false;
    step(until - now);
  }
  return true;
}

template <class C>
std::optional<Outcome<C>> MountLoop::ask(const C& command, Instant until) {
  std::optional<Outcome<C>> answer;
  mount_.caller.set_now(boot_now());
  const Ticket ticket =
      mount_.caller.call<C>(command, [&](Outcome<C> outcome) { answer = std::move(outcome); });
  perform();
  while (!answer && !stop_.requested() && boot_now() < until) step(until - boot_now());
  if (!answer) mount_.caller.forget(ticket);
  return answer;
}

bool MountLoop::enter_subtree(Duration limit, std::string* why) {
  const Instant until = limit == Duration::max() ? Instant::max() : boot_now() + limit;
  const auto refuse = [&](const std::string& at, const std::string& reason) {
    *why = fmt::format("cannot mount {} of the cluster: {}: {}", settings_.subtree, at, reason);
    return false;
  };
  InodeRef directory = kRootInode;
  std::string walked;
  std::istringstream names(settings_.subtree);
  for (std::string name; std::getline(names, name, '/');) {
    if (name.empty()) continue;
    walked += "/" + name;
    if (name.size() > kNameMaxBytes) return refuse(walked, std::strerror(ENAMETOOLONG));
    Lookup lookup;
    lookup.parent = directory;
    lookup.name = name;
    lookup.credentials = own_credentials();
    const auto found = ask(lookup, until);
    if (!found) return refuse(walked, kNoAnswer);
    if (!found->ok()) return refuse(walked, std::strerror(found->error));
    if (!S_ISDIR(found->reply.attributes.mode)) return refuse(walked, std::strerror(ENOTDIR));
    directory = found->reply.attributes.inode;
  }
  mount_.nodes.set_root(directory);
  return true;
}

bool MountLoop::take_root(Duration limit, std::string* why) {
  const Instant until = limit == Duration::max() ? Instant::max() : boot_now() + limit;
  const auto fail = [&](const std::string& reason) {
    *why = fmt::format("cannot give the cluster's root directory to its user: {}", reason);
    return false;
  };
  const auto root = ask(GetAttributes{kRootInode}, until);
  if (!root) return fail(kNoAnswer);
  if (!root->ok()) return fail(std::strerror(root->error));
  if (root->reply.attributes.uid != 0) return true;
  SetAttributes take;  // as root, who alone may
  take.inode = kRootInode;
  take.valid = SetAttributes::kUid | SetAttributes::kGid;
  take.uid = ::geteuid();
  take.gid = ::getegid();
  const auto taken = ask(take, until);
  if (!taken) return fail(kNoAnswer);
  if (!taken->ok()) return fail(std::strerror(taken->error));
  return true;
}

bool MountLoop::embed_router(std::string* why) {
  ENSURE(core_.map(), "no map yet");
  std::vector<std::string> map_endpoints = endpoints_;
  for (const RouterInfo& router : core_.map()->routers)
    if (!router.map_endpoint.empty()) map_endpoints.push_back(router.map_endpoint);
  embedded_ = make_embedded_router(context_, poller_, core_.map()->cluster_id, map_endpoints, why);
  if (!embedded_) return false;
  sockets_.emplace_back();
  endpoints_.emplace_back();
  embedded_index_ = core_.add_router(true);
  core_.link_changed(embedded_index_, true, boot_now());
  return true;
}

size_t MountLoop::add_router(const std::string& endpoint) {
  sockets_.emplace_back(Socket::client(context_, endpoint));
  endpoints_.push_back(endpoint);
  poller_.add(*sockets_.back());
  return core_.add_router(false);
}

// The routers that the mount was told are only the way to the map, which names them all.
void MountLoop::learn_routers() {
  if (!core_.map() || core_.map_version() == learned_version_) return;
  learned_version_ = core_.map_version();
  for (const RouterInfo& router : core_.map()->routers) {
    const auto known = std::find(endpoints_.begin(), endpoints_.end(), router.endpoint);
    if (known != endpoints_.end() || router.endpoint.empty()) continue;
    if (endpoints_.size() >= kRoutersMax) return;
    try {
      add_router(router.endpoint);
      log_info("router.learned", "endpoint={}", printable(router.endpoint));
    } catch (const std::runtime_error& error) {
      log_warn("router.unusable", "endpoint={} error=\"{}\"", printable(router.endpoint),
               printable(error.what()));
    }
  }
}

bool MountLoop::mount(std::string* why) {
  std::vector<std::string> options = settings_.kernel_options;
  options.push_back("fsname=" + settings_.fsname);
  options.push_back("subtype=pairfs");
  if (settings_.allow_other) options.push_back("allow_other");
  if (settings_.kernel_permissions) options.push_back("default_permissions");
  if (settings_.read_only) options.push_back("ro");
  device_ = FuseDevice::open(mount_, settings_.path, options, why);
  if (!device_) return false;
  poller_.add_fd(device_->fd());
  const Instant until = boot_now() + kInitLimit;
  while (!device_->initialised() && phase_ == Phase::kServing && boot_now() < until)
    step(std::chrono::milliseconds(100));
  if (device_->initialised()) {
    raise_read_ahead(settings_.path, kReadAheadBytes);
    return true;
  }
  std::string ignored;
  if (phase_ == Phase::kServing) unmount(settings_.path, true, &ignored);
  *why = fmt::format("the kernel did not open the mount on {}", settings_.path);
  return false;
}

void MountLoop::step(Duration limit) {
  Instant at =
      std::min({core_.next_wake(), mount_.interrupts.next_wake(), mount_.holds.next_wake()});
  if (phase_ == Phase::kUnmounting) at = std::min(at, unmount_until_);
  if (embedded_) at = std::min(at, embedded_->next_wake());
  Instant now = boot_now();
  if (at != Instant::max()) limit = std::min(limit, std::max(at - now, Duration::zero()));
  poller_.wait(std::min<Duration>(limit, std::chrono::seconds(60)));
  now = boot_now();
  mount_.caller.set_now(now);
  if (poller_.fd_ready(stop_.fd()) && stop_.requested() && phase_ == Phase::kServing && device_)
    begin_unmount();
  serve_sockets();
  if (device_ && phase_ != Phase::kDone && poller_.fd_ready(device_->fd()) &&
      !device_->process(kRequestsPerWake))
    phase_ = Phase::kDone;
  if (phase_ == Phase::kUnmounting && now >= unmount_until_) phase_ = Phase::kDone;
  learn_routers();
  core_.wake(now);
  mount_.interrupts.wake(now);
  mount_.end_holds();
  perform();
}

void MountLoop::serve_sockets() {
  const Instant now = mount_.caller.now();
  for (size_t router = 0; router < sockets_.size(); ++router) {
    if (!sockets_[router]) continue;
    for (const Socket::LinkEvent event : sockets_[router]->link_events()) {
      const bool connected = event == Socket::LinkEvent::kConnected;
      log_info("router.link", "endpoint={} connected={}", printable(endpoints_[router]), connected);
      core_.link_changed(router, connected, now);
    }
    for (size_t i = 0; i < kMessagesPerWake; ++i) {
      const auto message = sockets_[router]->receive();
      if (!message) break;
      core_.message_received(message->head, message->bulk, now);
    }
  }
  if (!embedded_) return;
  while (embedded_->step(now)) {
  }
  take_embedded_answers();
}

void MountLoop::take_embedded_answers() {
  for (const Message& answer : embedded_->take_answers())
    core_.message_received(answer.head, answer.bulk, mount_.caller.now());
}

// Callbacks submit more commands, whose messages go out at once.
void MountLoop::perform() {
  bool more = true;
  while (more) {
    more = mount_.caller.deliver();
    // A message that the socket does not take is lost; its timeout sends it again.
    for (ClientCore::Send& send : core_.take_sends()) {
      more = true;
      if (sockets_[send.router])
        sockets_[send.router]->send({}, std::move(send.head), std::move(send.bulk));
      else
        embedded_->submit(std::move(send.head), std::move(send.bulk), mount_.caller.now());
    }
    if (embedded_) take_embedded_answers();
  }
}

// The kernel writes back mapped pages on unmount, through this loop: another thread has to wait
// for it. A mount in use is detached, and its users get ENOTCONN when this process ends.
void MountLoop::begin_unmount() {
  log_info("mount.stopping", "path={}", printable(settings_.path));
  phase_ = Phase::kUnmounting;
  unmount_until_ = boot_now() + kUnmountLimit;
  unmounter_ = std::jthread([path = settings_.path] {
    std::string why;
    if (!unmount(path, false, &why)) unmount(path, true, &why);
  });
}

void MountLoop::run() {
  while (phase_ != Phase::kDone) step(Duration::max());
  poller_.remove_fd(device_->fd());
  close_sessions();
  device_.reset();
  log_info("mount.stopped", "path={}", printable(settings_.path));
}

void MountLoop::close_sessions() {
  const Instant until = boot_now() + kCloseLimit;
  while (core_.has_writes_behind() && boot_now() < until) step(until - boot_now());
  mount_.caller.set_now(boot_now());
  core_.close_sessions(mount_.caller.now());
  perform();
  while (!core_.sessions_ended() && boot_now() < until) step(until - boot_now());
}

}  // namespace pairfs
