// A RowTable that is one RocksDB in one directory of the mirrored files. The command log is the
// write-ahead log, so RocksDB has none.
#pragma once

#include <memory>
#include <string>

#include "node/store/framed_files.h"
#include "node/store/row_table.h"

namespace pairfs {

class MirrorFileSystem;

// Opens the RocksDB in `directory` ("meta.3.0"), or creates one there. nullptr with a sentence
// on an error. The file system must outlive the table.
std::unique_ptr<RowTable> open_rocks_table(std::shared_ptr<MirrorFileSystem> file_system,
                                           const std::string& directory, size_t block_cache_bytes,
                                           std::string* why);

}  // namespace pairfs
