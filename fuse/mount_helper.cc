#include "fuse/mount_helper.h"

#include <fmt/core.h>

namespace pairfs {

bool is_mount_helper(const std::string& program) {
  const size_t slash = program.rfind('/');
  return program.compare(slash == std::string::npos ? 0 : slash + 1, 6, "mount.") == 0;
}

std::optional<HelperCall> read_helper_call(const std::vector<std::string>& words,
                                           std::string* why) {
  HelperCall call;
  std::vector<std::string> places;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      places.push_back(word);
      continue;
    }
    // Letters in one word, of which o, t and N take the rest of it, or the next word.
    for (size_t at = 1; at < word.size(); ++at) {
      const char letter = word[at];
      if (letter == 'f') call.fake = true;
      if (letter == 'r') call.options.push_back("ro");
      if (std::string("fnrsvw").find(letter) != std::string::npos) continue;
      if (letter != 'o' && letter != 't') {
        *why = fmt::format(
            "the mount helper does not know -{}; expected SOURCE DIRECTORY"
            " [-fnrsvw] [-o OPTIONS] [-t TYPE]",
            letter);
        return std::nullopt;
      }
      std::string value = word.substr(at + 1);
      if (value.empty() && i + 1 < words.size()) value = words[++i];
      if (letter == 'o') call.options.push_back(value);
      break;
    }
  }
  if (places.size() != 2) {
    *why = "expected SOURCE DIRECTORY, as in: mount -t fuse.pairfs router1:7400,router2:7400 /mnt";
    return std::nullopt;
  }
  call.source = places[0];
  call.path = places[1];
  return call;
}

}  // namespace pairfs
