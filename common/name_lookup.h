// Looks up the addresses of hosts on threads of its own: a name server that is silent holds a
// lookup up for many seconds, which no thread that moves messages can wait for. Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pairfs {

// The IPv4 addresses of a host, as text; none: it has none, or nobody says. May take its time.
using ResolveHost = std::function<std::vector<std::string>(const std::string& host)>;
std::vector<std::string> resolve_by_system(const std::string& host);

class NameLookup {
 public:
  explicit NameLookup(ResolveHost resolve);
  // Does not wait for lookups that are under way.
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  struct Question {
    std::string host;
    std::vector<std::string> addresses;  // once it is done
    std::atomic<bool> done = false;
  };
  // More than a few hosts at once wait for each other.
  std::shared_ptr<const Question> ask(const std::string& host);

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);
  const std::shared_ptr<Shared> shared_;
};

}  // namespace pairfs
