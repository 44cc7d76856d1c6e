// SPDX-License-Identifier: Apache-2.0
// cipher/ALGORITHM/size:N seals the ESP packet around an inner packet of N octets, and decipher/... opens it: the
// cipher alone, one key, everything in the first-level cache. The bound of what outbound/ and inbound/ can reach.
#include "algorithms.h"
#include "cases.h"
#include "measure.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

// Google Benchmark's own loop runs as well, for its columns; the counters come from cipher_seconds().
void run_cipher(benchmark::State& state, const Algorithm& algorithm, std::size_t size, model::Direction direction) {
  constexpr std::uint64_t kPackets = 1'000'000;
  const auto cipher = algorithm.create();
  Bytes memory(esp_size(*cipher, size), 0x5a);
  crypto::EspJob job{.esp = memory.data(), .octets = memory.size()};
  for (auto _ : state) {
    ++job.sequence;
    cipher->seal({&job, 1});
    if (direction == model::Direction::kInbound) cipher->open({&job, 1});
  }
  report(state, kPackets, cipher_seconds(algorithm, size, direction) * kPackets);
}

}  // namespace

void register_cipher() {
  for (const auto& algorithm : algorithms()) {
    for (const std::size_t size : {64, 512, 1400, 9000}) {
      const bool selected = &algorithm == &algorithms().front() || size == 64 || size == 1400;
      if (!selected && !all_cases()) continue;
      const auto name = algorithm.name + "/size:" + std::to_string(size);
      benchmark::RegisterBenchmark(("cipher/" + name).c_str(), run_cipher, algorithm, size,
                                   model::Direction::kOutbound);
      benchmark::RegisterBenchmark(("decipher/" + name).c_str(), run_cipher, algorithm, size,
                                   model::Direction::kInbound);
    }
  }
}

}  // namespace cygnet::bench
