#include "common/name_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace pairfs {
namespace {
constexpr int kThreadsMax = 8;
constexpr auto kIdleMax = std::chrono::seconds(10);
}  // namespace

std::vector<std::string> resolve_by_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  std::vector<std::string> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[INET_ADDRSTRLEN];
    const auto* address = reinterpret_cast<const sockaddr_in*>(at->ai_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr)
      addresses.emplace_back(text);
  }
  ::freeaddrinfo(found);
  return addresses;
}

// What the threads have, who may outlive the NameLookup: getaddrinfo cannot be interrupted.
struct NameLookup::Shared {
  ResolveHost resolve;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<Question>> waiting;
  int threads = 0, idle = 0;
  bool ended = false;
};

NameLookup::NameLookup(ResolveHost resolve) : shared_(std::make_shared<Shared>()) {
  shared_->resolve = std::move(resolve);
}

NameLookup::~NameLookup() {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->ended = true;
  }
  shared_->wake.notify_all();
}

std::shared_ptr<const NameLookup::Question> NameLookup::ask(const std::string& host) {
  auto question = std::make_shared<Question>();
  question->host = host;
  std::lock_guard lock(shared_->mutex);
  shared_->waiting.push_back(question);
  if (shared_->waiting.size() > static_cast<size_t>(shared_->idle) &&
      shared_->threads < kThreadsMax) {
    ++shared_->threads;
    std::thread([shared = shared_] { work(shared); }).detach();
  }
  shared_->wake.notify_one();
  return question;
}

void NameLookup::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle;
    const bool woken = shared->wake.wait_for(
        lock, kIdleMax, [&] { return shared->ended || !shared->waiting.empty(); });
    --shared->idle;
    if (shared->ended || !woken) break;
    const auto question = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    lock.unlock();
    question->addresses = shared->resolve(question->host);
    question->done.store(true, std::memory_order_release);
    lock.lock();
  }
  --shared->threads;
}

}  // namespace pairfs
