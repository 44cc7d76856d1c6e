// SPDX-License-Identifier: Apache-2.0
// What must be true in every life: at every step, every second, and at its end.
#include <algorithm>
#include <map>
#include <set>

#include "sim/life.h"
#include "sim/seconds_text.h"
#include "support/connections.h"

namespace cygnet::sim {
namespace {

using namespace std::chrono_literals;

// At the end of healing; longer than an end waits for a peer that never deletes what it should.
constexpr unsigned kStrangersStay_s = 35;  // with strangers who send rubbish
constexpr Duration kLastStretch = 150s;
constexpr unsigned kMinAgreedSeconds = 30;
// What a link may say in that time: rekeys of all its children every minute, and a liveness check every ten seconds.
constexpr std::uint64_t kMostDatagrams = 300;
constexpr std::size_t kMostCheckpointOctets = 30000;
// An IKE SA whose time is over waits for the answer to its last request.
constexpr Duration kLastWords = 20s;

std::vector<ike::IkeStatus> rows_of(const std::vector<ike::IkeStatus>& all, const std::string& connection) {
  std::vector<ike::IkeStatus> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const auto& row) { return row.connection == connection; });
  return out;
}

std::size_t count_sas(const test::Side& side, const std::string& connection, model::Direction direction) {
  return static_cast<std::size_t>(std::ranges::count_if(side.plane.entries(), [&](const auto& entry) {
    return entry.spec.connection == connection && entry.spec.direction == direction;
  }));
}

// The SA tables of one end against the number of children both ends speak of, and against the other end's tables.
std::optional<std::string> sas_differ(const test::Side& each, const test::Side& other, const std::string& connection,
                                      std::size_t children) {
  for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
    const auto held = count_sas(each, connection, direction);
    if (held == children) continue;
    return each.name() + " holds " + std::to_string(held) +
           (direction == model::Direction::kInbound ? " inbound" : " outbound") + " SAs for " +
           std::to_string(children) + " children";
  }
  for (const auto& entry : each.plane.entries()) {
    if (entry.spec.connection == connection && entry.spec.direction == model::Direction::kOutbound &&
        other.plane.inbound(entry.spec.spi) == nullptr) {
      return each.name() + " has an outbound SA that its peer cannot open";
    }
  }
  return std::nullopt;
}

// A child without networks of its own has what the pool gives.
model::TrafficSelectors allowed(const model::TrafficSelectors& configured) {
  return configured.empty() ? test::selectors({"10.9.0.0/29"}) : configured;
}

}  // namespace

// Every second. No address of the pool leads to two peers.
void Life::check_leases() {
  for (const auto& each : sides_) {
    std::map<IpAddress, std::string> holders;
    for (const auto& entry : each->plane.entries()) {
      const auto& remote = entry.spec.remote_selectors;
      if (remote.size() != 1 || remote[0].range.first != remote[0].range.last) continue;
      const auto [it, fresh] = holders.try_emplace(remote[0].range.first, entry.spec.connection);
      if (!fresh && it->second != entry.spec.connection)
        return fail(each->name() + " gave " + it->first.to_string() + " to " + it->second + " and " +
                    entry.spec.connection);
    }
  }
}

// At the end: an address is in use for each IKE SA that has one, and for no other.
void Life::check_no_lease_leaks() {
  for (const auto& each : sides_) {
    if (!each->alive()) continue;
    std::set<IpAddress> used;
    for (const auto& row : each->endpoint().status())
      used.insert(row.assigned_remote.begin(), row.assigned_remote.end());
    if (each->addresses.pools.in_use() != used.size())
      return fail(each->name() + " keeps " + std::to_string(each->addresses.pools.in_use()) + " addresses for " +
                  std::to_string(used.size()) + " that IKE SAs have");
  }
}

void Life::check_always() {
  if (result_.fault) return;
  std::size_t children = 0;
  for (const auto& link : plan_.links) children += link.children.size() * (plan_.clones ? 4 : 1);
  const std::size_t links = plan_.links.size();
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const auto& each = *sides_[i];
    if (!each.plane.faults.empty()) return fail(each.name() + " " + each.plane.faults.front());
    if (each.plane.entries().size() > children * 24 + 24) return fail(each.name() + " holds too many SAs: they leak");
    if (!each.alive()) continue;
    const auto half_open = each.endpoint().counters().half_open;
    if (half_open > 20 * links + 20 + kStrangersStay_s * plan_.knocks_a_second)
      return fail(each.name() + " holds " + std::to_string(half_open) + " half-open IKE SAs");
    if (each.checkpoints.size() > 24 * links) return fail(each.name() + " holds too many checkpoints: they leak");
  }
}

