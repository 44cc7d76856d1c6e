// SPDX-License-Identifier: Apache-2.0
#pragma once

// Why a message could not be read, in the distinctions that RFC 7296 section 2.21 asks for.
#include <cstdint>
#include <expected>
#include <string>
#include <utility>

#include "base/result.h"

namespace cygnet::wire::ike {

struct ParseError {
  enum class Kind : std::uint8_t {
    kMalformed,            // answer INVALID_SYNTAX, where an answer is due at all
    kUnsupportedCritical,  // answer UNSUPPORTED_CRITICAL_PAYLOAD with payload_type as its one octet of data
    kMajorVersion,         // answer INVALID_MAJOR_VERSION
    kNotAuthentic          // the Encrypted payload's integrity check failed: drop in silence
  };
  Kind kind = Kind::kMalformed;
  std::uint8_t payload_type = 0;  // kUnsupportedCritical: the type; kMalformed: the payload at fault (0: the header)
  std::string message;            // a sentence for the log

  // So that a ParseResult can be passed on as a Result.
  [[nodiscard]] Error to_error() const { return Error{message}; }
};

template <typename T>
using ParseResult = std::expected<T, ParseError>;

[[nodiscard]] inline std::unexpected<ParseError> malformed(std::uint8_t payload_type, std::string message) {
  return std::unexpected<ParseError>(ParseError{ParseError::Kind::kMalformed, payload_type, std::move(message)});
}

}  // namespace cygnet::wire::ike
