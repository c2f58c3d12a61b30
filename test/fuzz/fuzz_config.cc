// The TOML reader with every kind of key.
#include "common/config.h"
#include "test/fuzz/fuzz_target.h"

using namespace pairfs;
using namespace std::chrono_literals;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Config config = Config::parse({reinterpret_cast<const char*>(data), size}, "input");
  config.required_string("name");
  config.required_identifier("cluster_id");
  config.strings("map.endpoints");
  config.integer("count", 1, 0, 10);
  config.boolean("big", false);
  config.duration("map.lease", 1s, 1ms, 1h);
  config.size_bytes("size", 0, 0, 1 << 30);
  config.choice("mode", "a", {"a", "b"});
  for (Config& element : config.tables("element")) element.required_string("id");
  config.finish();
  return 0;
}

std::vector<Bytes> pairfs::test::fuzz_seeds(std::mt19937_64&) {
  return {R"(name = "r1"
cluster_id = "00ff"
big = true
count = 7
size = "3MiB"
mode = "b"
[map]
endpoints = ["tcp://127.0.0.1:1", 'b']
lease = "200ms"
[[element]]
id = "e0"
[[element]]
id = "e1"
)",
          "name = \"\"\"a\\u00e9\n\"\"\"\nmap = {lease = \"1s\", endpoints = []}\nx.y.z = 1e9\n",
          "a = 1979-05-27T07:32:00Z # comment\nb = [[1, 2], [3.5, inf]]\nelement = 3\n"};
}
