// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <sodium/crypto_scalarmult_curve25519.h>

#include <array>

#include "crypto/evp.h"

namespace cygnet::crypto::x25519 {
namespace {

using Point = std::array<std::uint8_t, kOctets>;

KeyContext importer() {
  KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr));
  require(context != nullptr);
  require_ok(EVP_PKEY_fromdata_init(context.get()));
  return context;
}

KeyHandle some_public_key() {
  static constexpr Point kAny{9};
  KeyHandle key(EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, kAny.data(), kAny.size()));
  require(key != nullptr);
  return key;
}

// What OpenSSL would otherwise look up by name and make anew for each multiplication. One a thread: no secrets in it.
struct Workshop {
  KeyContext import = importer();
  KeyHandle peer = some_public_key();  // takes the value of whichever peer
};

Workshop& workshop() {
  thread_local Workshop here;
  return here;
}

KeyHandle private_key(ByteView scalar) {
  // OpenSSL does not look at the public value when it multiplies; without one it would compute it.
  static constexpr Point kUnused{};
  // Parameters are read only; OpenSSL's constructor lacks the const.
  std::array<OSSL_PARAM, 3> parts = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, const_cast<std::uint8_t*>(scalar.data()),
                                        scalar.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<std::uint8_t*>(kUnused.data()),
                                        kUnused.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  require_ok(EVP_PKEY_fromdata(workshop().import.get(), &key, EVP_PKEY_KEYPAIR, parts.data()));
  return KeyHandle(key);
}

// The scalar times any point, by OpenSSL. False: the product is zero.
[[nodiscard]] bool multiply(ByteView scalar, ByteView point, MutableByteView out) {
  auto* peer = workshop().peer.get();
  require_ok(EVP_PKEY_set1_encoded_public_key(peer, point.data(), point.size()));
  const auto key = private_key(scalar);
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  require(context != nullptr);
  require_ok(EVP_PKEY_derive_init(context.get()));
  // Without OpenSSL's validation, which for this curve knows nothing to look at.
  require_ok(EVP_PKEY_derive_set_peer_ex(context.get(), peer, 0));
  std::size_t size = out.size();
  return EVP_PKEY_derive(context.get(), out.data(), &size) == 1 && size == kOctets;
}

// The scalar times the base point (RFC 7748 section 6.1: "Alice ... transmits K_A = X25519(a, 9)"), by libsodium, which
// has a table of the point's multiples: less than half of a general multiplication, where OpenSSL's own way takes more
// than one. Without sodium_init() on purpose: it would change this for a ladder that takes twice as long, and wants
// random numbers of the system; this function needs none.
Bytes public_value(ByteView scalar) {
  static_assert(crypto_scalarmult_curve25519_BYTES == kOctets && crypto_scalarmult_curve25519_SCALARBYTES == kOctets);
  Bytes value(kOctets);
  require(crypto_scalarmult_curve25519_base(value.data(), scalar.data()) == 0);
  return value;
}

Result<SecretBytes> shared_secret(ByteView scalar, ByteView peer_public) {
  SecretBytes shared(kOctets);
  const bool derived = multiply(scalar, peer_public, shared);
  // RFC 7748 section 6.1: "check, without leaking extra information about the value of K, whether K is the all-zero
  // value and abort if so".
  static constexpr Point kZeros{};
  if (!derived || constant_time_equal(shared, kZeros)) {
    ERR_clear_error();  // nothing of this may surface in an unrelated call of the same thread
    return fail("the peer's Curve25519 value leads to an all-zero secret (RFC 7748 section 6.1)");
  }
  return shared;
}

SecretBytes draw(Random& random) {
  SecretBytes scalar(kOctets);
  random.fill(scalar);  // clamped where it is used (RFC 7748 section 5)
  return scalar;
}

}  // namespace

KeyPair generate(Random& random) {
  auto scalar = draw(random);
  auto value = public_value(scalar);
  return {model::KeGroup::kX25519, std::move(scalar), std::move(value)};
}

Result<SecretBytes> derive(const KeyPair& own, ByteView peer_public) {
  return shared_secret(own.private_key, peer_public);
}

Result<Agreement> agree(Random& random, ByteView peer_public) {
  auto scalar = draw(random);
  auto shared = shared_secret(scalar, peer_public);
  if (!shared) return std::unexpected(shared.error());
  auto value = public_value(scalar);
  return Agreement{{model::KeGroup::kX25519, std::move(scalar), std::move(value)}, std::move(*shared)};
}

}  // namespace cygnet::crypto::x25519
