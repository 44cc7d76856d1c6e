// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/address_extension.h"

namespace cygnet::wire::pfkey {

Parsed<AddressExtension> AddressExtension::parse(ByteView body) {
  Reader reader(body);
  AddressExtension out;
  out.protocol = reader.u8();
  out.prefix_length = reader.u8();
  reader.skip(2);
  auto endpoint = parse_socket_address(reader);
  if (!endpoint) return std::unexpected(endpoint.error());
  out.endpoint = *endpoint;
  const auto family = out.endpoint.address.family();
  if (4 + body.size() != round_up(8 + socket_address_octets(family))) {
    return refuse(Refusal::kBadExtension, "an address extension is of another length than its address");
  }
  if (out.prefix_length > out.endpoint.address.bits()) {
    return refuse(Refusal::kBadAddress, "prefix length " + std::to_string(out.prefix_length) + " is more than " +
                                            out.endpoint.address.to_string() + " has bits");
  }
  return out;
}

void AddressExtension::serialize(Writer& writer) const {
  writer.u8(protocol);
  writer.u8(prefix_length);
  writer.u16(0);
  serialize_socket_address(endpoint, writer);
}

}  // namespace cygnet::wire::pfkey
