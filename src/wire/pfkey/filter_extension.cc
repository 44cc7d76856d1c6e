// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/filter_extension.h"

namespace cygnet::wire::pfkey {
namespace {

constexpr std::uint16_t kFamilyV4 = 2;
constexpr std::uint16_t kFamilyV6 = 10;

}  // namespace

Parsed<FilterExtension> FilterExtension::parse(ByteView body) {
  if (body.size() != 36) return refuse(Refusal::kBadExtension, "a filter extension has 40 octets");
  Reader reader(body);
  const auto source = reader.take(16);
  const auto destination = reader.take(16);
  const auto family = reader.u16();
  if (family != kFamilyV4 && family != kFamilyV6) {
    return refuse(Refusal::kBadAddress, "a filter is for IPv4 (2) or IPv6 (10), not " + std::to_string(family));
  }
  const std::size_t octets = family == kFamilyV4 ? 4 : 16;
  FilterExtension out;
  out.source = {IpAddress::from_bytes(source.first(octets)), reader.u8()};
  out.destination = {IpAddress::from_bytes(destination.first(octets)), reader.u8()};
  if (out.source.length > octets * 8 || out.destination.length > octets * 8) {
    return refuse(Refusal::kBadAddress, "a prefix length of the filter is more than its address has bits");
  }
  return out;
}

void FilterExtension::serialize(Writer& writer) const {
  for (const auto* prefix : {&source, &destination}) {
    writer.bytes(prefix->address.bytes());
    writer.zeros(16 - prefix->address.size());
  }
  writer.u16(source.address.is_v4() ? kFamilyV4 : kFamilyV6);
  writer.u8(source.length);
  writer.u8(destination.length);
}

}  // namespace cygnet::wire::pfkey
