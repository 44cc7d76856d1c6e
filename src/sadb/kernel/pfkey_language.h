// SPDX-License-Identifier: Apache-2.0
#pragma once

// PF_KEY as the language in which the kernel is driven (engine=pfkey): what KernelEngine says in messages of
// NETLINK_XFRM is said in PF_KEY's (RFC 2367, and what KAME and Linux added), and what the kernel answers and tells is
// translated back. Pure. What PF_KEY has no words for is refused, in words:
//  - AEADs, AES-CMAC, HMAC-SHA2-256 with 128 bits (Linux cuts it to 96 here), extended sequence numbers, TFC padding;
//  - selectors with ranges of ports, an SA for both address families;
//  - marks: outer packets cannot be told from others, so a tunnel must not hold its own peer's address;
//  - sequence numbers: an SA cannot be moved to other addresses by another that goes on counting.
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/connection.h"
#include "wire/pfkey/message.h"
#include "wire/xfrm/message.h"

namespace cygnet::sadb::kernel {

// A policy may name reqids up to IPSEC_MANUAL_REQID_MAX (0x3fff); ours are those with this bit.
inline constexpr std::uint32_t kPfkeyReqidBit = 0x2000;
inline constexpr std::uint32_t kPfkeyReqids = kPfkeyReqidBit - 1;
// struct sadb_sa has room for more, the kernel's PF_KEY has not.
inline constexpr std::uint32_t kPfkeyWindow = 32;

class PfkeyLanguage {
 public:
  // A question. Header: type and SA type; who asks fills in the rest. Fails, in words, for what cannot be said.
  [[nodiscard]] Result<wire::pfkey::Message> question(const wire::xfrm::Message& message) const;
  // Whether its answers come one behind the other, the last with sequence number 0.
  [[nodiscard]] static bool is_dump(const wire::xfrm::Message& message);
  // The answer to what was asked, or one of them. Nothing: there is nothing to tell.
  [[nodiscard]] std::optional<wire::xfrm::Message> answer(const wire::xfrm::Message& asked,
                                                          const wire::pfkey::Message& reply, std::uint64_t wall_s);
  // What the kernel tells by itself: acquire, expire, another address behind a NAT, what others removed. Nothing: of no
  // interest.
  [[nodiscard]] std::optional<wire::xfrm::Message> notice(const wire::pfkey::Message& message);

 private:
  // The kernel says when an SA was used first. When it was used last is when its count was seen to have grown.
  struct Seen {
    std::uint64_t packets = 0, wall_s = 0;
  };
  using SaName = std::pair<IpAddress, Spi>;

  void remember_policy(const wire::xfrm::Message& asked, const wire::pfkey::Message& reply);
  [[nodiscard]] wire::xfrm::Message state(const wire::pfkey::Message& reply, std::uint64_t wall_s);

  std::map<std::uint32_t, wire::xfrm::Selector> outbound_;  // by the kernel's index: an ACQUIRE tells no more
  std::map<SaName, Seen> seen_;
};

// PF_KEY's selectors have one port (not 0), or all.
[[nodiscard]] bool can_select(const wire::xfrm::Selector& selector);

}  // namespace cygnet::sadb::kernel
