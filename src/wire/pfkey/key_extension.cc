// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/key_extension.h"

namespace cygnet::wire::pfkey {

Parsed<KeyExtension> KeyExtension::parse(ByteView body) {
  Reader reader(body);
  KeyExtension out;
  out.bits = reader.u16();
  reader.skip(2);
  const std::size_t octets = (out.bits + 7U) / 8U;
  // The NULL cipher has a key of no bits at all: Linux wants the extension nevertheless.
  if (4 + body.size() != round_up(8 + octets)) {
    return refuse(Refusal::kBadExtension, "a key extension of " + std::to_string(4 + body.size()) +
                                              " octets cannot hold exactly " + std::to_string(out.bits) +
                                              " bits of key");
  }
  const auto key = reader.take(octets);
  out.key.assign(key.begin(), key.end());
  return out;
}

void KeyExtension::serialize(Writer& writer) const {
  writer.u16(bits);
  writer.u16(0);
  writer.bytes(key);
}

}  // namespace cygnet::wire::pfkey
