// SPDX-License-Identifier: Apache-2.0
#include "daemon/monitor/clear_text_gate.h"

#include <charconv>
#include <set>
#include <utility>

namespace cygnet::daemon {

namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIcmpv6 = 58;

std::string table_name(std::uint32_t route_table) { return "inet cygnet_" + std::to_string(route_table); }

// Making it first lets the removal succeed where there is none.
std::string removal(const std::string& table) { return "add table " + table + "\ndelete table " + table + "\n"; }

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

// Those that no other of the set contains: the kernel takes no overlaps.
std::vector<IpPrefix> widest(const std::map<IpPrefix, unsigned>& networks, Family family) {
  std::vector<IpPrefix> out;
  for (const auto& [network, count] : networks) {
    if (network.address.family() != family) continue;
    // In their order, what contains this one came before it.
    if (!out.empty() && out.back().length <= network.length && out.back().contains(network.address)) continue;
    out.push_back(network);
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

}  // namespace

std::string nft_match(const GuardedTraffic& traffic) {
  const auto& remote = traffic.remote;
  const auto& local = traffic.local;
  const bool any_local = local.range == IpRange::all(local.range.first.family());
  if (local.range.first.family() != remote.range.first.family()) return {};
  std::string out = addresses(remote.range, "saddr");
  if (!any_local) out += addresses(local.range, "daddr");
  const auto protocol = remote.protocol != 0 ? remote.protocol : local.protocol;
  if (protocol != 0) out += "meta l4proto " + std::to_string(protocol) + ' ';
  if (protocol == kIcmp || protocol == kIcmpv6) {
    // RFC 4301 section 4.4.1.1: type and code stand where others have a port.
    return out + ports(remote.all_ports() ? local : remote, "@th,0,16");
  }
  return out + ports(remote, "th sport") + ports(local, "th dport");
}

std::string ClearTextGate::name() const { return table_name(setup_.route_table); }

std::string ClearTextGate::table_text() const {
  std::string devices;
  for (const auto& device : setup_.devices) devices += (devices.empty() ? "\"" : ", \"") + device + '"';
  // Other programs that speak IKE here (cygnet wrap) have the usual ports.
  std::string own_ports;
  for (const auto port : std::set<std::uint16_t>{500, 4500, setup_.ike_port, setup_.nat_port}) {
    own_ports += (own_ports.empty() ? "" : ", ") + std::to_string(port);
  }
  // After the marks of connections are restored (mangle): the way back is the one such a packet's answer takes.
  return removal(name()) + "table " + name() + R"( {
  counter refused { }
  set clear4 { type ipv4_addr; flags interval; }
  set clear6 { type ipv6_addr; flags interval; }
  chain partly {
    accept
  }
  chain to_us {
    meta l4proto { 50, 51 } accept
    udp dport { )" +
         own_ports + R"( } accept
    meta l4proto 17 ip frag-off & 0x1fff != 0 accept
    frag frag-off != 0 accept
    icmp type { 3, 11, 12 } @th,136,8 { 50, 51 } accept
    icmp type { 3, 11, 12 } @th,136,8 17 @th,224,16 { )" +
         own_ports + R"( } accept
    icmpv6 type { 1, 2, 3, 4 } @th,112,8 { 50, 51 } accept
    icmpv6 type { 1, 2, 3, 4 } @th,112,8 17 @th,384,16 { )" +
         own_ports + R"( } accept
  }
  chain from_outside {
    type filter hook prerouting priority mangle + 5; policy accept;
    iifname { "lo", )" +
         devices + R"( } accept
    fib saddr . mark oifname != { )" +
         devices + R"( } accept
    ip saddr { 0.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } accept
    ip6 saddr { ::/128, fe80::/10, ff00::/8 } accept
    icmpv6 type { 133, 134, 135, 136, 137 } ip6 hoplimit 255 accept
    fib daddr type local jump to_us
    ip saddr @clear4 goto partly
    ip6 saddr @clear6 goto partly
    counter name refused drop
  }
}
)";
}

