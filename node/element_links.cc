#include "node/element_links.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>

#include "common/crc32c.h"
#include "common/logging.h"
#include "node/store/volume_files.h"

namespace pairfs {
namespace {

constexpr int kServerThreads = 4;
constexpr size_t kWaitingMax = 4096;
// A partner that does not answer for so long counts as gone. Syncs of a busy disk take their time.
constexpr auto kAnswerMax = std::chrono::seconds(3);
constexpr auto kOpenMax = std::chrono::milliseconds(700);
// Who takes over from a partner that has gone silent has clients that wait.
constexpr auto kSilence = std::chrono::milliseconds(400);
constexpr auto kOpenOfSilentMax = std::chrono::milliseconds(50);
constexpr auto kConnectMax = std::chrono::milliseconds(500);

}  // namespace

Bell::Bell() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  ENSURE(fd_ >= 0, "eventfd {}", errno);
}
Bell::~Bell() { ::close(fd_); }
void Bell::ring() {
  const uint64_t one = 1;
  (void)!::write(fd_, &one, sizeof one);
}
void Bell::silence() {
  uint64_t count = 0;
  (void)!::read(fd_, &count, sizeof count);
}

// ---- server -----------------------------------------------------------------------------------

ElementServer::ElementServer(Context& context, const std::string& endpoint, uint64_t cluster_id,
                             std::set<std::string> paths)
    : cluster_id_(cluster_id),
      paths_(std::move(paths)),
      socket_(Socket::server(context, endpoint)),
      endpoint_(socket_.endpoint()) {
  threads_.emplace_back([this] { serve(); });
  for (int i = 0; i < kServerThreads; ++i) threads_.emplace_back([this] { work(); });
}

ElementServer::~ElementServer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  bell_.ring();
  for (std::thread& thread : threads_) thread.join();
}

void ElementServer::serve() {
  Poller poller;
  poller.add(socket_);
  poller.add_fd(bell_.fd());
  for (;;) {
    poller.wait(std::chrono::seconds(1));
    bell_.silence();
    std::deque<Answer> answers;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      answers.swap(answers_);
    }
    for (Answer& answer : answers) {
      MessageHeader header = answer.header;
      header.flags = kFlagReply;
      header.bulk_length = static_cast<uint32_t>(answer.read.size());
      header.bulk_crc = 0;
      if (!answer.read.empty()) {
        header.flags |= kFlagHasBulkCrc;
        header.bulk_crc = crc32c(answer.read.view());
      }
      socket_.send(answer.envelope,
                   SharedBytes::from(make_head(header, encode_answer(answer.answer))), answer.read);
    }
    while (auto message = socket_.receive()) {
      const auto head = parse_head(message->head.view(), nullptr);
      if (!head || head->header.op != kElementOp || head->header.cluster_id != cluster_id_ ||
          head->header.bulk_length != message->bulk.size())
        continue;
      auto call = decode_call(head->body);
      if (!call) continue;
      {
        std::lock_guard lock(mutex_);
        if (waiting_.size() >= kWaitingMax) continue;  // the caller's time runs out
        waiting_.push_back({std::move(message->envelope), head->header, std::move(*call),
                            std::move(message->bulk)});
      }
      wake_.notify_one();
    }
  }
}

void ElementServer::work() {
  for (;;) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    Bytes read;
    Answer answer{std::move(work.envelope), work.header, {}, {}};
    answer.answer = carry_out(work, &read);
    answer.read = SharedBytes::from(std::move(read));
    {
      std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
    }
    bell_.ring();
  }
}

// A deposed executor must not change what its successor uses.
bool ElementServer::is_stale(VolumeId volume, Epoch epoch) {
  std::lock_guard lock(mutex_);
  Epoch& highest = epochs_[volume];
  if (epoch < highest) return true;
  highest = epoch;
  return false;
}

ElementAnswer ElementServer::carry_out(const Work& work, Bytes* read) {
  ElementAnswer answer;
  const bool crc_fits =
      !(work.header.flags & kFlagHasBulkCrc) || crc32c(work.written.view()) == work.header.bulk_crc;
  if (!crc_fits) {
    answer.error = EIO;
  } else if (is_stale(work.header.volume, work.header.epoch)) {
    answer.error = ESTALE;
  } else if (!is_safe_element_name(work.call.name) ||
             !is_safe_element_name(work.call.second_name)) {
    answer.error = EINVAL;
  }
  if (answer.error != 0) return answer;
  const auto element = open(work.call, &answer.why);
  if (element == nullptr) {
    answer.error = ENOENT;
    return answer;
  }
  std::string why = std::move(answer.why);
  answer = serve_element_call(*element, work.call, work.written.view(), read);
  return answer;
}

std::shared_ptr<Element> ElementServer::open(const ElementCall& call, std::string* why) {
  const bool anew = call.kind == ElementCallKind::kOpen;
  {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(call.path);
    if (found != open_.end() && !anew) return found->second;
  }
  if (!paths_.contains(call.path)) {
    std::error_code error;
    bool ours = false, empty = true;
    for (std::filesystem::directory_iterator at(call.path, error), end; !error && at != end;
         at.increment(error)) {
      empty = false;
      ours |= parse_owned_name(at->path().filename().string()).has_value();
    }
    if (!ours && !(empty && call.path.starts_with('/') && (call.create || !error))) {
      *why = fmt::format("{} is not an element of this cluster.", call.path);
      return nullptr;
    }
  }
  std::shared_ptr<Element> element = open_directory_element(call.path, anew && call.create, why);
  if (element != nullptr) {
    std::lock_guard lock(mutex_);
    open_[call.path] = element;
  }
  return element;
}

// ---- client -----------------------------------------------------------------------------------

