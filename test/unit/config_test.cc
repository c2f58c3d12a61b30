#include "common/config.h"

#include <doctest/doctest.h>

using namespace pairfs;
using namespace std::chrono_literals;

TEST_CASE("values of every kind are read") {
  Config config = Config::parse(R"(
name = "r1"
cluster_id = "00ff00ff00ff00ff"
big = true
count = 7
list = ["a", "b"]
size = "3MiB"
bytes = 12
[map]
dir = "/x"
lease = "200ms"
[[element]]
id = "e0"
[[element]]
id = "e1"
)",
                                "f.toml");
  CHECK(config.required_string("name") == "r1");
  CHECK(config.required_identifier("cluster_id") == 0x00ff00ff00ff00ffULL);
  CHECK(config.boolean("big", false));
  CHECK(config.integer("count", 1, 0, 10) == 7);
  CHECK(config.required_strings("list") == std::vector<std::string>{"a", "b"});
  CHECK(config.size_bytes("size", 0, 0, 1 << 30) == 3 << 20);
  CHECK(config.size_bytes("bytes", 0, 0, 1 << 30) == 12);
  CHECK(config.string("map.dir", "") == "/x");
  CHECK(config.duration("map.lease", 1s, 1ms, 1h) == 200ms);
  CHECK(config.duration("map.absent", 3s, 1ms, 1h) == 3s);
  CHECK(config.choice("mode", "b", {"a", "b"}) == "b");
  std::vector<Config> elements = config.tables("element");
  REQUIRE(elements.size() == 2);
  CHECK(elements[1].required_string("id") == "e1");
  CHECK(elements[0].required_string("id") == "e0");
  CHECK(config.finish().empty());
}

TEST_CASE("every mistake is told with its line and what was expected") {
  Config config = Config::parse(R"(count = "7"
lease = 200
list = ["a", 3]
odd = 1
[map]
dirr = "/x"
[[element]]
idd = "e0"
)",
                                "f.toml");
  CHECK(config.integer("count", 5, 0, 10) == 5);
  CHECK(config.duration("lease", 1s, 1ms, 1h) == 1s);
  config.strings("list");
  config.string("map.dir", "");
  config.required_string("name");
  for (Config& element : config.tables("element")) element.required_string("id");
  CHECK(config.finish() ==
        std::vector<std::string>{
            "f.toml: the key 'name' is missing; expected a string that is not empty",
            "f.toml:1: bad value of 'count'; expected an integer from 0 to 10",
            "f.toml:2: bad value of 'lease'; expected a string such as \"200ms\" (us, ms, s, min, "
            "h), from 1 ms to 1 h",
            "f.toml:3: bad value of 'list'; expected a list of strings, none of them empty",
            "f.toml:4: unknown key 'odd'; expected one of count, element, element.id, lease, list, "
            "map.dir, name",
            "f.toml:6: unknown key 'map.dirr'; expected one of map.dir",
            "f.toml:7: the key 'element.id' is missing; expected a string that is not empty",
            "f.toml:8: unknown key 'element.idd'; expected one of element.id"});
}

TEST_CASE("values out of their range are refused") {
  for (const char* value : {"-1", "11", "1.5", "\"1\"", "true"}) {
    Config config = Config::parse(std::string("n = ") + value, "f");
    CHECK(config.integer("n", 3, 0, 10) == 3);
    CHECK(config.finish().size() == 1);
  }
  for (const char* value :
       {"0", "\"\"", "\"00\"", "\"xyz\"", "\"11112222333344445\"", "\"0x12\""}) {
    Config config = Config::parse(std::string("id = ") + value, "f");
    CHECK(config.required_identifier("id") == 0);
    CHECK(config.finish().size() == 1);
  }
  for (const char* value :
       {"\"5\"", "\"-5ms\"", "\"5 days\"", "\"99999999999999999h\"", "\"2h\""}) {
    Config config = Config::parse(std::string("d = ") + value, "f");
    CHECK(config.duration("d", 1s, 0s, 1h) == 1s);
    CHECK(config.finish().size() == 1);
  }
}

TEST_CASE("a file that is no TOML or absent gives one problem") {
  Config config = Config::parse("a = = 3\n", "f.toml");
  config.required_string("name");
  const auto problems = config.finish();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("f.toml:1: not TOML: "));

  Config absent = Config::load_file("/nonexistent/x.toml");
  absent.required_string("name");
  CHECK(absent.finish() ==
        std::vector<std::string>{"/nonexistent/x.toml: cannot be read: No such file or directory"});
}
