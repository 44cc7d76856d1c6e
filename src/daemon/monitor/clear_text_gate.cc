// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/clear_text_gate.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>
#include <utility>

#include "model/types_as_ports.h"

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIcmpv6 = 58;
constexpr unsigned kLooksBetweenTries = 64;  // about a minute

std::string short_name(std::uint32_t route_table) { return "cygnet_" + std::to_string(route_table); }
std::string table_name(std::uint32_t route_table) { return "inet " + short_name(route_table); }

// Making it first lets the removal succeed where there is none.
std::string removal(const std::string& table) { return "add table " + table + "\ndelete table " + table + "\n"; }

// Where there is none, or no packet filter at all, there is nothing to do.
Result<void> remove(Nftables& filter, const std::string& table) {
  if (!filter.run("list table " + table + "\n")) return {};
  const auto done = filter.run("delete table " + table + "\n");
  if (done) return {};
  return fail("the packet filter's table " + table +
              " cannot be removed, and goes on refusing clear text: " + done.error().message);
}

// "80", "80-90".
std::string range(std::uint16_t first, std::uint16_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + '-' + std::to_string(last);
}

std::string addresses(const IpRange& r, const char* which) {
  const bool v6 = r.first.is_v6();
  if (r == IpRange::all(r.first.family())) return v6 ? "meta nfproto ipv6 " : "meta nfproto ipv4 ";
  const auto text = r.first == r.last ? r.first.to_string() : r.first.to_string() + '-' + r.last.to_string();
  return std::string(v6 ? "ip6 " : "ip ") + which + ' ' + text + ' ';
}

std::string ports(const model::TrafficSelector& s, const char* field) {
  // OPAQUE: the packets without ports. More is refused than needed rather than less.
  if (s.all_ports() || s.opaque_ports()) return {};
  return std::string(field) + ' ' + range(s.port_first, s.port_last) + ' ';
}

// RFC 4301 section 4.4.1.1: type and code stand where others have a port. They begin an ICMP message; the Mobility
// Header (RFC 6275 section 6.1.1) has its type in the third octet, and no code.
std::string types(const model::TrafficSelector& s, std::uint8_t protocol) {
  constexpr unsigned kTypeShift = 8;
  if (protocol == kIcmp || protocol == kIcmpv6 || s.all_ports() || s.opaque_ports()) return ports(s, "@th,0,16");
  const auto type = [](std::uint16_t port) { return static_cast<std::uint16_t>(port >> kTypeShift); };
  return "@th,16,8 " + range(type(s.port_first), type(s.port_last)) + ' ';
}

IpPrefix prefix_of(const IpPrefix& network) { return network; }
IpPrefix prefix_of(const std::pair<const IpPrefix, unsigned>& counted) { return counted.first; }

// Those that no other of the list contains: the kernel takes no overlaps.
template <typename Networks>
std::string widest(const Networks& networks, Family family) {
  std::string out;
  std::optional<IpPrefix> last;
  for (const auto& one : networks) {
    const auto network = prefix_of(one);
    if (network.address.family() != family) continue;
    // In their order, what contains this one came before it.
    if (last && last->length <= network.length && last->contains(network.address)) continue;
    last = network;
    out += (out.empty() ? "" : ", ") + network.to_string();
  }
  return out;
}

// The kernel takes no overlaps.
std::vector<IpRange> joined(std::vector<IpRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const IpRange& a, const IpRange& b) { return a.first < b.first; });
  std::vector<IpRange> out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.first <= out.back().last) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

template <typename Key>
bool count(std::map<Key, unsigned>& counts, const Key& key, bool wanted) {
  if (wanted) return counts[key]++ == 0;
  const auto it = counts.find(key);
  if (it == counts.end() || --it->second != 0) return false;
  counts.erase(it);
  return true;
}

// Traffic that is refused, or let in, and differs in its remote addresses or ends alone: one rule, whatever their
// number.
struct Alike {
  std::vector<IpRange> ranges;
  std::set<std::pair<IpAddress, std::uint16_t>> ends;  // one of the two is empty
};

