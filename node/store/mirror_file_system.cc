#include "node/store/mirror_file_system.h"

#include <cstring>

namespace pairfs {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr size_t kManifestLengthsKept = 256;

std::string name_of(const std::string& path) {
  std::string name = path;
  while (!name.empty() && name.front() == '/') name.erase(0, 1);
  while (!name.empty() && name.back() == '/') name.pop_back();
  for (size_t at; (at = name.find("//")) != std::string::npos;) name.erase(at, 1);
  return name;
}

// Retryable: RocksDB must not take one failed write for the end; the next consistency point
// resumes it. Never NoSpace: on that RocksDB starts a recovery thread of its own, which refuses
// ours. saw_no_space() remembers it.
IOStatus to_io_status(int error, const std::string& name) {
  if (error == 0) return IOStatus::OK();
  if (error == ENOENT) return IOStatus::PathNotFound(name);
  IOStatus status = IOStatus::IOError(name, std::strerror(error));
  status.SetRetryable(true);
  return status;
}
template <class T>
IOStatus to_io_status(const Result<T>& result, const std::string& name) {
  return to_io_status(result.error(), name);
}

bool is_kept_until_confirmed(const std::string& name) {
  return name.ends_with(".sst") || name.find("/MANIFEST-") != std::string::npos;
}

struct NoLock : rocksdb::FileLock {};

}  // namespace

class MirrorFileSystem::ReadFile final : public rocksdb::FSRandomAccessFile {
 public:
  ReadFile(std::shared_ptr<FramedFiles> files, std::string name, uint64_t size)
      : files_(std::move(files)), name_(std::move(name)), size_(size) {}
  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) const override {
    auto count = files_->read(name_, size_, offset, {scratch, n});
    *result = rocksdb::Slice(scratch, count.ok() ? *count : 0);
    return to_io_status(count, name_);
  }
  IOStatus Prefetch(uint64_t, size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("Prefetch");
  }

 private:
  std::shared_ptr<FramedFiles> files_;
  const std::string name_;
  const uint64_t size_;
};

class MirrorFileSystem::SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(std::shared_ptr<FramedFiles> files, std::string name, uint64_t size)
      : files_(std::move(files)), name_(std::move(name)), size_(size) {}
  IOStatus Read(size_t n, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) override {
    auto count = files_->read(name_, size_, at_, {scratch, n});
    *result = rocksdb::Slice(scratch, count.ok() ? *count : 0);
    at_ += result->size();
    return to_io_status(count, name_);
  }
  IOStatus Skip(uint64_t n) override {
    at_ = std::min(size_, at_ + n);
    return IOStatus::OK();
  }

 private:
  std::shared_ptr<FramedFiles> files_;
  const std::string name_;
  const uint64_t size_;
  uint64_t at_ = 0;
};

class MirrorFileSystem::WriteFile final : public rocksdb::FSWritableFile {
 public:
  WriteFile(MirrorFileSystem& owner, std::string name, std::unique_ptr<FramedFiles::Writer> writer)
      : owner_(owner), name_(std::move(name)), writer_(std::move(writer)) {}
  using FSWritableFile::Append;
  IOStatus Append(const rocksdb::Slice& data, const IOOptions&, IODebugContext*) override {
    return owner_.noted(writer_->append({data.data(), data.size()}), name_);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const auto synced = writer_->sync();
    if (synced.ok() && name_.find("/MANIFEST-") != std::string::npos) {
      owner_.note_manifest(name_, writer_->content_bytes(), writer_->content_crc());
    }
    return owner_.noted(synced, name_);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    return owner_.noted(writer_->flush(), name_);
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    return writer_->content_bytes();
  }

 private:
  MirrorFileSystem& owner_;
  const std::string name_;
  std::unique_ptr<FramedFiles::Writer> writer_;
};

class MirrorFileSystem::Directory final : public rocksdb::FSDirectory {
 public:
  Directory(std::shared_ptr<FramedFiles> files, std::string name)
      : files_(std::move(files)), name_(std::move(name)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return to_io_status(
        files_->on_each("sync directory", [&](Element& e) { return e.sync_directory(name_); }),
        name_);
  }

 private:
  std::shared_ptr<FramedFiles> files_;
  const std::string name_;
};

MirrorFileSystem::MirrorFileSystem(std::shared_ptr<FramedFiles> files)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), files_(std::move(files)) {}

