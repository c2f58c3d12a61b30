// A fuzz target is a file that defines these two functions. With PAIRFS_FUZZ=ON and clang it is
// linked with libFuzzer; else with driver.cc, which runs a bounded number of random mutations from
// a seed and belongs to the test run:
//   pairfs-fuzz-commands --runs 100000 --seed 7       (FILE... runs the files' bytes instead)
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "common/types.h"

// One input. Must not crash, hang, nor take memory beyond a small multiple of the input; what it
// finds wrong itself it reports by ENSURE.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace pairfs::test {

// Well-formed inputs to mutate. Only driver.cc calls it.
std::vector<Bytes> fuzz_seeds(std::mt19937_64& random);

}  // namespace pairfs::test
