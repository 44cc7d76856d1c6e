// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/sensitivity_extension.h"

namespace cygnet::wire::pfkey {

Parsed<SensitivityExtension> SensitivityExtension::parse(ByteView body) {
  Reader reader(body);
  SensitivityExtension out;
  out.domain = reader.u32();
  out.sensitivity_level = reader.u8();
  const std::size_t sensitivity_words = reader.u8();
  out.integrity_level = reader.u8();
  const std::size_t integrity_words = reader.u8();
  reader.skip(4);
  const auto sensitivity = reader.take(sensitivity_words * kWord);
  const auto integrity = reader.take(integrity_words * kWord);
  if (!reader.ok() || reader.remaining() != 0) {
    return refuse(Refusal::kBadExtension, "the bitmaps of a sensitivity extension do not fill it exactly");
  }
  out.sensitivity_bitmap.assign(sensitivity.begin(), sensitivity.end());
  out.integrity_bitmap.assign(integrity.begin(), integrity.end());
  return out;
}

void SensitivityExtension::serialize(Writer& writer) const {
  writer.u32(domain);
  writer.u8(sensitivity_level);
  writer.u8(static_cast<std::uint8_t>(sensitivity_bitmap.size() / kWord));
  writer.u8(integrity_level);
  writer.u8(static_cast<std::uint8_t>(integrity_bitmap.size() / kWord));
  writer.u32(0);
  writer.bytes(sensitivity_bitmap);
  writer.bytes(integrity_bitmap);
}

}  // namespace cygnet::wire::pfkey
