// One disk of a volume, used through a few calls on named files. Names are relative
// ("segment.3.0.1", "meta.3.0/000012.sst"); directories are at most one deep. Nothing is durable
// before sync(), and a new, renamed, linked or removed name not before sync_directory().
//
// Any thread. Every error is an errno; an element never retries and never repairs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/types.h"

namespace pairfs {

class Element {
 public:
  struct Entry {
    std::string name;
    uint64_t size_bytes = 0;
    bool is_directory = false;
  };
  struct Space {
    uint64_t filesystem_id = 0;  // equal: the same space, to be counted once
    uint64_t capacity_bytes = 0;
    uint64_t available_bytes = 0;
  };

  virtual ~Element() = default;

  // Another machine's: reads go to the others first.
  virtual bool is_remote() const { return false; }

  // Reads from the offset until `into` is full or the file ends; the count read.
  virtual Result<size_t> read(const std::string& name, uint64_t offset_bytes,
                              std::span<char> into) = 0;
  // Writes all of `parts` behind each other at the offset; creates the file when it is missing.
  // What lies between the old end and the offset is a hole.
  virtual Status write(const std::string& name, uint64_t offset_bytes,
                       std::span<const BytesView> parts) = 0;
  // Makes the file's bytes and length durable (fdatasync).
  virtual Status sync(const std::string& name) = 0;
  // Makes names in the directory durable; "" is the element's own.
  virtual Status sync_directory(const std::string& directory) = 0;

  // ENOENT when it is not there.
  virtual Result<uint64_t> size(const std::string& name) = 0;
  virtual Result<std::vector<Entry>> list(const std::string& directory) = 0;
  // EEXIST when it is there.
  virtual Status make_directory(const std::string& name) = 0;
  // Files and directories; an existing file `to` is replaced.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // A second name of a file; EEXIST when `to` is there.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  // A file, or a directory without entries.
  virtual Status unlink(const std::string& name) = 0;
  // Gives back the space of [offset, offset + length); reads as zeros. The size stays.
  virtual Status punch(const std::string& name, uint64_t offset_bytes, uint64_t length_bytes) = 0;
  virtual Result<Space> space() = 0;
  // Bytes that the element's files take, as far as the element can say.
  virtual Result<uint64_t> used_bytes() = 0;

  // Of an element that defers syncs (deferring_element.h): from now on they wait for the disk.
  virtual void stop_deferring() {}
  // The same, and makes durable what was deferred.
  virtual Status settle() { return success(); }
};

// An element that is a directory of this machine. Keeps up to `open_files_max` files open.
// Creates the directory (not its parents) when it is missing and `create` says so. On an error,
// nullptr and a sentence; a filesystem without hard links, hole punching or fdatasync is one.
std::unique_ptr<Element> open_directory_element(const std::string& path, bool create,
                                                std::string* why, size_t open_files_max = 256);

// Removes a directory of an element with the files in it. A missing one is no error.
Status remove_tree(Element& element, const std::string& directory);

}  // namespace pairfs
