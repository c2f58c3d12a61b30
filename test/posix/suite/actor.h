// Other users and other processes in a case.
//
// Owns: the change of credentials (undone at the end of the scope) and forked children (waited for
// at the end of the scope). Needs root; a case calls need_root() first.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace pairfs::posix {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
};

// Unrelated users; no account is needed. kMember's own group is kOwner's; kFriend is in it through
// a supplementary group only; kStranger is not.
inline const User kOwner{61001, 61001, {61500}};
inline const User kMember{61002, 61001, {}};
inline const User kFriend{61003, 61003, {61400, 61001}};
inline const User kStranger{61004, 61004, {61400}};

// Runs `work` with effective ids, filesystem ids and supplementary groups of `user`; capabilities
// are gone meanwhile. The real uid stays root, so access(2) still answers for root.
void as(const User& user, const std::function<void()>& work);

// Runs `work` in a forked child that has become `user` for good. A failed expectation in the child
// fails the case here.
void in_child_as(const User& user, const std::function<void()>& work);

// A forked process that runs `work`. Its failed expectation is reported by join().
class Child {
 public:
  explicit Child(const std::function<void()>& work);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // kills it if it was not joined
  // Waits for its end; throws CaseFailed with the child's text if it failed.
  void join();
  // Waits for its end, which must be by this signal.
  void join_killed_by(int signal);
  pid_t pid() const { return pid_; }

 private:
  std::string report_text();
  pid_t pid_ = -1;
  int report_fd_ = -1;
};

// A token that one process sends and another waits for; made before the fork.
class Baton {
 public:
  Baton();
  Baton(const Baton&) = delete;
  Baton& operator=(const Baton&) = delete;
  ~Baton();
  void pass();
  void await();

 private:
  int fds_[2] = {-1, -1};
};

}  // namespace pairfs::posix
