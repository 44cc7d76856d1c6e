// SPDX-License-Identifier: Apache-2.0
#include "crypto/hmac.h"

#include <algorithm>
#include <utility>

#include "crypto/spare_contexts.h"

namespace cygnet::crypto {

Hmac::Hmac(const EVP_MD* digest, ByteView key)
    : context_(SpareContexts::of_this_thread().take(digest)),
      octets_(static_cast<std::size_t>(EVP_MD_get_size(digest))),
      block_octets_(static_cast<std::size_t>(EVP_MD_get_block_size(digest))) {
  require(octets_ <= kMaxDigestOctets && block_octets_ <= kMaxHashBlock);
  // RFC 2104 section 2: keys longer than B bytes are first hashed using H.
  if (key.size() > block_octets_) {
    require_ok(EVP_DigestUpdate(context_.get(), key.data(), key.size()));
    require_ok(EVP_DigestFinal_ex(context_.get(), inner_.data(), nullptr));
  } else {
    std::copy(key.begin(), key.end(), inner_.begin());
  }
  for (std::size_t i = 0; i < block_octets_; ++i) {
    outer_[i] = inner_[i] ^ 0x5c;
    inner_[i] ^= 0x36;
  }
}

Hmac::~Hmac() {
  SpareContexts::of_this_thread().give(std::move(context_));
  wipe(inner_);
  wipe(outer_);
}

void Hmac::restart_with(const Block& block) {
  require_ok(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr));
  require_ok(EVP_DigestUpdate(context_.get(), block.data(), block_octets_));
}

void Hmac::start() { restart_with(inner_); }

void Hmac::update(ByteView data) {
  if (!data.empty()) require_ok(EVP_DigestUpdate(context_.get(), data.data(), data.size()));
}

void Hmac::finish(std::array<std::uint8_t, kMaxDigestOctets>& out) {
  require_ok(EVP_DigestFinal_ex(context_.get(), out.data(), nullptr));
  restart_with(outer_);
  update(ByteView(out).first(octets_));
  require_ok(EVP_DigestFinal_ex(context_.get(), out.data(), nullptr));
}

}  // namespace cygnet::crypto
