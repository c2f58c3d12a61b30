
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "common/logging.h"
#include "test/fuzz/fuzz_target.h"

namespace {

using pairfs::Bytes;
using Random = std::mt19937_64;

void change_once(Bytes& input, const std::vector<Bytes>& seeds, Random& random) {
  static constexpr uint32_t kInteresting[] = {0,          1,          0x7f,       0xff,
                                              0xffff,     0x7fffffff, 0x80000000, 0xffffffff,
                                              0x00100000, 0x00400000, 65536,      65537};
  const size_t at = input.empty() ? 0 : random() % input.size();
  switch (random() % 8) {
    case 0:
      if (!input.empty()) input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
      return;
    case 1:
      if (!input.empty()) input[at] = static_cast<char>(random());
      return;
    case 2:
      input.insert(at, 1 + random() % 8, static_cast<char>(random()));
      return;
    case 3:
      input.erase(at, 1 + random() % 8);
      return;
    case 4:
      input.resize(at);
      return;
    case 5: {
      const uint32_t value = kInteresting[random() % std::size(kInteresting)];
      input.replace(at, 4, reinterpret_cast<const char*>(&value), 4);
      return;
    }
    case 6: {
      const Bytes& other = seeds[random() % seeds.size()];
      input = input.substr(0, at) + other.substr(other.empty() ? 0 : random() % other.size());
      return;
    }
    default:
      input += input.substr(at, random() % 64);
  }
}

void run(const Bytes& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs random mutations of well-formed inputs through one decoder.");
  uint64_t runs = 20000, seed = std::random_device{}();
  std::vector<std::string> files;
  app.add_option("--runs", runs, "How many inputs")->capture_default_str();
  app.add_option("--seed", seed, "The same seed gives the same inputs");
  app.add_option("files", files, "Inputs to run instead");
  CLI11_PARSE(app, argc, argv);
  pairfs::silence_logging();
  for (const std::string& path : files) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    run(bytes.str());
  }
  if (!files.empty()) return 0;
  std::printf("--runs %llu --seed %llu\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Random random(seed);
  const std::vector<Bytes> seeds = pairfs::test::fuzz_seeds(random);
  for (const Bytes& input : seeds) run(input);
  for (uint64_t i = 0; i < runs; ++i) {
    Bytes input = seeds[random() % seeds.size()];
    for (uint64_t changes = 1 + random() % 6; changes > 0; --changes)
      change_once(input, seeds, random);
    run(input);
  }
  return 0;
}
