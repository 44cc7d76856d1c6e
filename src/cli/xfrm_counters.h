// SPDX-License-Identifier: Apache-2.0
#pragma once

// What /proc says of the kernel's IPsec. /proc/net/xfrm_stat: why it dropped packets, since it began to count.
// /proc/net/pfkey: who speaks PF_KEY.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cygnet::cli {

struct XfrmCounter {
  std::string name;  // XfrmInNoStates
  std::uint64_t count = 0;
  std::string why;     // in words
  std::string remedy;  // what to do next
  bool operator==(const XfrmCounter&) const = default;
};

// Of the text of /proc/net/xfrm_stat those that are not zero, in the kernel's order. Lines that make no sense are left
// out; counters of newer kernels are shown with what their name says.
[[nodiscard]] std::vector<XfrmCounter> xfrm_counters_in(std::string_view text);

// The octets that the slowest reader among the PF_KEY sockets has not read yet. Nothing: this kernel has no PF_KEY.
[[nodiscard]] std::optional<std::uint64_t> pfkey_backlog_in(std::string_view proc_net_pfkey);

}  // namespace cygnet::cli
