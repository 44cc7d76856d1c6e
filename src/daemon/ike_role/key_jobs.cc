// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/key_jobs.h"

#include <algorithm>
#include <array>

#include "crypto/prf.h"

namespace cygnet::daemon {

namespace {

// HMAC-SHA2-512(seed, 1), HMAC-SHA2-512(seed, 2), ...: the seed's randomness stretched to whatever a group draws.
class SeedStream final : public Random {
 public:
  explicit SeedStream(ByteView seed) : seed_(seed) {}
  void fill(MutableByteView out) override {
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
  SecretBytes block_;
  std::size_t used_ = 0;
  std::uint64_t counter_ = 0;
};

}  // namespace

ike::JobResult run_key_job(const ike::KeyExchangeJob& job) {
  ike::JobResult result{.job = job.job, .own = job.own, .shared_secret = std::nullopt, .error = {}};
  if (!result.own) {
    SeedStream random(job.seed);
    auto pair = crypto::generate_key_pair(job.group, random);
    if (!pair) {
      result.error = pair.error().message;
      return result;
    }
    result.own = std::move(*pair);
  }
  if (job.peer_public) {
    auto secret = crypto::derive_shared_secret(*result.own, *job.peer_public);
    if (!secret) {
      result.error = secret.error().message;
      return result;
    }
    result.shared_secret = std::move(*secret);
  }
  return result;
}

}  // namespace cygnet::daemon
