#include "common/ready_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace pairfs {

ReadyFile::~ReadyFile() {
  if (announced_) ::unlink(path_.c_str());
}

bool ReadyFile::announce(const std::string& endpoint, const std::string& link_endpoint) {
  if (path_.empty()) return true;
  nlohmann::json json = {{"pid", ::getpid()}, {"endpoint", endpoint}};
  if (!link_endpoint.empty()) json["link_endpoint"] = link_endpoint;
  const std::string text = json.dump() + "\n";
  const std::string temporary = path_ + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  announced_ = written && ::rename(temporary.c_str(), path_.c_str()) == 0;
  return announced_;
}

}  // namespace pairfs
