// SPDX-License-Identifier: Apache-2.0
#pragma once

// also= and %default: what a conn section says in the end.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/sections.h"

namespace cygnet::config {

// The word that stands for several spellings of the same thing: keylife -> lifetime. Other words stand for themselves.
[[nodiscard]] std::string_view canonical_word(std::string_view key);

// Entries in force, one a canonical word, in the order of these words. Own words win over those of also= sections,
// later also= sections over earlier ones, everything over %default; an empty value takes an inherited one back.
class Resolver {
 public:
  Resolver(const std::vector<Section>& sections, Reporter& report);
  [[nodiscard]] std::vector<Entry> resolve(const Section& conn);

 private:
  using Layer = std::map<std::string, Entry, std::less<>>;
  void overlay(const Section& section, Layer& layer, std::vector<const Section*>& chain);
  void report_duplicates(const Section& section);

  std::map<std::string, const Section*, std::less<>> by_name_;
  std::vector<const Section*> defaults_;
  Reporter& report_;
};

}  // namespace cygnet::config
