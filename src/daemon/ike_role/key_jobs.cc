// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/key_jobs.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/prf.h"

namespace cygnet::daemon {

namespace {

// The seed itself, for who draws once and no more than it holds, as most groups do. Beyond that HMAC-SHA2-512(seed, 1),
// HMAC-SHA2-512(seed, 2), ...: the seed's randomness stretched to whatever a group draws.
class SeedStream final : public Random {
 public:
  explicit SeedStream(ByteView seed) : seed_(seed) {}
  void fill(MutableByteView out) override {
    if (std::exchange(untouched_, false) && out.size() <= seed_.size()) {
      std::copy_n(seed_.begin(), out.size(), out.begin());
      return;
    }
    while (!out.empty()) {
      if (used_ == block_.size()) {
        std::array<std::uint8_t, 8> counter{};
        store_be64(counter.data(), ++counter_);
        const std::array<ByteView, 1> data{ByteView(counter)};
        block_ = crypto::prf(model::PrfId::kHmacSha2_512, seed_, data);
        used_ = 0;
      }
      const auto n = std::min(out.size(), block_.size() - used_);
      std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(used_), n, out.begin());
      used_ += n;
      out = out.subspan(n);
    }
  }

 private:
  ByteView seed_;
  bool untouched_ = true;
  SecretBytes block_;
  std::size_t used_ = 0;
  std::uint64_t counter_ = 0;
};

}  // namespace

ike::JobResult run_key_job(const ike::KeyExchangeJob& job) {
  ike::JobResult result{.job = job.job, .own = job.own, .shared_secret = std::nullopt, .error = {}};
  SeedStream random(job.seed);
  if (!job.own && job.peer_public) {
    auto both = crypto::agree(job.group, random, *job.peer_public);
    if (both) {
      result.own = std::move(both->own);
      result.shared_secret = std::move(both->shared_secret);
    } else {
      result.error = both.error().message;
    }
  } else if (!job.own) {
    auto pair = crypto::generate_key_pair(job.group, random);
    if (pair) {
      result.own = std::move(*pair);
    } else {
      result.error = pair.error().message;
    }
  } else if (job.peer_public) {
    auto secret = crypto::derive_shared_secret(*job.own, *job.peer_public);
    if (secret) {
      result.shared_secret = std::move(*secret);
    } else {
      result.error = secret.error().message;
    }
  }
  return result;
}

}  // namespace cygnet::daemon