// What they have in common: the remote range is that of all addresses, and the remote port any, where it is among
// `ends`.
struct Kind {
  model::TrafficSelector remote, local;
  bool by_ends = false;
  auto operator<=>(const Kind&) const = default;
};

Kind kind_of(const GuardedTraffic& traffic) {
  Kind kind{traffic.remote, traffic.local};
  kind.remote.range = IpRange::all(traffic.remote.range.first.family());
  kind.by_ends = traffic.remote.range.first == traffic.remote.range.last &&
                 !model::has_types_as_ports(traffic.remote.protocol) &&
                 traffic.remote.port_first == traffic.remote.port_last;
  if (kind.by_ends) {
    kind.remote.port_first = 0;
    kind.remote.port_last = 65535;
  }
  return kind;
}

// How nft(8) calls the fields of the remote end and of ours.
struct Fields {
  const char *remote, *local, *remote_port, *local_port;
};
constexpr Fields kFromOutside{"saddr", "daddr", "th sport", "th dport"};
constexpr Fields kOutward{"daddr", "saddr", "th dport", "th sport"};

std::string remotes(const Alike& alike, Family family, const Fields& fields) {
  const std::string field = std::string(family == Family::kV6 ? "ip6 " : "ip ") + fields.remote + ' ';
  std::string list;
  for (const auto& [address, port] : alike.ends) {
    list += (list.empty() ? "" : ", ") + address.to_string() + " . " + std::to_string(port);
  }
  if (!list.empty()) return field + ". " + fields.remote_port + " { " + list + " } ";
  const auto ranges = joined(alike.ranges);
  if (ranges.size() == 1) return addresses(ranges.front(), fields.remote);
  for (const auto& range : ranges) {
    list += (list.empty() ? "" : ", ") + range.first.to_string();
    if (range.first != range.last) list += '-' + range.last.to_string();
  }
  return field + "{ " + list + " } ";
}

// In nft's words.
std::string match(const Kind& kind, const Alike& alike, const Fields& fields) {
  const auto family = kind.remote.range.first.family();
  const auto protocol = kind.remote.protocol != 0 ? kind.remote.protocol : kind.local.protocol;
  auto out = remotes(alike, family, fields);
  if (kind.local.range != IpRange::all(family)) out += addresses(kind.local.range, fields.local);
  if (model::has_types_as_ports(protocol)) {
    out += types(kind.remote.all_ports() ? kind.local : kind.remote, protocol);
  } else {
    out += ports(kind.remote, fields.remote_port) + ports(kind.local, fields.local_port);
  }
  // Behind what is read of the transport header: the library (1.0.6) ends the process where it reads back a rule that
  // asks for a protocol first that it does not know (all but ten), and then for octets of it.
  return protocol == 0 ? out : out + "meta l4proto " + std::to_string(protocol) + ' ';
}

// What those who answer have in common.
std::vector<std::string> answering(const std::optional<NameServers>& servers, Family family, const char* which) {
  if (!servers) return {};
  const std::string of_family = family == Family::kV6 ? "meta nfproto ipv6 " : "meta nfproto ipv4 ";
  if (servers->anybody) return {of_family};
  std::vector<std::string> out;
  for (const auto& server : servers->list) {
    if (server.family() == family) out.push_back(addresses(IpRange::of(server), which));
  }
  return out;
}

}  // namespace

std::string ClearTextGate::name() const { return table_name(setup_.route_table); }

