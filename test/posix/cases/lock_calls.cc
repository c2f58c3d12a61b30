#include "test/posix/cases/lock_calls.h"

#include <fcntl.h>

#include "test/posix/suite/actor.h"

namespace pairfs::posix {

int record_lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, command, &lock);
}

void elsewhere(const Path& path, const std::function<void(int)>& expect) {
  Child child([&] {
    Fd fd = open_file(path, O_RDWR);
    expect(fd);
  });
  child.join();
}

}  // namespace pairfs::posix
