// SPDX-License-Identifier: Apache-2.0
// The rule that leads packets into our table, and those of others that would come before it.
#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

std::optional<std::uint32_t> place_before(const std::set<std::uint32_t>& others, const std::set<std::uint32_t>& own,
                                          std::uint32_t ours) {
  std::optional<std::uint32_t> lowest;
  // What stands above one of ours was put there so, though those between may have gone since.
  const auto sure = own.empty() ? ours : *own.begin();
  for (auto at = ours - 1; at > 0 && (at >= sure || others.contains(at)); --at) {
    if (others.contains(at)) lowest = at;
  }
  return lowest && *lowest > 1 ? std::optional(*lowest - 1) : std::nullopt;
}

Result<void> Network::add_rules() {
  for (const auto family : {Family::kV4, Family::kV6}) {
    auto added = add_rules(family);
    if (added) continue;
    if (family == Family::kV4)
      return fail(added.error().message + " (does this kernel have policy routing, CONFIG_IP_MULTIPLE_TABLES?)");
    log_.notice("network", "IPv6: " + added.error().message);
  }
  return {};
}

Result<void> Network::add_rules(Family family) {
  const auto ours = setup_.rule_priority;
  const auto at = [&](std::uint32_t priority) {
    return io::MarkRule{family, priority, setup_.fwmark, setup_.route_table};
  };
  if (auto added = netlink_[0].add_rule(at(ours)); !added) return added;
  const auto rules = io::routing_rules(family);
  if (!rules) return std::unexpected(rules.error());
  const auto marked = netlink_[0].mark_rules(family);
  if (!marked) return std::unexpected(marked.error());
  std::set<std::uint32_t> own;
  for (const auto& rule : *marked) {
    if (rule.priority < ours && rule == at(rule.priority)) own.insert(rule.priority);
  }
  std::vector<io::RoutingRule> others;
  std::set<std::uint32_t> numbers;
  for (const auto& rule : *rules) {
    if (rule.priority >= ours || rule.table == setup_.route_table) continue;
    others.push_back(rule);
    numbers.insert(rule.priority);
  }
  const auto before = place_before(numbers, own, ours);
  if (before && !own.contains(*before)) {
    if (auto added = netlink_[0].add_rule(at(*before)); !added) return added;
    for (const auto& rule : others) {
      if (rule.priority == *before + 1)
        log_.notice("network", "the rule `" + rule.text + "` was put before ours, as the kernel does with one that " +
                                   "has no number: ours is before it again, with number " + std::to_string(*before));
    }
  }
  for (const auto priority : own) {
    if (before == priority) continue;
    if (auto removed = netlink_[0].remove_rule(at(priority)); !removed) return removed;
  }
  tell_of_rules(family, others, before.value_or(ours));
  return {};
}

void Network::tell_of_rules(Family family, const std::vector<io::RoutingRule>& others, std::uint32_t first) {
  std::set<std::string> now;
  for (const auto& rule : others) {
    if (rule.priority >= first) continue;
    const auto name = std::to_string(rule.priority) + ": " + rule.text;
    now.insert(name);
    if (!rules_told_[family].contains(name))
      log_.warning("network", "the rule `" + name + "` is asked before ours (" + std::to_string(first) +
                                  "): packets that find a route there leave unprotected, also those that a tunnel is "
                                  "for. If it is not meant so, give it a larger number");
  }
  rules_told_[family] = std::move(now);
}

}  // namespace cygnet::daemon
