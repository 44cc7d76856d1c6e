// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/supported_extension.h"

namespace cygnet::wire::pfkey {

Parsed<SupportedExtension> SupportedExtension::parse(ByteView body) {
  Reader reader(body);
  reader.skip(4);
  SupportedExtension out;
  // Extensions are whole words, and an algorithm is one.
  while (reader.ok() && reader.remaining() != 0) {
    SupportedAlgorithm algorithm;
    algorithm.id = reader.u8();
    algorithm.iv_length = reader.u8();
    algorithm.min_bits = reader.u16();
    algorithm.max_bits = reader.u16();
    reader.skip(2);
    out.algorithms.push_back(algorithm);
  }
  if (!reader.ok()) return refuse(Refusal::kBadExtension, "a list of algorithms is cut off");
  return out;
}

void SupportedExtension::serialize(Writer& writer) const {
  writer.u32(0);
  for (const auto& algorithm : algorithms) {
    writer.u8(algorithm.id);
    writer.u8(algorithm.iv_length);
    writer.u16(algorithm.min_bits);
    writer.u16(algorithm.max_bits);
    writer.u16(0);
  }
}

}  // namespace cygnet::wire::pfkey
