// SPDX-License-Identifier: Apache-2.0
// The third edition of lives: SAs for single threads (RFC 9611). Drawn apart from all else.
#include <algorithm>

#include "sim/plan.h"

namespace cygnet::sim {
namespace {

constexpr std::uint32_t kMostClones = 3;

void choose_clones(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x636c6f6e65730000ULL);
  if (!chance(random, 10) && only != Feature::kClones) return;
  for (const auto& link : plan.links) {
    const auto wanted = between(random, 1, kMostClones);
    // Of the one that answers: it says nothing, or how many it takes.
    const bool says = chance(random, 50);
    const auto taken = between(random, 0, kMostClones);
    for (const auto end : {link.starts, link.answers}) {
      auto& c = *std::ranges::find(plan.parties[end].connections, link.connection, &model::Connection::name);
      for (auto& child : c.children) {
        if (end == link.starts) child.clones = wanted;
        if (end == link.answers && says) child.clones = taken;
      }
    }
    plan.clones = true;
  }
}

}  // namespace

void choose_third_edition(Plan& plan, std::optional<Feature> only) { choose_clones(plan, only); }

}  // namespace cygnet::sim
