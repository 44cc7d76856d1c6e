// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/lifetime_extension.h"

namespace cygnet::wire::pfkey {

Parsed<LifetimeExtension> LifetimeExtension::parse(ByteView body) {
  if (body.size() != 28) return refuse(Refusal::kBadExtension, "a lifetime extension has 32 octets");
  Reader reader(body);
  LifetimeExtension lifetime;
  lifetime.allocations = reader.u32();
  lifetime.bytes = reader.u64();
  lifetime.add_time = reader.u64();
  lifetime.use_time = reader.u64();
  return lifetime;
}

void LifetimeExtension::serialize(Writer& writer) const {
  writer.u32(allocations);
  writer.u64(bytes);
  writer.u64(add_time);
  writer.u64(use_time);
}

}  // namespace cygnet::wire::pfkey