std::string ClearTextGate::table_text(bool outward) const {
  std::string devices;
  for (const auto& device : setup_.devices) devices += (devices.empty() ? "\"" : ", \"") + device + '"';
  // Other programs that speak IKE here (cygnet wrap) have the usual ports.
  std::string own_ports;
  for (const auto port : std::set<std::uint16_t>{500, 4500, setup_.ike_port, setup_.nat_port}) {
    own_ports += (own_ports.empty() ? "" : ", ") + std::to_string(port);
  }
  const std::string sets = R"(
  set clear4 { type ipv4_addr; flags interval; }
  set clear6 { type ipv6_addr; flags interval; }
  set wholly4 { type ipv4_addr; flags interval; }
  set wholly6 { type ipv6_addr; flags interval; }
)";
  // After the marks of connections are restored (mangle): the way back is the one such a packet's answer takes.
  const std::string inward = R"(  counter refused { }
  chain partly {
    accept
  }
  chain answers {
  }
  chain to_us {
    meta l4proto { 50, 51 } accept
    udp dport { )" + own_ports +
                             R"( } accept
    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept
    meta l4proto 17 ip frag-off & 0x1fff != 0 accept
    frag frag-off != 0 accept
    icmp type { 3, 11, 12 } @th,136,8 { 50, 51 } accept
    icmp type { 3, 11, 12 } @th,136,8 17 @th,224,16 { )" +
                             own_ports + R"( } accept
    icmpv6 type { 1, 2, 3, 4 } @th,112,8 { 50, 51 } accept
    icmpv6 type { 1, 2, 3, 4 } @th,112,8 17 @th,384,16 { )" +
                             own_ports + R"( } accept
    jump answers
  }
  chain from_outside {
    type filter hook prerouting priority mangle + 5; policy accept;
    iifname { "lo", )" + devices +
                             R"( } accept
)" + (setup_.beside_kernel ? "    meta ipsec exists accept\n" : "") +
                             R"(    fib saddr . mark oifname != { )" + devices +
                             (outward ? " } jump elsewhere" : " } accept") + R"(
    ip saddr { 0.0.0.0/8, 224.0.0.0/3 } accept
    ip6 saddr { ::/128, fe80::/10, ff00::/8 } accept
    icmpv6 type { 133, 134, 135, 136, 137 } ip6 hoplimit 255 accept
    fib daddr type local jump to_us
    ip saddr @wholly4 counter name refused drop
    ip6 saddr @wholly6 counter name refused drop
    ip saddr @clear4 goto partly
    ip6 saddr @clear6 goto partly
    counter name refused drop
  }
)";
  return removal(name()) + "table " + name() + " {" + sets + (setup_.kernel ? "" : inward) +
         (outward ? OutwardGate::chains_text(setup_, own_ports) : "") + "}\n";
}

// Of equal verdicts that follow each other the order does not matter.
ClearTextGate::Rules ClearTextGate::rules(bool outward) const {
  const std::string rule = "add rule " + name() + (outward ? " partly_out " : " partly ");
  const std::string refuse = outward ? "return\n" : "counter name refused drop\n";
  const auto& fields = outward ? kOutward : kFromOutside;
  Rules out;
  std::size_t count = 0;
  std::map<Family, Alike> rest;
  for (auto it = guards_.begin(); it != guards_.end();) {
    const bool allowed = it->first.allowed;
    std::map<Kind, Alike> run;
    for (; it != guards_.end() && it->first.allowed == allowed; ++it) {
      const auto& [remote, local] = std::tie(it->first.remote, it->first.local);
      if (remote.range.first.family() != local.range.first.family()) continue;
      const auto kind = kind_of(it->first);
      auto& alike = run[kind];
      if (kind.by_ends) {
        alike.ends.emplace(remote.range.first, remote.port_first);
      } else {
        alike.ranges.push_back(remote.range);
      }
    }
    for (const auto& [kind, alike] : run) {
      if (count++ < kMostRules) {
        out.text += rule + match(kind, alike, fields) + (allowed ? "accept\n" : refuse);
      } else if (!allowed) {
        auto& refused = rest[kind.remote.range.first.family()].ranges;
        refused.insert(refused.end(), alike.ranges.begin(), alike.ranges.end());
        for (const auto& [address, port] : alike.ends) refused.push_back(IpRange::of(address));
        out.left_out += alike.ranges.size() + alike.ends.size();
      }
    }
  }
  for (const auto& [family, networks] : rest)
    out.text.append(rule).append(remotes(networks, family, fields)).append(refuse);
  return out;
}

