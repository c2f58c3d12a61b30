// The results of `pairfs bench` as a table with bars and as JSON. No I/O.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/series.h"

namespace pairfs::cli {

// What was measured in one directory.
struct Measured {
  std::string path;
  std::map<std::pair<std::string, unsigned>, bench::Measurement>
      results;  // by row's name, processes
};

// In the row's unit.
double amount_of(const bench::Row& row, const bench::Measurement& result);

// A line per row, number of processes and directory: amount, share of the first other directory's,
// latencies, and a bar whose full width is the row's highest amount. `unicode` bars count eighths
// of a column. The first directory is the one that is compared with the others.
std::vector<std::string> bench_lines(const std::vector<Measured>& all, bool unicode);

// {"path", "results": [{"work", "unit", "processes", "amount", "per_second", "mib_per_second",
// "p50_us", "p99_us", "max_us", "ratio"}]} for each; "ratio" is the first directory's amount by
// this one's, absent in the first.
nlohmann::ordered_json bench_json(const std::vector<Measured>& all);

}  // namespace pairfs::cli
