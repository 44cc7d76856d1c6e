// SPDX-License-Identifier: Apache-2.0
#include "sim/plan.h"

#include <algorithm>
#include <array>

#include "support/connections.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHealing = 400s;
constexpr std::array<std::string_view, 12> kNames = {"rekey child",   "rekey IKE SA", "soft limit",   "hard limit",
                                                     "delete IKE SA", "crash",        "crash midway", "power loss",
                                                     "restart",       "NAT rebinds",  "blackout",     "light"};

std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random.below(high - low + 1));
}
bool chance(Random& random, unsigned percent) { return random.below(100) < percent; }
Duration milliseconds(std::uint32_t ms) { return std::chrono::milliseconds(ms); }

void choose_children(Random& random, model::Connection& connection) {
  const auto count = between(random, 1, 3);
  for (std::uint32_t i = 1; i < count; ++i) {
    const std::string number = std::to_string(i + 2);
    connection.children.push_back(test::child("c" + number, "10.1.0.0/16", "10." + number + ".0.0/16"));
  }
  for (auto& child : connection.children) {
    child.start = model::StartAction::kStart;
    child.lifetime_s = between(random, 60, 300);
    if (chance(random, 40)) {
      child.proposals = {test::esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                            {model::KeGroup::kX25519},
                                            {model::EsnChoice::kYes, model::EsnChoice::kNo})};
    }
  }
}

model::Connection choose_connection(Random& random) {
  auto connection = test::tunnel("tun");
  choose_children(random, connection);
  connection.ike_lifetime_s = between(random, 150, 900);
  connection.rekey_margin_s = between(random, 20, 25);
  connection.rekey_fuzz_percent = between(random, 0, 100);
  connection.keying_tries = 0;
  connection.dpd_delay_s = between(random, 10, 30);
  connection.dpd_action = model::DeadPeerAction::kRestart;
  connection.retransmit_first_ms = between(random, 300, 1000);
  connection.retransmit_timeout_ms = between(random, 12000, 20000);
  return connection;
}

// Groups that one end likes and the other does not know yet: INVALID_KE_PAYLOAD in every kind of exchange.
void disagree_on_groups(model::Connection& a, model::Connection& b) {
  using model::KeGroup;
  const auto ike = [](std::vector<KeGroup> groups) {
    return test::ike_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                              model::PrfId::kHmacSha2_256, std::move(groups));
  };
  const auto esp = [](std::vector<KeGroup> groups) {
    return test::esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, std::move(groups),
                              {model::EsnChoice::kNo});
  };
  a.proposals = {ike({KeGroup::kX25519, KeGroup::kEcp256})};
  b.proposals = {ike({KeGroup::kEcp256})};
  for (auto& child : a.children) child.proposals = {esp({KeGroup::kEcp384, KeGroup::kX25519})};
  for (auto& child : b.children) child.proposals = {esp({KeGroup::kX25519})};
}

// Both ends have lifetimes, margins and checks of their own.
model::Connection other_end(Random& random, const model::Connection& a, bool starts) {
  auto b = test::mirrored(a);
  for (auto& child : b.children) {
    child.start = starts ? model::StartAction::kStart : model::StartAction::kAdd;
    // Equal lifetimes make both ends rekey at once: collisions without anybody's help.
    if (chance(random, 50)) child.lifetime_s = between(random, 60, 300);
  }
  if (chance(random, 50)) b.ike_lifetime_s = between(random, 150, 900);
  b.dpd_delay_s = between(random, 10, 30);
  b.dpd_action = starts ? model::DeadPeerAction::kRestart : model::DeadPeerAction::kClear;
  return b;
}

void choose_network(Random& random, Plan& plan) {
  plan.strict = chance(random, 25);
  plan.violent = !plan.strict && chance(random, 60);
  plan.loss_percent = plan.strict ? 0 : between(random, 0, 25);
  plan.duplicate_percent = between(random, 0, 25);
  plan.delay_min = milliseconds(between(random, 1, 40));
  // A long tail makes messages overtake each other.
  plan.delay_max = plan.delay_min + milliseconds(chance(random, 50) ? 5 : between(random, 5, 250));
  plan.traffic_percent = chance(random, 30) ? between(random, 0, 20) : 100;
  plan.nat = chance(random, 35);
}

void add_collision(Random& random, Plan& plan, Duration at) {
  const auto children = plan.a.children.size();
  const bool ike = chance(random, 35);
  const auto child = static_cast<std::size_t>(random.below(children));
  const Duration gap = milliseconds(between(random, 0, 80));
  plan.events.push_back({at, ike ? What::kRekeyIke : What::kRekeyChild, 0, child, 0});
  const bool mixed = chance(random, 20);
  plan.events.push_back({at + gap, ike != mixed ? What::kRekeyIke : What::kRekeyChild, 1, child, 0});
}

