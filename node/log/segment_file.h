// One preallocated file of a command log: a 4 KiB head that says whose log it is, then records.
// Used by CommandLog only. I/O errors throw LogFailure.
#pragma once

#include <memory>
#include <string>

#include "common/types.h"
#include "node/log/log_files.h"

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
  std::string name;
  std::shared_ptr<LogFile> file;

  uint64_t size_bytes() const { return file->size_bytes(); }

  // Creates, preallocates and syncs file and name.
  static std::shared_ptr<SegmentFile> create(LogFiles& files, const std::string& name,
                                             const SegmentHead& head, uint64_t size_bytes);
  // nullptr: the head is not whole (a crash during create), or there is no such file. Another
  // cluster's or volume's file throws.
  static std::shared_ptr<SegmentFile> open(LogFiles& files, const std::string& name,
                                           uint64_t cluster_id, VolumeId volume);
  // nullptr when it is not there.
  static std::shared_ptr<SegmentFile> open_spare(LogFiles& files, const std::string& name);
  // Makes a spare the segment `name`; neither head nor name is synced by this.
  void adopt(LogFiles& files, const std::string& name, const SegmentHead& head);

  void write_head();
};

}  // namespace pairfs
