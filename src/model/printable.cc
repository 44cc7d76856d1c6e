// SPDX-License-Identifier: Apache-2.0
#include "model/printable.h"

#include <algorithm>
#include <array>

namespace cygnet::model {
namespace {

// Octets of the character whose first octet this is; 0: none begins so.
std::size_t octets_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

std::uint32_t decode(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  std::uint32_t value = first & (0xffU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i)
    value = (value << 6) | (static_cast<unsigned char>(character[i]) & 0x3fU);
  return value;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto n = octets_of(static_cast<unsigned char>(text[i]));
    if (n == 0 || text.size() - i < n) return false;
    for (std::size_t k = 1; k < n; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0U) != 0x80) return false;
    }
    const auto value = decode(text.substr(i, n));
    if ((n == 3 && value < 0x800) || (n == 4 && (value < 0x10000 || value > 0x10ffff))) return false;
    if (value >= 0xd800 && value < 0xe000) return false;
    i += n;
  }
  return true;
}

void append_utf8(std::string& text, std::uint32_t c) {
  const auto tail = [&](unsigned shift) { text.push_back(static_cast<char>(0x80U | ((c >> shift) & 0x3fU))); };
  if (c < 0x80) {
    text.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    text.push_back(static_cast<char>(0xc0U | (c >> 6)));
    tail(0);
  } else if (c < 0x10000) {
    text.push_back(static_cast<char>(0xe0U | (c >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xf0U | (c >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string_view next_character(std::string_view text, std::size_t at) {
  return text.substr(at, octets_of(static_cast<unsigned char>(text[at])));
}

bool is_printable(std::string_view character) {
  struct Range {
    std::uint32_t first, last;
  };
  // Controls, zero-width and joining characters, directions, line separators, private use, tags, non-characters.
  static constexpr std::array kHidden{Range{0, 0x1f},          Range{0x7f, 0xa0},       Range{0xad, 0xad},
                                      Range{0x61c, 0x61c},     Range{0x180b, 0x180f},   Range{0x2000, 0x200f},
                                      Range{0x2028, 0x202f},   Range{0x205f, 0x206f},   Range{0xe000, 0xf8ff},
                                      Range{0xfe00, 0xfe0f},   Range{0xfeff, 0xfeff},   Range{0xfff0, 0xffff},
                                      Range{0xe0000, 0xe0fff}, Range{0xf0000, 0x10ffff}};
  const auto value = decode(character);
  return std::none_of(kHidden.begin(), kHidden.end(),
                      [&](const Range& r) { return value >= r.first && value <= r.last; });
}

}  // namespace cygnet::model
