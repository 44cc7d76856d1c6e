// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reading DER (X.690) where it is small and hostile, without allocating: one element after the other.
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace cygnet::crypto {

struct DerElement {
  std::uint8_t tag = 0;
  ByteView content;
  ByteView whole;  // tag, length and content
};

inline constexpr std::uint8_t kDerInteger = 0x02;
inline constexpr std::uint8_t kDerNull = 0x05;
inline constexpr std::uint8_t kDerObjectId = 0x06;
inline constexpr std::uint8_t kDerSequence = 0x30;

class DerReader {
 public:
  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  // The next element; nothing at the end, and for whatever is no DER with a tag below 31 and at most 64 KiB of content.
  [[nodiscard]] std::optional<DerElement> next() {
    if (rest_.size() < 2 || (rest_[0] & 0x1fU) == 0x1fU) return std::nullopt;
    std::size_t length = rest_[1];
    std::size_t header = 2;
    if (length > 0x80) {
      const std::size_t octets = length & 0x7fU;
      if (octets > 3 || rest_.size() < 2 + octets || rest_[2] == 0) return std::nullopt;
      length = 0;
      for (std::size_t i = 0; i < octets; ++i) length = (length << 8U) | rest_[2 + i];
      if (length < 0x80) return std::nullopt;
      header += octets;
    } else if (length == 0x80) {
      return std::nullopt;
    }
    if (length > rest_.size() - header) return std::nullopt;
    const DerElement element{rest_[0], rest_.subspan(header, length), rest_.first(header + length)};
    rest_ = rest_.subspan(header + length);
    return element;
  }
  [[nodiscard]] std::optional<DerElement> next(std::uint8_t tag) {
    return !rest_.empty() && rest_[0] == tag ? next() : std::nullopt;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

}  // namespace cygnet::crypto
