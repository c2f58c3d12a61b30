#include "test/posix/suite/actor.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/posix/suite/check.h"

namespace pairfs::posix {
namespace {

// Effective credentials of root again, whatever happened in between.
struct RootAgain {
  ~RootAgain() {
    if (::seteuid(0) != 0 || ::setegid(0) != 0 || ::setgroups(0, nullptr) != 0) ::_exit(99);
  }
};

void write_all(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count <= 0) return;
    done += static_cast<size_t>(count);
  }
}

}  // namespace

void as(const User& user, const std::function<void()>& work) {
  RootAgain at_the_end;
  OK(::setgroups(user.groups.size(), user.groups.data()));
  OK(::setegid(user.gid));
  OK(::seteuid(user.uid));
  work();
}

void in_child_as(const User& user, const std::function<void()>& work) {
  Child child([&] {
    OK(::setgroups(user.groups.size(), user.groups.data()));
    OK(::setresgid(user.gid, user.gid, user.gid));
    OK(::setresuid(user.uid, user.uid, user.uid));
    work();
  });
  child.join();
}

Child::Child(const std::function<void()>& work) {
  int fds[2];
  OK(::pipe2(fds, O_CLOEXEC));
  pid_ = OK(::fork());
  if (pid_ == 0) {
    ::close(fds[0]);
    int status = 0;
    try {
      work();
    } catch (const CaseSkipped& skipped) {
      write_all(fds[1], skipped.what());
      status = 77;
    } catch (const std::exception& failed) {
      write_all(fds[1], failed.what());
      status = 1;
    }
    ::_exit(status);
  }
  ::close(fds[1]);
  report_fd_ = fds[0];
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  if (report_fd_ >= 0) ::close(report_fd_);
}

std::string Child::report_text() {
  std::string text;
  char block[512];
  for (;;) {
    const ssize_t count = ::read(report_fd_, block, sizeof block);
    if (count <= 0) return text;
    text.append(block, static_cast<size_t>(count));
  }
}

void Child::join() {
  const std::string text = report_text();
  int status = 0;
  OK(::waitpid(pid_, &status, 0));
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    throw CaseFailed("a child was killed by signal " + std::to_string(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) == 77) throw CaseSkipped(text);
  if (WEXITSTATUS(status) != 0) throw CaseFailed(text + " (in a child)");
}

void Child::join_killed_by(int signal) {
  const std::string text = report_text();
  int status = 0;
  OK(::waitpid(pid_, &status, 0));
  pid_ = -1;
  if (!WIFSIGNALED(status) || WTERMSIG(status) != signal) {
    throw CaseFailed("a child should have been killed by signal " + std::to_string(signal) +
                     ", its status is " + std::to_string(status) + " " + text);
  }
}

Baton::Baton() { OK(::pipe2(fds_, O_CLOEXEC)); }

Baton::~Baton() {
  ::close(fds_[0]);
  ::close(fds_[1]);
}

void Baton::pass() { OK(::write(fds_[1], "x", 1)); }

void Baton::await() {
  char token = 0;
  ssize_t count = 0;
  do {
    count = ::read(fds_[0], &token, 1);
  } while (count < 0 && errno == EINTR);
  EQUAL(count, 1);
}

}  // namespace pairfs::posix