std::string ClearTextGate::exceptions_text(bool outward) const {
  std::string out;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const auto fill = [&](const std::string& which, const std::string& elements) {
      const std::string set = name() + which + (family == Family::kV4 ? "4" : "6");
      out += "flush set " + set + '\n';
      if (!elements.empty()) out.append("add element ").append(set).append(" { ").append(elements).append(" }\n");
    };
    fill(" clear", widest(clear_, family));
    fill(" wholly", widest(wholly_, family));
  }
  if (!setup_.kernel) {
    const std::string answers = name() + " answers";
    out += "flush chain " + answers + '\n';
    for (const auto family : {Family::kV4, Family::kV6}) {
      for (const auto& who : answering(answering_, family, "saddr")) {
        // Of TCP no beginnings: nobody reaches a service here.
        for (const char* what : {"udp sport { 53, 853 }", "tcp sport { 53, 853 } tcp flags & (syn | ack) != syn"})
          out.append("add rule ").append(answers).append(" ").append(who).append(what).append(" accept\n");
      }
    }
  }
  const auto fill_chain = [&](bool leaving) {
    const std::string chain = name() + (leaving ? " partly_out" : " partly");
    out += "flush chain " + chain + '\n' + rules(leaving).text + "add rule " + chain + " accept\n";
  };
  if (!setup_.kernel) fill_chain(false);
  if (outward) fill_chain(true);
  return out;
}

bool ClearTextGate::put() {
  if (!filter_) {
    auto filter = Nftables::open();
    if (!filter) {
      problem_ = filter.error().message;
      return false;
    }
    filter_.emplace(std::move(*filter));
  }
  put_again_ = false;
  outward_.begin_anew();
  auto done = filter_->run(table_text() + exceptions_text() + outward_.changes_text(name()));
  outward_problem_ = done ? "" : done.error().message;
  if (done) {
    outward_.on_told();
  } else if (!setup_.kernel) {
    // It may be what only the other half needs.
    done = filter_->run(table_text(false) + exceptions_text(false));
  }
  if (!done) problem_ = done.error().message;
  if (done) problem_.clear();
  return static_cast<bool>(done);
}

void ClearTextGate::open() {
  refused_ = held_ = {};
  const bool there = put();
  if (setup_.kernel) {
    if (!there) outward_problem_ = std::exchange(problem_, "");
  } else if (!there) {
    log_.warning(
        "network",
        "clear text from outside for protected networks cannot be refused (" + problem_ +
            "): anybody who reaches this machine can send packets that seem to come through a tunnel, and programs "
            "that bind their sockets to another device send around it. The kernel needs nf_tables (modprobe nf_tables "
            "nft_fib_inet) and cygnetd CAP_NET_ADMIN; without, net.ipv4.conf.*.rp_filter=1 on the outer devices helps "
            "IPv4 against what comes from outside");
    return;
  }
  tell_outward();
}

void ClearTextGate::tell_outward() {
  if (outward_problem_ == outward_told_) return;
  outward_told_ = outward_problem_;
  if (!outward_problem_.empty())
    log_.warning("network", "clear text that leaves by another device than a tunnel's cannot be refused (" +
                                outward_problem_ +
                                "): programs that bind their sockets to a device send around the tunnels. The kernel "
                                "needs nf_tables (modprobe nf_tables nft_reject_inet)");
}

Result<void> ClearTextGate::close() {
  auto done = filter_ ? remove(*filter_, name()) : Result<void>{};
  filter_.reset();
  problem_ = "cygnetd has ended";
  return done;
}

Result<void> ClearTextGate::take_back_earlier(std::uint32_t route_table) {
  auto filter = Nftables::open();
  return filter ? remove(*filter, table_name(route_table)) : Result<void>{};
}

