// SPDX-License-Identifier: Apache-2.0
#include "crypto/spare_contexts.h"

#include <array>
#include <utility>

#include "crypto/hmac.h"

namespace cygnet::crypto {

namespace {

// Beginning anew sets the chaining value; SHA2-384's and SHA2-512's leave the last block where it was, which in an HMAC
// holds the inner digest. A block less one octet of zeros takes its place; the octet was the end of the length.
bool clean(EVP_MD_CTX* context) {
  static constexpr std::array<std::uint8_t, kMaxHashBlock> kZeros{};
  const auto octets = static_cast<std::size_t>(EVP_MD_get_block_size(EVP_MD_CTX_get0_md(context))) - 1;
  return octets < kZeros.size() && EVP_DigestInit_ex2(context, nullptr, nullptr) == 1 &&
         EVP_DigestUpdate(context, kZeros.data(), octets) == 1 && EVP_DigestInit_ex2(context, nullptr, nullptr) == 1;
}

}  // namespace

SpareContexts& SpareContexts::of_this_thread() {
  thread_local SpareContexts spare;
  return spare;
}

DigestContext SpareContexts::take(const EVP_MD* digest) {
  for (auto& context : spare_) {
    if (EVP_MD_CTX_get0_md(context.get()) != digest) continue;
    std::swap(context, spare_.back());
    auto taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }
  DigestContext fresh(EVP_MD_CTX_new());
  require(fresh != nullptr);
  require_ok(EVP_DigestInit_ex2(fresh.get(), digest, nullptr));
  return fresh;
}

void SpareContexts::give(DigestContext context) {
  if (spare_.size() == kMost || !clean(context.get())) return;
  spare_.push_back(std::move(context));
}

}  // namespace cygnet::crypto
