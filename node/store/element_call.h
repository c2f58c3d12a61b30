// The calls of Element as messages: for elements that only the partner reaches. Requests and
// answers are byte strings with a bulk part; docs/protocol.md, "Elements of the partner". No I/O
// but serve()'s on the element.
#pragma once

#include <functional>
#include <optional>

#include "node/store/element.h"

namespace pairfs {

enum class ElementCallKind : uint8_t {
  kOpen = 1,
  kRead = 2,
  kWrite = 3,
  kSync = 4,
  kSyncDirectory = 5,
  kSize = 6,
  kList = 7,
  kMakeDirectory = 8,
  kRename = 9,
  kLink = 10,
  kUnlink = 11,
  kPunch = 12,
  kSpace = 13,
  kUsed = 14,
};

struct ElementCall {
  ElementCallKind kind = ElementCallKind::kOpen;
  std::string element;  // its id
  std::string path;     // its directory, on the machine that has it
  std::string name, second_name;
  uint64_t offset_bytes = 0, length_bytes = 0;
  bool create = false;  // kOpen
};
struct ElementAnswer {
  int error = 0;
  uint64_t value = 0;  // a count or a size
  Element::Space space;
  std::vector<Element::Entry> entries;
  std::string why;  // kOpen that failed
};
Bytes encode_call(const ElementCall& call);
std::optional<ElementCall> decode_call(BytesView bytes);
Bytes encode_answer(const ElementAnswer& answer);
std::optional<ElementAnswer> decode_answer(BytesView bytes);

// False for names that could lead out of the element's directory.
bool is_safe_element_name(const std::string& name);

// Carries a call out; what was read is in *read.
ElementAnswer serve_element_call(Element& element, const ElementCall& call, BytesView written,
                                 Bytes* read);

// Sends a call and waits for its answer: EHOSTUNREACH or ETIMEDOUT when none comes. Any thread.
class ElementChannel {
 public:
  virtual ~ElementChannel() = default;
  virtual ElementAnswer call(const ElementCall& call, SharedBytes written, SharedBytes* read) = 0;
};

// An element at the other end of the channel. nullptr and a sentence when it cannot be opened
// there.
std::unique_ptr<Element> open_remote_element(std::shared_ptr<ElementChannel> channel,
                                             const std::string& id, const std::string& path,
                                             bool create, std::string* why);

}  // namespace pairfs
