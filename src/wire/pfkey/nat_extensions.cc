// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/nat_extensions.h"

namespace cygnet::wire::pfkey {

Parsed<NatTypeExtension> NatTypeExtension::parse(ByteView body) {
  if (body.size() != 4) return refuse(Refusal::kBadExtension, "a NAT-T type extension has 8 octets");
  return NatTypeExtension{body[0]};
}

void NatTypeExtension::serialize(Writer& writer) const {
  writer.u8(type);
  writer.zeros(3);
}

Parsed<NatPortExtension> NatPortExtension::parse(ByteView body) {
  if (body.size() != 4) return refuse(Refusal::kBadExtension, "a NAT-T port extension has 8 octets");
  return NatPortExtension{Reader(body).network_u16()};
}

void NatPortExtension::serialize(Writer& writer) const {
  writer.network_u16(port);
  writer.zeros(2);
}

Parsed<NatFragmentExtension> NatFragmentExtension::parse(ByteView body) {
  if (body.size() != 4) return refuse(Refusal::kBadExtension, "a NAT-T fragment size extension has 8 octets");
  return NatFragmentExtension{Reader(body).u16()};
}

void NatFragmentExtension::serialize(Writer& writer) const {
  writer.u16(octets);
  writer.zeros(2);
}

}  // namespace cygnet::wire::pfkey
