// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/cygnet_extensions.h"

#include <algorithm>

namespace cygnet::wire::pfkey {
namespace {

std::string text_of(ByteView octets) {
  const auto end = std::ranges::find(octets, std::uint8_t{0});
  return {octets.begin(), end};
}

}  // namespace

Parsed<OptionsExtension> OptionsExtension::parse(ByteView body) {
  if (body.size() != 4) return refuse(Refusal::kBadExtension, "an options extension has 8 octets");
  return OptionsExtension{Reader(body).u32()};
}

void OptionsExtension::serialize(Writer& writer) const { writer.u32(flags); }

Parsed<ErrorTextExtension> ErrorTextExtension::parse(ByteView body) { return ErrorTextExtension{text_of(body)}; }

void ErrorTextExtension::serialize(Writer& writer) const {
  writer.bytes(view_of(std::string_view(text).substr(0, kMostOctets)));
}

Parsed<CursorExtension> CursorExtension::parse(ByteView body) {
  if (body.size() != 12) return refuse(Refusal::kBadExtension, "a cursor extension has 16 octets");
  Reader reader(body);
  CursorExtension cursor;
  cursor.most = reader.u32();
  cursor.position = reader.u64();
  return cursor;
}

void CursorExtension::serialize(Writer& writer) const {
  writer.u32(most);
  writer.u64(position);
}

Parsed<StatisticsExtension> StatisticsExtension::parse(ByteView body) { return StatisticsExtension{text_of(body)}; }

void StatisticsExtension::serialize(Writer& writer) const { writer.bytes(view_of(text)); }

}  // namespace cygnet::wire::pfkey
