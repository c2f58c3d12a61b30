// The kinds of work that the load generator does, one operation at a time.
//
// Owns: what one operation of each kind is. A worker is one process in a directory of its own;
// operation number i is the same in every run. Errors end the process with a sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace pairfs::bench {

struct WorkOptions {
  std::string dir;          // of this process
  uint64_t file_bytes = 0;  // size of the file of sequential and random work
  uint64_t files = 0;       // how many files there are, for work on files that exist
  unsigned process = 0;
};

// Bytes that one operation moves; 0 for metadata.
uint64_t bytes_per_operation(const std::string& work);

// True if there is such a work.
bool is_work(const std::string& work);

// A function that does operation number i and says whether there is more to do. State that the
// operations share, such as an open file, lives in the function.
std::function<bool(uint64_t)> make_work(const std::string& work, const WorkOptions& options);

// Does what belongs to the measured time at the end, e.g. the fsync of "write_sync".
// Called once after the last operation.
void finish_work(const std::string& work, const WorkOptions& options);

}  // namespace pairfs::bench
