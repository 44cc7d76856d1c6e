// SPDX-License-Identifier: Apache-2.0
#include "engine/beet.h"

#include <cstring>

#include "wire/ip_packet.h"

namespace cygnet::engine {
namespace {
constexpr std::size_t kFixed = 4;
constexpr std::uint8_t kNoOperation = 1;
}  // namespace

std::size_t write_beet_payload(std::uint8_t* to, ByteView packet, std::size_t header_octets) {
  const auto options = packet.subspan(wire::kIpv4HeaderOctets, header_octets - wire::kIpv4HeaderOctets);
  const std::size_t padding = kFixed - options.size() % 8;
  to[0] = packet[9];
  to[1] = static_cast<std::uint8_t>((kFixed + padding + options.size()) / 8 - 1);
  to[2] = static_cast<std::uint8_t>(padding);
  to[3] = 0;
  std::memset(to + kFixed, kNoOperation, padding);
  std::memcpy(to + kFixed + padding, options.data(), options.size());
  const std::size_t front = kFixed + padding + options.size();
  const auto rest = packet.subspan(header_octets);
  std::memcpy(to + front, rest.data(), rest.size());
  return front + rest.size();
}

std::optional<BeetPayload> parse_beet_payload(MutableByteView payload) {
  if (payload.size() < 8) return std::nullopt;
  const std::size_t front = (static_cast<std::size_t>(payload[1]) + 1) * 8;
  const std::size_t padding = payload[2];
  if (front > payload.size() || kFixed + padding > front) return std::nullopt;
  const std::size_t options = front - kFixed - padding;
  if (options % 4 != 0 || options > kMostIpv4Options) return std::nullopt;
  return BeetPayload{payload[0], payload.subspan(kFixed + padding, options), payload.subspan(front)};
}

}  // namespace cygnet::engine
