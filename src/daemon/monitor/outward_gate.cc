// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/outward_gate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <sstream>

#include "daemon/monitor/clear_text_gate.h"

namespace cygnet::daemon {

namespace {

constexpr std::array kFamilies{Family::kV4, Family::kV6};

std::string number(Family family) { return family == Family::kV4 ? "4" : "6"; }
std::string address(Family family, bool leaving) {
  return std::string(family == Family::kV4 ? "ip " : "ip6 ") + (leaving ? "daddr " : "saddr ");
}

std::string set_name(Family family, std::uint8_t length, OutwardGate::Way way) {
  return (way == OutwardGate::Way::kHeld ? "held" : "out") + number(family) + '_' + std::to_string(length);
}

// The part of the address that a prefix of this length has.
std::string masked(Family family, std::uint8_t length, bool leaving) {
  const IpPrefix all_ones{IpAddress::last(family), length};
  if (length == IpAddress::last(family).bits()) return address(family, leaving);
  return address(family, leaving) + "& " + all_ones.network().to_string() + " == ";
}

// What is no unicast beyond the link: a wide prefix does not mean it. A prefix that lies inside of one of these does.
std::string near_text(Family family, std::uint8_t length) {
  static const std::map<std::pair<Family, std::uint8_t>, std::string> kNear{
      {{Family::kV4, 4}, "224.0.0.0/4"},  // multicast
      {{Family::kV4, 32}, "255.255.255.255"},
      {{Family::kV6, 8}, "ff00::/8"},
      {{Family::kV6, 10}, "fe80::/10"},
  };
  const auto it = kNear.find({family, length});
  return it == kNear.end() ? "" : address(family, true) + it->second + " accept";
}

// Names of devices are people's; those with other characters go without.
bool is_plain_name(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '@' || c == ':';
  });
}

}  // namespace

namespace {

// In the words of nft(8).
struct Condition {
  std::string what;
  std::string value;
};

bool is_number(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0 || c == 'x'; });
}

bool is_range(const std::string& text) {
  const auto dash = text.find('-');
  return is_number(text.substr(0, dash)) && (dash == std::string::npos || is_number(text.substr(dash + 1)));
}

// What one word of ip-rule(8) and its value ask of a packet. None: nothing, or what nft(8) has no words for.
std::optional<Condition> condition_of(const std::string& word, const std::string& value) {
  const auto prefix = IpPrefix::parse(value);
  if ((word == "from" || word == "to") && prefix && prefix->length != 0) {
    return Condition{std::string(prefix->address.is_v4() ? "ip " : "ip6 ") + (word == "from" ? "saddr" : "daddr"),
                     prefix->to_string()};
  }
  if (word == "oif" && is_plain_name(value)) return Condition{"oifname", '"' + value + '"'};
  if (word == "iif" && value != "lo" && is_plain_name(value)) return Condition{"iifname", '"' + value + '"'};
  if (word == "fwmark") {
    const auto slash = value.find('/');
    const auto mask = slash == std::string::npos ? "" : value.substr(slash + 1);
    const auto mark = value.substr(0, slash);
    if (!is_number(mark) || (slash != std::string::npos && !is_number(mask))) return std::nullopt;
    return Condition{mask.empty() ? "meta mark" : "meta mark & " + mask, mark};
  }
  if (word == "ipproto" && is_number(value)) return Condition{"meta l4proto", value};
  if ((word == "sport" || word == "dport") && is_range(value)) return Condition{"th " + word, value};
  // What is forwarded is nobody's.
  if (word == "uidrange" && is_range(value)) return Condition{"meta skuid", value};
  return std::nullopt;
}

}  // namespace

