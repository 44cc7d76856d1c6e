// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values of ipsec.conf: what the text says, or nothing.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cygnet::config {

// Decimal or 0x hexadecimal, at most max.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t max);
// "yes", "true", "on", "y", "1" and their opposites, in any case.
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);
// Seconds: "90", "90s", "15m", "8h", "1d", "1w"; decimals allowed with a unit ("1.5h"). At most 100 years.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_s(std::string_view text);
// Milliseconds: a bare number is milliseconds (Libreswan's retransmit-interval), units as above and "ms".
[[nodiscard]] std::optional<std::uint64_t> parse_duration_ms(std::string_view text);
// Microseconds: a bare number is seconds (Libreswan's iptfs-drop-time), "20ms", "500us". At most an hour.
[[nodiscard]] std::optional<std::uint64_t> parse_duration_us(std::string_view text);
// Bits a second: "64k", "10M", "1.5G": powers of 1000.
[[nodiscard]] std::optional<std::uint64_t> parse_bit_rate(std::string_view text);
// Octets: "1000", "64k", "10M", "2GiB": powers of 1024; KB, kB likewise.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);
// "100%" or "100".
[[nodiscard]] std::optional<std::uint32_t> parse_percent(std::string_view text);
// A domain name as people write it, underscores allowed.
[[nodiscard]] bool is_host_name(std::string_view text);
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

struct Piece {
  std::string_view text;
  std::size_t offset = 0;  // in the whole value
};
// Pieces between any of the separators, blanks around them removed, empty ones left out.
[[nodiscard]] std::vector<Piece> split(std::string_view text, std::string_view separators);

}  // namespace cygnet::config
