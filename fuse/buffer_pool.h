// Buffers for requests from /dev/fuse, used again when nobody holds them: a Write's data stay in
// the buffer that they were read into until they are sent. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace pairfs {

class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  explicit BufferPool(size_t buffer_bytes) : buffer_bytes_(buffer_bytes) {}

  size_t buffer_bytes() const { return buffer_bytes_; }
  // Comes back to the pool when the last holder lets go.
  std::shared_ptr<char[]> take() {
    std::unique_ptr<char[]> buffer;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        buffer = std::move(free_.back());
        free_.pop_back();
      }
    }
    // Not zeroed: the pages come as they are used.
    if (!buffer) buffer.reset(new char[buffer_bytes_]);
    return {buffer.release(), [pool = shared_from_this()](char* octets) {
              pool->give_back(std::unique_ptr<char[]>(octets));
            }};
  }

 private:
  static constexpr size_t kFreeMax = 16;
  void give_back(std::unique_ptr<char[]> buffer) {
    const std::lock_guard lock(mutex_);
    if (free_.size() < kFreeMax) free_.push_back(std::move(buffer));
  }

  const size_t buffer_bytes_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<char[]>> free_;
};

}  // namespace pairfs
