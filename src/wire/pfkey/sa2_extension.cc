// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/sa2_extension.h"

namespace cygnet::wire::pfkey {

Parsed<Sa2Extension> Sa2Extension::parse(ByteView body) {
  if (body.size() != 12) return refuse(Refusal::kBadExtension, "an SA2 extension has 16 octets");
  Reader reader(body);
  Sa2Extension out;
  out.mode = static_cast<Mode>(reader.u8());
  reader.skip(3);
  out.sequence = reader.u32();
  out.reqid = reader.u32();
  if (out.mode > Mode::kBeet) {
    return refuse(Refusal::kBadExtension, "there is no mode " + std::to_string(static_cast<unsigned>(out.mode)));
  }
  return out;
}

void Sa2Extension::serialize(Writer& writer) const {
  writer.u8(static_cast<std::uint8_t>(mode));
  writer.zeros(3);
  writer.u32(sequence);
  writer.u32(reqid);
}

}  // namespace cygnet::wire::pfkey
