#include <linux/magic.h>
#include <sys/vfs.h>

#include "test/posix/suite/suite.h"

namespace pairfs::posix {

Path Context::there() const {
  if (there_.empty()) skip("needs a second mount (--second)");
  return there_;
}

void Context::need_root() const {
  if (::geteuid() != 0) skip("needs root");
}

void Context::unsupported(const std::string& what) const {
  if (strict_) throw CaseFailed("not supported: " + what);
  skip("not supported here: " + what);
}

bool Context::is_fuse() const {
  struct statfs status {};
  OK(::statfs(here_, &status));
  return status.f_type == FUSE_SUPER_MAGIC;
}

}  // namespace pairfs::posix
