// SPDX-License-Identifier: Apache-2.0
#pragma once

// What of a connection only one of the engines can do, as far as that is known without asking the kernel. Pure.
#include <cstdint>
#include <string>

#include "model/connection.h"

namespace cygnet::model {

inline constexpr std::uint32_t kLargestKernelWindow = 4096;  // packets: XFRMA_REPLAY_ESN_MAX

// The word of the configuration because of which only the kernel can serve this child; empty: our own engine can.
[[nodiscard]] std::string needs_kernel(const Child& child);
// Likewise of the connection's children.
[[nodiscard]] std::string needs_kernel(const Connection& connection);

// Why the kernel cannot carry such SAs, as a sentence's end; empty: it may.
[[nodiscard]] std::string why_not_kernel(const Child& child);
// What PF_KEY cannot say beside that, likewise.
[[nodiscard]] std::string why_not_pfkey(const Connection& connection);

}  // namespace cygnet::model
