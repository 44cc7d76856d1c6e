// SPDX-License-Identifier: Apache-2.0
#pragma once

// The selectors of a packet (RFC 4301 section 4.4.1.1) and how they meet traffic selectors.
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"
#include "model/sa_spec.h"
#include "model/traffic_selector.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

// Seen from here: outbound packets go from local to remote, inbound ones from remote to local.
struct PacketSelectors {
  IpAddress local;
  IpAddress remote;
  std::uint8_t protocol = 0;
  bool has_ports = false;  // false for later fragments and protocols without ports
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;

  // packet: what info was parsed from.
  [[nodiscard]] static PacketSelectors of(ByteView packet, const wire::IpPacketInfo& info, model::Direction direction);
};

[[nodiscard]] bool matches(const model::TrafficSelector& selector, const IpAddress& address, std::uint8_t protocol,
                           bool has_ports, std::uint16_t port);
[[nodiscard]] bool matches_any(const model::TrafficSelectors& selectors, const IpAddress& address,
                               std::uint8_t protocol, bool has_ports, std::uint16_t port);
// Both sides. Empty selectors on a side match everything (an SA keyed by hand without selectors).
[[nodiscard]] bool within(const PacketSelectors& packet, const model::TrafficSelectors& local,
                          const model::TrafficSelectors& remote);
// The same of an SA, whose selectors may be pairs; no pair then takes nothing.
[[nodiscard]] bool within(const PacketSelectors& packet, const model::SaSpec& spec);

// Multicast, link-local, limited broadcast and unspecified addresses: what a host says to its own link (neighbour
// discovery, router solicitations, mDNS). Wide policies are not meant for them.
[[nodiscard]] bool is_link_scoped(const IpAddress& address);
// The range names such addresses on purpose: it holds nothing else.
[[nodiscard]] bool names_link_scoped(const IpRange& range);

}  // namespace cygnet::engine
