// SPDX-License-Identifier: Apache-2.0
#pragma once

// Why a PF_KEY message is not taken: a name to count by, and a sentence for people.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace cygnet::wire::pfkey {

enum class Refusal : std::uint8_t {
  kTruncated,           // shorter than a header, or than it says
  kBadVersion,          // not PF_KEYv2
  kBadLength,           // lengths that contradict each other
  kBadExtension,        // an extension that contradicts itself
  kDuplicateExtension,  // one extension twice
  kBadAddress,          // neither IPv4 nor IPv6, or a prefix longer than the address
  kCount
};

struct ParseError {
  Refusal why{};
  std::string message;
};

template <typename T>
using Parsed = std::expected<T, ParseError>;

[[nodiscard]] inline std::unexpected<ParseError> refuse(Refusal why, std::string message) {
  return std::unexpected(ParseError{why, std::move(message)});
}

[[nodiscard]] constexpr std::string_view name_of(Refusal why) {
  switch (why) {
    case Refusal::kTruncated: return "truncated";
    case Refusal::kBadVersion: return "bad-version";
    case Refusal::kBadLength: return "bad-length";
    case Refusal::kBadExtension: return "bad-extension";
    case Refusal::kDuplicateExtension: return "duplicate-extension";
    case Refusal::kBadAddress: return "bad-address";
    case Refusal::kCount: break;
  }
  return "unknown";
}

}  // namespace cygnet::wire::pfkey
