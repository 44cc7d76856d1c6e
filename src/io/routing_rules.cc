// SPDX-License-Identifier: Apache-2.0
#include "io/routing_rules.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <sstream>
#include <vector>

#include "io/errno_text.h"
#include "io/fd.h"
#include "io/netlink_reading.h"
#include "io/netlink_request.h"

namespace cygnet::io {

namespace {

constexpr std::size_t kReceiveBuffer = std::size_t{64} * 1024;
constexpr const char* kWhat = "cannot list the routing rules";

std::string network_of(const nlattr* attribute, Family family, std::uint8_t length) {
  const auto address = address_of(attribute, family);
  return address ? IpPrefix{*address, length}.to_string() : "?";
}

// Names of interfaces come from the kernel, but people choose them.
std::string name_of(const nlattr* attribute) {
  std::string out;
  for (const auto octet : payload_of(attribute)) {
    if (octet == 0) break;
    out.push_back(octet > ' ' && octet < 0x7f ? static_cast<char>(octet) : '?');
  }
  return out;
}

std::string hex(std::uint32_t number) {
  std::ostringstream out;
  out << "0x" << std::hex << number;
  return out.str();
}

// "7" or "7-9".
template <typename Range>
std::string range_of(const nlattr* attribute) {
  Range range{};
  const auto octets = payload_of(attribute);
  if (octets.size() != sizeof(range)) return "?";
  std::memcpy(&range, octets.data(), sizeof(range));
  const auto text = std::to_string(range.start);
  return range.start == range.end ? text : text + '-' + std::to_string(range.end);
}

std::optional<RoutingRule> parse_rule(const nlmsghdr& message) {
  const auto* body = body_of<fib_rule_hdr>(message);
  const auto family = body == nullptr ? std::nullopt : netlink::family_of(body->family);
  if (!family || message.nlmsg_type != RTM_NEWRULE || (body->action != FR_ACT_TO_TBL && body->action != FR_ACT_GOTO)) {
    return std::nullopt;
  }
  RoutingRule rule{.priority = 0, .table = body->table, .text = (body->flags & FIB_RULE_INVERT) != 0 ? "not " : ""};
  std::string from = "all";
  std::string rest;
  std::string target;
  std::string behind;  // where it leads
  std::optional<std::uint32_t> mark;
  std::optional<std::uint32_t> mask;
  bool of_vrf = false;
  bool is_question = false;  // QuestionRule
  each_attribute<fib_rule_hdr>(message, [&](std::uint16_t type, const nlattr* attribute) {
    switch (type) {
      case FRA_PRIORITY: rule.priority = u32_of(attribute); break;
      case FRA_TABLE: rule.table = u32_of(attribute); break;
      case FRA_SRC: from = network_of(attribute, *family, body->src_len); break;
      case FRA_DST: rest += " to " + network_of(attribute, *family, body->dst_len); break;
      case FRA_FWMARK: mark = u32_of(attribute); break;
      case FRA_FWMASK: mask = u32_of(attribute); break;
      case FRA_IP_PROTO:
        rest += " ipproto " + std::to_string(payload_of(attribute).empty() ? 0 : payload_of(attribute)[0]);
        break;
      case FRA_SPORT_RANGE: rest += " sport " + range_of<fib_rule_port_range>(attribute); break;
      case FRA_DPORT_RANGE: rest += " dport " + range_of<fib_rule_port_range>(attribute); break;
      case FRA_UID_RANGE: rest += " uidrange " + range_of<fib_rule_uid_range>(attribute); break;
      case FRA_TUN_ID: rest += " tun_id ?"; break;
      case FRA_SUPPRESS_PREFIXLEN:
        // -1: it suppresses none.
        if (u32_of(attribute) != 0xffffffffU) behind += " suppress_prefixlength " + std::to_string(u32_of(attribute));
        break;
      case FRA_SUPPRESS_IFGROUP:
        if (u32_of(attribute) != 0xffffffffU) behind += " suppress_ifgroup " + std::to_string(u32_of(attribute));
        break;
      case FRA_IIFNAME: rest += " iif " + name_of(attribute); break;
      case FRA_OIFNAME: rest += " oif " + name_of(attribute); break;
      case FRA_GOTO: target = " goto " + std::to_string(u32_of(attribute)); break;
      case FRA_L3MDEV: of_vrf = true; break;
      case FRA_PROTOCOL:
        is_question = payload_of(attribute).size() == 1 && payload_of(attribute)[0] == netlink::kOurRouteProtocol;
        break;
      default: break;
    }
  });
  if (of_vrf || is_question || (body->action == FR_ACT_TO_TBL && rule.table == RT_TABLE_LOCAL)) return std::nullopt;
  if (body->action == FR_ACT_GOTO) rule.table = 0;
  if (target.empty()) target = " lookup " + (rule.table == RT_TABLE_MAIN ? "main" : std::to_string(rule.table));
  // As ip-rule(8) does, marks of which all bits count go without a mask.
  if (mark || mask) {
    const auto bits = mask.value_or(0xffffffffU);
    rest += " fwmark " + hex(mark.value_or(0)) + (bits == 0xffffffffU ? "" : '/' + hex(bits));
  }
  if (body->tos != 0) rest += " tos " + hex(body->tos);
  rule.text += "from " + from + rest + target + behind;
  return rule;
}

}  // namespace

Result<std::vector<RoutingRule>> routing_rules(Family family) {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return fail_errno(kWhat);
  netlink::Request request(RTM_GETRULE, NLM_F_DUMP);
  request.body<fib_rule_hdr>()->family = netlink::af_of(family);
  if (::send(fd.get(), request.header, request.header->nlmsg_len, 0) < 0) return fail_errno(kWhat);
  std::vector<RoutingRule> out;
  std::vector<char> buffer(kReceiveBuffer);
  for (;;) {
    const auto n = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(kWhat);
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_type == NLMSG_DONE) return out;
      if (m->nlmsg_type == NLMSG_ERROR) {
        errno = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error;
        return fail_errno(kWhat);
      }
      if (auto rule = parse_rule(*m)) out.push_back(std::move(*rule));
    }
  }
}

}  // namespace cygnet::io
