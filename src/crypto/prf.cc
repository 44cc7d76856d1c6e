// SPDX-License-Identifier: Apache-2.0
#include "crypto/prf.h"

#include <algorithm>
#include <utility>

#include "crypto/evp.h"
#include "crypto/hmac.h"
#include "crypto/spare_contexts.h"

namespace cygnet::crypto {
namespace {

Bytes hash(const EVP_MD* digest, std::span<const ByteView> data) {
  auto& spare = SpareContexts::of_this_thread();
  auto context = spare.take(digest);
  for (const auto piece : data) {
    if (!piece.empty()) require_ok(EVP_DigestUpdate(context.get(), piece.data(), piece.size()));
  }
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(digest)));
  require_ok(EVP_DigestFinal_ex(context.get(), out.data(), nullptr));
  spare.give(std::move(context));
  return out;
}

}  // namespace

SecretBytes prf(model::PrfId id, ByteView key, std::span<const ByteView> data) {
  const EVP_MD* digest = digest_of(id);
  if (digest == nullptr) return {};
  Hmac mac(digest, key);
  mac.start();
  for (const auto piece : data) mac.update(piece);
  std::array<std::uint8_t, kMaxDigestOctets> out{};
  mac.finish(out);
  SecretBytes result(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(mac.octets()));
  wipe(out);
  return result;
}

Result<SecretBytes> prf_plus(model::PrfId id, ByteView key, ByteView seed, std::size_t length) {
  const EVP_MD* digest = digest_of(id);
  if (digest == nullptr) {
    return fail("PRF number " + std::to_string(static_cast<unsigned>(id)) +
                " is not one that keys can be derived with");
  }
  Hmac mac(digest, key);
  // RFC 7296 section 2.13: "The prf+ function is not defined beyond 255 times the size of the prf function output."
  if (length > 255 * mac.octets()) {
    return fail("prf+ was asked for " + std::to_string(length) + " octets, its limit is " +
                std::to_string(255 * mac.octets()));
  }
  // T1 = prf (K, S | 0x01), T2 = prf (K, T1 | S | 0x02), …
  SecretBytes out;
  out.reserve(length);
  std::array<std::uint8_t, kMaxDigestOctets> block{};
  for (std::uint8_t counter = 1; out.size() < length; ++counter) {
    mac.start();
    if (counter > 1) mac.update(ByteView(block).first(mac.octets()));
    mac.update(seed);
    mac.update(ByteView(&counter, 1));
    mac.finish(block);
    append(out, ByteView(block).first(std::min(mac.octets(), length - out.size())));
  }
  wipe(block);
  return out;
}

Bytes sha1(std::span<const ByteView> data) { return hash(sha1_digest(), data); }

Bytes sha256(std::span<const ByteView> data) { return hash(sha256_digest(), data); }

}  // namespace cygnet::crypto
