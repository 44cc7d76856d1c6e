// SPDX-License-Identifier: Apache-2.0
#pragma once

// The packet filter of this network namespace, spoken to in its own words (nft(8)).
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/fd.h"

struct nft_ctx;

namespace cygnet::daemon {

class Nftables {
 public:
  // Fails where the kernel has none, or this process may not use it.
  [[nodiscard]] static Result<Nftables> open();
  // All commands of the text, or none of them. What they print.
  [[nodiscard]] Result<std::string> run(const std::string& commands);
  // Packets that a named counter of an inet table has counted. The words for it (`list counter`) first fetch all there
  // is in every set.
  [[nodiscard]] Result<std::uint64_t> packets(const std::string& table, const std::string& counter);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  Nftables(nft_ctx* context, io::UniqueFd fd) : context_(context), fd_(std::move(fd)) {}
  std::unique_ptr<nft_ctx, Free> context_;
  io::UniqueFd fd_;
  std::uint32_t sequence_ = 0;
};

}  // namespace cygnet::daemon
