// SPDX-License-Identifier: Apache-2.0
#pragma once

// How messages of netlink are taken apart: a fixed body, then attributes. Lengths are looked at here.
#include <libmnl/libmnl.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "io/ether_frame.h"

namespace cygnet::io {

[[nodiscard]] inline ByteView payload_of(const nlattr* attribute) {
  return {static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)), mnl_attr_get_payload_len(attribute)};
}

[[nodiscard]] inline std::optional<IpAddress> address_of(const nlattr* attribute, Family family) {
  const auto bytes = payload_of(attribute);
  if (bytes.size() != IpAddress::any(family).size()) {
    return std::nullopt;
  }
  return IpAddress::from_bytes(bytes);
}

[[nodiscard]] inline std::uint32_t u32_of(const nlattr* attribute) {
  return mnl_attr_get_payload_len(attribute) == 4 ? mnl_attr_get_u32(attribute) : 0;
}

[[nodiscard]] inline std::optional<MacAddress> mac_of(const nlattr* attribute) {
  const auto bytes = payload_of(attribute);
  MacAddress out{};
  if (bytes.size() != out.size()) {
    return std::nullopt;
  }
  std::ranges::copy(bytes, out.begin());
  return out;
}

template <typename OnAttribute>
void walk_attributes(const void* first, std::ptrdiff_t octets, const OnAttribute& on_attribute) {
  const auto* at = static_cast<const char*>(first);
  const auto* end = at + octets;
  const auto* attribute = reinterpret_cast<const nlattr*>(at);
  while (mnl_attr_ok(attribute, static_cast<int>(end - at))) {
    on_attribute(mnl_attr_get_type(attribute), attribute);
    attribute = mnl_attr_next(attribute);
    at = reinterpret_cast<const char*>(attribute);
  }
}

template <typename Body, typename OnAttribute>
void each_attribute(const nlmsghdr& message, const OnAttribute& on_attribute) {
  const void* first = mnl_nlmsg_get_payload_offset(&message, sizeof(Body));
  walk_attributes(first,
                  static_cast<const char*>(mnl_nlmsg_get_payload_tail(&message)) - static_cast<const char*>(first),
                  on_attribute);
}

// Null if the message is too short for it.
template <typename Body>
[[nodiscard]] const Body* body_of(const nlmsghdr& message) {
  return mnl_nlmsg_get_payload_len(&message) < sizeof(Body) ? nullptr
                                                            : static_cast<const Body*>(mnl_nlmsg_get_payload(&message));
}

}  // namespace cygnet::io
