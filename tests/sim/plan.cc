// SPDX-License-Identifier: Apache-2.0
#include "sim/plan.h"

#include <algorithm>
#include <array>

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHealing = 400s;
constexpr std::array<std::string_view, 27> kNames = {
    "rekey child",  "rekey IKE SA", "soft limit",   "hard limit",     "delete IKE SA",  "delete child", "take down",
    "bring up",     "crash",        "crash midway", "power loss",     "restart",        "suspend",      "resume",
    "NAT rebinds",  "move",         "reload",       "reload changed", "reload removed", "reload back",  "blackout",
    "IKE blackout", "ESP blackout", "light",        "gateway dark",   "gateway light",  "clock step"};
constexpr std::array<std::string_view, 16> kFeatures = {
    "pair", "gateway", "nat",    "impostor",     "attack", "both-start", "strict", "violent",
    "move", "reauth",  "backup", "certificates", "clock",  "small-path", "clones", "puzzles"};

void choose_network(Random& random, Plan& plan, std::optional<Feature> only) {
  plan.strict = only ? only == Feature::kStrict : chance(random, 25);
  plan.violent = only == Feature::kViolent || (!plan.strict && chance(random, 60));
  plan.loss_percent = plan.strict ? 0 : between(random, 0, 25);
  plan.duplicate_percent = between(random, 0, 25);
  plan.delay_min = milliseconds(between(random, 1, 40));
  // A long tail makes messages overtake each other.
  plan.delay_max = plan.delay_min + milliseconds(chance(random, 50) ? 5 : between(random, 5, 250));
  plan.traffic_percent = chance(random, 30) ? between(random, 0, 20) : 100;
  plan.nat = only == Feature::kNat || only == Feature::kImpostor || chance(random, 35);
  const bool attacked = chance(random, 30);
  if (only == Feature::kAttack || (attacked && !plan.strict)) plan.attack_percent = between(random, 2, 15);
  if (chance(random, 30)) plan.job_delay_max = milliseconds(between(random, 1, 400));
  plan.both_start = (only == Feature::kBothStart || chance(random, 15)) && !plan.nat && !plan.strict;
}

}  // namespace

std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random.below(high - low + 1));
}
bool chance(Random& random, unsigned percent) { return random.below(100) < percent; }

std::string_view to_string(What what) { return kNames.at(static_cast<std::size_t>(what)); }

std::optional<Feature> parse_feature(std::string_view name) {
  const auto found = std::ranges::find(kFeatures, name);
  if (found == kFeatures.end()) return std::nullopt;
  return static_cast<Feature>(found - kFeatures.begin());
}

std::string feature_names() {
  std::string out;
  for (const auto name : kFeatures) out += " " + std::string(name);
  return out;
}

Plan make_plan(std::uint64_t seed, std::optional<Feature> only, Edition edition) {
  // Neighbouring seeds must not make similar lives: one step of the generator sets them apart.
  SeededRandom first(seed);
  SeededRandom random(first.u64());
  Plan plan;
  plan.seed = seed;
  choose_network(random, plan, only);
  choose_parties(random, plan, only);
  choose_events(random, plan);
  choose_moves(plan, only);
  plan.healing = kHealing;
  plan.dark_bound = plan.violent || plan.attack_percent != 0 ? 250s : 120s;
  if (edition >= Edition::kSecond) choose_second_edition(plan, only);
  if (edition >= Edition::kThird) choose_third_edition(plan, only);
  if (edition >= Edition::kFourth) choose_fourth_edition(plan, only);
  return plan;
}

std::string Plan::describe() const {
  std::string out = "seed " + std::to_string(seed) + ": " + std::to_string(links.size()) + " links, ";
  out += strict ? "strict" : violent ? "violent" : "peaceful";
  out += nat ? ", NAT" : "";
  out += both_start ? ", both start" : "";
  out += certificates ? ", certificates" : "";
  out += clones ? ", clones" : "";
  if (knocks_a_second != 0) {
    out += ", " + std::to_string(knocks_a_second) + " strangers a second and puzzles of " +
           std::to_string(auth_puzzle_bits) + " bits";
  }
  out += path_octets == 0 ? "" : ", at most " + std::to_string(path_octets) + " octets";
  const auto ms = [](Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
  };
  out += ", loss " + std::to_string(loss_percent) + " %, duplicates " + std::to_string(duplicate_percent) +
         " %, attacks " + std::to_string(attack_percent) + " %, delay " + ms(delay_min) + " to " + ms(delay_max) +
         " ms, jobs up to " + ms(job_delay_max) + " ms, traffic " + std::to_string(traffic_percent) + " %\n";
  for (const auto& party : parties) {
    out += "  " + party.name + " at " + party.address.to_string() + (party.behind_nat ? " behind the NAT" : "") +
           (party.impostor ? ", an impostor" : "") + (party.places.empty() ? "" : ", wanders");
    for (std::size_t i = 1; i < party.addresses.size(); ++i) out += ", at " + party.addresses[i].to_string() + " too";
    out += "\n";
  }
  for (const auto& link : links) {
    out += "  " + link.connection + ": " + parties[link.starts].name + " to " + parties[link.answers].name + ", " +
           std::to_string(link.children.size()) + " children";
    for (const auto end : {link.starts, link.answers}) {
      const auto& own = parties[end].connections;
      const auto c = std::ranges::find(own, link.connection, &model::Connection::name);
      if (c->reauth) out += ", " + parties[end].name + " wants proof every " + std::to_string(c->ike_lifetime_s) + " s";
    }
    out += "\n";
  }
  for (const auto& event : events) {
    out += "  at " + ms(event.at) + " ms: " + std::string(to_string(event.what)) + " (" + parties[event.side].name +
           ", " + links[event.link].connection + ")";
    if (event.what == What::kClockStep) out += " to " + std::to_string(event.wrong_s) + " s from the right time";
    if (event.what == What::kGatewayDark) out += " " + parties[event.side].addresses[event.place].to_string();
    out += "\n";
  }
  return out;
}

}  // namespace cygnet::sim
