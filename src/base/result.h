// SPDX-License-Identifier: Apache-2.0
#pragma once

// A value, or a sentence about why there is none. Protocol code throws nothing.
#include <expected>
#include <string>
#include <utility>

namespace cygnet {

// What went wrong, as a sentence for a person: what happened, where, and what to do next.
struct Error {
  std::string message;
};

template <typename T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string message) {
  return std::unexpected<Error>(Error{std::move(message)});
}

}  // namespace cygnet
