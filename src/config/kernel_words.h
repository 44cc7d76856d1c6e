// SPDX-License-Identifier: Apache-2.0
#pragma once

// Words of a conn section that only the kernel's IPsec heeds: marks, XFRM interfaces, SAs in network cards.
#include <string_view>
#include <vector>

#include "config/connection_draft.h"

namespace cygnet::config {

// False: no such word.
[[nodiscard]] bool apply_kernel_word(const Entry& entry, ConnectionDraft& draft, Reporter& report);
[[nodiscard]] std::vector<std::string_view> kernel_words();

}  // namespace cygnet::config
