#include "cli/drill_timeline.h"

#include <time.h>

#include <cstdlib>

namespace pairfs::cli {
namespace {

// By how the node's words begin (node/pair/, node/volume_runtime.cc).
struct Step {
  const char* words;
  const char* name;
};
constexpr Step kSteps[] = {
    {"handing over", "handing_over"},
    {"partner lost", "detected"},
    {"drained", "drained"},
    {"opening", "swapped"},
    {"opened", "opened"},
    {"replayed", "replayed"},
    {"serving", "serving"},
    {"first answer", "first_answer"},
};

int64_t time_ns(const std::string& text) {
  char* end = nullptr;
  const int64_t whole = std::strtoll(text.c_str(), &end, 10);
  return whole * 1'000'000'000 + (*end == '.' ? std::strtoll(end + 1, nullptr, 10) : 0);
}

}  // namespace

int64_t wall_clock_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * int64_t{1'000'000'000} + t.tv_nsec;
}

nlohmann::ordered_json timeline_of(const Picture& picture, VolumeId volume,
                                   const std::string& taker, int64_t since_ns) {
  auto timeline = nlohmann::ordered_json::array();
  bool complete = false;
  for (const auto& event : gather_events(picture, &complete)) {
    const int64_t at_ns = time_ns(event["time"].get<std::string>());
    if (at_ns < since_ns || event["volume"] != to_string(volume)) continue;
    const auto what = event["what"].get<std::string>();
    for (const Step& step : kSteps) {
      if (!what.starts_with(step.words)) continue;
      timeline.push_back({{"at_ms", static_cast<double>((at_ns - since_ns) / 1000) / 1000},
                          {"step", step.name},
                          {"what", what},
                          {"node", event["node"]}});
      if (event["node"] == taker && timeline.back()["step"] == "first_answer") return timeline;
    }
  }
  return timeline;
}

}  // namespace pairfs::cli
