// pairfs-load: one measurement (measurement.h), printed as one JSON object. bench/run calls it; it
// may be called by hand on any directory.
// Usage: pairfs-load WORK DIR [processes N] [files N] [mib N] [seconds S]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/measurement.h"
#include "bench/works.h"

namespace {

using namespace pairfs::bench;

bool parse(int argc, char** argv, MeasurementOptions& options) {
  if (argc < 3 || argc % 2 == 0) return false;
  options.work = argv[1];
  options.dir = argv[2];
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const double value = std::atof(argv[i + 1]);
    if (value <= 0) return false;
    if (key == "processes") {
      options.processes = static_cast<unsigned>(value);
    } else if (key == "files") {
      options.files = static_cast<uint64_t>(value);
    } else if (key == "mib") {
      options.mib = static_cast<uint64_t>(value);
    } else if (key == "seconds") {
      options.seconds = value;
    } else {
      return false;
    }
  }
  return is_work(options.work);
}

}  // namespace

int main(int argc, char** argv) {
  MeasurementOptions options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: pairfs-load WORK DIR [processes N] [files N] [mib N] [seconds S]\n"
                 "WORK: create stat rename unlink mkdir list small_write small_write_sync\n"
                 "      small_read write write_sync read random_read random_write\n"
                 "      random_write_sync\n");
    return 2;
  }
  const auto result = measure(options);
  if (!result) return 1;
  std::printf(
      "{\"work\": \"%s\", \"processes\": %u, \"operations\": %llu, \"least\": %llu, "
      "\"seconds\": %.4f, \"per_second\": %.1f, \"mib_per_second\": %.2f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
      options.work.c_str(), options.processes, static_cast<unsigned long long>(result->operations),
      static_cast<unsigned long long>(result->least), result->seconds, result->per_second,
      result->mib_per_second, result->p50_us, result->p99_us, result->max_us);
  return 0;
}