// Every second. Nobody is taken for somebody else: the keys of an IKE SA are held by whom it is with and by
// no third.
void Life::check_identities() {
  check_leases();
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    check_selectors(i);
    if (!side(i).alive()) continue;
    check_proofs(i);
    for (const auto& [key, value] : side(i).checkpoints) {
      if (value.size() > kMostCheckpointOctets)
        fail(side(i).name() + " keeps " + std::to_string(value.size()) + " octets of state for one IKE SA");
    }
    for (const auto& row : side(i).endpoint().status()) {
      if (row.established == Instant{}) continue;
      const auto link = std::ranges::find(plan_.links, row.connection, &Link::connection);
      if (plan_.parties[i].impostor) return fail("the impostor was believed");
      const std::size_t peer = link->starts == i ? link->answers : link->starts;
      for (std::size_t other = 0; other < sides_.size(); ++other) {
        if (other != i && other != peer && std::as_const(side(other)).keys().keys().contains({row.spi_i, row.spi_r}))
          return fail(side(i).name() + " takes " + side(other).name() + " for " + side(peer).name());
      }
    }
  }
}

// Whoever wants proof anew after a while (reauth=) believes nobody for longer than that on an old one.
void Life::check_proofs(std::size_t index) {
  if (asleep_[index] || now_ - awake_since_[index] < kLastWords) return;
  for (const auto& row : side(index).endpoint().status()) {
    if (row.state != "ESTABLISHED") continue;
    const auto& own = plan_.parties[index].connections;
    const auto c = std::ranges::find(own, row.connection, &model::Connection::name);
    if (c == own.end() || !c->reauth) continue;
    const auto known = proofs_.find({index, row.connection});
    const Duration age = known == proofs_.end() ? now_ - start_ : now_ - known->second;
    if (age > std::chrono::seconds(c->ike_lifetime_s) + kLastWords)
      return fail(side(index).name() + " still believes in " + row.connection + " on a proof that is " +
                  seconds_text(age) + " old");
  }
}

// No SA for anything that the configuration of this side does not say.
void Life::check_selectors(std::size_t index) {
  for (const auto& entry : side(index).plane.entries()) {
    const auto& spec = entry.spec;
    const auto& connections = plan_.parties[index].connections;
    const auto connection = std::ranges::find(connections, spec.connection, &model::Connection::name);
    if (connection == connections.end()) return fail("an SA of no connection");
    const auto child = std::ranges::find(connection->children, spec.child_name, &model::Child::name);
    if (child == connection->children.end()) return fail("an SA of no child");
    if (spec.local_selectors.empty() || spec.remote_selectors.empty() ||
        !model::covers(allowed(child->local), spec.local_selectors) ||
        !model::covers(allowed(child->remote), spec.remote_selectors)) {
      return fail(side(index).name() + " protects " + model::to_string(spec.local_selectors) + " to " +
                  model::to_string(spec.remote_selectors) + ", which nobody configured");
    }
  }
}

// As many as both ends want, in quiet lives: a refusal stands for longer than healing takes, and where trouble made the
// other end begin, it is that end's configuration that asks.
std::optional<std::string> Life::clones_missing(const Link& link, const std::vector<ike::IkeStatus>& rows) const {
  if (!plan_.clones || !plan_.strict || plan_.both_start) return std::nullopt;
  const auto wanted = [&](std::size_t party) {
    const auto& own = plan_.parties[party].connections;
    return std::ranges::find(own, link.connection, &model::Connection::name)->children.at(0).clones;
  };
  const auto each = std::min(wanted(link.starts).value_or(0), wanted(link.answers).value_or(UINT32_MAX));
  std::size_t there = 0;
  for (const auto& row : rows) {
    there += static_cast<std::size_t>(
        std::ranges::count_if(row.children, [](const auto& child) { return child.resource.has_value(); }));
  }
  if (there >= each * link.children.size()) return std::nullopt;
  return "clones are missing: " + std::to_string(there) + " of " + std::to_string(each * link.children.size());
}

