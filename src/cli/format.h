// SPDX-License-Identifier: Apache-2.0
#pragma once

// Text for terminals: aligned columns, numbers people can read, colour where it helps.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cygnet::cli {

enum class Tone { kPlain, kGood, kWarn, kBad, kDim, kBold };

// Colour is on only for a terminal.
struct Style {
  bool colour = false;
  [[nodiscard]] std::string paint(Tone tone, std::string_view text) const;
};

[[nodiscard]] std::string duration_text(std::uint64_t seconds);  // "45s", "12m 3s", "2h 5m", "3d 4h"
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);       // "812 B", "1.2 KB", "3.4 GB"; powers of 1000
[[nodiscard]] std::string count_text(std::uint64_t count, std::string_view noun);  // "1 packet", "12,345 packets"
[[nodiscard]] std::string grouped(std::uint64_t number);                           // "12,345"
[[nodiscard]] std::string joined(const std::vector<std::string>& parts, std::string_view separator);
// Every line of a text behind the indent.
[[nodiscard]] std::string indented(std::string_view text, std::string_view indent);
// What a peer or a file said must not steer the terminal: control characters become '?', line ends stay.
[[nodiscard]] std::string harmless(std::string_view text);

// Rows of cells, columns as wide as their widest cell (UTF-8 counted by code point), two spaces between.
class Table {
 public:
  explicit Table(std::vector<std::string> header = {}) {
    if (!header.empty()) rows_.push_back(std::move(header));
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string to_string(std::string_view indent = {}) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cygnet::cli
