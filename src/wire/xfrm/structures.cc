// SPDX-License-Identifier: Apache-2.0
#include "wire/xfrm/structures.h"

#include <algorithm>

#include "wire/xfrm/attributes.h"

namespace cygnet::wire::xfrm {
namespace {

constexpr unsigned kBitsV4 = 32;
constexpr unsigned kBitsV6 = 128;

Parsed<void> check_family(std::uint16_t family, std::string_view whose) {
  if (family == kFamilyAny || family == kFamilyV4 || family == kFamilyV6) return {};
  return refuse(Refusal::kBadFamily, "the " + std::string(whose) + " is of address family " + std::to_string(family) +
                                         ", which is neither IPv4 nor IPv6");
}

Parsed<void> check_mode(std::uint8_t mode) {
  if (mode < kModes) return {};
  return refuse(Refusal::kBadValue, "there is no mode " + std::to_string(mode));
}

}  // namespace

Address Address::of(const IpAddress& address) {
  Address out;
  std::ranges::copy(address.bytes(), out.octets.begin());
  return out;
}

IpAddress Address::as(std::uint16_t family) const {
  return IpAddress::from_bytes(ByteView(octets).first(family == kFamilyV6 ? 16 : 4));
}

Parsed<void> check(const Selector& selector) {
  if (auto family = check_family(selector.family, "selector"); !family) return family;
  const auto bits = selector.family == kFamilyV4 ? kBitsV4 : kBitsV6;
  if (selector.destination_length > bits || selector.source_length > bits) {
    return refuse(Refusal::kBadFamily,
                  "a prefix of the selector is longer than its addresses: " + std::to_string(selector.source_length) +
                      " and " + std::to_string(selector.destination_length) + " bits");
  }
  return {};
}

Parsed<void> check(const SaInfo& info) {
  if (auto selector = check(info.selector); !selector) return selector;
  if (auto family = check_family(info.family, "SA"); !family) return family;
  return check_mode(info.mode);
}

Parsed<void> check(const PolicyInfo& info) {
  if (auto selector = check(info.selector); !selector) return selector;
  // Above them are the directions of per-socket policies, which the kernel tells of in dumps: index % 8.
  constexpr std::uint8_t kSocketDirections = 8;
  if (info.direction >= kSocketDirections) {
    return refuse(Refusal::kBadValue, "there is no direction " + std::to_string(info.direction));
  }
  if (info.action >= kActions) {
    return refuse(Refusal::kBadValue, "there is no action " + std::to_string(info.action));
  }
  return {};
}

Parsed<void> check(const Template& entry) {
  if (auto family = check_family(entry.family, "template"); !family) return family;
  return check_mode(entry.mode);
}

}  // namespace cygnet::wire::xfrm