std::vector<std::string> matches_of(const io::RoutingRule& rule) {
  // Which routes it leaves out, and so which packets it is not for, nft(8) cannot say.
  if (rule.text.contains(" suppress_")) return {};
  std::istringstream words(rule.text);
  std::string word;
  words >> word;
  const bool inverted = word == "not";
  if (inverted) words >> word;
  std::vector<Condition> conditions;
  bool unsaid = false;
  for (; words; words >> word) {
    std::string value;
    if (!(words >> value) || word == "lookup" || word == "goto") break;
    const auto condition = condition_of(word, value);
    if (condition) {
      conditions.push_back(*condition);
    } else if (value != "all") {
      unsaid = true;
    }
  }
  if (inverted) {
    // Not all of them: one is missing. What has no words may be the one.
    if (unsaid) return {""};
    std::vector<std::string> out;
    for (const auto& each : conditions) out.push_back(each.what + " != " + each.value + ' ');
    return out;
  }
  std::string all;
  for (const auto& each : conditions) all += each.what + (each.what.contains('&') ? " == " : " ") + each.value + ' ';
  return {all};
}

void OutwardGate::want(const IpPrefix& prefix, std::optional<Way> way) {
  const IpPrefix network{prefix.network(), prefix.length};
  const auto told = told_.find(network);
  const bool same = told == told_.end() ? !way : way == told->second;
  if (same) {
    changes_.erase(network);
  } else {
    changes_[network] = way;
  }
}

void OutwardGate::want_passes(Family family, Pass kind, std::vector<std::string> matches) {
  auto& now = passes_[{family, kind}];
  if (now == matches) return;
  now = std::move(matches);
  passes_changed_ = true;
}

void OutwardGate::begin_anew() {
  for (const auto& [prefix, way] : told_) changes_.try_emplace(prefix, way);
  std::erase_if(changes_, [](const auto& change) { return !change.second; });
  told_.clear();
  counts_.clear();
  passes_changed_ = true;
}

// A program hears of it as it would from a firewall; what is forwarded is lost, as behind a route that is not there.
std::string OutwardGate::chains_text(const GateSetup& setup, const std::string& own_ports) {
  std::string devices = "\"lo\"";
  for (const auto& device : setup.devices) devices += ", \"" + device + '"';
  std::ostringstream mark;
  mark << "    meta mark 0x" << std::hex << setup.fwmark << " accept\n";
  // Policies of the kernel's that are bound to no interface take it from here.
  const std::string outside = mark.str() + "    oifname { " + devices + " } accept\n" +
                              (setup.kernel || setup.beside_kernel ? "    rt ipsec exists accept\n" : "");
  // Sources whose way back leads into no device.
  const std::string back = R"(  chain nowhere {
    fib saddr . mark oif missing return
    accept
  }
  chain back4 {
    accept
  }
  chain back6 {
    accept
  }
  chain elsewhere {
    meta nfproto ipv4 jump back4
    meta nfproto ipv6 jump back6
  }
)";
  return (setup.kernel ? "" : back) + R"(  counter held { }
  chain partly_out {
    accept
  }
  chain exceptions {
    icmpv6 type { 133, 134, 135, 136, 137 } ip6 hoplimit 255 accept
    ip daddr @wholly4 return
    ip6 daddr @wholly6 return
    ip daddr @clear4 goto partly_out
    ip6 daddr @clear6 goto partly_out
  }
  chain ways4 {
    accept
  }
  chain ways6 {
    accept
  }
  chain from_here {
    type filter hook output priority filter + 10; policy accept;
)" + outside +
         R"(    meta nfproto ipv4 jump ways4
    meta nfproto ipv6 jump ways6
    meta l4proto { 50, 51 } accept
    udp sport 68 udp dport 67 accept
    udp sport 546 udp dport 547 accept
    udp sport { )" +
         own_ports + R"( } accept
    counter name held
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain forwarded {
    type filter hook forward priority filter + 10; policy accept;
)" + outside +
         R"(    meta nfproto ipv4 jump ways4
    meta nfproto ipv6 jump ways6
    counter name held drop
  }
)";
}

OutwardGate::Changes OutwardGate::next_changes() const {
  if (changes_.size() <= kMostTogether) return changes_;
  Changes out;
  for (const bool lets_out : {true, false}) {
    for (const auto& change : changes_) {
      if ((change.second != Way::kHeld) == lets_out && out.size() < kMostTogether) out.insert(change);
    }
  }
  return out;
}

