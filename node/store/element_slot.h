// The place of one element in a group: it may get another element while calls on the old one still
// run, so old ones live as long as the slot. Any thread reads; one at a time puts.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "node/store/element.h"

namespace pairfs {

class ElementSlot {
 public:
  void put(std::unique_ptr<Element> element) {
    current_.store(element.get(), std::memory_order_release);
    if (element) kept_.push_back(std::move(element));
  }
  Element* get() const { return current_.load(std::memory_order_acquire); }
  Element* operator->() const { return get(); }
  Element& operator*() const { return *get(); }
  explicit operator bool() const { return get() != nullptr; }

 private:
  std::atomic<Element*> current_ = nullptr;
  std::vector<std::unique_ptr<Element>> kept_;
};

}  // namespace pairfs
