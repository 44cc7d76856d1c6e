// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/km_address_extension.h"

namespace cygnet::wire::pfkey {

Parsed<KmAddressExtension> KmAddressExtension::parse(ByteView body) {
  Reader reader(body);
  reader.skip(4);
  const auto local = parse_socket_address(reader);
  if (!local) return std::unexpected(local.error());
  const auto remote = parse_socket_address(reader);
  if (!remote) return std::unexpected(remote.error());
  if (local->address.family() != remote->address.family()) {
    return refuse(Refusal::kBadAddress, "the two key management addresses are of different families");
  }
  if (reader.remaining() >= kWord) {
    return refuse(Refusal::kBadExtension, "a key management address extension is longer than its addresses");
  }
  return KmAddressExtension{*local, *remote};
}

void KmAddressExtension::serialize(Writer& writer) const {
  writer.u32(0);
  serialize_socket_address(local, writer);
  serialize_socket_address(remote, writer);
}

}  // namespace cygnet::wire::pfkey