std::optional<std::string> Life::disagreement(const Link& link,
                                              const std::vector<std::vector<ike::IkeStatus>>& all) const {
  auto a = rows_of(all[link.starts], link.connection);
  auto b = rows_of(all[link.answers], link.connection);
  // What an impostor or a stranger begins, again and again, stands there half-open and is no part of the link.
  for (auto* rows : {&a, &b}) {
    std::erase_if(*rows, [&](const auto& row) {
      if (Knockers::is_one(row.path.remote.address)) return row.established == Instant{};
      const auto party = find_side(row.path.remote.address);
      return party && plan_.parties[*party].impostor && row.established == Instant{};
    });
  }
  if (a.empty() || b.empty()) return "no IKE SA";
  if (a.size() != b.size())
    return std::to_string(a.size()) + " IKE SAs at one end and " + std::to_string(b.size()) + " at the other";
  // While IKE alone is dark, whoever only answers makes an IKE SA too; each may end up with some of the children.
  const bool both_begin = plan_.both_start || std::ranges::any_of(plan_.events, [](const PlannedEvent& event) {
                            return event.what == What::kIkeBlackout;
                          });
  if (a.size() > (both_begin ? 2U : 1U)) return std::to_string(a.size()) + " IKE SAs";
  // Whoever had to leave the first of its peer's addresses is back there.
  const auto& gateways = plan_.parties[link.answers].addresses;
  if (!gateways.empty() &&
      std::ranges::any_of(a, [&](const auto& sa) { return sa.path.remote.address != gateways[0]; }))
    return "the IKE SA is still with " + a[0].path.remote.to_string();
  std::size_t children = 0, heads = 0;
  for (const auto& sa : a) {
    const auto same =
        std::ranges::find_if(b, [&](const auto& other) { return other.spi_i == sa.spi_i && other.spi_r == sa.spi_r; });
    if (same == b.end()) return "the IKE SAs are not the same ones";
    if (same->children.size() != sa.children.size()) return "the IKE SAs have different children";
    children += sa.children.size();
    heads +=
        static_cast<std::size_t>(std::ranges::count_if(sa.children, [](const auto& child) { return !child.resource; }));
  }
  if (auto missing = clones_missing(link, a)) return missing;
  if (heads < link.children.size()) return "children are missing";
  const auto& start = *sides_[link.starts];
  const auto& answer = *sides_[link.answers];
  if (auto differ = sas_differ(start, answer, link.connection, children)) return differ;
  return sas_differ(answer, start, link.connection, children);
}

// Every second while the network heals.
void Life::check_links() {
  const Instant end = start_ + plan_.length + plan_.healing;
  if (now_ <= end - kLastStretch) {
    datagrams_before_last_stretch_ = result_.datagrams;
    return;
  }
  std::vector<std::vector<ike::IkeStatus>> all;
  for (const auto& each : sides_) all.push_back(each->endpoint().status());
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (!plan_.parties[i].impostor && side(i).checkpoints.size() > all[i].size() + 2 * plan_.links.size())
      return fail(side(i).name() + " holds " + std::to_string(side(i).checkpoints.size()) + " checkpoints for " +
                  std::to_string(all[i].size()) + " IKE SAs");
  }
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (const auto why = disagreement(plan_.links[i], all)) {
      links_[i].last_disagreement = *why;
    } else {
      ++links_[i].agreed_seconds;
    }
  }
}

// Rekeys go on while the network heals, so the ends are not of one mind every second; but most of the time they are.
void Life::check_healed() {
  check_no_lease_leaks();
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (links_[i].agreed_seconds >= kMinAgreedSeconds) continue;
    return fail("the ends of " + plan_.links[i].connection + " agreed in only " +
                std::to_string(links_[i].agreed_seconds) + " of the last 150 s, " + seconds_text(plan_.healing) +
                " after the last trouble: " + links_[i].last_disagreement);
  }
  const auto said = result_.datagrams - datagrams_before_last_stretch_;
  if (said > kMostDatagrams * (links_.size() + 1) * (plan_.clones ? 4 : 1))
    fail("there is no end of talk: " + std::to_string(said) + " datagrams in 150 s of peace");
}

}  // namespace cygnet::sim
