// SPDX-License-Identifier: Apache-2.0
#include "engine/selectors.h"

#include <algorithm>

namespace cygnet::engine {

PacketSelectors PacketSelectors::of(ByteView packet, const wire::IpPacketInfo& info, model::Direction direction) {
  PacketSelectors s;
  s.local = wire::source_address(packet);
  s.remote = wire::destination_address(packet);
  s.protocol = info.protocol;
  s.has_ports = info.has_ports;
  s.local_port = info.source_port;
  s.remote_port = info.destination_port;
  if (direction == model::Direction::kInbound) {
    std::swap(s.local, s.remote);
    std::swap(s.local_port, s.remote_port);
  }
  return s;
}

bool matches(const model::TrafficSelector& selector, const IpAddress& address, std::uint8_t protocol, bool has_ports,
             std::uint16_t port) {
  if (!selector.range.contains(address)) return false;
  if (selector.protocol != 0 && selector.protocol != protocol) return false;
  if (selector.all_ports()) return true;
  // RFC 4301 section 4.4.1.1: OPAQUE "indicates that the corresponding selector field is not available for
  // examination".
  if (selector.opaque_ports()) return !has_ports;
  return has_ports && selector.port_first <= port && port <= selector.port_last;
}

bool matches_any(const model::TrafficSelectors& selectors, const IpAddress& address, std::uint8_t protocol,
                 bool has_ports, std::uint16_t port) {
  return std::ranges::any_of(
      selectors, [&](const auto& selector) { return matches(selector, address, protocol, has_ports, port); });
}

bool within(const PacketSelectors& packet, const model::TrafficSelectors& local,
            const model::TrafficSelectors& remote) {
  return (remote.empty() ||
          matches_any(remote, packet.remote, packet.protocol, packet.has_ports, packet.remote_port)) &&
         (local.empty() || matches_any(local, packet.local, packet.protocol, packet.has_ports, packet.local_port));
}

bool within(const PacketSelectors& packet, const model::SaSpec& spec) {
  const auto& local = spec.local_selectors;
  const auto& remote = spec.remote_selectors;
  if (!spec.paired_selectors) return within(packet, local, remote);
  for (std::size_t i = 0; i < local.size() && i < remote.size(); ++i) {
    if (matches(remote[i], packet.remote, packet.protocol, packet.has_ports, packet.remote_port) &&
        matches(local[i], packet.local, packet.protocol, packet.has_ports, packet.local_port)) {
      return true;
    }
  }
  return false;
}

bool is_link_scoped(const IpAddress& address) {
  // Asked for every packet that is looked up.
  if (address.is_v4()) {
    const auto value = address.v4_value();
    return (value >> 28U) == 0xeU || (value >> 16U) == 0xa9feU || value == 0 || value == 0xffffffffU;
  }
  const auto* bytes = address.bytes().data();
  return bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80U) ||
         (load_be64(bytes) | load_be64(bytes + 8)) == 0;
}

bool names_link_scoped(const IpRange& range) {
  if (range.first.is_multicast() && range.last.is_multicast()) return true;
  if (range.first.is_link_local() && range.last.is_link_local()) return true;
  return range.first == range.last && is_link_scoped(range.first);
}

}  // namespace cygnet::engine
