// SPDX-License-Identifier: Apache-2.0
#include "wire/ah_header.h"

#include <algorithm>
#include <cstring>

#include "wire/ip_packet.h"

namespace cygnet::wire {
namespace {

// ---- IPv4 options (RFC 4302 appendix A.1: "each option is classified")
namespace option {
constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kLooseSourceRoute = 131;
constexpr std::uint8_t kStrictSourceRoute = 137;
}  // namespace option

[[nodiscard]] bool is_immutable_option(std::uint8_t kind) noexcept {
  switch (kind) {
    case 130:               // Security
    case 133:               // Extended Security
    case 134:               // Commercial Security
    case 148:               // Router Alert
    case 149: return true;  // Sender Directed Multi-Destination Delivery
    default: return false;  // "the option is ... mutable": all others
  }
}

// The last address of a source route is where the packet arrives.
[[nodiscard]] bool foretell_destination(MutableByteView header, ByteView route) noexcept {
  if (route.size() < 7 || (route.size() - 3) % 4 != 0) return false;
  const std::size_t pointer = route[2];
  if (pointer > route.size()) return true;  // used up: the destination is the final one
  std::ranges::copy(route.last(4), header.data() + 16);
  return true;
}

// RFC 4302 section 3.3.3.1.1.2: "the entire option is zeroed" where it is mutable, its type and length too.
[[nodiscard]] bool mask_options(MutableByteView header, AhEnd end) noexcept {
  auto rest = header.subspan(kIpv4HeaderOctets);
  while (!rest.empty()) {
    const std::uint8_t kind = rest[0];
    if (kind == option::kEnd) return true;
    if (kind == option::kNoOperation) {
      rest = rest.subspan(1);
      continue;
    }
    if (rest.size() < 2 || rest[1] < 2 || rest[1] > rest.size()) return false;
    const auto one = rest.first(rest[1]);
    if ((kind == option::kLooseSourceRoute || kind == option::kStrictSourceRoute) && end == AhEnd::kSender &&
        !foretell_destination(header, one)) {
      return false;
    }
    if (!is_immutable_option(kind)) std::ranges::fill(one, std::uint8_t{0});
    rest = rest.subspan(one.size());
  }
  return true;
}

[[nodiscard]] bool mask_v4(MutableByteView headers, AhEnd end) noexcept {
  if (headers.size() < kIpv4HeaderOctets) return false;
  auto* p = headers.data();
  // RFC 4302 section 3.3.3.1.1.1, mutable: DSCP, ECN, Flags, Fragment Offset, TTL, Header Checksum.
  p[1] = 0;
  store_be16(p + 6, 0);
  p[8] = 0;
  store_be16(p + 10, 0);
  return mask_options(headers, end);
}

// ---- IPv6 (RFC 4302 section 3.3.3.1.2)
// RFC 8200 section 4.2: the third bit of an option's type says that its data may change on the way.
[[nodiscard]] bool mask_v6_options(MutableByteView header) noexcept {
  constexpr std::uint8_t kPad1 = 0;
  constexpr std::uint8_t kMayChange = 0x20;
  // RFC 6275 section 11.3.2 has AH see the home address in the place of the source: nothing here knows it.
  constexpr std::uint8_t kHomeAddress = 0xc9;
  auto rest = header.subspan(2);
  while (!rest.empty()) {
    if (rest[0] == kPad1) {
      rest = rest.subspan(1);
      continue;
    }
    if (rest.size() < 2 || rest.size() < 2U + rest[1] || rest[0] == kHomeAddress) return false;
    // "the entire "Option Data" field must be treated as zero-valued octets".
    const auto data = rest.subspan(2, rest[1]);
    if ((rest[0] & kMayChange) != 0) std::ranges::fill(data, std::uint8_t{0});
    rest = rest.subspan(2 + data.size());
  }
  return true;
}

// RFC 4302 section 3.3.3.1.2.2: "the sender must order the field so that it appears as it will at the receiver".
// The types that visit addresses one after the other: 0 (RFC 2460) and 2 (RFC 6275).
[[nodiscard]] bool foretell_route(MutableByteView headers, MutableByteView routing) noexcept {
  if (routing[2] != 0 && routing[2] != 2) return false;
  const std::size_t left = routing[3];
  const auto addresses = routing.subspan(8);
  const std::size_t count = addresses.size() / 16;
  if (addresses.size() % 16 != 0 || left > count) return false;
  if (left == 0) return true;
  // Each router swaps the destination with the next address.
  auto* destination = headers.data() + 24;
  for (std::size_t i = count - left; i < count; ++i) {
    std::swap_ranges(destination, destination + 16, addresses.data() + i * 16);
  }
  routing[3] = 0;
  return true;
}

[[nodiscard]] bool mask_v6(MutableByteView headers, AhEnd end) noexcept {
  if (headers.size() < kIpv6HeaderOctets) return false;
  auto* p = headers.data();
  // Mutable: DSCP, ECN, Flow Label, Hop Limit.
  store_be32(p, 0x60000000U);
  p[7] = 0;
  std::uint8_t next = p[6];
  auto rest = headers.subspan(kIpv6HeaderOctets);
  while (!rest.empty()) {
    if (rest.size() < 8) return false;
    const std::size_t octets = (static_cast<std::size_t>(rest[1]) + 1U) * 8U;
    if (octets > rest.size()) return false;
    const auto header = rest.first(octets);
    switch (next) {
      case protocol::kHopByHop:
      case protocol::kDestinationOptions:
        if (!mask_v6_options(header)) return false;
        break;
      case protocol::kRouting:
        if (end == AhEnd::kSender && !foretell_route(headers, header)) return false;
        break;
      default: return false;  // fragments are put together before
    }
    next = header[0];
    rest = rest.subspan(octets);
  }
  return true;
}

[[nodiscard]] bool is_in_front(std::uint8_t header) noexcept {
  return header == protocol::kHopByHop || header == protocol::kRouting || header == protocol::kDestinationOptions;
}

}  // namespace

void write_ah_header(std::uint8_t* ah, std::size_t octets, std::uint8_t next_header, Spi spi,
                     std::uint64_t sequence) noexcept {
  std::memset(ah, 0, octets);
  ah[0] = next_header;
  ah[1] = static_cast<std::uint8_t>(octets / 4 - 2);
  store_be32(ah + 4, spi.value);
  store_be32(ah + 8, static_cast<std::uint32_t>(sequence));
}

std::optional<std::size_t> find_ah(ByteView packet) noexcept {
  const bool v4 = !packet.empty() && (packet[0] >> 4U) == 4U;
  if (packet.size() < (v4 ? kIpv4HeaderOctets : kIpv6HeaderOctets)) return std::nullopt;
  std::size_t at = v4 ? static_cast<std::size_t>(packet[0] & 0x0fU) * 4U : kIpv6HeaderOctets;
  std::uint8_t next = v4 ? packet[9] : packet[6];
  while (!v4 && is_in_front(next)) {
    if (packet.size() < at + 8) return std::nullopt;
    next = packet[at];
    at += (static_cast<std::size_t>(packet[at + 1]) + 1U) * 8U;
  }
  if (next != protocol::kAh || packet.size() < at + kAhFixedOctets) return std::nullopt;
  const std::size_t octets = ah_octets_of(packet[at + 1]);
  if (octets < kAhFixedOctets || packet.size() < at + octets) return std::nullopt;
  return at;
}

std::optional<AhPlace> ah_place(ByteView packet) noexcept {
  if ((packet[0] >> 4U) == 4U) return AhPlace{static_cast<std::size_t>(packet[0] & 0x0fU) * 4U, 9};
  AhPlace here{kIpv6HeaderOctets, 6};
  AhPlace place = here;
  // Destination options belong in front only if a routing header follows them: the last place behind one that has to be
  // in front counts.
  for (unsigned walked = 0; walked < kMaxExtensionHeaders; ++walked) {
    const std::uint8_t next = packet[here.next_header_at];
    if (!is_in_front(next)) return place;
    if (packet.size() < here.offset + 8) return std::nullopt;
    here.next_header_at = here.offset;
    here.offset += (static_cast<std::size_t>(packet[here.offset + 1]) + 1U) * 8U;
    if (here.offset > packet.size() || here.offset > kMaxAhFrontOctets) return std::nullopt;
    if (next != protocol::kDestinationOptions) place = here;
  }
  return std::nullopt;
}

bool mask_mutable_fields(MutableByteView headers, AhEnd end) noexcept {
  if (headers.empty() || headers.size() > kMaxAhFrontOctets) return false;
  return (headers[0] >> 4U) == 4U ? mask_v4(headers, end) : mask_v6(headers, end);
}

}  // namespace cygnet::wire
