#include "node/store/deferring_element.h"

#include <cerrno>
#include <mutex>
#include <set>

namespace pairfs {
namespace {

class DeferringElement final : public Element {
 public:
  explicit DeferringElement(std::unique_ptr<Element> element) : element_(std::move(element)) {}

  bool is_remote() const override { return element_->is_remote(); }
  Result<size_t> read(const std::string& name, uint64_t offset_bytes,
                      std::span<char> into) override {
    return element_->read(name, offset_bytes, into);
  }
  Status write(const std::string& name, uint64_t offset_bytes,
               std::span<const BytesView> parts) override {
    return element_->write(name, offset_bytes, parts);
  }
  Status sync(const std::string& name) override {
    return defer(files_, name) ? success() : element_->sync(name);
  }
  Status sync_directory(const std::string& directory) override {
    return defer(directories_, directory) ? success() : element_->sync_directory(directory);
  }
  Result<uint64_t> size(const std::string& name) override { return element_->size(name); }
  Result<std::vector<Entry>> list(const std::string& directory) override {
    return element_->list(directory);
  }
  Status make_directory(const std::string& name) override { return element_->make_directory(name); }
  Status rename(const std::string& from, const std::string& to) override {
    const Status done = element_->rename(from, to);
    if (!done.ok()) return done;
    const std::lock_guard lock(mutex_);
    rename_noted(files_, from, to);
    rename_noted(directories_, from, to);
    return done;
  }
  Status link(const std::string& from, const std::string& to) override {
    const Status done = element_->link(from, to);
    const std::lock_guard lock(mutex_);
    if (done.ok() && files_.contains(from)) files_.insert(to);
    return done;
  }
  Status unlink(const std::string& name) override {
    const Status done = element_->unlink(name);
    if (!done.ok()) return done;
    const std::lock_guard lock(mutex_);
    files_.erase(name);
    directories_.erase(name);
    return done;
  }
  Status punch(const std::string& name, uint64_t offset_bytes, uint64_t length_bytes) override {
    return element_->punch(name, offset_bytes, length_bytes);
  }
  Result<Space> space() override { return element_->space(); }
  Result<uint64_t> used_bytes() override { return element_->used_bytes(); }

  void stop_deferring() override {
    const std::lock_guard lock(mutex_);
    deferring_ = false;
  }

  // Files before the directories that name them, the element's own last.
  Status settle() override {
    stop_deferring();
    Status done = settle_all(files_, [&](const std::string& name) { return element_->sync(name); });
    if (!done.ok()) return done;
    return settle_all(directories_,
                      [&](const std::string& name) { return element_->sync_directory(name); });
  }

 private:
  using Names = std::set<std::string, std::greater<>>;  // "" comes last

  bool defer(Names& names, const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (deferring_) names.insert(name);
    return deferring_;
  }

  // `from` may be a directory with noted files in it.
  static void rename_noted(Names& names, const std::string& from, const std::string& to) {
    Names renamed;
    std::erase_if(names, [&](const std::string& name) {
      const bool moved = name == from || name.starts_with(from + "/");
      if (moved) renamed.insert(to + name.substr(from.size()));
      return moved;
    });
    names.merge(renamed);
  }

  // One at a time: a name may go while others are being synced, as RocksDB drops what it replaced.
  template <class Sync>
  Status settle_all(Names& names, const Sync& sync) {
    for (;;) {
      std::string name;
      {
        const std::lock_guard lock(mutex_);
        if (names.empty()) return success();
        name = *names.begin();
      }
      const Status done = sync(name);
      const std::lock_guard lock(mutex_);
      if (!done.ok() && names.contains(name)) return done;
      names.erase(name);
    }
  }

  const std::unique_ptr<Element> element_;
  std::mutex mutex_;
  bool deferring_ = true;
  Names files_, directories_;  // to be synced yet
};

}  // namespace

std::unique_ptr<Element> make_deferring_element(std::unique_ptr<Element> element) {
  return std::make_unique<DeferringElement>(std::move(element));
}

}  // namespace pairfs
