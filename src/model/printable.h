// SPDX-License-Identifier: Apache-2.0
#pragma once

// Text that a peer or a certificate chose, shown to people: UTF-8 stays readable, everything that could confuse a
// terminal or a log does not come through.
#include <cstdint>
#include <string>
#include <string_view>

namespace cygnet::model {

// RFC 3629: shortest form, no surrogates, at most U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);
void append_utf8(std::string& text, std::uint32_t character);
// The character that begins at octet `at` of valid UTF-8.
[[nodiscard]] std::string_view next_character(std::string_view text, std::size_t at);
// No control, no invisible character, none that changes the direction of writing.
[[nodiscard]] bool is_printable(std::string_view character);

}  // namespace cygnet::model