void MirrorFileSystem::note_manifest(const std::string& name, uint64_t length_bytes, uint32_t crc) {
  std::lock_guard lock(mutex_);
  if (manifest_name_ != name) manifest_crcs_.clear();
  manifest_name_ = name;
  manifest_crcs_[length_bytes] = crc;
  if (manifest_crcs_.size() > kManifestLengthsKept) manifest_crcs_.erase(manifest_crcs_.begin());
}

std::optional<uint32_t> MirrorFileSystem::manifest_crc(const std::string& path,
                                                       uint64_t length_bytes) const {
  std::lock_guard lock(mutex_);
  auto it = manifest_crcs_.find(length_bytes);
  if (manifest_name_ != name_of(path) || it == manifest_crcs_.end()) return std::nullopt;
  return it->second;
}

IOStatus MirrorFileSystem::noted(const pairfs::Status& status, const std::string& name) {
  if (status.error() == ENOSPC) no_space_ = true;
  return to_io_status(status, name);
}

uint64_t MirrorFileSystem::point_made() {
  std::lock_guard lock(mutex_);
  return ++points_made_;
}

void MirrorFileSystem::point_confirmed(uint64_t number) {
  std::vector<std::string> due;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, points] : deferred_) {
      if (points < number) due.push_back(name);
    }
    for (const std::string& name : due) deferred_.erase(name);
  }
  for (const std::string& name : due) (void)unlink(name);
}

IOStatus MirrorFileSystem::unlink(const std::string& name) {
  return to_io_status(files_->on_each("unlink",
                                      [&](Element& element) -> Status {
                                        const Status gone = element.unlink(name);
                                        return gone.error() == ENOENT ? success() : gone;
                                      }),
                      name);
}

IOStatus MirrorFileSystem::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::string name = name_of(path);
  if (is_kept_until_confirmed(name)) {
    std::lock_guard lock(mutex_);
    if (points_made_ > 0) {
      deferred_.emplace(name, points_made_);
      return IOStatus::OK();
    }
  }
  return unlink(name);
}

IOStatus MirrorFileSystem::NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                             IODebugContext*) {
  const std::string name = name_of(path);
  auto size = files_->size(name);
  if (size.ok()) *result = std::make_unique<SequentialFile>(files_, name, *size);
  return to_io_status(size, name);
}

IOStatus MirrorFileSystem::NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                               IODebugContext*) {
  const std::string name = name_of(path);
  auto size = files_->size(name);
  if (size.ok()) *result = std::make_unique<ReadFile>(files_, name, *size);
  return to_io_status(size, name);
}

IOStatus MirrorFileSystem::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                                           IODebugContext*) {
  const std::string name = name_of(path);
  {
    std::lock_guard lock(mutex_);
    deferred_.erase(name);
  }
  auto writer = files_->create(name);
  if (writer.ok()) *result = std::make_unique<WriteFile>(*this, name, std::move(*writer));
  return noted(writer.ok() ? success() : pairfs::Status(writer.failure()), name);
}

IOStatus MirrorFileSystem::NewDirectory(const std::string& path, const IOOptions&,
                                        std::unique_ptr<rocksdb::FSDirectory>* result,
                                        IODebugContext*) {
  *result = std::make_unique<Directory>(files_, name_of(path));
  return IOStatus::OK();
}

IOStatus MirrorFileSystem::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::string name = name_of(path);
  {
    std::lock_guard lock(mutex_);
    if (deferred_.contains(name)) return IOStatus::NotFound(name);
  }
  for (const size_t i : files_->members()) {
    auto& member = files_->group().member(i);
    if (member.ok() && member.element->size(name).ok()) return IOStatus::OK();
  }
  return IOStatus::NotFound(name);
}

IOStatus MirrorFileSystem::GetChildren(const std::string& path, const IOOptions&,
                                       std::vector<std::string>* result, IODebugContext*) {
  const std::string name = name_of(path);
  auto entries = files_->list(name);
  if (!entries.ok()) return to_io_status(entries, name);
  std::lock_guard lock(mutex_);
  result->clear();
  for (const auto& entry : *entries) {
    if (!deferred_.contains(name + "/" + entry.name)) result->push_back(entry.name);
  }
  return IOStatus::OK();
}

