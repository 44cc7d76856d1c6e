// SPDX-License-Identifier: Apache-2.0
// The fourth edition of lives: gateways that a crowd of strangers bothers, and that ask for the solutions of puzzles
// before IKE_SA_INIT and before IKE_AUTH (RFC 8019). Drawn apart from all else.
#include <algorithm>

#include "sim/plan.h"

namespace cygnet::sim {

void choose_fourth_edition(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x70757a7a6c650000ULL);
  // Who begins itself knows where its peer is, and is at home for nobody else.
  if ((!chance(random, 3) && only != Feature::kPuzzles) || plan.both_start) return;
  plan.knocks_a_second = between(random, 2, 3);
  plan.auth_puzzle_bits = between(random, 1, 6);
  for (const auto& link : plan.links) {
    auto& own = plan.parties[link.answers].connections;
    std::ranges::find(own, link.connection, &model::Connection::name)->remote.host = {};
  }
}

}  // namespace cygnet::sim
