// SPDX-License-Identifier: Apache-2.0
#pragma once

// ike's checkpoints in the process that outlives it. They hold keys: memory that is given up is wiped.
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "sadb/messages.h"

namespace cygnet::sadb {

class Checkpoints {
 public:
  static constexpr std::size_t kMaxOctets = 512U << 20U;  // of all of them

  // One piece, or the whole (messages.h). What is refused leaves no older state behind: a stale one would be worse than
  // none.
  [[nodiscard]] Result<void> put(const PutCheckpointRequest& request);
  void drop(const std::string& key);
  // In the order of their keys.
  [[nodiscard]] std::vector<std::pair<std::string, Bytes>> all() const;

 private:
  [[nodiscard]] Result<void> refuse(const std::string& key, std::string why);
  void forget_pieces();

  std::unordered_map<std::string, Bytes> whole_;
  std::size_t octets_ = 0;
  // Of the one checkpoint that is on its way in pieces.
  std::string pieces_of_;
  SecretBytes pieces_;
};

}  // namespace cygnet::sadb
