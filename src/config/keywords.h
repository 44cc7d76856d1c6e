// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every word of ipsec.conf in Libreswan's and strongSwan's dialects, and what becomes of it here.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cygnet::config {

enum class Scope : std::uint8_t { kSetup, kConn, kEnd };  // kEnd: written with left or right in front
enum class Standing : std::uint8_t {
  kSupported,  // has an effect
  kNoEffect,   // accepted; a warning says why nothing comes of it
  kNotBuilt    // refused by name: to ignore it would weaken or change what was asked for
};

struct Keyword {
  std::string_view name;  // lower case, '-' for '_', without left/right
  Scope scope;
  Standing standing;
  std::string_view note;      // kNoEffect: why; kNotBuilt: what is missing
  std::string_view harmless;  // values, by ',', that pass without a message ("*": all of them)
};

[[nodiscard]] std::span<const Keyword> all_keywords();
// The name as written in a section of that kind (normalised; left/right still in front for an end's word).
[[nodiscard]] const Keyword* find_keyword(std::string_view name, bool setup);
[[nodiscard]] bool is_harmless(const Keyword& keyword, std::string_view value);
// Words to suggest in such a section: supported ones first.
[[nodiscard]] std::vector<std::string_view> candidate_words(bool setup);

}  // namespace cygnet::config
