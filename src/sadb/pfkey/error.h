// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a PF_KEY request fails: the errno that every client understands, and a sentence for those that ask for it.
#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace cygnet::sadb {

struct PfkeyError {
  int error = 0;
  std::string message;
};

template <typename T = void>
using PfkeyResult = std::expected<T, PfkeyError>;

[[nodiscard]] inline std::unexpected<PfkeyError> refuse(int error, std::string message) {
  return std::unexpected(PfkeyError{error, std::move(message)});
}

}  // namespace cygnet::sadb
