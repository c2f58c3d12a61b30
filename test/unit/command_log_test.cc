// The command log on real files: what is appended comes back; torn tails are cut; damage is not.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/codec.h"
#include "common/commands.h"
#include "common/crc32c.h"
#include "node/log/command_log.h"
#include "node/log/segment_file.h"
#include "test/support/temporary_directory.h"

namespace pairfs {
namespace {
namespace fs = std::filesystem;

CommandLogConfig config_in(const std::string& directory, const std::string& boot = "boot-1") {
  return {directory, 77, {1, 0}, 5, boot, 64 << 10};
}

LogRecord record(const std::string& text, Epoch epoch = 1, Sequence synced = 0) {
  LogRecord r;
  r.epoch = epoch;
  r.op = Unlink::kOp;
  r.synced_through = synced;
  r.body = SharedBytes::from(text);
  r.bulk = SharedBytes::from(Bytes(1000, 'b'));
  return r;
}

void append_some(CommandLog& log, int count, bool claim_synced = false) {
  for (int i = 0; i < count; ++i) {
    LogRecord r =
        record("body " + std::to_string(log.last() + 1), 1, claim_synced ? log.last() : 0);
    log.append(r);
  }
}

void sync(CommandLog& log) {
  const auto ticket = log.begin_sync();
  ticket->run();
  log.finish_sync(ticket);
}

std::vector<std::string> bodies(const CommandLog& log) {
  std::vector<std::string> out;
  log.read(0, [&](const LogRecord& r) {
    out.emplace_back(r.body.view());
    return true;
  });
  return out;
}

fs::path newest_segment(const std::string& directory) {
  fs::path newest;
  for (const auto& e : fs::directory_iterator(directory))
    if (e.path().filename().string().starts_with("segment.") && e.path() > newest)
      newest = e.path();
  return newest;
}

void overwrite(const fs::path& path, off_t offset, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY);
  REQUIRE(fd >= 0);
  REQUIRE(::pwrite(fd, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size()));
  ::close(fd);
}

}  // namespace

TEST_CASE("a log that is opened again has every record, over several segments") {
  test::TemporaryDirectory dir;
  uint32_t chain = 0;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 200);
    chain = log.summary().last_chain;
  }
  CommandLog log(config_in(dir.path()));
  CHECK(log.last() == 200);
  CHECK(log.summary().last_chain == chain);
  CHECK(log.summary().power_kept);
  CHECK_FALSE(log.summary().damaged);
  CHECK(bodies(log).size() == 200);
  CHECK(bodies(log)[199] == "body 200");
}

TEST_CASE("a start of the machine in between is noticed") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 1);
  }
  CHECK_FALSE(CommandLog(config_in(dir.path(), "boot-2")).summary().power_kept);
}

TEST_CASE("a torn last record is cut and the log goes on before it") {
  test::TemporaryDirectory dir;
  uint64_t end = 0;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 10);
    end = kSegmentHeadBytes;
    for (Sequence s = 1; s < 10; ++s) end += log.record_bytes(s);
  }
  overwrite(newest_segment(dir.path()), static_cast<off_t>(end) + 300, "torn");
  {
    CommandLog log(config_in(dir.path()));
    CHECK(log.last() == 9);
    CHECK_FALSE(log.summary().damaged);
    append_some(log, 1);
  }
  CHECK(bodies(CommandLog(config_in(dir.path()))).size() == 10);
}

TEST_CASE("a bad record that was once synced at both nodes is damage, and nothing is cut") {
  test::TemporaryDirectory dir;
  uint64_t third = 0;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 10, true);
    third = kSegmentHeadBytes + log.record_bytes(1) + log.record_bytes(2);
  }
  overwrite(newest_segment(dir.path()), static_cast<off_t>(third) + 200, "damage");
  {
    CommandLog log(config_in(dir.path()));
    CHECK(log.summary().damaged);
    CHECK(log.last() == 2);
  }
  // Found again in the same way: the first look changed nothing.
  CHECK(CommandLog(config_in(dir.path())).summary().damaged);
}

