// SPDX-License-Identifier: Apache-2.0
#pragma once

// Traffic selectors (RFC 7296 section 3.13.1, RFC 4301 section 4.4.1.1): an address range, a protocol, a port range.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace cygnet::model {

// For ICMP and ICMPv6 the port range carries type (high octet) and code (low octet), RFC 7296 section 3.13.1.
// OPAQUE ports are first 65535, last 0; protocol 0 is any.
struct TrafficSelector {
  IpRange range;
  std::uint8_t protocol = 0;
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 65535;

  [[nodiscard]] static TrafficSelector of(const IpRange& r) { return {r, 0, 0, 65535}; }
  [[nodiscard]] static TrafficSelector of(const IpPrefix& p) { return of(IpRange::of(p)); }
  // "10.1.0.0/16", "10.1.0.0/16[tcp/80]", "10.0.0.1-10.0.0.9[udp/1000-2000]", "::/0[ipv6-icmp/128]" (type or
  // type.code).
  [[nodiscard]] static std::optional<TrafficSelector> parse(std::string_view text);

  [[nodiscard]] bool opaque_ports() const { return port_first == 65535 && port_last == 0; }
  [[nodiscard]] bool all_ports() const { return port_first == 0 && port_last == 65535; }
  [[nodiscard]] bool contains(const IpAddress& address, std::uint8_t packet_protocol, std::uint16_t port) const;
  [[nodiscard]] bool contains(const TrafficSelector& other) const;
  [[nodiscard]] std::optional<TrafficSelector> intersect(const TrafficSelector& other) const;
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const TrafficSelector&) const = default;
};

using TrafficSelectors = std::vector<TrafficSelector>;

// "10.1.0.0/16, 2001:db8:1::/48"
[[nodiscard]] std::string to_string(const TrafficSelectors& selectors);
// Protocol number of "tcp", "udp", "icmp", "ipv6-icmp", "esp", "47", …
[[nodiscard]] std::optional<std::uint8_t> parse_ip_protocol(std::string_view text);
[[nodiscard]] std::string ip_protocol_name(std::uint8_t protocol);

// RFC 7296 section 2.9: the largest subset of what the peer proposes that our policy allows; empty if they don't meet.
[[nodiscard]] TrafficSelectors narrow(const TrafficSelectors& proposed, const TrafficSelectors& allowed);
// Of all selectors of both sides; unset: they differ, or there are none.
[[nodiscard]] std::optional<Family> family_of(const TrafficSelectors& local, const TrafficSelectors& remote);
[[nodiscard]] bool covers(const TrafficSelectors& outer, const TrafficSelectors& inner);

}  // namespace cygnet::model
