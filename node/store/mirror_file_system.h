// RocksDB's view of FramedFiles: every file it writes goes to all members, every read is verified
// and mended before RocksDB sees it. Deletions of files that the last confirmed consistency point
// may need wait until a later one is confirmed.
//
// Paths are "/directory/file" and mean "directory/file" on each element. Any thread.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "node/store/framed_files.h"

namespace pairfs {

class MirrorFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit MirrorFileSystem(std::shared_ptr<FramedFiles> files);
  const char* Name() const override { return "PairfsMirror"; }

  // crc32c of a manifest's first `length` bytes, if it was synced at exactly that length.
  std::optional<uint32_t> manifest_crc(const std::string& path, uint64_t length_bytes) const;
  // True when a write failed for want of space since the last call.
  bool take_no_space() { return no_space_.exchange(false); }
  // A consistency point was made: its number, from 1. Files deleted from now on are not in it.
  uint64_t point_made();
  // That consistency point is confirmed: deletions from before it are carried out.
  void point_confirmed(uint64_t number);

  using IOOptions = rocksdb::IOOptions;
  using IODebugContext = rocksdb::IODebugContext;
  using IOStatus = rocksdb::IOStatus;
  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override;
  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override;
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override;
  IOStatus ReopenWritableFile(const std::string&, const rocksdb::FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus NewRandomRWFile(const std::string&, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) override;
  IOStatus NewMemoryMappedFileBuffer(const std::string&,
                                     std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override;
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override;
  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override;
  IOStatus GetChildrenFileAttributes(const std::string& path, const IOOptions&,
                                     std::vector<rocksdb::FileAttributes>* result,
                                     IODebugContext*) override;
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus Truncate(const std::string&, size_t, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                       IODebugContext*) override;
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time,
                                   IODebugContext*) override;
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result,
                           IODebugContext*) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override;
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions&,
                    IODebugContext*) override;
  IOStatus NumFileLinks(const std::string&, const IOOptions&, uint64_t* count,
                        IODebugContext*) override;
  IOStatus AreFilesSame(const std::string& a, const std::string& b, const IOOptions&, bool* same,
                        IODebugContext*) override;
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override;
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override;
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, uint64_t* bytes,
                        IODebugContext*) override;
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_directory,
                       IODebugContext*) override;

 private:
  class ReadFile;
  class SequentialFile;
  class WriteFile;
  class Directory;

  void note_manifest(const std::string& name, uint64_t length_bytes, uint32_t crc);
  IOStatus unlink(const std::string& name);
  IOStatus noted(const pairfs::Status& status, const std::string& name);

  const std::shared_ptr<FramedFiles> files_;
  std::atomic<bool> no_space_ = false;
  mutable std::mutex mutex_;
  uint64_t points_made_ = 0;
  std::map<std::string, uint64_t> deferred_;  // name: points made when RocksDB deleted it
  std::string manifest_name_;                 // the manifest written last, and its synced lengths
  std::map<uint64_t, uint32_t> manifest_crcs_;
};

}  // namespace pairfs
