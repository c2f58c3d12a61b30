#include "node/store/element_call.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "node/store/fields.h"

namespace pairfs {
namespace {

constexpr size_t kEntriesMax = 1 << 20;
constexpr uint64_t kReadMaxBytes = 32 << 20;

void put_text(Bytes* out, const std::string& text) {
  put_little(out, static_cast<uint32_t>(text.size()));
  *out += text;
}
std::string take_text(FieldReader* fields) {
  return std::string(fields->take(fields->little<uint32_t>()));
}

}  // namespace

Bytes encode_call(const ElementCall& call) {
  Bytes out;
  put_little(&out, static_cast<uint8_t>(call.kind));
  put_text(&out, call.element);
  put_text(&out, call.path);
  put_text(&out, call.name);
  put_text(&out, call.second_name);
  put_little(&out, call.offset_bytes);
  put_little(&out, call.length_bytes);
  put_little(&out, static_cast<uint8_t>(call.create));
  return out;
}

std::optional<ElementCall> decode_call(BytesView bytes) {
  FieldReader fields(bytes);
  ElementCall call;
  const auto kind = fields.little<uint8_t>();
  if (kind < 1 || kind > static_cast<uint8_t>(ElementCallKind::kUsed)) return std::nullopt;
  call.kind = static_cast<ElementCallKind>(kind);
  call.element = take_text(&fields);
  call.path = take_text(&fields);
  call.name = take_text(&fields);
  call.second_name = take_text(&fields);
  call.offset_bytes = fields.little<uint64_t>();
  call.length_bytes = fields.little<uint64_t>();
  call.create = fields.little<uint8_t>() != 0;
  if (!fields.at_end()) return std::nullopt;
  return call;
}

Bytes encode_answer(const ElementAnswer& answer) {
  Bytes out;
  put_little(&out, static_cast<uint32_t>(answer.error));
  put_little(&out, answer.value);
  put_little(&out, answer.space.filesystem_id);
  put_little(&out, answer.space.capacity_bytes);
  put_little(&out, answer.space.available_bytes);
  put_text(&out, answer.why);
  put_little(&out, static_cast<uint32_t>(answer.entries.size()));
  for (const Element::Entry& entry : answer.entries) {
    put_text(&out, entry.name);
    put_little(&out, entry.size_bytes);
    put_little(&out, static_cast<uint8_t>(entry.is_directory));
  }
  return out;
}

std::optional<ElementAnswer> decode_answer(BytesView bytes) {
  FieldReader fields(bytes);
  ElementAnswer answer;
  answer.error = static_cast<int>(fields.little<uint32_t>());
  answer.value = fields.little<uint64_t>();
  answer.space.filesystem_id = fields.little<uint64_t>();
  answer.space.capacity_bytes = fields.little<uint64_t>();
  answer.space.available_bytes = fields.little<uint64_t>();
  answer.why = take_text(&fields);
  const size_t count = fields.little<uint32_t>();
  if (count > kEntriesMax || count > fields.rest().size()) return std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    Element::Entry entry;
    entry.name = take_text(&fields);
    entry.size_bytes = fields.little<uint64_t>();
    entry.is_directory = fields.little<uint8_t>() != 0;
    answer.entries.push_back(std::move(entry));
  }
  if (!fields.at_end()) return std::nullopt;
  return answer;
}

bool is_safe_element_name(const std::string& name) {
  if (name.empty()) return true;  // the element itself
  size_t parts = 1, part_bytes = 0;
  for (const char c : name) {
    if (c == '/') {
      if (part_bytes == 0 || ++parts > 2) return false;
      part_bytes = 0;
      continue;
    }
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_')
      return false;
    if (c == '.' && part_bytes == 0) return false;  // neither "." nor ".."
    ++part_bytes;
  }
  return part_bytes > 0;
}

ElementAnswer serve_element_call(Element& element, const ElementCall& call, BytesView written,
                                 Bytes* read) {
  ElementAnswer answer;
  const auto note = [&](const auto& result) { answer.error = result.error(); };
  switch (call.kind) {
    case ElementCallKind::kOpen:
      break;
    case ElementCallKind::kRead: {
      if (call.length_bytes > kReadMaxBytes) {
        answer.error = EINVAL;
        break;
      }
      read->assign(call.length_bytes, '\0');
      const auto count = element.read(call.name, call.offset_bytes, *read);
      note(count);
      read->resize(count.ok() ? *count : 0);
      answer.value = read->size();
      break;
    }
    case ElementCallKind::kWrite:
      note(element.write(call.name, call.offset_bytes, {&written, 1}));
      break;
    case ElementCallKind::kSync:
      note(element.sync(call.name));
      break;
    case ElementCallKind::kSyncDirectory:
      note(element.sync_directory(call.name));
      break;
    case ElementCallKind::kSize: {
      const auto size = element.size(call.name);
      note(size);
      if (size.ok()) answer.value = *size;
      break;
    }
    case ElementCallKind::kList: {
      auto entries = element.list(call.name);
      note(entries);
      if (entries.ok()) answer.entries = std::move(*entries);
      break;
    }
    case ElementCallKind::kMakeDirectory:
      note(element.make_directory(call.name));
      break;
    case ElementCallKind::kRename:
      note(element.rename(call.name, call.second_name));
      break;
    case ElementCallKind::kLink:
      note(element.link(call.name, call.second_name));
      break;
    case ElementCallKind::kUnlink:
      note(element.unlink(call.name));
      break;
    case ElementCallKind::kPunch:
      note(element.punch(call.name, call.offset_bytes, call.length_bytes));
      break;
    case ElementCallKind::kSpace: {
      const auto space = element.space();
      note(space);
      if (space.ok()) answer.space = *space;
      break;
    }
    case ElementCallKind::kUsed: {
      const auto used = element.used_bytes();
      note(used);
      if (used.ok()) answer.value = *used;
      break;
    }
  }
  return answer;
}