class ElementClient::Channel final : public ElementChannel {
 public:
  Channel(std::shared_ptr<ElementClient> client, VolumeId volume, Epoch epoch)
      : client_(std::move(client)), volume_(volume), epoch_(epoch) {}
  ElementAnswer call(const ElementCall& call, SharedBytes written, SharedBytes* read) override {
    return client_->call(volume_, epoch_, call, std::move(written), read);
  }

 private:
  const std::shared_ptr<ElementClient> client_;
  const VolumeId volume_;
  const Epoch epoch_;
};

ElementClient::ElementClient(Context& context, const std::string& endpoint, uint64_t cluster_id,
                             Incarnation incarnation)
    : cluster_id_(cluster_id),
      incarnation_(incarnation),
      socket_(Socket::client(context, endpoint)),
      thread_([this] { run(); }) {}

ElementClient::~ElementClient() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  bell_.ring();
  thread_.join();
}

void ElementClient::move_to(Context& context, const std::string& endpoint) {
  Socket socket = Socket::client(context, endpoint);
  {
    std::lock_guard lock(mutex_);
    next_socket_.emplace(std::move(socket));
  }
  bell_.ring();
}

std::shared_ptr<ElementChannel> ElementClient::channel(std::shared_ptr<ElementClient> client,
                                                       VolumeId volume, Epoch epoch) {
  return std::make_shared<Channel>(std::move(client), volume, epoch);
}

ElementAnswer ElementClient::call(VolumeId volume, Epoch epoch, const ElementCall& call,
                                  SharedBytes written, SharedBytes* read) {
  auto entry = std::make_shared<Call>();
  entry->header.op = kElementOp;
  entry->header.cluster_id = cluster_id_;
  entry->header.sender = incarnation_;
  entry->header.volume = volume;
  entry->header.epoch = epoch;
  entry->header.bulk_length = static_cast<uint32_t>(written.size());
  if (!written.empty()) {
    entry->header.flags |= kFlagHasBulkCrc;
    entry->header.bulk_crc = crc32c(written.view());
  }
  entry->body = encode_call(call);
  entry->bulk = std::move(written);
  std::unique_lock lock(mutex_);
  // A connection that was never there yet gets a moment; one that broke is a partner that is gone.
  if (!connected_ && !was_connected_)
    answered_.wait_for(lock, kConnectMax, [&] { return connected_ || stopping_; });
  if (!connected_ || stopping_) {
    ElementAnswer gone;
    gone.error = EHOSTUNREACH;
    return gone;
  }
  entry->header.trace_id = next_id_++;
  waiting_[entry->header.trace_id] = entry;
  to_send_.push_back(entry);
  bell_.ring();
  const bool silent = boot_now() - heard_at_.load(std::memory_order_relaxed) > kSilence;
  const Duration limit = call.kind != ElementCallKind::kOpen ? Duration(kAnswerMax)
                         : silent                            ? Duration(kOpenOfSilentMax)
                                                             : Duration(kOpenMax);
  if (!answered_.wait_for(lock, limit, [&] { return entry->done; })) {
    waiting_.erase(entry->header.trace_id);
    ElementAnswer late;
    late.error = ETIMEDOUT;
    return late;
  }
  if (read != nullptr) *read = std::move(entry->read);
  return std::move(entry->answer);
}

void ElementClient::fail_all(int error) {
  for (auto& [id, entry] : waiting_) {
    entry->answer.error = error;
    entry->done = true;
  }
  waiting_.clear();
  to_send_.clear();
}

void ElementClient::run() {
  Poller poller;
  poller.add(socket_);
  poller.add_fd(bell_.fd());
  for (;;) {
    poller.wait(std::chrono::seconds(1));
    bell_.silence();
    std::lock_guard lock(mutex_);
    if (stopping_) {
      fail_all(EHOSTUNREACH);
      answered_.notify_all();
      return;
    }
    bool news = false;
    if (next_socket_) {
      poller.remove(socket_);
      socket_ = std::move(*next_socket_);
      next_socket_.reset();
      poller.add(socket_);
      connected_ = was_connected_ = false;
      fail_all(EHOSTUNREACH);
      news = true;
    }
    for (const Socket::LinkEvent event : socket_.link_events()) {
      connected_ = event == Socket::LinkEvent::kConnected;
      was_connected_ = true;
      if (!connected_) fail_all(EHOSTUNREACH);
      if (connected_) note_partner(boot_now());
      news = true;
    }
    for (const auto& entry : to_send_) {
      if (socket_.send({}, SharedBytes::from(make_head(entry->header, entry->body)), entry->bulk))
        continue;
      entry->answer.error = EHOSTUNREACH;
      entry->done = true;
      waiting_.erase(entry->header.trace_id);
      news = true;
    }
    to_send_.clear();
    while (auto message = socket_.receive()) {
      const auto head = parse_head(message->head.view(), nullptr);
      if (!head || head->header.op != kElementOp || head->header.cluster_id != cluster_id_)
        continue;
      note_partner(boot_now());
      const auto found = waiting_.find(head->header.trace_id);
      if (found == waiting_.end()) continue;
      auto answer = decode_answer(head->body);
      const bool whole = head->header.bulk_length == message->bulk.size() &&
                         (!(head->header.flags & kFlagHasBulkCrc) ||
                          crc32c(message->bulk.view()) == head->header.bulk_crc);
      found->second->answer.error = EIO;
      if (answer && whole) found->second->answer = std::move(*answer);
      found->second->read = std::move(message->bulk);
      found->second->done = true;
      waiting_.erase(found);
      news = true;
    }
    if (news) answered_.notify_all();
  }
}

}  // namespace pairfs
