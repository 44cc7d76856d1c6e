// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reports as people read them. Pure: values in, text out.
#include <string>

#include "cli/format.h"
#include "control/messages.h"

namespace cygnet::cli {

[[nodiscard]] std::string render(const control::StatusReport& status, const Style& style);
[[nodiscard]] std::string render(const control::SummaryReport& summary, const Style& style);
[[nodiscard]] std::string render(const control::ListReport& list, const Style& style);
[[nodiscard]] std::string render(const control::ReloadReport& reload, const Style& style);
[[nodiscard]] std::string render(const control::ExplainReport& explain, const Style& style);
[[nodiscard]] std::string render(const control::DropsReport& drops, const Style& style);
[[nodiscard]] std::string render(const control::LeasesReport& leases, const Style& style);
[[nodiscard]] std::string render(const control::KeysReport& keys, const Style& style);
[[nodiscard]] std::string render(const control::TransitionsReport& transitions, const Style& style);
[[nodiscard]] std::string render(const control::CertsReport& certs, const Style& style);
// One event: a line, or several indented ones. With the clock for `monitor`, without for `up`.
[[nodiscard]] std::string render(const control::Progress& progress, const Style& style, bool with_time);

}  // namespace cygnet::cli
