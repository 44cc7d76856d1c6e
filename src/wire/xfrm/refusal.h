// SPDX-License-Identifier: Apache-2.0
#pragma once

// Why a NETLINK_XFRM message is not taken: a name to count by, and a sentence for people.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace cygnet::wire::xfrm {

enum class Refusal : std::uint8_t {
  kTruncated,           // shorter than a header, or than it says
  kBadLength,           // lengths that contradict each other
  kUnknownType,         // no message of NETLINK_XFRM
  kBadAttribute,        // an attribute that contradicts itself
  kDuplicateAttribute,  // one attribute twice
  kBadFamily,           // neither IPv4 nor IPv6, or a prefix longer than the address
  kBadValue,            // a direction, action or mode that does not exist
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
    case Refusal::kBadLength: return "bad-length";
    case Refusal::kUnknownType: return "unknown-type";
    case Refusal::kBadAttribute: return "bad-attribute";
    case Refusal::kDuplicateAttribute: return "duplicate-attribute";
    case Refusal::kBadFamily: return "bad-family";
    case Refusal::kBadValue: return "bad-value";
    case Refusal::kCount: break;
  }
  return "unknown";
}

}  // namespace cygnet::wire::xfrm