void ClearTextGate::want_clear(const IpPrefix& network, bool wanted) {
  dirty_ = count(clear_, {network.network(), network.length}, wanted) || dirty_;
}

void ClearTextGate::want_guard(const GuardedTraffic& traffic, bool wanted) {
  dirty_ = count(guards_, traffic, wanted) || dirty_;
}

void ClearTextGate::guard_wholly(std::set<IpPrefix> networks) {
  if (networks == wholly_) return;
  wholly_ = std::move(networks);
  dirty_ = true;
}

void ClearTextGate::let_questions_out(std::optional<NameServers> to, std::optional<std::uint32_t> asker) {
  if (to == answering_) return;
  answering_ = std::move(to);
  dirty_ = true;
  const std::string whose = asker ? "meta skuid " + std::to_string(*asker) + ' ' : "";
  for (const auto family : {Family::kV4, Family::kV6}) {
    std::vector<std::string> matches;
    for (const auto& whom : answering(answering_, family, "daddr")) {
      for (const char* what : {"udp dport { 53, 853 } ", "tcp dport { 53, 853 } "})
        matches.push_back(std::string(whom).append(what).append(whose));
    }
    outward_.want_passes(family, OutwardGate::Pass::kQuestions, std::move(matches));
  }
}

void ClearTextGate::complain(std::string about) {
  if (about == complaint_) return;
  complaint_ = std::move(about);
  if (!complaint_.empty()) log_.warning("network", complaint_);
}

void ClearTextGate::settle() {
  if (setup_.kernel && !outward_problem_.empty()) dirty_ = false;
  // Where there is no table, look() tries to put all of it there.
  if (!filter_ || !problem_.empty()) return;
  settle_ways();
  if (!dirty_) return;
  if (auto done = filter_->run(exceptions_text(outward_problem_.empty())); !done) {
    // It stays as it was, and is tried again.
    return complain("the packet filter did not take what came last, and refuses what it did before: " +
                    done.error().message);
  }
  dirty_ = false;
  const auto left_out = rules(false).left_out;
  complain(left_out == 0 ? ""
                         : "policies protect more than " + std::to_string(kMostRules) +
                               " different kinds of protocols, ports and networks of ours: of the remote networks of "
                               "the rest all clear text is refused, also what policies let in. Give policies the same "
                               "local network and ports");
}

void ClearTextGate::settle_ways() {
  if (!filter_ || !outward_.unsettled() || !outward_problem_.empty() || put_again_) return;
  if (auto done = filter_->run(outward_.changes_text(name())); !done) {
    // look() puts all of it there anew.
    put_again_ = true;
    return;
  }
  outward_.on_told();
}

bool ClearTextGate::read(Counter& counter, const char* called) {
  if (!filter_) return false;
  const auto packets = filter_->packets(short_name(setup_.route_table), called);
  if (packets) counter.current = *packets;
  return static_cast<bool>(packets);
}

void ClearTextGate::look() {
  if (!outward_problem_.empty() && ++looks_without_ % kLooksBetweenTries == 0) put_again_ = true;
  // Without what the kernel lacks there is nothing to look at.
  if (setup_.kernel && !outward_problem_.empty() && !put_again_) return;
  if (filter_ && problem_.empty()) {
    const bool there =
        (setup_.kernel || read(refused_, "refused")) && (!outward_problem_.empty() || read(held_, "held"));
    if (there && !put_again_) return;
    for (auto* counter : {&refused_, &held_}) counter->before += std::exchange(counter->current, 0);
    if (!there)
      log_.warning("network", "the packet filter's table " + name() +
                                  " was taken away (`nft flush ruleset`?): putting it back, so that clear text from "
                                  "outside is refused, and does not leave");
  }
  if (!put() && setup_.kernel) outward_problem_ = std::exchange(problem_, "");
  tell_outward();
}

}  // namespace cygnet::daemon
