// Typed reading of a daemon's TOML file. Every reader takes a dotted key ("map.dir"), says what it
// expects, and notes a problem instead of failing, so that one start reports all mistakes at once;
// a problem is a sentence that begins with "file:line: ". Keys that nobody asked for are problems
// too. One thread. config.cc is the one file that includes toml++.
//
//   Config config = Config::load_file(path);
//   settings.name = config.required_string("name");
//   settings.lease = config.duration("pair.lease", 200ms, 10ms, 10s);
//   if (!config.finish(stderr)) return kExitUsage;
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs {

inline constexpr int kExitUsage = 2;  // wrong flags or configuration: nothing was started

class Config {
 public:
  // A file that cannot be read or is not TOML is a problem; the readers then give defaults and
  // note nothing more.
  static Config load_file(const std::string& path);
  // The same from memory; `file_name` is what problems say.
  static Config parse(BytesView text, const std::string& file_name);
  ~Config();
  Config(Config&&) noexcept;
  Config& operator=(Config&&) noexcept;

  // required_*: an absent key is a problem and gives an empty value. The others give the fallback
  // when the key is absent, and when its value is refused.
  std::string required_string(const std::string& key);
  std::string string(const std::string& key, const std::string& fallback);
  std::vector<std::string> required_strings(const std::string& key);  // not empty
  std::vector<std::string> strings(const std::string& key);
  int64_t required_integer(const std::string& key, int64_t min, int64_t max);
  int64_t integer(const std::string& key, int64_t fallback, int64_t min, int64_t max);
  bool boolean(const std::string& key, bool fallback);
  // A number from 1 to 2^64-1: a TOML integer, or a string of 1 to 16 hexadecimal digits.
  uint64_t required_identifier(const std::string& key);
  // A string such as "200ms": a whole number and us, ms, s, min or h.
  Duration duration(const std::string& key, Duration fallback, Duration min, Duration max);
  // Bytes: a TOML integer, or a string such as "256MiB": a whole number and KiB, MiB, GiB or TiB.
  uint64_t size_bytes(const std::string& key, uint64_t fallback, uint64_t min, uint64_t max);
  // One of `choices`.
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& choices);
  // The tables of [[key]], in order; none when absent. Their problems count as this one's, and
  // finish() is called on this one only.
  std::vector<Config> tables(const std::string& key);

  bool has(const std::string& key) const;
  // "file:line: " of the key, or "file: " when it is absent.
  std::string where(const std::string& key) const;
  // A problem that the caller found: `sentence` is put behind where(key).
  void problem(const std::string& key, const std::string& sentence);

  // Call after the last reader: notes what was never asked for. All problems in the order of their
  // lines; empty when the file is right.
  std::vector<std::string> finish();
  // The same, printed; true when there were none.
  bool finish(std::FILE* out);

 private:
  struct Document;
  struct View;
  explicit Config(std::unique_ptr<View> view);
  template <class Take>
  bool take(const std::string& key, const std::string& expected, bool required, Take&& take);
  std::unique_ptr<View> view_;
};

// "1.5 s", "200 ms": for people.
std::string to_string(Duration duration);

}  // namespace pairfs
