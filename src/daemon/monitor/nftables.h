// SPDX-License-Identifier: Apache-2.0
#pragma once

// The packet filter of this network namespace, spoken to in its own words (nft(8)).
#include <memory>
#include <string>

#include "base/result.h"

struct nft_ctx;

namespace cygnet::daemon {

class Nftables {
 public:
  // Fails where the kernel has none, or this process may not use it.
  [[nodiscard]] static Result<Nftables> open();
  // All commands of the text, or none of them. What they print.
  [[nodiscard]] Result<std::string> run(const std::string& commands);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  explicit Nftables(nft_ctx* context) : context_(context) {}
  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace cygnet::daemon
