// SPDX-License-Identifier: Apache-2.0
#pragma once

// Connections that are sound one by one but not together.
#include <vector>

#include "config/connection_draft.h"

namespace cygnet::config {

// Part of find_conflicts (ambiguous.cc).
void find_ambiguous(const std::vector<ConnectionDraft>& drafts, Reporter& report);

void find_conflicts(const std::vector<ConnectionDraft>& drafts, const model::Setup& setup, Reporter& report);

}  // namespace cygnet::config
