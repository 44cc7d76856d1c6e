// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/socket_address.h"

namespace cygnet::wire::pfkey {
namespace {

constexpr std::uint16_t kFamilyV4 = 2;   // AF_INET
constexpr std::uint16_t kFamilyV6 = 10;  // AF_INET6

}  // namespace

Parsed<Endpoint> parse_socket_address(Reader& reader) {
  Endpoint out;
  const auto family = reader.u16();
  out.port = reader.network_u16();
  if (family == kFamilyV4) {
    out.address = IpAddress::from_bytes(reader.take(4));
    reader.skip(8);
  } else if (family == kFamilyV6) {
    reader.skip(4);
    out.address = IpAddress::from_bytes(reader.take(16));
    reader.skip(4);
  } else if (reader.ok()) {
    return refuse(Refusal::kBadAddress,
                  "address family " + std::to_string(family) + " is neither IPv4 (2) nor IPv6 (10)");
  }
  if (!reader.ok()) return refuse(Refusal::kTruncated, "a socket address is cut off");
  return out;
}

void serialize_socket_address(const Endpoint& endpoint, Writer& writer) {
  const bool v4 = endpoint.address.is_v4();
  writer.u16(v4 ? kFamilyV4 : kFamilyV6);
  writer.network_u16(endpoint.port);
  if (!v4) writer.u32(0);
  writer.bytes(endpoint.address.bytes());
  writer.zeros(v4 ? 8 : 4);
}

}  // namespace cygnet::wire::pfkey
