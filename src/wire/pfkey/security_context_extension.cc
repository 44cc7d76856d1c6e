// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/security_context_extension.h"

namespace cygnet::wire::pfkey {

Parsed<SecurityContextExtension> SecurityContextExtension::parse(ByteView body) {
  Reader reader(body);
  SecurityContextExtension out;
  out.algorithm = reader.u8();
  out.domain = reader.u8();
  const std::size_t octets = reader.u16();
  if (4 + body.size() != round_up(8 + octets)) {
    return refuse(Refusal::kBadExtension, "a security context is of another length than its label");
  }
  const auto label = reader.take(octets);
  out.label.assign(label.begin(), label.end());
  return out;
}

void SecurityContextExtension::serialize(Writer& writer) const {
  writer.u8(algorithm);
  writer.u8(domain);
  writer.u16(static_cast<std::uint16_t>(label.size()));
  writer.bytes(label);
}

}  // namespace cygnet::wire::pfkey