TEST_CASE("records of the partner are taken only where they continue the log") {
  test::TemporaryDirectory a, b;
  CommandLog from(config_in(a.path())), to(config_in(b.path()));
  append_some(from, 20);
  Sequence through = 0;
  CHECK(to.append_encoded(SharedBytes::from(from.read_encoded(1, 10, 1 << 20, &through))));
  CHECK(to.last() == 10);
  CHECK_FALSE(to.append_encoded(SharedBytes::from(from.read_encoded(12, 20, 1 << 20, &through))));
  CHECK(to.last() == 10);
  Bytes damaged = from.read_encoded(11, 20, 1 << 20, &through);
  damaged[damaged.size() / 2] ^= 1;
  CHECK_FALSE(to.append_encoded(SharedBytes::from(damaged)));
  const Sequence kept = to.last();
  CHECK(kept < 20);
  CHECK(to.append_encoded(SharedBytes::from(from.read_encoded(kept + 1, 20, 1 << 20, &through))));
  CHECK(to.summary().last_chain == from.summary().last_chain);
}

TEST_CASE("a log that does not join its consistency point says so") {
  test::TemporaryDirectory dir;
  const auto log_point = [](CommandLog& log, Sequence sequence, uint32_t chain) {
    ConsistencyPoint point;
    point.sequence = sequence;
    point.chain_crc = chain;
    LogRecord r = record("");
    r.op = ConsistencyPoint::kOp;
    r.body = SharedBytes::from(encode(point));
    r.bulk = {};
    log.append(r);
  };
  CommandLog log(config_in(dir.path()));
  CHECK(log.gap_to_checkpoint().empty());
  append_some(log, 300);
  CHECK(log.gap_to_checkpoint().empty());
  log.trim(200);
  CHECK_FALSE(log.gap_to_checkpoint()
                  .empty());  // it begins in the middle, and no point says what was before
  log_point(log, 250, *log.chain_at(250));
  CHECK(log.gap_to_checkpoint().empty());
  log_point(log, 250, *log.chain_at(250) ^ 1);  // the same number in another history
  CHECK_FALSE(log.gap_to_checkpoint().empty());
  log_point(log, 10, 0);  // what lies between the point and the log is missing
  CHECK_FALSE(log.gap_to_checkpoint().empty());
}

TEST_CASE("a record of an earlier epoch does not follow one of a later epoch") {
  test::TemporaryDirectory dir;
  CommandLog log(config_in(dir.path()));
  LogRecord first = record("one", 1), second = record("two", 2);
  log.append(first);
  log.append(second);
  const auto from_partner = [&](Epoch epoch) {
    LogRecord third = record("three", epoch);
    third.sequence = 3;
    third.cluster_id = 77;
    third.volume = {1, 0};
    Bytes bytes = seal_record(third, log.summary().last_chain);
    bytes += third.body.view();
    bytes += third.bulk.view();
    return SharedBytes::from(std::move(bytes));
  };
  CHECK_FALSE(log.append_encoded(from_partner(1)));
  CHECK(log.last() == 2);
  CHECK(log.append_encoded(from_partner(2)));
  CHECK(log.last() == 3);
}

TEST_CASE("a damaged log goes on behind its last readable record when it is told to") {
  test::TemporaryDirectory dir;
  uint64_t third = 0;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 10, true);
    third = kSegmentHeadBytes + log.record_bytes(1) + log.record_bytes(2);
  }
  overwrite(newest_segment(dir.path()), static_cast<off_t>(third) + 200, "damage");
  {
    CommandLog log(config_in(dir.path()));
    log.give_up_damaged();
    CHECK_FALSE(log.summary().damaged);
    append_some(log, 1);
  }
  CommandLog log(config_in(dir.path()));
  CHECK_FALSE(log.summary().damaged);
  CHECK(log.last() == 3);
}

TEST_CASE("trimming keeps what lies behind the consistency point, also over a restart") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 300);
    log.trim(200);
    CHECK(log.base() <= 200);
    CHECK(log.base() > 0);
    CHECK(log.chain_at(log.base()).has_value());
  }
  CommandLog log(config_in(dir.path()));
  CHECK(log.base() <= 200);
  CHECK(log.last() == 300);
}

TEST_CASE("a reset log continues a given chain and forgets its own records") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 5);
    log.reset(1000, 4711);
    CHECK(log.last() == 1000);
  }
  CommandLog log(config_in(dir.path()));
  CHECK(log.base() == 1000);
  CHECK(log.summary().base_chain == 4711);
  append_some(log, 1);
  CHECK(log.last() == 1001);
}

