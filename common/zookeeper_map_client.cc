#include "common/zookeeper_map_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

#include "common/logging.h"
#include "common/zookeeper_connection.h"

namespace pairfs {
namespace {

using namespace std::chrono_literals;
using Code = ZooKeeperConnection::Code;

const std::string kScheme = "zookeeper://";
const std::string kHeadText = "pairfs map 1 ";
constexpr Duration kPollPeriod = 400ms;
constexpr Duration kPollLimit = 2s;  // then the answers are not waited for any more
constexpr Duration kRetryPause = 20ms;
constexpr Duration kReachableFor = 1000ms;

struct Place {
  std::string hosts, directory;
};

Place parse(const std::string& endpoint) {
  std::string rest = endpoint.substr(kScheme.size());
  Place place{rest, "/pairfs"};
  if (const size_t slash = rest.find('/'); slash != std::string::npos) {
    place.hosts = rest.substr(0, slash);
    if (slash + 1 < rest.size()) place.directory = rest.substr(slash);
  }
  std::string hosts;
  std::istringstream in(place.hosts);
  for (std::string host; std::getline(in, host, ',');) {
    if (host.empty() || host[0] == ':') hosts.clear();
    if (host.empty() || host[0] == ':') break;
    hosts +=
        (hosts.empty() ? "" : ",") + host + (host.find(':') == std::string::npos ? ":2181" : "");
  }
  if (hosts.empty() || place.directory.back() == '/' ||
      place.directory.find("//") != std::string::npos)
    throw std::runtime_error(
        fmt::format("{}: expected zookeeper://HOST:2181[,HOST:2181...]/DIRECTORY", endpoint));
  place.hosts = hosts;
  return place;
}

// A key as a node's name, which may hold no slash.
std::string to_name(BytesView key) {
  std::string name;
  for (const char c : key) {
    if (c == '/' || c == '%')
      name += fmt::format("%{:02X}", static_cast<unsigned>(c));
    else
      name += c;
  }
  return name;
}
std::string to_key(const std::string& name) {
  std::string key;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '%' && i + 2 < name.size()) {
      key += static_cast<char>(std::stoi(name.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      key += name[i];
    }
  }
  return key;
}

class ZooKeeperMapClient final : public MapClient {
 public:
  ZooKeeperMapClient(Place place, uint64_t cluster_id)
      : cluster_id_(cluster_id),
        directory_(place.directory),
        version_path_(directory_ + "/version"),
        records_path_(directory_ + "/records"),
        connection_(place.hosts) {}

  void add_to(Poller& poller) override { poller.add_fd(connection_.fd()); }

  void step(Instant now) override {
    connection_.maintain(now);
    for (const ZooKeeperConnection::Event& event : connection_.take_events()) on_event(event, now);
    poll(now);
    send_swaps(now);
    run_callbacks();
  }

  Instant next_wake() const override {
    if (!finished_.empty()) return Instant{};
    Instant wake = polling_ == Polling::kIdle ? poll_again_ : poll_deadline_;
    for (const PendingSwap& swap : swaps_) {
      wake = std::min(wake, swap.deadline);
      if (swap.ticket == 0) wake = std::min(wake, swap.send_again);
    }
    return wake;
  }

  uint64_t map_version() const override { return map_version_; }
  const MapEntry* find(BytesView key) const override {
    const auto at = position(key);
    return at != entries_.end() && at->key == key ? &*at : nullptr;
  }
  const std::vector<MapEntry>& entries() const override { return entries_; }
  Instant last_answer() const override { return last_answer_; }
  bool reachable(Instant now) const override {
    return last_answer_ != Instant{} && now - last_answer_ <= kReachableFor;
  }
  void refresh() override { poll_again_ = Instant{}; }

  void swap(MapSwap request, Duration timeout,
            std::function<void(SwapOutcome, const MapEntry& current)> done) override {
    PendingSwap pending;
    pending.request = std::move(request);
    pending.timeout = timeout;
    pending.done = std::move(done);
    swaps_.push_back(std::move(pending));
  }

 private:
  // What the answers that are waited for belong to: the directory's head, the counter, the list of
  // records, the records with the counter behind them.
  enum class Polling { kIdle, kHead, kCounter, kNames, kRecords };
  enum class Ownership { kUnknown, kAbsent, kOurs, kForeign };
  struct PendingSwap {
    MapSwap request;
    Duration timeout{};
    std::function<void(SwapOutcome, const MapEntry&)> done;
    Instant deadline{}, send_again{};
    uint64_t ticket = 0;   // of the call that is waited for; 0: none
    bool reading = false;  // it was refused, and reads the record that is in its way
    unsigned copies = 0;
  };
  struct Finished {
    std::function<void(SwapOutcome, const MapEntry&)> done;
    SwapOutcome outcome;
    MapEntry current;
  };

