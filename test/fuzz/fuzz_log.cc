// parse_record and peek_record: the bytes as they are on a disk or in a partner's message.
#include "common/ensure.h"
#include "node/log/log_record.h"
#include "test/fuzz/fuzz_target.h"

using namespace pairfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(reinterpret_cast<const char*>(data), size);
  RecordError error{};
  peek_record(BytesView(input).substr(0, kRecordHeaderBytes), &error);
  auto record = parse_record(SharedBytes::from(input), &error);
  if (!record) {
    ENSURE(to_string(error) != std::string("unknown"), "error without a name");
    return 0;
  }
  ENSURE(record->encoded_bytes() <= size, "longer than its bytes");
  return 0;
}

std::vector<Bytes> pairfs::test::fuzz_seeds(std::mt19937_64& random) {
  std::vector<Bytes> seeds;
  uint32_t chain = 0;
  for (int i = 0; i < 20; ++i) {
    LogRecord record;
    record.volume = {1, 0};
    record.cluster_id = 5;
    record.epoch = 2;
    record.sequence = static_cast<Sequence>(i) + 1;
    record.op = static_cast<uint16_t>(random() % 140);
    record.body = SharedBytes::from(Bytes(random() % 100, 'b'));
    record.bulk = SharedBytes::from(Bytes(i % 2 == 0 ? 0 : random() % 200, 'd'));
    Bytes bytes = seal_record(record, chain);
    chain = record.chain_crc;
    bytes.append(record.body.view());
    bytes.append(record.bulk.view());
    seeds.push_back(bytes);
  }
  return seeds;
}
