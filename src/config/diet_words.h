// SPDX-License-Identifier: Apache-2.0
#pragma once

// Words about Diet-ESP (draft-ietf-ipsecme-diet-esp-04).
#include <string_view>
#include <vector>

#include "config/connection_draft.h"

namespace cygnet::config {

// False: the word is none of these.
[[nodiscard]] bool apply_diet_word(const Entry& entry, ConnectionDraft& draft, Reporter& report);
[[nodiscard]] std::vector<std::string_view> diet_words();
// What contradicts the rest of the conn.
void check_diet(const model::Child& child, const Place& place, Reporter& report);

}  // namespace cygnet::config
