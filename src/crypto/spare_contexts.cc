// SPDX-License-Identifier: Apache-2.0
#include "crypto/spare_contexts.h"

#include <utility>

namespace cygnet::crypto {

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
  if (spare_.size() == kMost || EVP_DigestInit_ex2(context.get(), nullptr, nullptr) != 1) return;
  spare_.push_back(std::move(context));
}

}  // namespace cygnet::crypto
