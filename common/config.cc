#include "common/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

namespace pairfs {
namespace {

struct Unit {
  const char* name;
  int64_t factor;
};
constexpr Unit kTimeUnits[] = {{"us", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"min", 60'000'000'000},
                               {"h", 3'600'000'000'000}};
constexpr Unit kSizeUnits[] = {
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", int64_t{1} << 40}};

// A whole number, optional spaces, and one of `units`; false when it is not that or overflows.
template <size_t kCount>
bool parse_with_unit(const std::string& text, const Unit (&units)[kCount], int64_t* out) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number < 0) return false;
  std::string unit(rest, end);
  unit.erase(0, unit.find_first_not_of(' '));
  for (const Unit& known : units) {
    if (unit == known.name) return !__builtin_mul_overflow(number, known.factor, out);
  }
  return false;
}

std::string size_text(uint64_t bytes) {
  for (size_t i = std::size(kSizeUnits); i-- > 0;) {
    const auto factor = static_cast<uint64_t>(kSizeUnits[i].factor);
    if (bytes >= factor && bytes % factor == 0)
      return fmt::format("{}{}", bytes / factor, kSizeUnits[i].name);
  }
  return fmt::format("{}", bytes);
}

}  // namespace

std::string to_string(Duration duration) {
  const int64_t ns = duration.count();
  for (size_t i = std::size(kTimeUnits); i-- > 0;) {
    if (ns != 0 && ns % kTimeUnits[i].factor == 0)
      return fmt::format("{} {}", ns / kTimeUnits[i].factor, kTimeUnits[i].name);
  }
  return fmt::format("{} s", static_cast<double>(ns) / 1e9);
}

struct Config::Document {
  std::string file_name;
  toml::table root;
  bool parsed = false;
  std::set<const toml::node*> taken;
  std::set<std::string> known_keys;  // as asked for, for the sentence about an unknown one
  std::vector<std::pair<unsigned, std::string>> problems;  // line, sentence

  void note(const toml::node* node, const std::string& sentence) {
    const unsigned line = node != nullptr ? node->source().begin.line : 0;
    problems.emplace_back(line, at(node) + sentence);
  }
  std::string at(const toml::node* node) const {
    if (node == nullptr || node->source().begin.line == 0) return file_name + ": ";
    return fmt::format("{}:{}: ", file_name, node->source().begin.line);
  }
  void note_unknown(const toml::table& table, const std::string& prefix);
};

struct Config::View {
  std::shared_ptr<Document> document;
  const toml::table* table;
  std::string prefix;  // "" or "element." for what people read

  const toml::node* find(const std::string& key) const { return table->at_path(key).node(); }
};

Config::Config(std::unique_ptr<View> view) : view_(std::move(view)) {}
Config::~Config() = default;
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(Config&&) noexcept = default;

Config Config::load_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) {
    const int error = errno;
    Config config = parse("", path);
    config.view_->document->parsed = false;
    config.view_->document->note(nullptr, fmt::format("cannot be read: {}", std::strerror(error)));
    return config;
  }
  return parse(text.str(), path);
}

Config Config::parse(BytesView text, const std::string& file_name) {
  auto document = std::make_shared<Document>();
  document->file_name = file_name;
  try {
    document->root = toml::parse(text, file_name);
    document->parsed = true;
  } catch (const toml::parse_error& error) {
    const unsigned line = error.source().begin.line;
    document->problems.emplace_back(
        line, fmt::format("{}:{}: not TOML: {}", file_name, line, error.description()));
  }
  auto view = std::make_unique<View>();
  view->table = &document->root;
  view->document = std::move(document);
  return Config(std::move(view));
}

template <class Take>
bool Config::take(const std::string& key, const std::string& expected, bool required, Take&& take) {
  Document& document = *view_->document;
  document.known_keys.insert(view_->prefix + key);
  const toml::node* node = view_->find(key);
  if (node == nullptr) {
    if (required && document.parsed) {
      const bool top = view_->table == &document.root;
      document.note(
          top ? nullptr : view_->table,
          fmt::format("the key '{}{}' is missing; expected {}", view_->prefix, key, expected));
    }
    return false;
  }
  document.taken.insert(node);
  if (take(*node)) return true;
  document.note(node,
                fmt::format("bad value of '{}{}'; expected {}", view_->prefix, key, expected));
  return false;
}

std::string Config::required_string(const std::string& key) {
  std::string out;
  take(key, "a string that is not empty", true, [&](const toml::node& node) {
    out = node.value<std::string>().value_or("");
    return node.is_string() && !out.empty();
  });
  return out;
}

std::string Config::string(const std::string& key, const std::string& fallback) {
  std::string out = fallback;
  take(key, "a string", false, [&](const toml::node& node) {
    if (node.is_string()) out = **node.as_string();
    return node.is_string();
  });
  return out;
}

std::vector<std::string> Config::required_strings(const std::string& key) {
  if (has(key)) {
    std::vector<std::string> out = strings(key);
    if (out.empty()) problem(key, fmt::format("'{}' is empty; expected at least one string", key));
    return out;
  }
  take(key, "a list of strings", true, [](const toml::node&) { return false; });
  return {};
}

std::vector<std::string> Config::strings(const std::string& key) {
  std::vector<std::string> out;
  take(key, "a list of strings, none of them empty", false, [&](const toml::node& node) {
    const toml::array* list = node.as_array();
    if (list == nullptr) return false;
    for (const toml::node& item : *list) {
      if (!item.is_string() || (*item.as_string())->empty()) return false;
      out.push_back(**item.as_string());
    }
    return true;
  });
  return out;
}

