// SPDX-License-Identifier: Apache-2.0
// The rule that leads packets into our table, those of others that would come before it, and those that leave it out.
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "daemon/monitor/network.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint16_t kNamePort = 53;
constexpr std::uint16_t kNameOverTlsPort = 853;  // RFC 7858
constexpr std::size_t kMostPasses = 100;         // rules that the packet filter is told one by one

}  // namespace

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
  // One that was put right before our questions is before what they are before.
  const auto questions = netlink_[0].question_rules(family);
  for (const auto& rule : questions ? *questions : std::vector<io::QuestionRule>{}) {
    if (numbers.contains(rule.priority - 1)) numbers.insert(rule.priority);
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
  first_rule_[family] = before.value_or(ours);
  tell_of_rules(family, others, first_rule_[family]);
  return add_question_rules(family);
}

std::set<io::QuestionRule> Network::question_rules_of(Family family) const {
  std::set<io::QuestionRule> out;
  const auto first = first_rule_.find(family);
  if (!asked_ || first == first_rule_.end() || first->second <= 1) return out;
  const auto add = [&](const std::optional<IpAddress>& to) {
    for (const auto protocol : {std::uint8_t{IPPROTO_UDP}, std::uint8_t{IPPROTO_TCP}}) {
      for (const std::uint16_t port : {kNamePort, kNameOverTlsPort}) {
        out.insert({.family = family,
                    .priority = first->second - 1,
                    .mark = setup_.fwmark,
                    .to = to,
                    .protocol = protocol,
                    .port = port,
                    .uid = asked_->by_others ? std::nullopt : asker_});
      }
    }
  };
  if (asked_->anybody) {
    add(std::nullopt);
  } else {
    for (const auto& server : asked_->list) {
      if (server.family() == family) add(server);
    }
  }
  return out;
}

Result<void> Network::add_question_rules(Family family) {
  const auto listed = netlink_[0].question_rules(family);
  if (!listed) return std::unexpected(listed.error());
  const auto wanted = question_rules_of(family);
  std::set<io::QuestionRule> there;
  for (const auto& rule : *listed) {
    if (rule.mark == setup_.fwmark) there.insert(rule);
  }
  for (const auto& rule : wanted) {
    if (there.contains(rule)) continue;
    if (auto added = netlink_[0].add_rule(rule); !added) return added;
  }
  for (const auto& rule : there) {
    if (wanted.contains(rule)) continue;
    if (auto removed = netlink_[0].remove_rule(rule); !removed) return removed;
  }
  return {};
}

Result<void> Network::let_questions_out(bool out) {
  auto now = out ? std::optional(name_servers(name_server_paths_)) : std::nullopt;
  if (now == asked_) return {};
  asked_ = std::move(now);
  if (asked_) {
    std::string whom = asked_->anybody ? "anybody" : "";
    for (const auto& server : asked_->list) {
      if (!asked_->anybody) whom += (whom.empty() ? "" : ", ") + server.to_string();
    }
    log_.notice("network", "questions for names may leave beside the tunnels, to " +
                               (whom.empty() ? "nobody: there are no name servers" : whom) +
                               (asked_->by_others ? ", whichever program asks" : ""));
  } else {
    log_.notice("network", "questions for names do not leave beside the tunnels any more");
  }
  // The first answer comes before anything else is told to the filter.
  gate_.let_questions_out(asked_, asked_ && asked_->by_others ? std::nullopt : asker_);
  gate_.settle();
  for (const auto family : {Family::kV4, Family::kV6}) {
    if (auto done = add_question_rules(family); !done && family == Family::kV4) return done;
  }
  return {};
}

void Network::tell_of_rules(Family family, const std::vector<io::RoutingRule>& others, std::uint32_t first) {
  std::set<std::string> now;
  std::set<std::string> matches;
  for (const auto& rule : others) {
    if (rule.priority >= first) continue;
    const auto lets_out = matches_of(rule);
    matches.insert(lets_out.begin(), lets_out.end());
    const auto name = std::to_string(rule.priority) + ": " + rule.text;
    now.insert(name);
    if (!rules_told_[family].contains(name))
      log_.warning(
          "network",
          "the rule `" + name + "` is asked before ours (" + std::to_string(first) + "): packets that " +
              (lets_out.empty() ? "find a route there and that a tunnel is for are refused by the packet filter"
                                : "find a route there leave unprotected, also those that a tunnel is for") +
              ". If it is not meant so, give it a larger number");
  }
  rules_told_[family] = std::move(now);
  // It is the administrator's wish, which the packet filter does not refuse.
  if (matches.contains("") || matches.size() > kMostPasses) matches = {""};
  gate_.want_passes(family, {matches.begin(), matches.end()});
}

}  // namespace cygnet::daemon
