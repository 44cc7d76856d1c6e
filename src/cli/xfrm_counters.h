// SPDX-License-Identifier: Apache-2.0
#pragma once

// /proc/net/xfrm_stat: why the kernel's IPsec dropped packets, since it began to count.
#include <cstdint>
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

// Those that are not zero, in the kernel's order. Lines that make no sense are left out; counters of newer kernels are
// shown with what their name says.
[[nodiscard]] std::vector<XfrmCounter> xfrm_counters_in(std::string_view proc_net_xfrm_stat);

}  // namespace cygnet::cli
