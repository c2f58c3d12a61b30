#include "cli/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace pairfs::cli {

fs::path canonical_path(const fs::path& path) {
  boost::system::error_code error;
  fs::path whole = fs::absolute(path).lexically_normal();
  if (whole.filename() == "." || whole.filename().empty()) whole = whole.parent_path();
  const fs::path real = fs::canonical(whole, error);
  if (!error) return real;
  if (whole.has_parent_path() && whole.has_filename())
    return canonical_path(whole.parent_path()) / whole.filename();
  return whole;
}

bool is_within(const fs::path& inner, const fs::path& outer) {
  auto part = inner.begin();
  for (const fs::path& expected : outer) {
    if (part == inner.end() || *part != expected) return false;
    ++part;
  }
  return true;
}

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream in(path.string(), std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) return std::nullopt;
  return text.str();
}

std::string last_lines(const fs::path& path, size_t count) {
  std::ifstream in(path.string(), std::ios::binary);
  constexpr std::streamoff kTailBytes = 16 << 10;
  in.seekg(0, std::ios::end);
  if (in.tellg() > kTailBytes)
    in.seekg(-kTailBytes, std::ios::end);
  else
    in.seekg(0);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(line);
  std::string tail;
  for (size_t i = lines.size() > count ? lines.size() - count : 0; i < lines.size(); ++i)
    tail += (tail.empty() ? "" : "\n") + lines[i];
  return tail;
}

Trouble write_file(const fs::path& path, const std::string& text) {
  const std::string temporary = path.string() + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok = fd >= 0;
  for (size_t done = 0; ok && done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    ok = n > 0;
    done += ok ? static_cast<size_t>(n) : 0;
  }
  ok = ok && ::fsync(fd) == 0;
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (ok && ::rename(temporary.c_str(), path.c_str()) == 0) return std::nullopt;
  const int shown = ok ? errno : reason;
  ::unlink(temporary.c_str());
  return failed("cannot write {}: {}", path.string(), std::strerror(shown));
}

Trouble make_private_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return std::nullopt;
  return failed("cannot make the directory {}: {}", path.string(), std::strerror(errno));
}

std::string toml_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string toml_quoted(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + toml_quoted(item);
  return "[" + text + "]";
}

Outcome<std::optional<FileLock>> FileLock::try_take(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed("cannot open {}: {}", path.string(), std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return std::optional<FileLock>(FileLock(fd));
  ::close(fd);
  return std::optional<FileLock>();
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace pairfs::cli
