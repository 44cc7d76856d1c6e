// SPDX-License-Identifier: Apache-2.0
// stages-outbound/aes128gcm16/... and stages-inbound/...: where the cycles of a packet go. A counter for each step of
// the engine (engine.h, Stage): cycles a packet, the median of many rounds, so that a round in which the scheduler took
// the core away does not count. The steps are told apart by the time-stamp counter, read five times a burst.
#include <x86intrin.h>

#include <algorithm>
#include <array>

#include "cases.h"
#include "inbound_drive.h"
#include "outbound_drive.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

constexpr std::array<const char*, engine::kStages> kNames{"parse", "lookup", "prepare", "cipher", "finish"};

class StageClock final : public engine::StageObserver {
 public:
  void on_stage_done(engine::Stage stage) override {
    const auto now = __rdtsc();
    spent_[static_cast<std::size_t>(stage)] += now - since_;
    since_ = now;
  }
  void start() {
    spent_ = {};
    since_ = __rdtsc();
  }
  void end_round(std::size_t packets) {
    for (std::size_t i = 0; i < spent_.size(); ++i)
      rounds_[i].push_back(static_cast<double>(spent_[i]) / static_cast<double>(packets));
  }
  [[nodiscard]] double median(std::size_t stage) {
    auto& all = rounds_[stage];
    std::ranges::sort(all);
    return all[all.size() / 2];
  }

 private:
  std::array<std::uint64_t, engine::kStages> spent_{};
  std::uint64_t since_ = 0;
  std::array<std::vector<double>, engine::kStages> rounds_;
};

template <typename Drive>
void run_stages(benchmark::State& state, const Algorithm& algorithm, const Scale& scale) {
  auto& drive = *drives_for<Drive>(algorithm, scale).front();
  StageClock clock;
  drive.gateway().engine().observe_stages(&clock);
  for (auto _ : state) {
    state.PauseTiming();
    drive.prepare();
    state.ResumeTiming();
    clock.start();
    drive.run();
    clock.end_round(drive.packets());
  }
  drive.gateway().engine().observe_stages(nullptr);
  double sum = 0;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    state.counters[kNames[i]] = clock.median(i);
    sum += clock.median(i);
  }
  state.counters["cycles"] = sum;
  state.counters["pps"] = ticks_per_second() / sum;
}

}  // namespace

void register_stages(std::uint32_t sas) {
  if (sas != 1 && sas != 10'000 && sas != 100'000) return;
  const auto& gcm = algorithms().front();
  for (const std::size_t size : {64, 1400}) {
    const Scale scale{.size = size, .sas = sas};
    const auto name = case_name(gcm, scale);
    benchmark::RegisterBenchmark(("stages-outbound/" + name).c_str(), run_stages<OutboundDrive>, gcm, scale);
    benchmark::RegisterBenchmark(("stages-inbound/" + name).c_str(), run_stages<InboundDrive>, gcm, scale);
  }
}

}  // namespace cygnet::bench