OutwardGate::Counts OutwardGate::counts_after(const Changes& changes) const {
  auto out = counts_;
  for (const auto& [prefix, way] : changes) {
    auto& counts = out[prefix.address.family()];
    if (const auto told = told_.find(prefix); told != told_.end()) {
      const auto it = counts.find({prefix.length, told->second});
      if (it != counts.end() && --it->second == 0) counts.erase(it);
    }
    if (way) ++counts[{prefix.length, *way}];
  }
  return out;
}

std::string OutwardGate::rules_text(const std::string& table, const Counts& counts, Family family, bool leaving) const {
  const std::string chain = table + (leaving ? " ways" : " back") + number(family);
  std::string out = "flush chain " + chain + '\n';
  const auto rule = [&](const std::string& text) { out += "add rule " + chain + ' ' + text + '\n'; };
  for (const auto kind : {Pass::kQuestions, Pass::kRules}) {
    const auto passes = passes_.find({family, kind});
    if (!leaving || passes == passes_.end()) continue;
    for (const auto& match : passes->second) rule(match + "accept");
  }
  const auto of = counts.find(family);
  const auto there = [&](std::uint8_t length, Way way) {
    return of != counts.end() && of->second.contains({length, way});
  };
  for (int at = static_cast<int>(IpAddress::any(family).bits()); at >= 0; --at) {
    const auto length = static_cast<std::uint8_t>(at);
    const auto all = [&](Way way) {
      return length == 0 ? "" : masked(family, length, leaving) + '@' + set_name(family, length, way) + ' ';
    };
    if (there(length, Way::kHeld)) rule(all(Way::kHeld) + (leaving ? "goto exceptions" : "goto nowhere"));
    if (there(length, Way::kLetOut)) rule(all(Way::kLetOut) + "accept");
    if (const auto near = near_text(family, length); leaving && !near.empty()) rule(near);
  }
  rule("accept");
  return out;
}

std::string OutwardGate::changes_text(const std::string& table) const {
  const auto changes = next_changes();
  std::map<std::string, std::string> gone;
  std::map<std::string, std::string> fresh;
  std::string sets;
  for (const auto& [prefix, way] : changes) {
    if (prefix.length == 0) continue;
    const auto family = prefix.address.family();
    const auto add = [&](auto& to, Way which) -> bool {
      auto& list = to[set_name(family, prefix.length, which)];
      const bool first = list.empty();
      list += (first ? "" : ", ") + prefix.network().to_string();
      return first;
    };
    if (const auto told = told_.find(prefix); told != told_.end()) (void)add(gone, told->second);
    if (way && add(fresh, *way)) {
      sets += "add set " + table + ' ' + set_name(family, prefix.length, *way) + " { type ipv" + number(family) +
              "_addr; }\n";
    }
  }
  std::string out = sets;
  const auto tell = [&](const char* verb, const auto& sets_of) {
    for (const auto& [set, list] : sets_of) {
      out.append(verb).append(" element ").append(table).append(" ").append(set);
      out.append(" { ").append(list).append(" }\n");
    }
  };
  tell("delete", gone);
  tell("add", fresh);
  const auto counts = counts_after(changes);
  const auto lengths = [](const Counts& of) {
    std::set<std::pair<Family, SetOf>> found;
    for (const auto& [family, each] : of) {
      for (const auto& [set, count] : each) found.emplace(family, set);
    }
    return found;
  };
  if (!passes_changed_ && lengths(counts) == lengths(counts_)) return out;
  for (const auto family : kFamilies) {
    out += rules_text(table, counts, family, true);
    if (from_outside_) out += rules_text(table, counts, family, false);
  }
  return out;
}

void OutwardGate::on_told() {
  const auto changes = next_changes();
  counts_ = counts_after(changes);
  for (const auto& [prefix, way] : changes) {
    if (way) {
      told_.insert_or_assign(prefix, *way);
    } else {
      told_.erase(prefix);
    }
    changes_.erase(prefix);
  }
  passes_changed_ = false;
}

}  // namespace cygnet::daemon
