// SPDX-License-Identifier: Apache-2.0
// The second edition of lives: proofs that must be made anew, gateways with several addresses, certificates and wall
// clocks that are wrong, paths that are too narrow. Each is drawn apart from all else.
#include <algorithm>

#include "sim/credentials.h"
#include "sim/plan.h"
#include "support/connections.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

bool is_wanted(Random& random, unsigned percent, std::optional<Feature> only, Feature feature) {
  return chance(random, percent) || only == feature;
}
bool has_impostor(const Plan& plan) { return std::ranges::any_of(plan.parties, &Party::impostor); }

model::Connection& end_of(Plan& plan, const Link& link, std::size_t party) {
  return *std::ranges::find(plan.parties[party].connections, link.connection, &model::Connection::name);
}
model::Connection& starter(Plan& plan, const Link& link) { return end_of(plan, link, link.starts); }
model::Connection& answerer(Plan& plan, const Link& link) { return end_of(plan, link, link.answers); }

// reauth=yes at the one end, at the other (which then says AUTH_LIFETIME), or at both.
void choose_reauthentication(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x7265617574680000ULL);
  if (!is_wanted(random, 30, only, Feature::kReauth)) return;
  for (const auto& link : plan.links) {
    const auto who = random.below(4);  // 3: this link goes without
    const auto lifetime = between(random, 90, 200);
    if (who == 3 && only != Feature::kReauth) continue;
    for (const bool starts : {true, false}) {
      if (who == (starts ? 1U : 0U)) continue;
      auto& c = starts ? starter(plan, link) : answerer(plan, link);
      c.reauth = true;
      c.ike_lifetime_s = lifetime + (starts ? 0 : 15);
    }
  }
}

void add_darkness(Random& random, Plan& plan, std::size_t link) {
  const auto length = static_cast<std::uint32_t>(plan.length / 1s);
  const auto side = plan.links[link].answers;
  for (auto more = between(random, 1, 4); more > 0; --more) {
    PlannedEvent event;
    event.at = milliseconds(between(random, 1000, length * 1000));
    event.what = What::kGatewayDark;
    event.side = side;
    event.link = link;
    event.place = chance(random, 70) ? 0 : static_cast<std::size_t>(random.below(plan.parties[side].addresses.size()));
    plan.events.push_back(event);
    event.at += milliseconds(between(random, 1000, 400000));
    event.what = What::kGatewayLight;
    plan.events.push_back(event);
  }
}

// right=a,b at those who call a gateway, which has all these addresses.
void choose_backup(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x6261636b75700000ULL);
  if (!is_wanted(random, 15, only, Feature::kBackup) || plan.strict || plan.both_start || has_impostor(plan)) return;
  auto& gateway = plan.parties.back();
  gateway.addresses = {gateway.address, test::address("198.51.100.2")};
  if (chance(random, 40)) gateway.addresses.push_back(test::address("198.51.100.3"));
  for (const auto& link : plan.links) {
    auto& c = starter(plan, link);
    for (std::size_t i = 1; i < gateway.addresses.size(); ++i) {
      model::HostSpec host;
      host.kind = model::HostSpec::Kind::kAddress;
      host.address = gateway.addresses[i];
      c.remote.alternatives.push_back(host);
    }
    c.failback_interval_s = between(random, 20, 60);
    answerer(plan, link).local.host = {};
  }
  add_darkness(random, plan, 0);
  plan.dark_bound = 250s;
}

void choose_certificates(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x6365727473000000ULL);
  const bool needed = only == Feature::kClock || only == Feature::kSmallPath;
  if (!is_wanted(random, 8, only, Feature::kCertificates) && !needed) return;
  plan.certificates = true;
  // Some clients have a secret, and believe a certificate: the answer to a small request is large.
  const bool one_sided = chance(random, 25);
  const auto prove = [&](model::Connection& c, bool answers) {
    const auto with = model::AuthMethod::kSignature;
    if (!one_sided || answers) c.local.auth = with;
    if (!one_sided || !answers) c.remote.auth = with;
    if (c.local.auth == with) c.local.certificate = kOwnCertificate;
  };
  for (const auto& link : plan.links) {
    prove(starter(plan, link), false);
    prove(answerer(plan, link), true);
  }
  for (auto& party : plan.parties) {
    if (party.impostor) prove(party.connections[0], false);
  }
}

// An hour or a day hurts nobody; a year makes certificates end, and a month makes them not yet valid.
void choose_clock_steps(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x636c6f636b000000ULL);
  if (!is_wanted(random, 15, only, Feature::kClock)) return;
  const auto length = static_cast<std::uint32_t>(plan.length / 1s);
  for (auto more = between(random, 1, 4); more > 0; --more) {
    PlannedEvent event;
    event.at = milliseconds(between(random, 0, length * 1000));
    event.what = What::kClockStep;
    event.link = static_cast<std::size_t>(random.below(plan.links.size()));
    const auto& link = plan.links[event.link];
    event.side = chance(random, 50) ? link.starts : link.answers;
    const bool harmless = plan.strict || chance(random, 40);
    const std::int64_t day = 86400;
    const auto days = harmless ? 1 : between(random, 31, 3000);
    event.wrong_s = static_cast<std::int64_t>(random.below(days * static_cast<std::uint64_t>(day)));
    if (!harmless) event.wrong_s = days * day;
    if (chance(random, 50)) event.wrong_s = -event.wrong_s;
    plan.events.push_back(event);
    if (chance(random, 30)) continue;  // it stays wrong until the end of trouble
    event.at += milliseconds(between(random, 1000, 200000));
    event.wrong_s = 0;
    plan.events.push_back(event);
  }
}

// IKE messages in fragments that are larger than what gets through (RFC 7383).
void choose_small_path(Plan& plan, std::optional<Feature> only) {
  SeededRandom random(plan.seed ^ 0x6d74750000000000ULL);
  if (!is_wanted(random, 40, only, Feature::kSmallPath) || !plan.certificates) return;
  plan.path_octets = between(random, 580, 1200);
  plan.dark_bound = 250s;
  for (const auto& link : plan.links) {
    for (auto* c : {&starter(plan, link), &answerer(plan, link)}) {
      c->fragmentation = model::Fragmentation::kYes;
      c->fragment_octets = chance(random, 50) ? 0 : between(random, 580, 1500);
    }
  }
}

}  // namespace

void choose_second_edition(Plan& plan, std::optional<Feature> only) {
  choose_reauthentication(plan, only);
  choose_backup(plan, only);
  choose_certificates(plan, only);
  choose_clock_steps(plan, only);
  choose_small_path(plan, only);
  // A proof in seven pieces needs many attempts where every tenth datagram gets lost, and those come ever more seldom.
  if (plan.certificates && plan.loss_percent > 5) plan.dark_bound = 250s;
  std::ranges::stable_sort(plan.events, {}, &PlannedEvent::at);
}

}  // namespace cygnet::sim