int64_t Config::required_integer(const std::string& key, int64_t min, int64_t max) {
  if (has(key)) return integer(key, min, min, max);
  take(key, fmt::format("an integer from {} to {}", min, max), true,
       [](const toml::node&) { return false; });
  return min;
}

int64_t Config::integer(const std::string& key, int64_t fallback, int64_t min, int64_t max) {
  int64_t out = fallback;
  take(key, fmt::format("an integer from {} to {}", min, max), false, [&](const toml::node& node) {
    if (!node.is_integer() || **node.as_integer() < min || **node.as_integer() > max) return false;
    out = **node.as_integer();
    return true;
  });
  return out;
}

bool Config::boolean(const std::string& key, bool fallback) {
  bool out = fallback;
  take(key, "true or false", false, [&](const toml::node& node) {
    if (node.is_boolean()) out = **node.as_boolean();
    return node.is_boolean();
  });
  return out;
}

uint64_t Config::required_identifier(const std::string& key) {
  uint64_t out = 0;
  take(key, "a positive integer, or a string of 1 to 16 hexadecimal digits that are not all 0",
       true, [&](const toml::node& node) {
         if (node.is_integer() && **node.as_integer() > 0) {
           out = static_cast<uint64_t>(**node.as_integer());
         } else if (node.is_string()) {
           const std::string& text = **node.as_string();
           const char* end = text.data() + text.size();
           const auto [rest, error] = std::from_chars(text.data(), end, out, 16);
           if (error != std::errc() || rest != end) out = 0;
         }
         return out != 0;
       });
  return out;
}

Duration Config::duration(const std::string& key, Duration fallback, Duration min, Duration max) {
  Duration out = fallback;
  const std::string expected =
      fmt::format("a string such as \"200ms\" (us, ms, s, min, h), from {} to {}", to_string(min),
                  to_string(max));
  take(key, expected, false, [&](const toml::node& node) {
    int64_t ns = 0;
    if (!node.is_string() || !parse_with_unit(**node.as_string(), kTimeUnits, &ns)) return false;
    if (Duration(ns) < min || Duration(ns) > max) return false;
    out = Duration(ns);
    return true;
  });
  return out;
}

uint64_t Config::size_bytes(const std::string& key, uint64_t fallback, uint64_t min, uint64_t max) {
  uint64_t out = fallback;
  const std::string expected =
      fmt::format("bytes, or a string such as \"256MiB\" (KiB, MiB, GiB, TiB), from {} to {}",
                  size_text(min), size_text(max));
  take(key, expected, false, [&](const toml::node& node) {
    int64_t bytes = 0;
    if (node.is_integer()) {
      bytes = **node.as_integer();
    } else if (!node.is_string() || !parse_with_unit(**node.as_string(), kSizeUnits, &bytes)) {
      return false;
    }
    if (bytes < 0 || static_cast<uint64_t>(bytes) < min || static_cast<uint64_t>(bytes) > max)
      return false;
    out = static_cast<uint64_t>(bytes);
    return true;
  });
  return out;
}

std::string Config::choice(const std::string& key, const std::string& fallback,
                           const std::vector<std::string>& choices) {
  std::string out = fallback;
  take(key, fmt::format("one of \"{}\"", fmt::join(choices, "\", \"")), false,
       [&](const toml::node& node) {
         const auto text = node.value<std::string>();
         if (!text || std::find(choices.begin(), choices.end(), *text) == choices.end())
           return false;
         out = *text;
         return true;
       });
  return out;
}

std::vector<Config> Config::tables(const std::string& key) {
  std::vector<Config> out;
  take(key, fmt::format("tables, each begun by [[{}]]", key), false, [&](const toml::node& node) {
    const toml::array* list = node.as_array();
    if (list == nullptr) return false;
    for (const toml::node& item : *list) {
      if (!item.is_table()) return false;
      auto view = std::make_unique<View>();
      view->document = view_->document;
      view->table = item.as_table();
      view->prefix = view_->prefix + key + ".";
      out.push_back(Config(std::move(view)));
    }
    return true;
  });
  return out;
}

bool Config::has(const std::string& key) const { return view_->find(key) != nullptr; }

std::string Config::where(const std::string& key) const {
  return view_->document->at(view_->find(key));
}

void Config::problem(const std::string& key, const std::string& sentence) {
  view_->document->note(view_->find(key), sentence);
}

void Config::Document::note_unknown(const toml::table& table, const std::string& prefix) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    const bool asked = taken.count(&node) != 0;
    if (node.is_table() && !asked) {
      const bool leads_on = std::any_of(known_keys.begin(), known_keys.end(),
                                        [&](const auto& k) { return k.starts_with(key + "."); });
      if (leads_on) {
        note_unknown(*node.as_table(), key + ".");
        continue;
      }
    }
    if (asked) {
      const toml::array* list = node.as_array();
      if (list != nullptr)
        for (const toml::node& item : *list)
          if (item.is_table()) note_unknown(*item.as_table(), key + ".");
      continue;
    }
    std::vector<std::string> siblings;
    for (const std::string& k : known_keys)
      if (k.starts_with(prefix)) siblings.push_back(k);
    note(&node,
         fmt::format("unknown key '{}'; expected one of {}", key, fmt::join(siblings, ", ")));
  }
}

std::vector<std::string> Config::finish() {
  Document& document = *view_->document;
  if (document.parsed) document.note_unknown(document.root, "");
  std::stable_sort(document.problems.begin(), document.problems.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (const auto& [line, sentence] : document.problems) out.push_back(sentence);
  return out;
}

bool Config::finish(std::FILE* out) {
  const std::vector<std::string> problems = finish();
  for (const std::string& sentence : problems) fmt::print(out, "{}\n", sentence);
  return problems.empty();
}

}  // namespace pairfs