void add_violence(Random& random, Plan& plan, Duration at) {
  const auto side = static_cast<std::size_t>(random.below(2));
  const Duration down = milliseconds(between(random, 0, 8000));
  switch (random.below(plan.both_start ? 4 : 5)) {
    case 0:
      plan.events.push_back({at, What::kCrash, side, 0, 0});
      plan.events.push_back({at + down, What::kRestart, side, 0, 0});
      break;
    case 1:
      plan.events.push_back({at, What::kCrashMidway, side, 0, static_cast<int>(random.below(25))});
      // Something to do, so that there are actions to die among.
      plan.events.push_back({at, chance(random, 50) ? What::kRekeyChild : What::kRekeyIke,
                             static_cast<std::size_t>(random.below(2)), 0, 0});
      plan.events.push_back({at + 5s + down, What::kRestart, side, 0, 0});
      break;
    case 2:
      plan.events.push_back({at, What::kPowerLoss, side, 0, 0});
      plan.events.push_back({at + down, What::kRestart, side, 0, 0});
      break;
    case 3:
      plan.events.push_back({at, What::kBlackout, 0, 0, 0});
      plan.events.push_back({at + down * 5, What::kLight, 0, 0, 0});
      break;
    default: plan.events.push_back({at, What::kDeleteIke, 1, 0, 0}); break;
  }
}

void choose_events(Random& random, Plan& plan) {
  const auto seconds = between(random, 200, 600);
  plan.length = std::chrono::seconds(seconds);
  const auto count = between(random, 3, 12);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Duration at = milliseconds(between(random, 5000, seconds * 1000));
    const auto side = static_cast<std::size_t>(random.below(2));
    const auto child = static_cast<std::size_t>(random.below(plan.a.children.size()));
    switch (random.below(7)) {
      case 6:
        plan.events.push_back(
            {at, chance(random, 70) || plan.strict ? What::kSoftLimit : What::kHardLimit, side, child, 0});
        break;
      case 0: plan.events.push_back({at, What::kRekeyChild, side, child, 0}); break;
      case 1: plan.events.push_back({at, What::kRekeyIke, side, 0, 0}); break;
      case 2:
      case 3: add_collision(random, plan, at); break;
      case 4:
        if (plan.nat && !plan.strict) plan.events.push_back({at, What::kRebind, 0, 0, 0});
        break;
      default:
        if (plan.violent) add_violence(random, plan, at);
        break;
    }
  }
  for (std::uint64_t more = plan.violent ? 1 + random.below(4) : 0; more > 0; --more) {
    add_violence(random, plan, milliseconds(between(random, 5000, seconds * 1000)));
  }
  std::ranges::stable_sort(plan.events, {}, &PlannedEvent::at);
}

}  // namespace

std::string_view to_string(What what) { return kNames.at(static_cast<std::size_t>(what)); }

Plan make_plan(std::uint64_t seed) {
  // Neighbouring seeds must not make similar lives: one step of the generator sets them apart.
  SeededRandom first(seed);
  SeededRandom random(first.u64());
  Plan plan;
  plan.seed = seed;
  choose_network(random, plan);
  plan.a = choose_connection(random);
  plan.both_start = chance(random, 15) && !plan.nat && !plan.strict;
  plan.b = other_end(random, plan.a, plan.both_start);
  if (chance(random, 15)) disagree_on_groups(plan.a, plan.b);
  if (plan.nat) {
    plan.a.local.host.address = test::address("10.0.0.1");
    plan.b.remote.host = {};  // whoever proves to be a.test
  }
  choose_events(random, plan);
  plan.healing = kHealing;
  plan.dark_bound = plan.violent ? 250s : 120s;
  return plan;
}

std::string Plan::describe() const {
  std::string out = "seed " + std::to_string(seed) + ": " + std::to_string(a.children.size()) + " children, ";
  out += strict ? "strict" : violent ? "violent" : "peaceful";
  out += nat ? ", NAT" : "";
  out += both_start ? ", both start" : "";
  const auto ms = [](Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
  };
  out += ", loss " + std::to_string(loss_percent) + " %, duplicates " + std::to_string(duplicate_percent) +
         " %, delay " + ms(delay_min) + " to " + ms(delay_max) + " ms, traffic " + std::to_string(traffic_percent) +
         " %\n";
  for (const auto& event : events) {
    out += "  at " + ms(event.at) + " ms: " + std::string(to_string(event.what)) + " (" +
           (event.side == 0 ? "A" : "B") + ")\n";
  }
  return out;
}

}  // namespace cygnet::sim
