// SPDX-License-Identifier: Apache-2.0
// sim_mutant_NAME: lives of an endpoint with one rule of the protocol broken. Success: the simulator notices.
#include <cstdio>

#include "sim/life.h"

int main() {
  constexpr std::uint64_t kLives = 1000;
  for (std::uint64_t seed = 1; seed <= kLives; ++seed) {
    const auto result = cygnet::sim::Life(cygnet::sim::make_plan(seed), {}).run();
    if (!result.fault) continue;
    (void)std::printf("noticed in life %llu: %s\n", static_cast<unsigned long long>(seed), result.fault->c_str());
    return 0;
  }
  (void)std::printf("%llu lives and nobody noticed\n", static_cast<unsigned long long>(kLives));
  return 1;
}
