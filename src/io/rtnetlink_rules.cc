// SPDX-License-Identifier: Apache-2.0
// Policy rules of ours.
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "io/netlink_reading.h"
#include "io/netlink_request.h"
#include "io/rtnetlink.h"

namespace cygnet::io {

using netlink::af_of;
using netlink::family_of;
using netlink::kOurRouteProtocol;
using netlink::Request;

namespace {

constexpr const char kLoopback[] = "lo";  // what "comes in" there begins on this machine

std::optional<MarkRule> parse_mark_rule(const nlmsghdr& message) {
  const auto* body = body_of<fib_rule_hdr>(message);
  const auto family = body == nullptr ? std::nullopt : family_of(body->family);
  if (!family || message.nlmsg_type != RTM_NEWRULE || (body->flags & FIB_RULE_INVERT) == 0) {
    return std::nullopt;
  }
  MarkRule rule{.family = *family, .table = body->table};
  bool marked = false;
  each_attribute<fib_rule_hdr>(message, [&](std::uint16_t type, const nlattr* attribute) {
    if (type == FRA_PRIORITY) {
      rule.priority = u32_of(attribute);
    } else if (type == FRA_TABLE) {
      rule.table = u32_of(attribute);
    } else if (type == FRA_FWMARK) {
      rule.mark = u32_of(attribute);
      marked = true;
    }
  });
  return marked ? std::optional(rule) : std::nullopt;
}

Request rule_request(const MarkRule& rule, std::uint16_t type, std::uint16_t flags) {
  Request request(type, flags);
  auto* body = request.body<fib_rule_hdr>();
  body->family = af_of(rule.family);
  body->action = FR_ACT_TO_TBL;
  body->flags = FIB_RULE_INVERT;
  body->table = RT_TABLE_UNSPEC;
  request.u32(FRA_PRIORITY, rule.priority);
  request.u32(FRA_FWMARK, rule.mark);
  request.u32(FRA_FWMASK, 0xffffffffU);
  request.u32(FRA_TABLE, rule.table);
  return request;
}

template <typename Range>
std::optional<Range> range_of(const nlattr* attribute) {
  Range out{};
  if (mnl_attr_get_payload_len(attribute) != sizeof(out)) return std::nullopt;
  std::memcpy(&out, mnl_attr_get_payload(attribute), sizeof(out));
  return out;
}

std::uint8_t u8_of(const nlattr* attribute) {
  return mnl_attr_get_payload_len(attribute) == 1 ? mnl_attr_get_u8(attribute) : 0;
}

std::optional<QuestionRule> parse_question_rule(const nlmsghdr& message) {
  const auto* body = body_of<fib_rule_hdr>(message);
  const auto family = body == nullptr ? std::nullopt : family_of(body->family);
  if (!family || message.nlmsg_type != RTM_NEWRULE || body->action != FR_ACT_TO_TBL) return std::nullopt;
  QuestionRule rule{.family = *family};
  std::uint32_t table = body->table;
  bool ours = false;
  each_attribute<fib_rule_hdr>(message, [&](std::uint16_t type, const nlattr* attribute) {
    switch (type) {
      case FRA_PRIORITY: rule.priority = u32_of(attribute); break;
      case FRA_TABLE: table = u32_of(attribute); break;
      case FRA_DST: rule.to = address_of(attribute, *family); break;
      case FRA_FWMASK: rule.mark = u32_of(attribute); break;
      case FRA_IP_PROTO: rule.protocol = u8_of(attribute); break;
      case FRA_PROTOCOL: ours = u8_of(attribute) == kOurRouteProtocol; break;
      case FRA_DPORT_RANGE:
        if (const auto ports = range_of<fib_rule_port_range>(attribute)) rule.port = ports->start;
        break;
      case FRA_UID_RANGE:
        if (const auto uids = range_of<fib_rule_uid_range>(attribute)) rule.uid = uids->start;
        break;
      default: break;
    }
  });
  return ours && table == RT_TABLE_MAIN && rule.port != 0 ? std::optional(rule) : std::nullopt;
}

Request rule_request(const QuestionRule& rule, std::uint16_t type, std::uint16_t flags) {
  Request request(type, flags);
  auto* body = request.body<fib_rule_hdr>();
  body->family = af_of(rule.family);
  body->action = FR_ACT_TO_TBL;
  body->table = RT_TABLE_MAIN;
  if (rule.to) {
    body->dst_len = static_cast<std::uint8_t>(rule.to->bits());
    request.address(FRA_DST, *rule.to);
  }
  const fib_rule_port_range ports{.start = rule.port, .end = rule.port};
  request.u32(FRA_PRIORITY, rule.priority);
  request.u32(FRA_FWMARK, 0);
  request.u32(FRA_FWMASK, rule.mark);
  mnl_attr_put_strz(request.header, FRA_IIFNAME, kLoopback);
  mnl_attr_put_u8(request.header, FRA_IP_PROTO, rule.protocol);
  mnl_attr_put(request.header, FRA_DPORT_RANGE, sizeof(ports), &ports);
  mnl_attr_put_u8(request.header, FRA_PROTOCOL, kOurRouteProtocol);
  if (rule.uid) {
    const fib_rule_uid_range uids{.start = *rule.uid, .end = *rule.uid};
    mnl_attr_put(request.header, FRA_UID_RANGE, sizeof(uids), &uids);
  }
  return request;
}

std::string named(const auto& rule) { return "the routing rule " + std::to_string(rule.priority); }

}  // namespace

// parse: what such a rule says, or nothing of another kind of rule.
template <typename Rule>
Result<std::vector<Rule>> RouteSocket::list_rules(Family family,
                                                  std::optional<Rule> (*parse)(const nlmsghdr& message)) {
  Request request(RTM_GETRULE, NLM_F_DUMP);
  request.body<fib_rule_hdr>()->family = af_of(family);
  std::vector<Rule> out;
  const auto take = [&](const nlmsghdr& message) {
    if (auto rule = parse(message)) out.push_back(*rule);
  };
  const auto done = talk(*request.header, take, "cannot list the routing rules");
  return done ? Result<std::vector<Rule>>(std::move(out)) : std::unexpected(done.error());
}

Result<std::vector<MarkRule>> RouteSocket::mark_rules(Family family) { return list_rules(family, parse_mark_rule); }

Result<std::vector<QuestionRule>> RouteSocket::question_rules(Family family) {
  return list_rules(family, parse_question_rule);
}

template <typename Rule>
Result<void> RouteSocket::set_rule(const Rule& rule) {
  auto request = rule_request(rule, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  return talk(*request.header, {}, "cannot set " + named(rule), EEXIST);
}

template <typename Rule>
Result<void> RouteSocket::unset_rule(const Rule& rule) {
  auto request = rule_request(rule, RTM_DELRULE, NLM_F_ACK);
  return talk(*request.header, {}, "cannot remove " + named(rule), ENOENT);
}

Result<void> RouteSocket::add_rule(const MarkRule& rule) { return set_rule(rule); }
Result<void> RouteSocket::remove_rule(const MarkRule& rule) { return unset_rule(rule); }
Result<void> RouteSocket::add_rule(const QuestionRule& rule) { return set_rule(rule); }
Result<void> RouteSocket::remove_rule(const QuestionRule& rule) { return unset_rule(rule); }

}  // namespace cygnet::io
