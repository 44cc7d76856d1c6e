// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/identity_extension.h"

#include <algorithm>

namespace cygnet::wire::pfkey {

Parsed<IdentityExtension> IdentityExtension::parse(ByteView body) {
  Reader reader(body);
  IdentityExtension out;
  out.type = reader.u16();
  reader.skip(2);
  out.id = reader.u64();
  if (!reader.ok()) return refuse(Refusal::kBadExtension, "an identity extension has at least 16 octets");
  const auto text = reader.rest();
  if (text.empty()) return out;
  // RFC 2367 section 2.3.5: "a C string ... MUST be zero-terminated".
  const auto end = std::ranges::find(text, std::uint8_t{0});
  if (end == text.end()) return refuse(Refusal::kBadExtension, "the string of an identity has no end");
  out.text.assign(text.begin(), end);
  return out;
}

void IdentityExtension::serialize(Writer& writer) const {
  writer.u16(type);
  writer.u16(0);
  writer.u64(id);
  if (text.empty()) return;
  writer.bytes(view_of(text));
  writer.u8(0);
}

}  // namespace cygnet::wire::pfkey
