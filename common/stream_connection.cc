#include "common/stream_connection.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pairfs {
namespace {

constexpr size_t kInBytes = 64 << 10;
constexpr size_t kCopyMaxBytes = 4 << 10;  // longer frames are shared, not copied
constexpr size_t kOwnPieceMaxBytes = 64 << 10;
constexpr int kReadsPerCall = 32;  // then other connections have their turn
constexpr size_t kHopsMax = 8;
constexpr uint64_t kMessageMaxBytes = 64 << 20;
constexpr size_t kPiecesPerWrite = 64;
// A dead machine sends no reset: without these a connection to it would look alive for ever.
constexpr Duration kAskAfter = std::chrono::seconds(2);
constexpr Duration kSilenceMax = std::chrono::seconds(10);
constexpr Duration kGreetMax = std::chrono::seconds(5);
constexpr Duration kConnectMax = std::chrono::seconds(2);

}  // namespace

StreamConnection::StreamConnection(int fd, bool connecting, Bytes own_identity, Instant now)
    : fd_(fd),
      state_(connecting ? State::kConnecting : State::kGreeting),
      own_identity_(std::move(own_identity)),
      begun_at_(now),
      heard_at_(now) {
  if (!connecting) begin();
}

StreamConnection::~StreamConnection() { ::close(fd_); }

void StreamConnection::begin() {
  state_ = State::kGreeting;
  own_bytes() += zmtp::greeting();
  waiting_bytes_ += zmtp::kGreetingBytes;
}

// ---- reading ----------------------------------------------------------------------------------

