// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which cases outbound/ and inbound/ have.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "algorithms.h"
#include "crew.h"
#include "gateway.h"
#include "measure.h"

namespace cygnet::bench {

using RunCase = void (*)(benchmark::State&, const Algorithm&, const Scale&);

// AES-128-GCM-16 with every size, number of SAs, of policies and of cores; every other algorithm with every size.
// Named DIRECTION/ALGORITHM/size:N/sas:N/policies:N/cores:N, and /burst:N where that is the question.
void register_cases(const std::string& direction, RunCase run, std::uint32_t sas);

// What stands behind DIRECTION/.
[[nodiscard]] std::string case_name(const Algorithm& algorithm, const Scale& scale);

// Without --filter only a selection runs, which ends within minutes; call before registering.
void select_all_cases(bool all);
[[nodiscard]] bool all_cases();

// What a case needs is expensive to make, and Google Benchmark asks for a case several times to find out how long to
// run it: kept until another case comes. One drive for each core.
template <typename Drive>
std::vector<std::unique_ptr<Drive>>& drives_for(const Algorithm& algorithm, const Scale& scale) {
  static std::string kept;
  static std::vector<std::unique_ptr<Drive>> drives;
  const auto name = case_name(algorithm, scale);
  if (kept == name) return drives;
  drives.clear();
  drives.push_back(std::make_unique<Drive>(algorithm, scale, 7));
  for (std::uint32_t i = 1; i < scale.cores; ++i)
    drives.push_back(std::make_unique<Drive>(algorithm, scale, drives[0]->shared(), i));
  kept = name;
  return drives;
}

// The loop of a case: rounds of packets, all of which must arrive. The first core is the calling thread. Several cores
// share one engine and wait for each other now and then: their time is that of the clock on the wall, from when all
// begin until the last one is done.
template <typename Drive>
void run_case(benchmark::State& state, const Algorithm& algorithm, const Scale& scale, model::Direction direction) {
  auto& drives = drives_for<Drive>(algorithm, scale);
  Stopwatch watch(drives.size() > 1);
  bool preparing = true;  // written before the gate opens, read behind it
  std::uint64_t arrived = 0;
  arrived -= drives[0]->arrived();
  const auto work = [&](std::size_t core) { preparing ? drives[core]->prepare() : drives[core]->run(); };
  Crew crew(drives.size() - 1, [&](std::size_t i) { work(i + 1); });
  const auto round = [&] {
    crew.start_round();
    work(0);
    crew.end_round();
  };
  for (auto _ : state) {
    state.PauseTiming();
    preparing = true;
    round();
    preparing = false;
    state.ResumeTiming();
    watch.start();
    round();
    watch.stop();
  }
  const std::uint64_t each = drives[0]->packets() * static_cast<std::uint64_t>(state.iterations());
  arrived += drives[0]->arrived();
  if (arrived != each * drives.size()) state.SkipWithError("packets were lost");
  const std::vector<Stopwatch> watches(drives.size(), watch);
  report(state, each, watches, cipher_seconds(algorithm, scale.size, direction));
}

}  // namespace cygnet::bench
