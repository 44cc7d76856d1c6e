// SPDX-License-Identifier: Apache-2.0
// Who wanders (RFC 4555), and where to: other addresses, out of the NAT and behind it again. Drawn apart from all
// else, so that the lives of those who stay are what they were.
#include <algorithm>

#include "sim/plan.h"
#include "support/connections.h"

namespace cygnet::sim {
namespace {

std::vector<IpAddress> places_of(const Plan& plan, std::size_t client) {
  const auto host = std::to_string(client + 101);
  std::vector<IpAddress> out{plan.parties[client].address, test::address("192.0.2." + host)};
  out.push_back(test::address((plan.nat ? "10.0.0." : "192.0.3.") + host));
  return out;
}

void let_wander(Plan& plan, const Link& link) {
  auto& client = plan.parties[link.starts];
  client.places = places_of(plan, link.starts);
  for (auto& c : client.connections) {
    c.mobike = true;
    c.local.host.kind = model::HostSpec::Kind::kDefaultRoute;
    c.local.host.resolved = true;
  }
  for (auto& c : plan.parties[link.answers].connections) {
    if (c.name != link.connection) continue;
    c.mobike = true;
    c.remote.host = {};
  }
}

void add_moves(Random& random, Plan& plan, std::size_t link) {
  const auto& l = plan.links[link];
  const auto length = static_cast<std::uint32_t>(plan.length / std::chrono::seconds(1));
  for (auto more = between(random, 1, 5); more > 0; --more) {
    PlannedEvent event;
    event.at = milliseconds(between(random, 5000, length * 1000));
    event.what = What::kMove;
    event.side = l.starts;
    event.link = link;
    event.place = static_cast<std::size_t>(random.below(plan.parties[l.starts].places.size()));
    plan.events.push_back(event);
    // Some leave a place for a moment only, or are between two places while they have none.
    if (!chance(random, 30)) continue;
    event.at += milliseconds(between(random, 0, 3000));
    event.place = static_cast<std::size_t>(random.below(plan.parties[l.starts].places.size()));
    plan.events.push_back(event);
  }
}

}  // namespace

void choose_moves(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x77616e6465720000ULL);
  const bool wanted = only == Feature::kMove || chance(random, 35);
  if (!wanted || plan.strict || plan.both_start) return;
  const bool impostor = std::ranges::any_of(plan.parties, &Party::impostor);
  if (impostor) return;  // it imitates a configuration that knows where everybody is
  for (std::size_t i = 0; i < plan.links.size(); ++i) {
    if (i > 0 && !chance(random, 50)) continue;
    let_wander(plan, plan.links[i]);
    add_moves(random, plan, i);
  }
  std::ranges::stable_sort(plan.events, {}, &PlannedEvent::at);
}

}  // namespace cygnet::sim
