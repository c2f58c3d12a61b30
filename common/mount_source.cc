#include "common/mount_source.h"

namespace pairfs {

MountSource split_mount_source(const std::string& text) {
  size_t at = text.find(":/");
  while (at != std::string::npos && text.compare(at, 3, "://") == 0) at = text.find(":/", at + 3);
  if (at == std::string::npos) return {text, ""};
  MountSource source{text.substr(0, at), text.substr(at + 1)};
  while (!source.subtree.empty() && source.subtree.back() == '/') source.subtree.pop_back();
  return source;
}

}  // namespace pairfs
