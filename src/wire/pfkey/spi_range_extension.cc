// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/spi_range_extension.h"

namespace cygnet::wire::pfkey {

Parsed<SpiRangeExtension> SpiRangeExtension::parse(ByteView body) {
  if (body.size() != 12) return refuse(Refusal::kBadExtension, "an SPI range extension has 16 octets");
  Reader reader(body);
  SpiRangeExtension range;
  range.min = reader.u32();
  range.max = reader.u32();
  if (range.min > range.max) {
    return refuse(Refusal::kBadExtension,
                  "the SPI range begins at " + std::to_string(range.min) + " and ends at " + std::to_string(range.max));
  }
  return range;
}

void SpiRangeExtension::serialize(Writer& writer) const {
  writer.u32(min);
  writer.u32(max);
  writer.u32(0);
}

}  // namespace cygnet::wire::pfkey
