// Metadata files with checksums of their own, mirrored over some members of a RAID group. On an
// element a file is a row of frames of 4096 bytes: crc32c, then up to 4092 bytes of content; the
// last frame may be shorter. Readers get content that was verified; a bad, short or missing frame
// is had from another member and written anew. Formats: docs/storage_format.md.
//
// Any thread; a writer belongs to one at a time.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "node/store/raid_group.h"

namespace pairfs {

inline constexpr uint64_t kFrameBytes = 4096;
inline constexpr uint64_t kFrameContentBytes = kFrameBytes - 4;

// Content bytes of a file that is `stored_bytes` long on an element.
constexpr uint64_t framed_content_bytes(uint64_t stored_bytes) {
  const uint64_t rest = stored_bytes % kFrameBytes;
  return stored_bytes / kFrameBytes * kFrameContentBytes + (rest > 4 ? rest - 4 : 0);
}

class FramedFiles {
 public:
  // `members`: indexes in the group that hold copies, all the same ones.
  FramedFiles(RaidGroup& group, std::vector<size_t> members);

  class Writer {
   public:
    // Buffers; full frames go out now and then.
    Status append(BytesView content);
    // Everything appended is with the members' kernels.
    Status flush();
    Status sync();
    uint64_t content_bytes() const { return content_bytes_; }
    // crc32c of all content so far.
    uint32_t content_crc() const { return content_crc_; }

   private:
    friend class FramedFiles;
    Writer(FramedFiles& files, std::string name) : files_(files), name_(std::move(name)) {}
    void frame_tail();
    Status write_out();
    FramedFiles& files_;
    const std::string name_;
    uint64_t content_bytes_ = 0;
    uint32_t content_crc_ = 0;
    Bytes tail_;                // content of the frame that is not full
    bool tail_written_ = true;  // as it is now
    Bytes out_;                 // whole frames that are not written yet
    uint64_t written_frames_ = 0;
  };
  // Begins a new file; one of this name is unlinked first, never written over.
  Result<std::unique_ptr<Writer>> create(const std::string& name);

  // Content bytes of the file; ENOENT when no member has it.
  Result<uint64_t> size(const std::string& name);
  // Reads content [offset, offset + into.size()) of a file of `content_bytes`; the count read,
  // less than asked only at the end. EIO: a frame is good on no member.
  Result<size_t> read(const std::string& name, uint64_t content_bytes, uint64_t offset_bytes,
                      std::span<char> into);
  // The first `content_bytes` as one member has them, frame checksums ignored.
  Result<Bytes> read_unchecked(size_t member, const std::string& name, uint64_t content_bytes);

  // On every member that is ok; an error of one takes it out, if another is left.
  Status on_each(const char* doing, const std::function<Status(Element&)>& call);
  // Names in the directory on the first member that is ok.
  Result<std::vector<Element::Entry>> list(const std::string& directory);

  // Copies of files on member `index`, from now on. adopt() first copies those that are in
  // `directory` (made when it is missing); nobody may write a file there meanwhile. An error of the
  // new member takes it out; without one, nobody has a good copy of something now.
  Status adopt(size_t index, const std::string& directory);
  void drop(size_t index);

  struct Check {
    uint64_t read_frames = 0, mended_frames = 0, lost_frames = 0;
  };
  // Reads every copy of a file to its end and mends what is bad, or, with `only_look`, counts it;
  // nobody may write it meanwhile.
  Check check(const std::string& name, bool only_look = false);

  std::vector<size_t> members() const;
  RaidGroup& group() { return group_; }

 private:
  Status read_frames(const std::string& name, uint64_t first_frame, std::span<char> frames);
  Status recover_frame(const std::string& name, uint64_t frame, std::span<char> bytes,
                       size_t bad_member, bool only_look = false);
  bool any_ok() const;

  RaidGroup& group_;
  mutable std::mutex mutex_;
  std::vector<size_t> members_;
};

// The frame's checksum: of its place and its content.
uint32_t frame_crc(const std::string& file_name, uint64_t frame, BytesView content);

}  // namespace pairfs
