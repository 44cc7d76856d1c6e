// SPDX-License-Identifier: Apache-2.0
#pragma once

// The names of setkey's algorithms, PF_KEY's numbers for them and the keys they take.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cygnet::config {

struct SetkeyAlgorithm {
  std::string_view name;
  std::uint8_t number = 0;
  std::uint16_t min_bits = 0, max_bits = 0;  // of the key; for AEADs and AES-CTR the salt is part of it
  std::uint16_t step_bits = 0;               // between them; 0: only the two
};

// The first name of a number is the one that is printed.
[[nodiscard]] std::span<const SetkeyAlgorithm> setkey_encryption();
[[nodiscard]] std::span<const SetkeyAlgorithm> setkey_authentication();
[[nodiscard]] std::span<const SetkeyAlgorithm> setkey_compression();
[[nodiscard]] const SetkeyAlgorithm* find_setkey(std::span<const SetkeyAlgorithm> table, std::string_view name);
[[nodiscard]] const SetkeyAlgorithm* find_setkey(std::span<const SetkeyAlgorithm> table, std::uint8_t number);
// Why a key of so many bits does not fit.
[[nodiscard]] Result<void> check_key(const SetkeyAlgorithm& algorithm, std::size_t bits);

}  // namespace cygnet::config
