// SPDX-License-Identifier: Apache-2.0
#pragma once

// One word of a proposal, in either dialect's spelling.
#include <string>
#include <string_view>
#include <vector>

#include "model/transform.h"

namespace cygnet::config {

struct AlgorithmWord {
  // kHash names an integrity algorithm or a PRF; where it stands decides. kNone says "no such algorithm".
  enum class Kind { kUnknown, kUnsupported, kEncryption, kHash, kPrf, kGroup, kEsn, kNone };
  Kind kind = Kind::kUnknown;
  // kHash: the integrity algorithms; prfs holds the PRFs over the same hashes.
  std::vector<model::Transform> transforms;
  std::vector<model::Transform> prfs;
  bool legacy = false;     // only for connections that ask for it
  bool weak = false;       // kUnsupported, and never will be
  bool libreswan = false;  // only Libreswan spells it so
};

[[nodiscard]] AlgorithmWord find_algorithm(std::string_view word);
// Words that can be written in ike= (or esp=), strongSwan's spelling first.
[[nodiscard]] std::vector<std::string_view> algorithm_words(bool ike);

}  // namespace cygnet::config
