#include "node/store/rocks_table.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/system_clock.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "common/logging.h"
#include "node/store/extent.h"
#include "node/store/mirror_file_system.h"

namespace pairfs {
namespace {

rocksdb::Slice slice(BytesView bytes) { return {bytes.data(), bytes.size()}; }
BytesView view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

[[noreturn]] void stop_for(const rocksdb::Status& status) {
  throw RowsUnreadable("metadata can be read from no element: " + status.ToString());
}

// All extents of one inode share a prefix, so that one bloom filter look says "none".
class ExtentPrefix final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "pairfs.ExtentPrefix"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), kExtentPrefixBytes};
  }
  bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() >= kExtentPrefixBytes && key[0] == '\xff' && key[1] == 'E';
  }
};

class Log final : public rocksdb::Logger {
 public:
  Log() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < rocksdb::InfoLogLevel::WARN_LEVEL || level > rocksdb::InfoLogLevel::FATAL_LEVEL)
      return;
    char text[512];
    std::vsnprintf(text, sizeof(text), format, arguments);
    log_warn("rocksdb.says", "text=\"{}\"", text);
  }
  void Logv(const char*, va_list) override {}
};

// After a failed flush RocksDB sleeps for a second on the thread that the next flush needs.
class BriefSleeps final : public rocksdb::SystemClockWrapper {
 public:
  BriefSleeps() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "PairfsBriefSleeps"; }
  void SleepForMicroseconds(int micros) override {
    SystemClockWrapper::SleepForMicroseconds(std::min(micros, 10'000));
  }
};

class VolumeEnv final : public rocksdb::EnvWrapper {
 public:
  explicit VolumeEnv(const std::shared_ptr<rocksdb::FileSystem>& file_system)
      : EnvWrapper(rocksdb::NewCompositeEnv(file_system)) {
    file_system_ = file_system;
    system_clock_ = std::make_shared<BriefSleeps>();
  }
  const char* Name() const override { return "PairfsVolumeEnv"; }
};

class RocksCursor final : public RowCursor {
 public:
  RocksCursor(std::unique_ptr<rocksdb::Iterator> iterator, BytesView upper)
      : upper_(upper), upper_slice_(upper_), iterator_(std::move(iterator)) {}
  bool valid() const override {
    if (iterator_->Valid()) return true;
    if (!iterator_->status().ok()) stop_for(iterator_->status());
    return false;
  }
  BytesView key() const override { return view(iterator_->key()); }
  BytesView value() const override { return view(iterator_->value()); }
  void next() override { iterator_->Next(); }

  static std::unique_ptr<RocksCursor> scan(rocksdb::DB& db, BytesView from, BytesView to) {
    auto cursor = std::make_unique<RocksCursor>(nullptr, to);
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    options.iterate_upper_bound = &cursor->upper_slice_;
    cursor->iterator_.reset(db.NewIterator(options));
    cursor->iterator_->Seek(slice(from));
    return cursor;
  }

 private:
  const Bytes upper_;
  const rocksdb::Slice upper_slice_;  // RocksDB keeps a pointer to it
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksBatch final : public RowBatch {
 public:
  void put(BytesView key, BytesView value) override { check(batch.Put(slice(key), slice(value))); }
  void erase(BytesView key) override { check(batch.Delete(slice(key))); }
  size_t size_bytes() const override { return batch.GetDataSize(); }
  rocksdb::WriteBatch batch;

 private:
  static void check(const rocksdb::Status& status) { ENSURE(status.ok(), "{}", status.ToString()); }
};

class RocksTable final : public RowTable {
 public:
  RocksTable(std::shared_ptr<MirrorFileSystem> file_system, std::unique_ptr<rocksdb::Env> env,
             std::unique_ptr<rocksdb::DB> db)
      : file_system_(std::move(file_system)), env_(std::move(env)), db_(std::move(db)) {}
  ~RocksTable() override {
    rocksdb::CancelAllBackgroundWork(db_.get(), true);
    db_.reset();
  }

  std::optional<Bytes> get(BytesView key) const override {
    rocksdb::PinnableSlice value;
    const auto status =
        db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), slice(key), &value);
    if (status.ok()) return Bytes(view(value));
    if (!status.IsNotFound()) stop_for(status);
    return std::nullopt;
  }

  std::unique_ptr<RowCursor> rows(BytesView from, BytesView to) const override {
    return RocksCursor::scan(*db_, from, to);
  }

  std::unique_ptr<RowCursor> extents_around(BytesView prefix, BytesView at) const override {
    rocksdb::ReadOptions options;
    options.prefix_same_as_start = true;
    std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator(options));
    // Nothing comes before block 0, and looking backwards costs several times as much.
    const bool at_start = at.find_first_not_of('\0', prefix.size()) == BytesView::npos;
    if (!at_start) iterator->SeekForPrev(slice(at));
    if (at_start || (!iterator->Valid() && iterator->status().ok())) iterator->Seek(slice(at));
    return std::make_unique<RocksCursor>(std::move(iterator), BytesView());
  }

  std::unique_ptr<RowBatch> make_batch() const override { return std::make_unique<RocksBatch>(); }

  pairfs::Status write(RowBatch& batch) override {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    PAIRFS_TRY(resume());
    const auto status = db_->Write(options, &static_cast<RocksBatch&>(batch).batch);
    return status.ok() ? success() : failure("write", status);
  }

  void quietly(const std::function<void()>& work) override {
    const bool paused = db_->PauseBackgroundWork().ok();
    work();
    if (paused) (void)db_->ContinueBackgroundWork();
  }

  Result<Manifest> flush() override {
    PAIRFS_TRY(resume());
    rocksdb::FlushOptions options;
    options.allow_write_stall = true;
    if (auto status = db_->Flush(options); !status.ok()) return failure("flush", status);
    uint64_t left = 0, frozen = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kNumEntriesActiveMemTable, &left);
    db_->GetIntProperty(rocksdb::DB::Properties::kNumImmutableMemTable, &frozen);
    if (left + frozen > 0) {
      return failure("flush", rocksdb::Status::Incomplete("rows are still in memory"));
    }
    std::vector<std::string> files;
    Manifest manifest;
    auto status = db_->GetLiveFiles(files, &manifest.length_bytes, false);
    if (!status.ok()) return failure("list files", status);
    for (const std::string& file : files) {
      if (file.starts_with("/MANIFEST-")) manifest.name = file.substr(1);
    }
    return manifest;
  }

  uint64_t size_bytes() const override {
    uint64_t bytes = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &bytes);
    return bytes;
  }

 private:
  // An earlier failed flush left RocksDB refusing writes.
  pairfs::Status resume() {
    if (!needs_resume_) return success();
    if (auto status = db_->Resume(); !status.ok()) return failure("resume", status);
    needs_resume_ = false;
    return success();
  }
  Errno failure(const char* doing, const rocksdb::Status& status) {
    needs_resume_ = true;
    log_error("metadata.write_failed", "doing={} error=\"{}\"", doing, status.ToString());
    return Errno{file_system_->take_no_space() ? ENOSPC : EIO};
  }

  std::shared_ptr<MirrorFileSystem> file_system_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  bool needs_resume_ = false;
};