bool StreamConnection::read(std::deque<Message>& out, uint64_t* dropped, Instant now) {
  if (state_ == State::kConnecting || state_ == State::kBroken) return false;
  for (int i = 0; i < kReadsPerCall; ++i) {
    make_room(kInBytes / 2);
    iovec places[2];
    int count = 0;
    size_t wanted = 0;
    if (large_ != nullptr) {
      places[count++] = {large_.get() + large_read_, large_bytes_ - large_read_};
      wanted += large_bytes_ - large_read_;
    }
    places[count++] = {in_.get() + in_end_, kInBytes - in_end_};
    wanted += kInBytes - in_end_;
    const ssize_t got = ::readv(fd_, places, count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (got <= 0) {
      state_ = State::kBroken;
      return false;
    }
    heard_at_ = now;
    size_t rest = static_cast<size_t>(got);
    if (large_ != nullptr) {
      const size_t part = std::min(rest, large_bytes_ - large_read_);
      large_read_ += part;
      rest -= part;
    }
    in_end_ += rest;
    parse(out, dropped);
    if (state_ == State::kBroken) return false;
    // The descriptor tells again when there is more.
    if (static_cast<size_t>(got) < wanted) return false;
  }
  return true;
}

void StreamConnection::make_room(size_t wanted) {
  if (in_ == nullptr) in_.reset(new char[kInBytes]);
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  if (kInBytes - in_end_ >= wanted) return;
  std::memmove(in_.get(), in_.get() + in_begin_, in_end_ - in_begin_);
  in_end_ -= in_begin_;
  in_begin_ = 0;
}

void StreamConnection::parse(std::deque<Message>& out, uint64_t* dropped) {
  if (large_ != nullptr) {
    if (large_read_ < large_bytes_) return;
    const BytesView octets(large_.get(), large_bytes_);
    take_frame({std::exchange(large_, nullptr), octets}, large_more_, out, dropped);
  }
  if (state_ == State::kGreeting && !take_greeting()) return;
  while (state_ != State::kBroken && in_begin_ < in_end_) {
    const BytesView there(in_.get() + in_begin_, in_end_ - in_begin_);
    zmtp::FrameHead head;
    const zmtp::Parsed parsed = zmtp::parse_frame_head(there, &head);
    if (parsed == zmtp::Parsed::kNeedsMore) return;
    const bool command = (head.flags & zmtp::kCommand) != 0;
    const bool expected = command || state_ == State::kReady;
    const uint64_t most = command ? kInBytes / 2 - zmtp::kFrameHeadBytesMax : kMessageMaxBytes;
    if (parsed == zmtp::Parsed::kBad || !expected || head.length_bytes > most ||
        (message_bytes_ += command ? 0 : head.length_bytes) > kMessageMaxBytes) {
      state_ = State::kBroken;
      return;
    }
    const size_t length = head.length_bytes;
    const bool more = (head.flags & zmtp::kMore) != 0;
    const BytesView begun = there.substr(head.head_bytes, length);
    if (begun.size() < length) {
      if (head.head_bytes + length <= kInBytes / 2) return;  // the rest comes behind it
      large_.reset(new char[length]);
      std::memcpy(large_.get(), begun.data(), begun.size());
      large_bytes_ = length;
      large_read_ = begun.size();
      large_more_ = more;
      in_begin_ = in_end_;
      return;
    }
    in_begin_ += head.head_bytes + length;
    if (command) {
      take_command(begun);
      continue;
    }
    if (length == 0) {
      take_frame({}, more, out, dropped);
      continue;
    }
    std::shared_ptr<char[]> octets(new char[length]);
    std::memcpy(octets.get(), begun.data(), length);
    const BytesView view(octets.get(), length);
    take_frame({std::move(octets), view}, more, out, dropped);
  }
}

bool StreamConnection::take_greeting() {
  const BytesView there(in_.get() + in_begin_, in_end_ - in_begin_);
  if (!zmtp::may_be_greeting(there.substr(0, zmtp::kGreetingBytes))) state_ = State::kBroken;
  if (state_ == State::kBroken || there.size() < zmtp::kGreetingBytes) return false;
  in_begin_ += zmtp::kGreetingBytes;
  state_ = State::kAwaitingReady;
  const Bytes ready =
      zmtp::ready_command(own_identity_.empty() ? "ROUTER" : "DEALER", own_identity_);
  own_bytes() += ready;
  waiting_bytes_ += ready.size();
  return true;
}

void StreamConnection::take_command(BytesView body) {
  const auto command = zmtp::parse_command(body);
  if (!command) {
    state_ = State::kBroken;
    return;
  }
  if (state_ == State::kAwaitingReady) {
    if (command->kind != zmtp::Command::Kind::kReady) {
      state_ = State::kBroken;
      return;
    }
    peer_identity_ = command->identity;
    state_ = State::kReady;
    greeted_ = true;
  } else if (command->kind == zmtp::Command::Kind::kPing) {
    const Bytes pong = zmtp::pong_command(command->context);
    own_bytes() += pong;
    waiting_bytes_ += pong.size();
  }
}

void StreamConnection::take_frame(SharedBytes frame, bool more, std::deque<Message>& out,
                                  uint64_t* dropped) {
  ++frames_;
  if (malformed_) {
    // The rest of it is taken away.
  } else if (delimiter_) {
    if (++payload_frames_ > 2)
      malformed_ = true;
    else
      (payload_frames_ == 1 ? message_.head : message_.bulk) = std::move(frame);
  } else if (frame.empty()) {
    delimiter_ = true;
  } else if (message_.envelope.size() + (own_identity_.empty() ? 1 : 0) == kHopsMax) {
    malformed_ = true;
  } else {
    message_.envelope.emplace_back(frame.view());
  }
  if (more) return;
  if (malformed_ || payload_frames_ == 0)
    ++*dropped;
  else
    out.push_back(std::move(message_));
  message_ = {};
  frames_ = payload_frames_ = 0;
  message_bytes_ = 0;
  delimiter_ = malformed_ = false;
}

// ---- writing ----------------------------------------------------------------------------------

// Where small octets go: the last piece, or a new one.
Bytes& StreamConnection::own_bytes() {
  if (out_.empty() || !out_.back().shared.empty() || out_.back().own.size() > kOwnPieceMaxBytes)
    out_.push_back({std::exchange(spare_, {}), {}});
  return out_.back().own;
}

void StreamConnection::queue(const Bytes* hops, size_t count, const SharedBytes& head,
                             const SharedBytes& bulk) {
  const auto put = [this](BytesView octets, const SharedBytes* shared, bool more) {
    Bytes& own = own_bytes();
    const size_t before = own.size();
    zmtp::put_frame_head(own, octets.size(), more);
    if (shared == nullptr || octets.size() <= kCopyMaxBytes) own += octets;
    waiting_bytes_ += own.size() - before;
    if (shared == nullptr || octets.size() <= kCopyMaxBytes) return;
    out_.push_back({{}, *shared});
    waiting_bytes_ += octets.size();
  };
  for (size_t i = 0; i < count; ++i) put(hops[i], nullptr, true);
  put({}, nullptr, true);
  put(head.view(), &head, !bulk.empty());
  if (!bulk.empty()) put(bulk.view(), &bulk, false);
}

void StreamConnection::write() {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    sockaddr_storage peer;
    socklen_t peer_length = sizeof peer;
    if (error != 0) {
      state_ = State::kBroken;
      return;
    }
    if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0) return;
    begin();
  }
  blocked_ = false;
  while (!out_.empty() && state_ != State::kBroken) {
    iovec pieces[kPiecesPerWrite];
    size_t count = 0, wanted = 0;
    for (auto piece = out_.begin(); piece != out_.end() && count < kPiecesPerWrite; ++piece) {
      BytesView octets = piece->view();
      if (count == 0) octets.remove_prefix(out_done_);
      pieces[count++] = {const_cast<char*>(octets.data()), octets.size()};
      wanted += octets.size();
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK)
        blocked_ = true;
      else
        state_ = State::kBroken;
      return;
    }
    size_t rest = static_cast<size_t>(sent);
    waiting_bytes_ -= rest;
    while (!out_.empty()) {
      const size_t left = out_.front().view().size() - out_done_;
      if (rest < left) break;
      rest -= left;
      out_done_ = 0;
      if (out_.front().own.capacity() > spare_.capacity()) {
        spare_ = std::move(out_.front().own);
        spare_.clear();
      }
      out_.pop_front();
    }
    out_done_ += rest;
    if (static_cast<size_t>(sent) < wanted) {
      blocked_ = true;
      return;
    }
  }
}

// ---- time -------------------------------------------------------------------------------------

void StreamConnection::tick(Instant now) {
  if (state_ == State::kBroken) return;
  const Duration age = now - begun_at_;
  if (state_ != State::kReady) {
    if (age > (state_ == State::kConnecting ? kConnectMax : kGreetMax)) state_ = State::kBroken;
    return;
  }
  if (now - heard_at_ > kSilenceMax) {
    state_ = State::kBroken;
  } else if (now - heard_at_ >= kAskAfter) {
    const Bytes ping = zmtp::ping_command();
    own_bytes() += ping;
    waiting_bytes_ += ping.size();
  }
}

}  // namespace pairfs