IOStatus MirrorFileSystem::GetChildrenFileAttributes(const std::string& path,
                                                     const IOOptions& options,
                                                     std::vector<rocksdb::FileAttributes>* result,
                                                     IODebugContext* debug) {
  std::vector<std::string> names;
  IOStatus status = GetChildren(path, options, &names, debug);
  result->clear();
  for (const std::string& name : names) {
    auto size = files_->size(name_of(path) + "/" + name);
    if (size.ok()) result->push_back({name, *size});
  }
  return status;
}

IOStatus MirrorFileSystem::CreateDir(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::string name = name_of(path);
  return to_io_status(files_->on_each("make directory",
                                      [&](Element& element) -> Status {
                                        const Status made = element.make_directory(name);
                                        return made.error() == EEXIST ? success() : made;
                                      }),
                      name);
}
IOStatus MirrorFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions& options,
                                              IODebugContext* debug) {
  return CreateDir(path, options, debug);
}
IOStatus MirrorFileSystem::DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return unlink(name_of(path));
}
IOStatus MirrorFileSystem::GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                                       IODebugContext*) {
  auto found = files_->size(name_of(path));
  *size = found.ok() ? *found : 0;
  return to_io_status(found, path);
}
IOStatus MirrorFileSystem::GetFileModificationTime(const std::string&, const IOOptions&,
                                                   uint64_t* time, IODebugContext*) {
  *time = 0;  // used for archived logs only, which there are none of
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::GetAbsolutePath(const std::string& path, const IOOptions&,
                                           std::string* result, IODebugContext*) {
  *result = path;
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::RenameFile(const std::string& from, const std::string& to,
                                      const IOOptions&, IODebugContext*) {
  return to_io_status(
      files_->on_each("rename", [&](Element& e) { return e.rename(name_of(from), name_of(to)); }),
      from);
}
IOStatus MirrorFileSystem::LinkFile(const std::string& from, const std::string& to,
                                    const IOOptions&, IODebugContext*) {
  return to_io_status(
      files_->on_each("link", [&](Element& e) { return e.link(name_of(from), name_of(to)); }),
      from);
}
IOStatus MirrorFileSystem::NumFileLinks(const std::string&, const IOOptions&, uint64_t* count,
                                        IODebugContext*) {
  *count = 1;  // other links belong to other epochs' directories and are none of RocksDB's
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::AreFilesSame(const std::string& a, const std::string& b,
                                        const IOOptions&, bool* same, IODebugContext*) {
  *same = name_of(a) == name_of(b);
  return IOStatus::OK();
}
// Who may open a volume is decided by its epoch, not by a lock.
IOStatus MirrorFileSystem::LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                                    IODebugContext*) {
  *lock = new NoLock;
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  delete static_cast<NoLock*>(lock);
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::GetFreeSpace(const std::string&, const IOOptions&, uint64_t* bytes,
                                        IODebugContext*) {
  *bytes = files_->group().status().available_bytes;
  return IOStatus::OK();
}
IOStatus MirrorFileSystem::IsDirectory(const std::string& path, const IOOptions&,
                                       bool* is_directory, IODebugContext*) {
  *is_directory = files_->list(name_of(path)).ok();
  return IOStatus::OK();
}

// What RocksDB does not need here would bypass the mirror, so it is refused.
IOStatus MirrorFileSystem::ReopenWritableFile(const std::string&, const rocksdb::FileOptions&,
                                              std::unique_ptr<rocksdb::FSWritableFile>*,
                                              IODebugContext*) {
  return IOStatus::NotSupported("ReopenWritableFile");
}
IOStatus MirrorFileSystem::ReuseWritableFile(const std::string&, const std::string&,
                                             const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSWritableFile>*,
                                             IODebugContext*) {
  return IOStatus::NotSupported("ReuseWritableFile");
}
IOStatus MirrorFileSystem::NewRandomRWFile(const std::string&, const rocksdb::FileOptions&,
                                           std::unique_ptr<rocksdb::FSRandomRWFile>*,
                                           IODebugContext*) {
  return IOStatus::NotSupported("NewRandomRWFile");
}
IOStatus MirrorFileSystem::NewMemoryMappedFileBuffer(
    const std::string&, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) {
  return IOStatus::NotSupported("NewMemoryMappedFileBuffer");
}
IOStatus MirrorFileSystem::Truncate(const std::string&, size_t, const IOOptions&, IODebugContext*) {
  return IOStatus::NotSupported("Truncate");
}

}  // namespace pairfs