rocksdb::Options make_options(rocksdb::Env* env, size_t block_cache_bytes) {
  rocksdb::BlockBasedTableOptions table;
  // A filter or an index in one piece is some 250 KiB per file of 16 MiB: more than half a shard of
  // the cache as it is divided by default, so that they drove each other out, and each row that was
  // looked for read one whole.
  table.block_cache = rocksdb::NewLRUCache(block_cache_bytes, 2);
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  table.checksum = rocksdb::kCRC32c;

  rocksdb::Options options;
  options.env = env;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.prefix_extractor = std::make_shared<ExtentPrefix>();
  options.compression = rocksdb::kNoCompression;
  options.info_log = std::make_shared<Log>();
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_open_files = 200;
  options.table_cache_numshardbits = 2;
  // A consistency point is one batch, so one memtable, whatever its size.
  options.write_buffer_size = 64 << 20;
  options.max_write_buffer_number = 4;
  options.target_file_size_base = 16 << 20;
  options.max_bytes_for_level_base = 64 << 20;
  options.level_compaction_dynamic_level_bytes = true;
  options.max_background_jobs = 2;
  options.compaction_readahead_size = 1 << 20;  // else every block is a read of its own
  options.avoid_flush_during_shutdown = true;
  options.avoid_flush_during_recovery = true;
  options.max_bgerror_resume_count = 0;  // the next consistency point resumes
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  return options;
}

}  // namespace

std::unique_ptr<RowTable> open_rocks_table(std::shared_ptr<MirrorFileSystem> file_system,
                                           const std::string& directory, size_t block_cache_bytes,
                                           std::string* why) {
  auto env = std::make_unique<VolumeEnv>(file_system);
  rocksdb::DB* db = nullptr;
  const auto status =
      rocksdb::DB::Open(make_options(env.get(), block_cache_bytes), "/" + directory, &db);
  if (!status.ok()) {
    *why = fmt::format("The metadata in {} cannot be opened: {}.", directory, status.ToString());
    return nullptr;
  }
  return std::make_unique<RocksTable>(std::move(file_system), std::move(env),
                                      std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace pairfs