std::string ClearTextGate::exceptions_text() const {
  std::string out;
  for (const auto family : {Family::kV4, Family::kV6}) {
    const std::string set = name() + (family == Family::kV4 ? " clear4" : " clear6");
    out += "flush set " + set + '\n';
    std::string elements;
    for (const auto& network : widest(clear_, family)) {
      elements += (elements.empty() ? "" : ", ") + network.to_string();
    }
    if (!elements.empty()) out += "add element " + set + " { " + elements + " }\n";
  }
  const std::string chain = name() + " partly";
  out += "flush chain " + chain + '\n';
  for (const auto& [traffic, count] : guards_) {
    if (const auto match = nft_match(traffic); !match.empty()) {
      out.append("add rule ").append(chain).append(" ").append(match);
      out.append(traffic.allowed ? "accept\n" : "counter name refused drop\n");
    }
  }
  return out + "add rule " + chain + " accept\n";
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
  if (auto done = filter_->run(table_text() + exceptions_text()); !done) {
    problem_ = done.error().message;
    return false;
  }
  problem_.clear();
  dirty_ = false;
  return true;
}

void ClearTextGate::open() {
  before_ = current_ = 0;
  if (setup_.kernel) {
    take_back_earlier(setup_.route_table);
    problem_.clear();
    return;
  }
  if (put()) return;
  log_.warning(
      "network",
      "clear text from outside for protected networks cannot be refused (" + problem_ +
          "): anybody who reaches this machine can send packets that seem to come through a tunnel. The kernel "
          "needs nf_tables (modprobe nf_tables nft_fib_inet) and cygnetd CAP_NET_ADMIN; without, "
          "net.ipv4.conf.*.rp_filter=1 on the outer devices helps IPv4");
}

void ClearTextGate::close() {
  if (filter_) (void)filter_->run(removal(name()));
  filter_.reset();
  problem_ = "cygnetd has ended";
}

void ClearTextGate::take_back_earlier(std::uint32_t route_table) {
  if (auto filter = Nftables::open()) (void)filter->run(removal(table_name(route_table)));
}

void ClearTextGate::want_clear(const IpPrefix& network, bool wanted) {
  dirty_ = count(clear_, {network.network(), network.length}, wanted) || dirty_;
}

void ClearTextGate::want_guard(const GuardedTraffic& traffic, bool wanted) {
  dirty_ = count(guards_, traffic, wanted) || dirty_;
}

void ClearTextGate::settle() {
  if (!dirty_ || !filter_ || !problem_.empty()) return;
  dirty_ = false;
  if (guards_.size() > kMostRules) {
    if (!std::exchange(too_many_told_, true)) {
      log_.warning("network", "more than " + std::to_string(kMostRules) +
                                  " policies protect some protocols or ports only: clear text for the newest of them "
                                  "is not refused");
    }
    return;
  }
  if (auto done = filter_->run(exceptions_text()); !done) {
    log_.warning("network",
                 "clear text for policies of some protocols or ports is not refused: " + done.error().message);
  }
}

void ClearTextGate::look() {
  if (setup_.kernel) return;
  if (filter_ && problem_.empty()) {
    const auto text = filter_->run("list counter " + name() + " refused\n");
    if (text) {
      const auto at = text->find("packets ");
      std::uint64_t packets = 0;
      if (at != std::string::npos &&
          std::from_chars(text->data() + at + 8, text->data() + text->size(), packets).ec == std::errc{}) {
        current_ = packets;
      }
      return;
    }
    before_ += std::exchange(current_, 0);
    log_.warning("network", "the packet filter's table " + name() +
                                " was taken away (`nft flush ruleset`?): putting it back, so that clear text from "
                                "outside is refused");
  }
  (void)put();
}

}  // namespace cygnet::daemon
