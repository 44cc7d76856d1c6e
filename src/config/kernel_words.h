// SPDX-License-Identifier: Apache-2.0
#pragma once

// Words of a conn section about who carries the packets and on which device, and what only the kernel's IPsec heeds
// (marks, XFRM interfaces, SAs in network cards).
#include <optional>
#include <string_view>
#include <vector>

#include "config/connection_draft.h"

namespace cygnet::config {

// The value of engine=, in config setup and in connections.
[[nodiscard]] std::optional<model::EngineKind> parse_engine(std::string_view text);
inline constexpr std::string_view kEngineHint = "write user, xfrm, pfkey or auto";

// False: no such word.
[[nodiscard]] bool apply_kernel_word(const Entry& entry, ConnectionDraft& draft, Reporter& report);
[[nodiscard]] std::vector<std::string_view> kernel_words();

}  // namespace cygnet::config
