// SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include <array>

namespace cygnet::bench {
namespace {

bool g_all = false;  // set once, before the first case

constexpr std::array<std::size_t, 4> kSizes{64, 512, 1400, 9000};
constexpr std::array<std::uint32_t, 4> kPolicies{1, 1'000, 10'000, 1'000'000};

// selected: runs without --filter.
void add(const std::string& direction, RunCase run, const Algorithm& algorithm, const Scale& scale, bool selected) {
  if (!g_all && !selected) return;
  benchmark::RegisterBenchmark((direction + '/' + case_name(algorithm, scale)).c_str(),
                               [run, &algorithm, scale](benchmark::State& state) { run(state, algorithm, scale); });
}

[[nodiscard]] bool is_selected(const Scale& s) {
  const bool ends = s.size == 64 || s.size == 1400;
  if (s.cores == 2) return (s.sas == 1 || s.sas == 10'000) && s.policies == 1 && ends;
  if (s.policies == 1) return s.sas < 1'000'000 ? ends || s.sas == 1 || s.sas == 10'000 : s.size == 64;
  return s.size == 64 && s.sas == 10'000;
}

void add_main_algorithm(const std::string& direction, RunCase run, const Algorithm& gcm, std::uint32_t sas) {
  for (const auto size : kSizes) {
    for (const auto policies : kPolicies) {
      for (const std::uint32_t cores : {1U, 2U}) {
        const Scale scale{.size = size, .sas = sas, .policies = policies, .cores = cores};
        // An SA comes in through one socket.
        if (direction == "inbound" && cores > sas) continue;
        add(direction, run, gcm, scale, is_selected(scale));
      }
    }
  }
  if (sas != 1 && sas != 10'000) return;
  for (const std::size_t burst : {1, 4, 16, 32, 256})
    add(direction, run, gcm, {.size = 64, .sas = sas, .burst = burst}, true);
}

}  // namespace

std::string case_name(const Algorithm& algorithm, const Scale& scale) {
  auto name = algorithm.name + "/size:" + std::to_string(scale.size) + "/sas:" + std::to_string(scale.sas) +
              "/policies:" + std::to_string(scale.policies) + "/cores:" + std::to_string(scale.cores);
  if (scale.burst != Scale{}.burst) name += "/burst:" + std::to_string(scale.burst);
  return name;
}

void select_all_cases(bool all) { g_all = all; }
bool all_cases() { return g_all; }

void register_cases(const std::string& direction, RunCase run, std::uint32_t sas) {
  for (const auto& algorithm : algorithms()) {
    if (&algorithm == &algorithms().front()) {
      add_main_algorithm(direction, run, algorithm, sas);
    } else if (sas == 1 || sas == 10'000) {
      for (const auto size : kSizes)
        add(direction, run, algorithm, {.size = size, .sas = sas}, sas == 1 && (size == 64 || size == 1400));
    }
  }
}

}  // namespace cygnet::bench
