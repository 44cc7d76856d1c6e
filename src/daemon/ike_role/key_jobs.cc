// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/key_jobs.h"

#include <algorithm>
#include <array>

#include "crypto/prf.h"
#include "crypto/x25519_lanes.h"

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

using crypto::X25519Product;

X25519Product::Octets octets_of(ByteView bytes) {
  X25519Product::Octets out{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), out.size()), out.begin());
  return out;
}

// A Curve25519 job with nothing wrong: the two products it may take.
struct LaneJob {
  const ike::KeyExchangeJob* job = nullptr;
  std::size_t pair = kNone, secret = kNone;  // places among the products
  static constexpr std::size_t kNone = ~std::size_t{0};
};

bool suits_lanes(const ike::KeyExchangeJob& job) {
  constexpr auto kOctets = std::tuple_size_v<X25519Product::Octets>;
  return job.group == model::KeGroup::kX25519 && (!job.own || job.own->private_key.size() == kOctets) &&
         (!job.peer_public || job.peer_public->size() == kOctets);
}

LaneJob order(const ike::KeyExchangeJob& job, std::vector<X25519Product>& products) {
  LaneJob out{.job = &job};
  SecretBytes drawn;
  if (!job.own) {
    drawn.resize(X25519Product::kBase.size());
    SeedStream(job.seed).fill(drawn);
    out.pair = products.size();
    auto& product = products.emplace_back();
    product.scalar = octets_of(drawn);
    product.point = X25519Product::kBase;
  }
  if (job.peer_public) {
    out.secret = products.size();
    auto& product = products.emplace_back();
    product.scalar = octets_of(job.own ? job.own->private_key : drawn);
    product.point = octets_of(*job.peer_public);
  }
  return out;
}

ike::JobResult collect(const LaneJob& ordered, const std::vector<X25519Product>& products) {
  const auto& job = *ordered.job;
  ike::JobResult result{.job = job.job, .own = job.own, .shared_secret = std::nullopt, .error = {}};
  if (ordered.pair != LaneJob::kNone) {
    const auto& made = products[ordered.pair];
    result.own = crypto::KeyPair{job.group, SecretBytes(made.scalar.begin(), made.scalar.end()),
                                 Bytes(made.result.begin(), made.result.end())};
  }
  if (ordered.secret != LaneJob::kNone) {
    const auto& shared = products[ordered.secret].result;
    // RFC 7748 section 6.1: "check, without leaking extra information about the value of K, whether K is the all-zero
    // value and abort if so".
    static constexpr X25519Product::Octets kZeros{};
    if (constant_time_equal(shared, kZeros)) {
      result.error = "the peer's Curve25519 value leads to an all-zero secret (RFC 7748 section 6.1)";
    } else {
      result.shared_secret = SecretBytes(shared.begin(), shared.end());
    }
  }
  return result;
}

}  // namespace

std::vector<ike::JobResult> run_key_jobs(const std::vector<ike::KeyExchangeJob>& jobs) {
  std::vector<X25519Product> products;
  products.reserve(2 * jobs.size());  // never moved: a moved one would leave its secrets behind
  std::vector<LaneJob> ordered;
  for (const auto& job : jobs) {
    if (crypto::x25519_lanes_available() && suits_lanes(job)) ordered.push_back(order(job, products));
  }
  if (products.size() < crypto::kX25519LanesWorthwhile) ordered.clear();
  if (!ordered.empty()) crypto::x25519_in_lanes(products);
  std::vector<ike::JobResult> results;
  results.reserve(jobs.size());
  auto next = ordered.begin();
  for (const auto& job : jobs) {
    const bool done = next != ordered.end() && next->job == &job;
    results.push_back(done ? collect(*next, products) : run_key_job(job));
    if (done) ++next;
  }
  return results;
}

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
