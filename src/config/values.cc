// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <span>

namespace cygnet::config {
namespace {

constexpr std::uint64_t kMaxSeconds = 100ULL * 366 * 24 * 3600;

struct Unit {
  std::string_view name;
  std::uint64_t thousandths;  // of the base unit
};

// A decimal number and a unit, in thousandths of the base unit.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  std::uint64_t whole = 0;
  const auto* end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc{} || whole > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  std::uint64_t fraction = 0;  // thousandths
  if (at != end && *at == '.') {
    std::uint64_t weight = 100;
    for (++at; at != end && std::isdigit(static_cast<unsigned char>(*at)) != 0; ++at, weight /= 10) {
      fraction += weight * static_cast<std::uint64_t>(*at - '0');
    }
    if (at[-1] == '.') return std::nullopt;
  }
  const std::string_view name(at, static_cast<std::size_t>(end - at));
  for (const auto& unit : units) {
    if (unit.name == name && whole > std::numeric_limits<std::uint64_t>::max() / 2 / unit.thousandths)
      return std::nullopt;
    if (unit.name == name) return whole * unit.thousandths + fraction * unit.thousandths / 1000;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || at != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

std::optional<bool> parse_bool(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kTrue{"yes", "true", "on", "y", "1"};
  static constexpr std::array<std::string_view, 5> kFalse{"no", "false", "off", "n", "0"};
  const auto is = [&](std::string_view word) { return equals_ignoring_case(text, word); };
  if (std::any_of(kTrue.begin(), kTrue.end(), is)) return true;
  if (std::any_of(kFalse.begin(), kFalse.end(), is)) return false;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_duration_s(std::string_view text) {
  static constexpr std::array<Unit, 6> kUnits{
      {{"", 1000}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"w", 604'800'000}}};
  const auto value = parse_with_unit(text, kUnits);
  if (!value || *value / 1000 > kMaxSeconds) return std::nullopt;
  return *value / 1000;
}

std::optional<std::uint64_t> parse_duration_us(std::string_view text) {
  static constexpr std::array<Unit, 4> kUnits{
      {{"", 1'000'000'000}, {"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1000}}};
  const auto value = parse_with_unit(text, kUnits);
  if (!value || *value / 1000 > 3'600'000'000ULL) return std::nullopt;
  return *value / 1000;
}

std::optional<std::uint64_t> parse_bit_rate(std::string_view text) {
  static constexpr std::array<Unit, 5> kUnits{
      {{"", 1000}, {"k", 1'000'000}, {"K", 1'000'000}, {"M", 1'000'000'000}, {"G", 1'000'000'000'000}}};
  const auto value = parse_with_unit(text, kUnits);
  if (!value || *value / 1000 > 100'000'000'000ULL) return std::nullopt;
  return *value / 1000;
}

std::optional<std::uint64_t> parse_duration_ms(std::string_view text) {
  static constexpr std::array<Unit, 6> kUnits{
      {{"", 1000}, {"ms", 1000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}, {"d", 86'400'000'000}}};
  const auto value = parse_with_unit(text, kUnits);
  if (!value || *value / 1'000'000 > kMaxSeconds) return std::nullopt;
  return *value / 1000;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit(at, static_cast<std::size_t>(end - at));
  unsigned shift = 0;
  if (!unit.empty()) {
    static constexpr std::string_view kPrefixes = "bkmgt";
    const auto found = kPrefixes.find(static_cast<char>(std::tolower(static_cast<unsigned char>(unit[0]))));
    if (found == std::string_view::npos) return std::nullopt;
    shift = static_cast<unsigned>(found) * 10;
    unit.remove_prefix(1);
    if (!unit.empty() && (found == 0 || (!equals_ignoring_case(unit, "b") && !equals_ignoring_case(unit, "ib"))))
      return std::nullopt;
  }
  if (value > (std::numeric_limits<std::uint64_t>::max() >> shift)) return std::nullopt;
  return value << shift;
}

std::optional<std::uint32_t> parse_percent(std::string_view text) {
  if (text.ends_with('%')) text.remove_suffix(1);
  const auto value = parse_number(text, 100000);
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

std::vector<Piece> split(std::string_view text, std::string_view separators) {
  std::vector<Piece> pieces;
  std::size_t at = 0;
  while (at < text.size()) {
    auto end = std::min(text.find_first_of(separators, at), text.size());
    auto first = at;
    auto last = end;
    while (first < last && (text[first] == ' ' || text[first] == '\t')) ++first;
    while (last > first && (text[last - 1] == ' ' || text[last - 1] == '\t')) --last;
    if (first != last) pieces.push_back({text.substr(first, last - first), first});
    at = end + 1;
  }
  return pieces;
}

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && text.front() != '-' && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](char ch) {
           return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' ||
                  ch == '.' || ch == '_';
         });
}

}  // namespace cygnet::config
