// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/gateways.h"

#include <algorithm>

#include "ike/v2/beside.h"
#include "ike/v2/lifecycle.h"

namespace cygnet::ike::v2 {

std::vector<IpAddress> gateways_of(const model::Connection& connection) {
  std::vector<IpAddress> out;
  if (connection.remote.host.has_address()) out.push_back(connection.remote.host.address);
  for (const auto& host : connection.remote.alternatives) {
    if (host.has_address() && std::find(out.begin(), out.end(), host.address) == out.end()) out.push_back(host.address);
  }
  return out;
}

std::vector<model::HostSpec> written_alternatives(const model::End& peer) {
  std::vector<model::HostSpec> out;
  const auto* before = &peer.host;
  for (const auto& host : peer.alternatives) {
    const bool found =
        host.kind == model::HostSpec::Kind::kName && before->kind == host.kind && before->name == host.name;
    if (!found) out.push_back(host);
    before = &host;
  }
  return out;
}

namespace {

// Somewhere else than at the first that was written.
bool is_away(const model::Connection& connection, const IpAddress& address) {
  const auto& first = connection.remote.host;
  if (first.has_address() && first.address == address) return false;
  const auto& others = connection.remote.alternatives;
  const auto here = std::ranges::find_if(
      others, [&](const model::HostSpec& host) { return host.has_address() && host.address == address; });
  return here != others.end() &&
         (first.kind != model::HostSpec::Kind::kName || here->kind != first.kind || here->name != first.name);
}

}  // namespace

IpAddress gateway_of(const World& world, const model::Connection& connection) {
  const auto all = gateways_of(connection);
  const auto choice = world.gateways.find(connection.name);
  if (all.empty()) return connection.remote.host.address;
  return choice == world.gateways.end() ? all.front() : all[choice->second.index % all.size()];
}

std::vector<ChildWant> leave_gateway(World& world, IkeSa& sa, bool was_up) {
  std::vector<ChildWant> out;
  if (!sa.began_here || !sa.connection || sa.connection->remote.alternatives.empty() || !sa.stands_in_for.is_zero())
    return out;
  const auto all = gateways_of(*sa.connection);
  auto& choice = world.gateways[sa.connection->name];
  if (all.size() < 2 || all[choice.index % all.size()] != sa.path.remote.address) return out;
  choice.index = (choice.index + 1) % all.size();
  choice.tried = was_up ? 0 : choice.tried + 1;
  const bool all_tried = choice.tried >= all.size();
  if (all_tried) choice.tried = 0;
  world.report(
      sa, Severity::kWarning, "gateway-failed",
      sa.path.remote.address.to_string() + " failed: " +
          (all_tried ? "none of the addresses of right= answers" : "next is " + all[choice.index].to_string()));
  if (!was_up && !all_tried && sa.handshake) {
    out = std::exchange(sa.handshake->wants, {});
    std::erase_if(out, [](const ChildWant& w) { return w.given_up; });
  }
  return out;
}

void arrive_at_gateway(World& world, IkeSa& sa) {
  if (!sa.began_here || !sa.connection || sa.connection->remote.alternatives.empty()) return;
  find_gateway_again(world, sa);
  if (!is_away(*sa.connection, sa.path.remote.address) || !sa.connection->failback ||
      sa.connection->failback_interval_s == 0)
    return;
  sa.failback_at = world.now + std::chrono::seconds(sa.connection->failback_interval_s);
}

void find_gateway_again(World& world, const IkeSa& sa) {
  if (!sa.began_here || !sa.connection || sa.connection->remote.alternatives.empty()) return;
  const auto all = gateways_of(*sa.connection);
  const auto here = std::find(all.begin(), all.end(), sa.path.remote.address);
  if (here != all.end()) world.gateways[sa.connection->name] = {static_cast<std::size_t>(here - all.begin()), 0};
}

void try_first_gateway(World& world, IkeSa& sa) {
  sa.failback_at = kNever;
  const auto all = gateways_of(*sa.connection);
  if (all.empty() || !is_away(*sa.connection, sa.path.remote.address) || !sa.connection->failback) return;
  sa.failback_at = world.now + std::chrono::seconds(sa.connection->failback_interval_s);
  (void)begin_beside(world, sa, {"to return to " + all.front().to_string(), false, all.front()});
}

}  // namespace cygnet::ike::v2