  std::vector<MapEntry>::const_iterator position(BytesView key) const {
    return std::lower_bound(entries_.begin(), entries_.end(), key,
                            [](const MapEntry& entry, BytesView k) { return entry.key < k; });
  }
  std::string path_of(BytesView key) const { return records_path_ + "/" + to_name(key); }
  uint64_t new_ticket() { return ++last_ticket_; }

  void take_entry(const MapEntry& entry) {
    const auto at = entries_.begin() + (position(entry.key) - entries_.cbegin());
    if (at == entries_.end() || at->key != entry.key)
      entries_.insert(at, entry);
    else if (at->version < entry.version)
      *at = entry;
    else
      return;
    changed_ = true;
  }

  // ---- the copy ----

  void poll(Instant now) {
    if (!connection_.connected()) {
      if (place_ != Ownership::kForeign) place_ = Ownership::kUnknown;
      polling_ = Polling::kIdle;
      poll_again_ = now + kPollPeriod;  // unless an event tells of a connection first
      return;
    }
    if (polling_ != Polling::kIdle && now >= poll_deadline_) polling_ = Polling::kIdle;
    if (polling_ != Polling::kIdle || now < poll_again_) return;
    poll_again_ = now + kPollPeriod;
    poll_deadline_ = now + kPollLimit;
    if (place_ == Ownership::kOurs) {
      ask_counter(Polling::kCounter);
    } else {
      polling_ = Polling::kHead;
      connection_.get(poll_ticket_ = new_ticket(), directory_, false);
    }
  }

  void ask_counter(Polling why) {
    polling_ = why;
    connection_.get(poll_ticket_ = new_ticket(), version_path_, true);
  }

  void on_event(const ZooKeeperConnection::Event& event, Instant now) {
    if (event.ticket == 0) {  // something changed, or the session did
      refresh();
      return;
    }
    const auto record = reading_.find(event.ticket);
    if (record != reading_.end()) {
      if (event.code == Code::kDone && polling_ == Polling::kRecords)
        read_.push_back({record->second, static_cast<uint64_t>(event.version) + 1, event.value});
      else if (event.code != Code::kDone)
        polling_ = Polling::kIdle;
      reading_.erase(record);
    } else if (event.ticket == poll_ticket_ && polling_ != Polling::kIdle) {
      on_poll(event, now);
    } else {
      on_swap(event, now);
    }
  }

  void on_poll(const ZooKeeperConnection::Event& event, Instant now) {
    const Polling was = std::exchange(polling_, Polling::kIdle);
    if (event.code == Code::kUnknown) return;
    if (was == Polling::kHead) {
      on_head(event, now);
      return;
    }
    if (place_ != Ownership::kOurs) return;
    last_answer_ = now;
    if (event.code != Code::kDone) return;
    switch (was) {
      case Polling::kCounter:
        if (static_cast<uint64_t>(event.version) <= map_version_) return;
        read_version_ = event.version;
        polling_ = Polling::kNames;
        connection_.children(poll_ticket_ = new_ticket(), records_path_);
        return;
      case Polling::kNames:
        reading_.clear();
        read_.clear();
        for (const std::string& name : event.names) {
          const uint64_t ticket = new_ticket();
          reading_[ticket] = to_key(name);
          connection_.get(ticket, records_path_ + "/" + name, false);
        }
        ask_counter(Polling::kRecords);  // answered after all of them
        return;
      case Polling::kRecords:
        if (event.version == read_version_ && reading_.empty())
          take_map();
        else
          refresh();
        return;
      case Polling::kHead:
      case Polling::kIdle:
        return;
    }
  }

  void on_head(const ZooKeeperConnection::Event& event, Instant now) {
    if (event.code == Code::kAbsent) {
      place_ = Ownership::kAbsent;
      last_answer_ = now;
      return;
    }
    if (event.code != Code::kDone) return;
    uint64_t id = 0;
    if (event.value.starts_with(kHeadText))
      id = std::strtoull(event.value.c_str() + kHeadText.size(), nullptr, 16);
    if (cluster_id_ == 0) cluster_id_ = id;
    if (id == 0 || id != cluster_id_) {
      if (place_ != Ownership::kForeign)
        log_error("map.refused", "directory={} reason=\"it is another cluster's, or no map\"",
                  printable(directory_));
      place_ = Ownership::kForeign;
      return;
    }
    place_ = Ownership::kOurs;
    last_answer_ = now;
    refresh();
  }

  void take_map() {
    for (const MapEntry& entry : read_) take_entry(entry);
    map_version_ = static_cast<uint64_t>(read_version_);
    changed_ = true;
  }

  // ---- swaps ----

  // Who writes first makes the directory. Each step may have been taken by somebody else.
  void make_directory() {
    for (size_t slash = directory_.find('/', 1); slash != std::string::npos;
         slash = directory_.find('/', slash + 1))
      connection_.create(new_ticket(), directory_.substr(0, slash), "");
    connection_.create(new_ticket(), directory_, fmt::format("{}{:016x}", kHeadText, cluster_id_));
    connection_.create(new_ticket(), version_path_, "");
    connection_.create(new_ticket(), records_path_, "");
    place_ = Ownership::kUnknown;
    refresh();
  }

