#include "cli/bench_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace pairfs::cli {
namespace {

constexpr int kBarColumns = 28;

std::string bar(double share, bool unicode) {
  if (!unicode) return std::string(static_cast<size_t>(std::lround(share * kBarColumns)), '#');
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<size_t>(std::lround(share * kBarColumns * 8));
  std::string text;
  for (size_t i = 0; i < eighths / 8; ++i) text += "█";
  return text + kEighths[eighths % 8];
}

std::string number(double amount) {
  return amount >= 10 ? fmt::format("{:.0f}", amount) : fmt::format("{:.1f}", amount);
}

const bench::Measurement* find(const Measured& measured, const bench::Row& row,
                               unsigned processes) {
  const auto at = measured.results.find({row.name, processes});
  return at == measured.results.end() ? nullptr : &at->second;
}

}  // namespace

double amount_of(const bench::Row& row, const bench::Measurement& result) {
  return std::string(row.unit) == "MiB/s" ? result.mib_per_second : result.per_second;
}

std::vector<std::string> bench_lines(const std::vector<Measured>& all, bool unicode) {
  size_t width = 0;
  for (const Measured& one : all) width = std::max(width, one.path.size());
  std::vector<std::string> lines;
  for (const bench::Row& row : bench::rows()) {
    double highest = 0;
    for (const Measured& one : all)
      for (const unsigned processes : {row.few, row.many})
        if (const auto* result = find(one, row, processes))
          highest = std::max(highest, amount_of(row, *result));
    lines.push_back(fmt::format("{}, {}", row.name, row.unit));
    for (const unsigned processes : {row.few, row.many})
      for (const Measured& one : all) {
        const auto* result = find(one, row, processes);
        const std::string head = fmt::format("  {:>2}  {:<{}}", processes, one.path, width);
        if (result == nullptr) {
          lines.push_back(head + "       failed");
          continue;
        }
        const auto* first = find(all.front(), row, processes);
        const double amount = amount_of(row, *result);
        std::string ratio = "    ";
        if (&one != &all.front() && first != nullptr)
          ratio = fmt::format("{:.2f}", amount_of(row, *first) / std::max(amount, 1e-9));
        lines.push_back(fmt::format("{} {:>8} {:>5}  p50 {:>7} us  p99 {:>7} us  {}", head,
                                    number(amount), ratio, number(result->p50_us),
                                    number(result->p99_us),
                                    bar(highest > 0 ? amount / highest : 0, unicode)));
      }
  }
  return lines;
}

nlohmann::ordered_json bench_json(const std::vector<Measured>& all) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Measured& one : all) {
    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    for (const bench::Row& row : bench::rows())
      for (const unsigned processes : {row.few, row.many}) {
        const auto* result = find(one, row, processes);
        if (result == nullptr) continue;
        nlohmann::ordered_json line = {{"work", row.name},
                                       {"unit", row.unit},
                                       {"processes", processes},
                                       {"amount", amount_of(row, *result)},
                                       {"per_second", result->per_second},
                                       {"mib_per_second", result->mib_per_second},
                                       {"p50_us", result->p50_us},
                                       {"p99_us", result->p99_us},
                                       {"max_us", result->max_us}};
        const auto* first = find(all.front(), row, processes);
        if (&one != &all.front() && first != nullptr)
          line["ratio"] = amount_of(row, *first) / std::max(amount_of(row, *result), 1e-9);
        results.push_back(std::move(line));
      }
    out.push_back({{"path", one.path}, {"results", std::move(results)}});
  }
  return out;
}

}  // namespace pairfs::cli
