#include "common/codec.h"

#include <cereal/cereal.hpp>
#include <concepts>
#include <cstring>
#include <exception>

#include "common/cluster_map.h"
#include "common/commands.h"
#include "common/link_messages.h"
#include "common/messages.h"

// The archives and their functions share one namespace, where cereal's argument-dependent lookup
// finds them.
namespace pairfs::codec_internal {

class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit OutputArchive(Bytes& out)
      : cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>(this), out_(out) {}
  void raw(const void* data, size_t length) { out_.append(static_cast<const char*>(data), length); }

 private:
  Bytes& out_;
};

struct Malformed : std::exception {};

class BoundedInputArchive
    : public cereal::InputArchive<BoundedInputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit BoundedInputArchive(BytesView in)
      : cereal::InputArchive<BoundedInputArchive, cereal::AllowEmptyClassElision>(this), in_(in) {}
  void raw(void* data, size_t length) {
    if (length > in_.size()) throw Malformed();
    std::memcpy(data, in_.data(), length);
    in_.remove_prefix(length);
  }
  size_t remaining() const { return in_.size(); }

 private:
  BytesView in_;
};

template <class T>
concept Scalar = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

template <Scalar T>
inline void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& ar, const T& value) {
  ar.raw(&value, sizeof value);
}
template <Scalar T>
inline void CEREAL_LOAD_FUNCTION_NAME(BoundedInputArchive& ar, T& value) {
  ar.raw(&value, sizeof value);
}
inline void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& ar, const bool& value) {
  const uint8_t octet = value ? 1 : 0;
  ar.raw(&octet, 1);
}
inline void CEREAL_LOAD_FUNCTION_NAME(BoundedInputArchive& ar, bool& value) {
  uint8_t octet = 0;
  ar.raw(&octet, 1);
  if (octet > 1) throw Malformed();
  value = octet == 1;
}
template <size_t kMax>
inline void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& ar, const CappedBytes<kMax>& value) {
  const auto length = static_cast<uint32_t>(value.size());
  ar.raw(&length, sizeof length);
  ar.raw(value.data(), value.size());
}
template <size_t kMax>
inline void CEREAL_LOAD_FUNCTION_NAME(BoundedInputArchive& ar, CappedBytes<kMax>& value) {
  uint32_t length = 0;
  ar.raw(&length, sizeof length);
  if (length > kMax || length > ar.remaining()) throw Malformed();
  value.resize(length);
  ar.raw(value.data(), length);
}
template <class T, size_t kMax>
inline void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& ar, const CappedList<T, kMax>& list) {
  const auto count = static_cast<uint32_t>(list.size());
  ar.raw(&count, sizeof count);
  for (const T& item : list) ar(item);
}
template <class T, size_t kMax>
inline void CEREAL_LOAD_FUNCTION_NAME(BoundedInputArchive& ar, CappedList<T, kMax>& list) {
  uint32_t count = 0;
  ar.raw(&count, sizeof count);
  // Every item takes at least one byte, so a count beyond the remaining bytes is a lie.
  if (count > kMax || count > ar.remaining()) throw Malformed();
  list.clear();
  for (uint32_t i = 0; i < count; ++i) ar(list.emplace_back());
}

}  // namespace pairfs::codec_internal

CEREAL_SETUP_ARCHIVE_TRAITS(pairfs::codec_internal::BoundedInputArchive,
                            pairfs::codec_internal::OutputArchive)

namespace pairfs {

template <class T>
Bytes encode(const T& value) {
  Bytes out;
  codec_internal::OutputArchive archive(out);
  // serialize() is one function for both directions, so it cannot be const.
  const_cast<T&>(value).serialize(archive);
  return out;
}

template <class T>
std::optional<T> decode(BytesView bytes) {
  try {
    T value;
    codec_internal::BoundedInputArchive archive(bytes);
    value.serialize(archive);
    if (archive.remaining() != 0) return std::nullopt;
    return value;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// Pointers to every command's codec: what makes the compiler keep them for the other files.
template <class... Cs>
struct CodecTable {
  using Function = void (*)();
  inline static const Function kFunctions[] = {
      reinterpret_cast<Function>(&encode<Cs>)..., reinterpret_cast<Function>(&decode<Cs>)...,
      reinterpret_cast<Function>(&encode<typename Cs::Reply>)...,
      reinterpret_cast<Function>(&decode<typename Cs::Reply>)...};
};
template <class... Cs>
const void* keep_codecs(TypeList<Cs...>) {
  return CodecTable<Cs...>::kFunctions;
}
extern const void* const kCommandCodecs;
const void* const kCommandCodecs = keep_codecs(CommandList{});

#define PAIRFS_INSTANTIATE(T)         \
  template Bytes encode<T>(const T&); \
  template std::optional<T> decode<T>(BytesView);
PAIRFS_INSTANTIATE(Attributes)
PAIRFS_INSTANTIATE(TransactionPart)
PAIRFS_INSTANTIATE(ClusterMap)
PAIRFS_INSTANTIATE(VolumeRecord)
PAIRFS_INSTANTIATE(ClusterPolicy)
PAIRFS_INSTANTIATE(MapRead)
PAIRFS_INSTANTIATE(MapReadReply)
PAIRFS_INSTANTIATE(MapSwap)
PAIRFS_INSTANTIATE(MapSwapReply)
PAIRFS_INSTANTIATE(Recall)
PAIRFS_INSTANTIATE(LinkMessage)
PAIRFS_INSTANTIATE(NodeStatus)
PAIRFS_INSTANTIATE(RouterStatus)
PAIRFS_INSTANTIATE(AdminRequest)
PAIRFS_INSTANTIATE(AdminReply)

}  // namespace pairfs
