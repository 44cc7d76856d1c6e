// SPDX-License-Identifier: Apache-2.0
#pragma once

// The nearest right word to a wrong one.
#include <string>
#include <string_view>
#include <vector>

namespace cygnet::config {

// Insertions, deletions, substitutions and swaps of neighbours that turn a into b; counting stops above limit.
[[nodiscard]] unsigned edit_distance(std::string_view a, std::string_view b, unsigned limit);
// The candidate within a third of the word's length (at least one edit); empty: none is near. Of equals the first.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);
// "did you mean 'x'?", or otherwise.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string_view>& candidates,
                                     std::string otherwise = {});
// "a, b or c".
[[nodiscard]] std::string one_of(const std::vector<std::string_view>& words);

}  // namespace cygnet::config
