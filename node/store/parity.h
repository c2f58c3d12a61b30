// Parity of a stripe's columns: P is their xor, Q the sum over GF(2^8) weighted with powers of 2,
// as in Linux's RAID 6; computed by ISA-L. No I/O; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pairfs {

// Fills `parity` (one or two columns) from `data`; all columns are `bytes` long.
void compute_parity(std::span<const char* const> data, std::span<char* const> parity, size_t bytes);

// One column that is there: data columns are numbered from 0, parity follows behind them.
struct GivenColumn {
  uint32_t number;
  const char* bytes;
};
// Computes data column `wanted` from exactly `data_columns` others. The columns that are given
// must be different ones.
void reconstruct_column(uint32_t data_columns, uint32_t parity_columns,
                        std::span<const GivenColumn> given, uint32_t wanted, char* into,
                        size_t bytes);

}  // namespace pairfs
