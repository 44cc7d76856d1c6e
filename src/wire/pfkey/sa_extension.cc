// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/sa_extension.h"

namespace cygnet::wire::pfkey {

Parsed<SaExtension> SaExtension::parse(ByteView body) {
  if (body.size() != 12) return refuse(Refusal::kBadExtension, "an SA extension has 16 octets");
  Reader reader(body);
  SaExtension sa;
  sa.spi = Spi{reader.network_u32()};
  sa.replay = reader.u8();
  sa.state = static_cast<SaState>(reader.u8());
  sa.auth = static_cast<AuthAlgorithm>(reader.u8());
  sa.encrypt = static_cast<EncryptAlgorithm>(reader.u8());
  sa.flags = reader.u32();
  if (sa.state > SaState::kDead) {
    return refuse(Refusal::kBadExtension, "an SA is larval, mature, dying or dead, and nothing else");
  }
  return sa;
}

void SaExtension::serialize(Writer& writer) const {
  writer.network_u32(spi.value);
  writer.u8(replay);
  writer.u8(static_cast<std::uint8_t>(state));
  writer.u8(static_cast<std::uint8_t>(auth));
  writer.u8(static_cast<std::uint8_t>(encrypt));
  writer.u32(flags);
}

}  // namespace cygnet::wire::pfkey
