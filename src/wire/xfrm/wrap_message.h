// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the library of `cygnet wrap` says to the engine on xfrm.sock beside netlink messages: that which a program tells
// its kernel by system calls. Shaped as a netlink message, so that one socket carries both; types that XFRM never uses.
// Read by C++ without its library too: nothing but constants and one struct here.
#include <cstdint>

namespace cygnet::wire::xfrm {

inline constexpr const char* kSocketName = "xfrm.sock";

enum class WrapType : std::uint16_t {
  kGroups = 0x7e00,       // value: mask of multicast groups, bit n-1 for group n (bind)
  kJoin = 0x7e01,         // value: a group (NETLINK_ADD_MEMBERSHIP)
  kLeave = 0x7e02,        // value: a group (NETLINK_DROP_MEMBERSHIP)
  kExtendedAck = 0x7e03,  // value: 1 or 0 (NETLINK_EXT_ACK)
  kLendSocket = 0x7e04,   // a UDP socket rides along. value: AF_INET or AF_INET6; second: its port. Acknowledged
  kReleasePort = 0x7e05,  // second: sockets that this program lent with this port are closed. Acknowledged
};
constexpr std::uint16_t kFirstWrapType = 0x7e00;
constexpr std::uint16_t kLastWrapType = 0x7e05;

// In host order, as netlink has it.
struct WrapMessage {
  std::uint32_t octets = 0;
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;  // the program's process group
  std::uint32_t pid = 0;
  std::uint32_t value = 0;
  std::uint32_t second = 0;
};
static_assert(sizeof(WrapMessage) == 24);

}  // namespace cygnet::wire::xfrm
