// SPDX-License-Identifier: Apache-2.0
// What the network says about outer packets (RFC 4301 section 8.2, RFC 1191, RFC 8201). ICMP is not authenticated, so
// it is believed only where it names an SA of ours and a size that is both possible and news.
#include <algorithm>
#include <optional>

#include "engine/diet.h"
#include "engine/path_mtu.h"
#include "engine/state.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"
#include "wire/udp_header.h"

namespace cygnet::engine {
namespace {

// A quoted packet is cut short: its own length field is not binding here, and its checksum may cover less.
struct QuotedHeader {
  IpAddress destination;
  std::uint8_t protocol = 0;
  ByteView rest;
};

[[nodiscard]] std::optional<QuotedHeader> parse_quoted_header(ByteView quoted) {
  if (quoted.size() < wire::kIpv4HeaderOctets) return std::nullopt;
  if ((quoted[0] >> 4U) == 4U) {
    const std::size_t header = static_cast<std::size_t>(quoted[0] & 0x0fU) * 4U;
    const bool later_fragment = (load_be16(&quoted[6]) & 0x1fffU) != 0;
    if (header < wire::kIpv4HeaderOctets || header > quoted.size() || later_fragment) return std::nullopt;
    return QuotedHeader{IpAddress::from_bytes(quoted.subspan(16, 4)), quoted[9], quoted.subspan(header)};
  }
  if ((quoted[0] >> 4U) != 6U || quoted.size() < wire::kIpv6HeaderOctets) return std::nullopt;
  return QuotedHeader{IpAddress::from_bytes(quoted.subspan(24, 16)), quoted[6],
                      quoted.subspan(wire::kIpv6HeaderOctets)};
}

// True if the size was news for this SA.
bool lower_path_mtu(EngineState& state, OutboundSa& sa, std::uint32_t mtu, Instant now) {
  const std::uint32_t least = sa.spec.remote.address.is_v4() ? kMinPathMtuV4 : kMinPathMtuV6;
  if (mtu < least || mtu >= outer_path_mtu(sa, state.settings.link_mtu)) return false;
  sa.learned_mtu = mtu;
  sa.learned_at = now;
  sa.inner_mtu = derive_inner_mtu(sa, state.settings.link_mtu);
  state.schedule(sa);
  return true;
}

[[nodiscard]] bool sent_there(const OutboundSa& sa, const OuterTooBig& too_big) {
  if (sa.packets == 0 || sa.dead || sa.spec.udp_encapsulation != too_big.udp) return false;
  return too_big.udp ? sa.spec.remote == too_big.remote : sa.spec.remote.address == too_big.remote.address;
}

// The quoted sequence number must be one that was sent.
[[nodiscard]] bool was_sent(const OutboundSa& sa, ByteView quoted_esp) {
  if (sa.spec.diet.enabled) {
    // Of what was sent lately, one whose low octets these are.
    constexpr std::uint64_t kLately = 1U << 15U;
    const std::uint64_t cycle = std::uint64_t{1} << (sa.spec.diet.sn_octets * 8U);
    const auto back = (sa.sequence - diet_sequence_low(quoted_esp, sa.spec.diet)) & (cycle - 1);
    return back < kLately && back < sa.sequence;
  }
  const auto low = wire::esp_sequence_low(quoted_esp.data());
  if (sa.spec.esn && sa.sequence > UINT32_MAX) return true;
  return low != 0 && low <= sa.sequence;
}

}  // namespace

std::optional<OuterTooBig> OuterTooBig::parse(ByteView quoted_packet, std::uint32_t mtu) {
  const auto header = parse_quoted_header(quoted_packet);
  if (!header) return std::nullopt;
  OuterTooBig too_big{.remote = {header->destination, 0}, .quoted_esp = header->rest, .mtu = mtu};
  if (header->protocol == wire::protocol::kEsp) return too_big;
  if (header->protocol != wire::protocol::kUdp || header->rest.size() < wire::kUdpHeaderOctets) return std::nullopt;
  too_big.udp = true;
  too_big.remote.port = load_be16(&header->rest[2]);
  too_big.quoted_esp = header->rest.subspan(wire::kUdpHeaderOctets);
  return too_big;
}

// Anybody can send such a message who guesses our address and the peer's. It is believed when it quotes an SPI of ours
// to that peer and a sequence number that was sent (RFC 4301 section 8.2.2 wants the SA found by what is quoted); RFC
// 1812 section 4.3.2.3 has routers quote more than that. It costs no more than a look into a table, and lowers that SA
// alone: others on the same path hear about their own packets.
bool learn_path_mtu(EngineState& state, const OuterTooBig& too_big, Instant now) {
  if (too_big.quoted_esp.size() < wire::kEspHeaderOctets) return false;
  const auto spi = wire::esp_spi(too_big.quoted_esp.data());
  auto* sa =
      too_big.udp ? state.sad.find_outbound(spi, too_big.remote) : state.sad.find_outbound(spi, too_big.remote.address);
  if (sa == nullptr || !sent_there(*sa, too_big) || !was_sent(*sa, too_big.quoted_esp)) return false;
  return lower_path_mtu(state, *sa, too_big.mtu, now);
}

}  // namespace cygnet::engine