  void send_swaps(Instant now) {
    for (size_t i = 0; i < swaps_.size();) {
      PendingSwap& swap = swaps_[i];
      if (swap.deadline == Instant{}) swap.deadline = now + swap.timeout;
      if (now >= swap.deadline) {
        MapEntry current;
        if (const MapEntry* known = find(swap.request.key))
          current = *known;
        else
          current.key = swap.request.key;
        finish(i, SwapOutcome::kUnknown, std::move(current));
        refresh();
        continue;
      }
      if (swap.ticket == 0 && now >= swap.send_again) send(swap, now);
      ++i;
    }
  }

  void send(PendingSwap& swap, Instant now) {
    swap.send_again = now + kRetryPause;
    if (!connection_.connected()) return;
    if (place_ == Ownership::kAbsent && cluster_id_ != 0) make_directory();
    if (place_ != Ownership::kOurs) return;
    swap.ticket = new_ticket();
    if (swap.reading) {
      connection_.get(swap.ticket, path_of(swap.request.key), false);
      return;
    }
    ++swap.copies;
    connection_.swap(swap.ticket, path_of(swap.request.key), swap.request.value,
                     static_cast<int64_t>(swap.request.expected_version) - 1, version_path_);
  }

  void on_swap(const ZooKeeperConnection::Event& event, Instant now) {
    const auto at = std::find_if(swaps_.begin(), swaps_.end(), [&](const PendingSwap& swap) {
      return swap.ticket == event.ticket;
    });
    if (at == swaps_.end()) return;
    PendingSwap& swap = *at;
    swap.ticket = 0;
    if (event.code == Code::kUnknown) {
      swap.send_again = now + kRetryPause;
      return;
    }
    last_answer_ = now;
    const size_t index = static_cast<size_t>(at - swaps_.begin());
    MapEntry current;
    current.key = swap.request.key;
    if (!swap.reading && event.code == Code::kDone) {
      current.version = swap.request.expected_version + 1;
      current.value = swap.request.value;
      take_entry(current);
      // Other records may have changed meanwhile: only the direct successor of the copy is
      // complete.
      const auto version = static_cast<uint64_t>(event.version);
      if (version == map_version_ + 1)
        map_version_ = version;
      else
        refresh();
      finish(index, SwapOutcome::kSwapped, std::move(current));
      return;
    }
    if (!swap.reading) {  // refused: what is in the way?
      swap.reading = true;
      swap.send_again = now;
      return;
    }
    if (event.code == Code::kDone) {
      current.version = static_cast<uint64_t>(event.version) + 1;
      current.value = event.value;
      take_entry(current);
    }
    refresh();
    const bool earlier_copy_won = swap.copies > 1 &&
                                  current.version == swap.request.expected_version + 1 &&
                                  current.value == swap.request.value;
    finish(index, earlier_copy_won ? SwapOutcome::kSwapped : SwapOutcome::kConflict,
           std::move(current));
  }

  void finish(size_t index, SwapOutcome outcome, MapEntry current) {
    finished_.push_back({std::move(swaps_[index].done), outcome, std::move(current)});
    swaps_.erase(swaps_.begin() + static_cast<ptrdiff_t>(index));
  }

  // Last, as the callbacks may call anything of this class.
  void run_callbacks() {
    if (std::exchange(changed_, false) && known() && on_change) on_change();
    for (Finished& finished : std::exchange(finished_, {}))
      finished.done(finished.outcome, finished.current);
  }

  uint64_t cluster_id_;
  const std::string directory_, version_path_, records_path_;
  ZooKeeperConnection connection_;
  Ownership place_ = Ownership::kUnknown;
  uint64_t last_ticket_ = 0;

  uint64_t map_version_ = 0;
  std::vector<MapEntry> entries_;  // sorted by key
  bool changed_ = false;
  Instant last_answer_{};

  Polling polling_ = Polling::kIdle;
  uint64_t poll_ticket_ = 0;
  Instant poll_again_{}, poll_deadline_{};
  int64_t read_version_ = 0;                 // the counter before the records were read
  std::map<uint64_t, std::string> reading_;  // by ticket: the key
  std::vector<MapEntry> read_;

  std::vector<PendingSwap> swaps_;
  std::vector<Finished> finished_;
};

}  // namespace

bool is_zookeeper_endpoint(const std::string& endpoint) { return endpoint.starts_with(kScheme); }

std::unique_ptr<MapClient> make_zookeeper_map_client(const std::string& endpoint,
                                                     uint64_t cluster_id) {
  return std::make_unique<ZooKeeperMapClient>(parse(endpoint), cluster_id);
}

}  // namespace pairfs
