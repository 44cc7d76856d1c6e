// SPDX-License-Identifier: Apache-2.0
#pragma once

// How requests over rtnetlink are put together.
#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.h"

namespace cygnet::io::netlink {

// Not in /etc/iproute2/rt_protos: routes of ours are told from others by it.
inline constexpr std::uint8_t kOurRouteProtocol = 89;

[[nodiscard]] inline std::uint8_t af_of(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }

[[nodiscard]] inline std::optional<Family> family_of(std::uint8_t af) {
  if (af == AF_INET) {
    return Family::kV4;
  }
  return af == AF_INET6 ? std::optional(Family::kV6) : std::nullopt;
}

// A request under construction, in a buffer of its own.
struct Request {
  alignas(nlmsghdr) std::array<char, 1024> buffer{};
  nlmsghdr* header = nullptr;

  Request(std::uint16_t type, std::uint16_t flags) {
    header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }
  template <typename T>
  T* body() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header, sizeof(T)));
  }
  void address(std::uint16_t type, const IpAddress& a) { mnl_attr_put(header, type, a.size(), a.bytes().data()); }
  void u32(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(header, type, value); }
};

}  // namespace cygnet::io::netlink
