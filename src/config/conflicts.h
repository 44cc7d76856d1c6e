// SPDX-License-Identifier: Apache-2.0
#pragma once

// Connections that are sound one by one but not together.
#include <cstdint>
#include <vector>

#include "config/connection_draft.h"

namespace cygnet::config {

// Part of find_conflicts (ambiguous.cc).
void find_ambiguous(const std::vector<ConnectionDraft>& drafts, Reporter& report);

// Two connections without a mark in common are in no conflict with each other.
[[nodiscard]] std::vector<std::uint64_t> conflict_marks(const model::Connection& connection);
// Part of it (ambiguous.cc).
[[nodiscard]] std::uint64_t ambiguity_mark(const model::Connection& connection);

void find_conflicts(const std::vector<ConnectionDraft>& drafts, const model::Setup& setup, Reporter& report);

}  // namespace cygnet::config
