// One preallocated file of a command log: a 4 KiB head that says whose log it is, then records.
// Used by CommandLog only. I/O errors throw LogFailure.
#pragma once

#include <memory>
#include <string>

#include "common/types.h"

namespace pairfs {

inline constexpr uint64_t kSegmentHeadBytes = 4096;

struct SegmentHead {
  uint64_t cluster_id = 0;
  VolumeId volume;
  Incarnation incarnation = 0;
  Sequence first_sequence = 0;
  uint32_t previous_chain = 0;  // chain crc of record first_sequence - 1
  std::string boot_id;          // of the kernel under which it was started
};

struct SegmentFile {
  SegmentHead head;
  std::string path;
  int fd = -1;
  uint64_t size_bytes = 0;

  // Creates, preallocates and syncs file and directory entry.
  static std::shared_ptr<SegmentFile> create(const std::string& path, const SegmentHead& head,
                                             uint64_t size_bytes);
  // nullptr: the head is not whole (a crash during create). Another cluster's or volume's file
  // throws.
  static std::shared_ptr<SegmentFile> open(const std::string& path, uint64_t cluster_id,
                                           VolumeId volume);
  // A file of that size with blocks of its own, synced. Any thread.
  static void preallocate(const std::string& path, uint64_t size_bytes);
  // nullptr when it is not there.
  static std::shared_ptr<SegmentFile> open_spare(const std::string& path);
  // Makes a spare the segment at `path`; neither head nor name is synced by this.
  void adopt(const std::string& path, const SegmentHead& head);
  ~SegmentFile();

  void write_head();
  // Short at the end of the file.
  Bytes read(uint64_t offset, size_t length) const;
  void write(uint64_t offset, const BytesView* pieces, size_t count);
  // Makes everything from offset on read as zeros, durably.
  void zero_from(uint64_t offset);
};

}  // namespace pairfs
