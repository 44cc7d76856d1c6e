// SPDX-License-Identifier: Apache-2.0
// `./dev bench engine [--json FILE] [--filter REGEX]`: the packet engine in memory, one case a line.
//
// Counters: pps (packets a second, all cores of the case together), cycles and ns (a packet, on its core), share (the
// cipher's own time for such a packet, measured in the same run, over the whole time). All of CPU time.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "cases.h"
#include "crypto/esp_cipher.h"
#include "suite.h"

int main(int argc, char** argv) {
  namespace bench = cygnet::bench;
  const auto filters = [](std::string_view argument) { return argument.starts_with("--benchmark_filter"); };
  bench::select_all_cases(std::any_of(argv + 1, argv + argc, filters));
  benchmark::AddCustomContext("cipher", cygnet::crypto::provider_name(bench::algorithms().front().encryption));
  bench::register_cipher();
  bench::register_segments();
  // Small ones first: memory that a million SAs leave behind is scattered, and those who get it again wait longer for
  // it.
  for (const std::uint32_t sas : {1U, 100U, 10'000U, 100'000U, 1'000'000U}) {
    bench::register_outbound(sas);
    bench::register_inbound(sas);
    bench::register_stages(sas);
  }
  bench::register_flow_cache();
  bench::register_sad();
  bench::register_spd();
  // As long as it needs for a steady figure; given again on the command line, the later one counts.
  std::string min_time = "--benchmark_min_time=0.2";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, min_time.data());
  argc = static_cast<int>(arguments.size());
  argv = arguments.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
