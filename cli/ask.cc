#include "cli/ask.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "common/header.h"
#include "common/map_store.h"
#include "common/transport.h"

namespace pairfs::cli {
namespace {

struct Pending {
  std::optional<Socket> socket;
  MessageHeader header;
  Bytes body;
  bool sent = false;
  bool done = false;
};

MessageHeader make_header(uint16_t op, uint64_t cluster_id, uint64_t sequence) {
  MessageHeader header;
  header.op = op;
  header.cluster_id = cluster_id;
  header.request = {0, kUnslotted, sequence};
  return header;
}

void take_answer(Pending& pending, std::optional<Answered>& answer) {
  while (auto message = pending.socket->receive()) {
    HeaderError error{};
    const auto parsed = parse_head(message->head.view(), &error);
    if (!parsed || !(parsed->header.flags & kFlagReply) ||
        parsed->header.request != pending.header.request)
      continue;
    pending.done = true;
    if (parsed->header.status != ReplyStatus::kOutcome || parsed->header.error != 0) return;
    answer = Answered{parsed->header.cluster_id, Bytes(parsed->body)};
    return;
  }
}

}  // namespace

std::vector<std::optional<Answered>> ask_all(const std::vector<Question>& questions,
                                             uint64_t cluster_id, Duration timeout) {
  constexpr Duration kSendAgain = std::chrono::milliseconds(5);
  std::vector<std::optional<Answered>> answers(questions.size());
  std::random_device random;
  Context context;
  std::vector<Pending> all(questions.size());
  Poller poller;
  for (size_t i = 0; i < questions.size(); ++i) {
    const uint64_t sequence = uint64_t{random()} << 32 | random();
    all[i].header = make_header(questions[i].op, cluster_id, sequence);
    all[i].body = questions[i].body;
    try {
      all[i].socket = Socket::client(context, questions[i].endpoint);
      poller.add(*all[i].socket);
    } catch (const std::runtime_error&) {
      all[i].done = true;  // not an endpoint; whoever asks says so by the missing answer
    }
  }
  const Instant deadline = boot_now() + timeout;
  for (;;) {
    bool all_sent = true, all_done = true;
    for (size_t i = 0; i < all.size(); ++i) {
      Pending& pending = all[i];
      if (pending.done) continue;
      pending.socket->link_events();
      if (!pending.sent)
        pending.sent =
            pending.socket->send({}, SharedBytes::from(make_head(pending.header, pending.body)));
      if (pending.sent) take_answer(pending, answers[i]);
      all_sent &= pending.sent;
      all_done &= pending.done;
    }
    const Instant now = boot_now();
    if (all_done || now >= deadline) return answers;
    poller.wait(all_sent ? deadline - now : std::min<Duration>(deadline - now, kSendAgain));
  }
}

}  // namespace pairfs::cli
