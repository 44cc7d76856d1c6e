// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include <array>

#include "crypto/evp.h"

namespace cygnet::crypto::x25519 {
namespace {

using Point = std::array<std::uint8_t, kOctets>;

// RFC 7748 section 6.1: "Alice ... transmits K_A = X25519(a, 9)".
constexpr Point kBasePoint{9};

KeyHandle public_key(const Point& value) {
  KeyHandle key(EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, value.data(), value.size()));
  require(key != nullptr);
  return key;
}

KeyContext importer() {
  KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr));
  require(context != nullptr);
  require_ok(EVP_PKEY_fromdata_init(context.get()));
  return context;
}

// What OpenSSL would otherwise look up by name and make anew for each multiplication. One a thread: no secrets in it.
struct Workshop {
  KeyContext import = importer();
  KeyHandle base = public_key(kBasePoint);
  KeyHandle peer = public_key(kBasePoint);  // takes the value of whichever peer
};

Workshop& workshop() {
  thread_local Workshop here;
  return here;
}

// A scalar, ready to be multiplied with points.
class Scalar {
 public:
  explicit Scalar(ByteView scalar) {
    // OpenSSL does not look at the public value when it multiplies; without one it would compute it, by a way that
    // takes longer than the general one (a quarter, on processors with ADX).
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
    key_.reset(key);
    context_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    require(context_ != nullptr);
    require_ok(EVP_PKEY_derive_init(context_.get()));
  }

  // False: the product is zero.
  [[nodiscard]] bool multiply(EVP_PKEY* point, MutableByteView out) {
    // Without OpenSSL's validation, which for this curve knows nothing to look at.
    require_ok(EVP_PKEY_derive_set_peer_ex(context_.get(), point, 0));
    std::size_t size = out.size();
    return EVP_PKEY_derive(context_.get(), out.data(), &size) == 1 && size == kOctets;
  }

  [[nodiscard]] Bytes public_value() {
    Bytes value(kOctets);
    require(multiply(workshop().base.get(), value));
    return value;
  }

  [[nodiscard]] Result<SecretBytes> shared_secret(ByteView peer_public) {
    auto* peer = workshop().peer.get();
    require_ok(EVP_PKEY_set1_encoded_public_key(peer, peer_public.data(), peer_public.size()));
    SecretBytes shared(kOctets);
    const bool derived = multiply(peer, shared);
    // RFC 7748 section 6.1: "check, without leaking extra information about the value of K, whether K is the all-zero
    // value and abort if so".
    static constexpr Point kZeros{};
    if (!derived || constant_time_equal(shared, kZeros)) {
      ERR_clear_error();  // nothing of this may surface in an unrelated call of the same thread
      return fail("the peer's Curve25519 value leads to an all-zero secret (RFC 7748 section 6.1)");
    }
    return shared;
  }

 private:
  KeyHandle key_;
  KeyContext context_;
};

SecretBytes draw(Random& random) {
  SecretBytes scalar(kOctets);
  random.fill(scalar);  // clamped where it is used (RFC 7748 section 5)
  return scalar;
}

}  // namespace

KeyPair generate(Random& random) {
  auto scalar = draw(random);
  auto value = Scalar(scalar).public_value();
  return {model::KeGroup::kX25519, std::move(scalar), std::move(value)};
}

Result<SecretBytes> derive(const KeyPair& own, ByteView peer_public) {
  return Scalar(own.private_key).shared_secret(peer_public);
}

Result<Agreement> agree(Random& random, ByteView peer_public) {
  auto drawn = draw(random);
  Scalar scalar(drawn);
  auto shared = scalar.shared_secret(peer_public);
  if (!shared) return std::unexpected(shared.error());
  auto value = scalar.public_value();
  return Agreement{{model::KeGroup::kX25519, std::move(drawn), std::move(value)}, std::move(*shared)};
}

}  // namespace cygnet::crypto::x25519