namespace {

class RemoteElement final : public Element {
 public:
  RemoteElement(std::shared_ptr<ElementChannel> channel, std::string id, std::string path)
      : channel_(std::move(channel)), id_(std::move(id)), path_(std::move(path)) {}

  bool is_remote() const override { return true; }
  Result<size_t> read(const std::string& name, uint64_t offset, std::span<char> into) override {
    size_t done = 0;
    while (done < into.size()) {
      ElementCall call = make(ElementCallKind::kRead, name);
      call.offset_bytes = offset + done;
      call.length_bytes = std::min<uint64_t>(into.size() - done, 4 << 20);
      SharedBytes bytes;
      const ElementAnswer answer = channel_->call(call, {}, &bytes);
      if (answer.error != 0) return Errno{answer.error};
      if (bytes.size() > call.length_bytes) return Errno{EIO};
      std::memcpy(into.data() + done, bytes.view().data(), bytes.size());
      done += bytes.size();
      if (bytes.size() < call.length_bytes) break;
    }
    return done;
  }
  Status write(const std::string& name, uint64_t offset,
               std::span<const BytesView> parts) override {
    Bytes joined;
    for (const BytesView part : parts) joined += part;
    ElementCall call = make(ElementCallKind::kWrite, name);
    call.offset_bytes = offset;
    return status(call, SharedBytes::from(std::move(joined)));
  }
  Status sync(const std::string& name) override {
    return status(make(ElementCallKind::kSync, name));
  }
  Status sync_directory(const std::string& name) override {
    return status(make(ElementCallKind::kSyncDirectory, name));
  }
  Result<uint64_t> size(const std::string& name) override {
    const ElementAnswer answer = ask(make(ElementCallKind::kSize, name));
    if (answer.error != 0) return Errno{answer.error};
    return answer.value;
  }
  Result<std::vector<Entry>> list(const std::string& name) override {
    ElementAnswer answer = ask(make(ElementCallKind::kList, name));
    if (answer.error != 0) return Errno{answer.error};
    return std::move(answer.entries);
  }
  Status make_directory(const std::string& name) override {
    return status(make(ElementCallKind::kMakeDirectory, name));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return status(make(ElementCallKind::kRename, from, to));
  }
  Status link(const std::string& from, const std::string& to) override {
    return status(make(ElementCallKind::kLink, from, to));
  }
  Status unlink(const std::string& name) override {
    return status(make(ElementCallKind::kUnlink, name));
  }
  Status punch(const std::string& name, uint64_t offset, uint64_t length) override {
    ElementCall call = make(ElementCallKind::kPunch, name);
    call.offset_bytes = offset;
    call.length_bytes = length;
    return status(call);
  }
  Result<Space> space() override {
    const ElementAnswer answer = ask(make(ElementCallKind::kSpace, ""));
    if (answer.error != 0) return Errno{answer.error};
    Space space = answer.space;
    space.filesystem_id = ~space.filesystem_id;  // another machine's, whatever its number
    return space;
  }
  Result<uint64_t> used_bytes() override {
    const ElementAnswer answer = ask(make(ElementCallKind::kUsed, ""));
    if (answer.error != 0) return Errno{answer.error};
    return answer.value;
  }

  ElementCall make(ElementCallKind kind, const std::string& name,
                   const std::string& second_name = {}) const {
    ElementCall call;
    call.kind = kind;
    call.element = id_;
    call.path = path_;
    call.name = name;
    call.second_name = second_name;
    return call;
  }
  ElementAnswer ask(const ElementCall& call) { return channel_->call(call, {}, nullptr); }

 private:
  Status status(const ElementCall& call, SharedBytes written = {}) {
    const ElementAnswer answer = channel_->call(call, std::move(written), nullptr);
    return answer.error == 0 ? success() : Status(Errno{answer.error});
  }

  const std::shared_ptr<ElementChannel> channel_;
  const std::string id_, path_;
};

}  // namespace

std::unique_ptr<Element> open_remote_element(std::shared_ptr<ElementChannel> channel,
                                             const std::string& id, const std::string& path,
                                             bool create, std::string* why) {
  auto element = std::make_unique<RemoteElement>(std::move(channel), id, path);
  ElementCall call = element->make(ElementCallKind::kOpen, "");
  call.create = create;
  const ElementAnswer answer = element->ask(call);
  if (answer.error == 0) return element;
  *why = !answer.why.empty() ? answer.why
                             : fmt::format("Element {} at the partner cannot be reached: {}.", id,
                                           std::strerror(answer.error));
  return nullptr;
}

}  // namespace pairfs
