// SPDX-License-Identifier: Apache-2.0
#include "vectors/vector_file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace cygnet::vectors {
namespace {

using Values = std::map<std::string, std::string>;

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Paragraphs of `name = value` lines.
std::vector<Values> read_paragraphs(std::istream& in) {
  std::vector<Values> paragraphs;
  bool open = false;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with('#')) continue;
    if (trimmed(line).empty()) {
      open = false;
      continue;
    }
    if (!open) paragraphs.emplace_back();
    open = true;
    const auto equals = line.find('=');
    EXPECT_NE(equals, std::string::npos) << "line " << number;
    if (equals == std::string::npos) continue;
    const auto [at, is_new] =
        paragraphs.back().emplace(trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
    EXPECT_TRUE(is_new) << "line " << number << ": " << at->first << " twice";
  }
  return paragraphs;
}

}  // namespace

std::string Record::word(const std::string& name) const {
  used_.insert(name);
  const auto at = values_.find(name);
  if (at == values_.end()) {
    ADD_FAILURE() << "no value " << name;
    return {};
  }
  return at->second;
}

Bytes Record::bytes(const std::string& name) const {
  Bytes out;
  EXPECT_TRUE(from_hex(word(name), out)) << name << " is not hexadecimal";
  return out;
}

bool Record::valid() const {
  const auto result = word("result");
  EXPECT_TRUE(result == "valid" || result == "invalid") << result;
  return result == "valid";
}

std::string Record::unused() const {
  std::string names;
  for (const auto& [name, value] : values_) {
    if (!used_.contains(name)) names += name + " ";
  }
  return names;
}

VectorFile read_vector_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path;
  auto paragraphs = read_paragraphs(in);
  if (paragraphs.empty()) return {};
  const Values shared = std::move(paragraphs.front());
  EXPECT_TRUE(shared.contains("source")) << path << " names no source";
  VectorFile file{.function = shared.contains("function") ? shared.at("function") : "", .records = {}};
  for (std::size_t i = 1; i < paragraphs.size(); ++i) {
    EXPECT_TRUE(paragraphs[i].contains("id")) << path << ": record " << i << " has no id";
    paragraphs[i].insert(shared.begin(), shared.end());
    file.records.emplace_back(std::move(paragraphs[i]));
  }
  return file;
}

}  // namespace cygnet::vectors
