// The table and the JSON of `pairfs bench`.
#include <doctest/doctest.h>

#include "cli/bench_table.h"

using pairfs::bench::Measurement;
using namespace pairfs::cli;

namespace {

Measurement rate(double per_second) {
  Measurement m;
  m.per_second = per_second;
  return m;
}

const std::vector<Measured> kTwo = {{"/a", {{{"create", 1}, rate(50)}, {{"create", 8}, rate(200)}}},
                                    {"/other", {{{"create", 1}, rate(100)}}}};

}  // namespace

TEST_CASE("a bar's full width is the row's highest amount, and the ratio is the first's share") {
  const auto lines = bench_lines(kTwo, false);
  REQUIRE(lines.size() > 4);
  CHECK(lines[0] == "create, files/s");
  CHECK(lines[1].ends_with("  " + std::string(7, '#')));
  CHECK(lines[2].find(" 0.50 ") != std::string::npos);
  CHECK(lines[2].ends_with("  " + std::string(14, '#')));
  CHECK(lines[3].ends_with("  " + std::string(28, '#')));
}

TEST_CASE("what was not measured is called failed in the table and is absent in the JSON") {
  CHECK(bench_lines(kTwo, true)[4].ends_with("failed"));
  const auto json = bench_json(kTwo);
  REQUIRE(json.size() == 2);
  CHECK(json[0]["results"].size() == 2);
  CHECK_FALSE(json[0]["results"][0].contains("ratio"));
  REQUIRE(json[1]["results"].size() == 1);
  CHECK(json[1]["results"][0]["ratio"] == doctest::Approx(0.5));
}
