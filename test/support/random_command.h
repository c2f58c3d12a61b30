// Values for every command, reply and message, made by walking serialize(), the same list of fields
// that the codec walks: a new field or command needs nothing here.
//
//   random_value<Rename>(random)      arbitrary field values, a function of the generator's state
//   counted_value<Rename>()           1, 2, 3 ... in field order: the same in every run
//   field_text(value)                 all field values as text, to compare two values
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "common/commands.h"

namespace pairfs::test {

namespace generator_internal {

template <class T>
inline constexpr bool kIsBytes = std::is_base_of_v<Bytes, T>;
template <class T>
concept List = requires(T& list) {
  list.emplace_back();
  T::kMaxItems;
};

// Calls visit(field) for every field of arithmetic or bytes type, in order; resize(list) for every
// list before its items.
template <class Visitor>
class FieldWalk {
 public:
  explicit FieldWalk(Visitor& visitor) : visitor_(visitor) {}
  template <class... Fields>
  void operator()(Fields&... fields) {
    (field(fields), ...);
  }

 private:
  template <class T>
  void field(T& value) {
    if constexpr (std::is_arithmetic_v<T> || kIsBytes<T>) {
      visitor_.leaf(value);
    } else if constexpr (List<T>) {
      visitor_.list(value);
      for (auto& item : value) field(item);
    } else {
      value.serialize(*this);
    }
  }
  Visitor& visitor_;
};

template <class Random>
struct RandomFields {
  Random& random;

  uint64_t below(uint64_t bound) { return random() % bound; }
  // Mostly small, now and then up to the cap.
  size_t size(size_t cap) {
    switch (below(8)) {
      case 0:
        return 0;
      case 1:
        return below(std::min<size_t>(cap, 4096) + 1);
      case 2:
        return cap <= 255 ? cap : below(17);
      default:
        return below(std::min<size_t>(cap, 12) + 1);
    }
  }
  template <class T>
  void leaf(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = below(2) == 1;
    } else if constexpr (std::is_arithmetic_v<T>) {
      // Small, near the ends of the range, or anything.
      const uint64_t choice = below(4);
      value = static_cast<T>(choice == 0 ? below(8) : choice == 1 ? ~below(8) : random());
    } else {
      value.resize(size(T::kMaxBytes));
      for (char& c : value) c = static_cast<char>(random());
    }
  }
  template <class T>
  void list(T& value) {
    value.clear();
    value.resize(below(32) == 0 ? below(std::min<size_t>(T::kMaxItems, 200) + 1)
                                : below(std::min<size_t>(T::kMaxItems, 4) + 1));
  }
};

struct CountedFields {
  uint8_t next = 0;
  template <class T>
  void leaf(T& value) {
    ++next;
    if constexpr (std::is_same_v<T, bool>) {
      value = next % 2 == 1;
    } else if constexpr (std::is_arithmetic_v<T>) {
      // Its lowest octet counts; the others tell the width.
      uint64_t wide = 0x0807'0605'0403'0200ULL | next;
      value = static_cast<T>(wide);
    } else {
      value.assign(std::min<size_t>(1 + next % 3, T::kMaxBytes),
                   static_cast<char>('a' + next % 26));
    }
  }
  template <class T>
  void list(T& value) {
    value.clear();
    value.resize(std::min<size_t>(2, T::kMaxItems));
  }
};

struct TextFields {
  std::string text;
  template <class T>
  void leaf(T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      text += fmt::format("{}:{} ", sizeof value, value);
    } else {
      text += fmt::format("{}\"{}\" ", value.size(), std::string_view(value));
    }
  }
  template <class T>
  void list(T& value) {
    text += fmt::format("[{}] ", value.size());
  }
};

template <class T, class Visitor>
void walk(T& value, Visitor& visitor) {
  FieldWalk<Visitor> fields(visitor);
  value.serialize(fields);
}

}  // namespace generator_internal

// `random` is a uniform generator of 64 bits, such as std::mt19937_64.
template <class T, class Random>
T random_value(Random& random) {
  T value;
  generator_internal::RandomFields<Random> fields{random};
  generator_internal::walk(value, fields);
  return value;
}

template <class T>
T counted_value() {
  T value;
  generator_internal::CountedFields fields;
  generator_internal::walk(value, fields);
  return value;
}

template <class T>
std::string field_text(const T& value) {
  generator_internal::TextFields fields;
  // serialize() is one function for both directions, so it cannot be const.
  generator_internal::walk(const_cast<T&>(value), fields);
  return fields.text;
}

}  // namespace pairfs::test