TEST_CASE("a segment made ahead is used, and its name and head are durable with its records") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    while (!log.wants_spare()) append_some(log, 1);
    log.spare_maker()();
    log.take_spare();
    CHECK_FALSE(log.wants_spare());
    append_some(log, 100);
    const auto ticket = log.begin_sync();
    ticket->run();
    log.finish_sync(ticket);
    CHECK(log.synced() == log.last());
    CHECK_FALSE(fs::exists(dir.file("spare")));
  }
  CommandLog log(config_in(dir.path()));
  CHECK(log.last() > 100);
  CHECK(bodies(log).size() == log.last());
}

TEST_CASE("a trimmed segment is used again, and nothing of its old records is ever found") {
  test::TemporaryDirectory dir;
  const auto files_in = [&] {
    return std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator());
  };
  Sequence last = 0;
  for (int life = 0; life < 6; ++life) {
    CommandLog log(config_in(dir.path()));
    CHECK(log.last() == last);
    CHECK_FALSE(log.summary().damaged);
    for (int i = 0; i < 400; ++i) {
      LogRecord r = record(Bytes(static_cast<size_t>((i * 37 + life) % 900), 'x'), 1, log.last());
      log.append(r);
      if (i % 100 == 50) log.trim(log.last() - 30);
      if (i % 100 == 60) sync(log);
    }
    last = log.last();
    CHECK(files_in() < 16);
  }
}

TEST_CASE(
    "a power loss that undoes the renaming of a trimmed segment finds the old records in it") {
  test::TemporaryDirectory dir, names_before;
  CommandLog log(config_in(dir.path()));
  const auto spares = [&] {
    return std::count_if(
        fs::directory_iterator(dir.path()), fs::directory_iterator(),
        [](const auto& e) { return e.path().filename().string().starts_with("spare."); });
  };
  append_some(log, 300, true);
  sync(log);
  for (const auto& e : fs::directory_iterator(dir.path()))
    fs::create_hard_link(e.path(), names_before.file(e.path().filename()));
  log.trim(295);
  const auto trimmed = spares();
  REQUIRE(trimmed > 0);
  append_some(log, 300, true);
  {
    const CommandLog found(config_in(names_before.path(), "boot-2"));
    CHECK_FALSE(found.summary().damaged);
    CHECK(found.base() == 0);
    CHECK(found.last() >= 300);
  }
  sync(log);  // the new names, too
  append_some(log, 300, true);
  CHECK(spares() < trimmed);
}

TEST_CASE("a torn record in a segment that is used again is cut, whatever lies behind it") {
  test::TemporaryDirectory dir;
  uint64_t end = 0;
  Sequence last = 0;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 300, true);
    log.trim(295);
    sync(log);
    const Sequence before = log.last();
    while (log.last() < before + 100) append_some(log, 1);
    last = log.last();
    Sequence through = 0;
    const Bytes newest = log.read_encoded(last, last, 1 << 20, &through);
    std::ifstream file(newest_segment(dir.path()), std::ios::binary);
    const Bytes all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    end = all.find(newest);
    REQUIRE(end != Bytes::npos);
    // An old record lies behind the end.
    CHECK(all.find("PFLR", end + newest.size()) != Bytes::npos);
  }
  overwrite(newest_segment(dir.path()), static_cast<off_t>(end) + 300, "torn");
  CommandLog log(config_in(dir.path()));
  CHECK(log.last() == last - 1);
  CHECK_FALSE(log.summary().damaged);
}

TEST_CASE("a log of another version is refused, and stays as it is") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 3);
  }
  const fs::path segment = newest_segment(dir.path());
  const auto contents = [&] {
    std::ifstream file(segment, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  };
  Bytes header = contents().substr(kSegmentHeadBytes, kRecordHeaderBytes);
  ++header[80];  // the semantics version, as docs/log_format.md has it
  const uint32_t crc = crc32c(BytesView(header).substr(8));
  header.replace(4, sizeof crc, reinterpret_cast<const char*>(&crc), sizeof crc);
  overwrite(segment, kSegmentHeadBytes, header);
  const Bytes before = contents();
  CHECK_THROWS_AS(CommandLog{config_in(dir.path())}, LogFailure);
  CHECK(contents() == before);
}

TEST_CASE("another volume's log is refused") {
  test::TemporaryDirectory dir;
  {
    CommandLog log(config_in(dir.path()));
    append_some(log, 1);
  }
  CommandLogConfig other = config_in(dir.path());
  other.volume = {1, 1};
  CHECK_THROWS_AS(CommandLog{other}, LogFailure);
}

}  // namespace pairfs
