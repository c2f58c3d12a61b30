#include "common/latency.h"

#include <doctest/doctest.h>

namespace pairfs {
namespace {

using namespace std::chrono_literals;

TEST_CASE("quantiles of a histogram are right within 7 percent") {
  LatencyHistogram histogram;
  CHECK(histogram.quantile_us(0.5) == 0);
  for (int i = 1; i <= 100'000; ++i) histogram.add(std::chrono::microseconds(i));
  CHECK(histogram.count() == 100'000);
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99}) {
    CHECK(static_cast<double>(histogram.quantile_us(q)) >= q * 100'000);
    CHECK(static_cast<double>(histogram.quantile_us(q)) <= q * 107'000 + 1);
  }
}

TEST_CASE("a histogram takes any duration") {
  LatencyHistogram histogram;
  histogram.add(-5s);
  histogram.add(0s);
  histogram.add(24h * 365 * 100);
  CHECK(histogram.count() == 3);
  CHECK(histogram.quantile_us(0.0) == 0);
  CHECK(histogram.quantile_us(1.0) > 3'600'000'000ULL);
}

}  // namespace
}  // namespace pairfs
