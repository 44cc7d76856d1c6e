// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_exchange.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <array>

#include "crypto/evp.h"
#include "crypto/x25519.h"
#include "model/legacy.h"

namespace cygnet::crypto {
namespace {

// MODP: p, its Montgomery form and the size of our exponents. All of these p are safe primes with g = 2 (RFC 3526;
// the smallest: RFC 7296 appendix B.2).
struct ModpGroup {
  const BIGNUM* prime;
  const BN_MONT_CTX* montgomery;
  std::size_t octets;
  std::size_t exponent_octets;  // RFC 3526 section 8: the larger of its two estimates (240, 320, 420, 480 bits)
};

struct EcpGroup {
  const EC_GROUP* curve;
  std::size_t field_octets;
};

ModpGroup make_modp(BIGNUM* (*prime)(BIGNUM*), std::size_t octets, std::size_t exponent_octets) {
  BIGNUM* p = prime(nullptr);
  BN_MONT_CTX* montgomery = BN_MONT_CTX_new();
  const NumberContext numbers(BN_CTX_new());
  require(p != nullptr && montgomery != nullptr && numbers != nullptr);
  require_ok(BN_MONT_CTX_set(montgomery, p, numbers.get()));
  return {p, montgomery, octets, exponent_octets};
}

// Group constants live as long as the process.
const ModpGroup* modp_group(model::KeGroup group) {
  static const std::array<ModpGroup, 5> kGroups = {
      make_modp(BN_get_rfc3526_prime_2048, 256, 40), make_modp(BN_get_rfc3526_prime_3072, 384, 53),
      make_modp(BN_get_rfc3526_prime_4096, 512, 60), make_modp(BN_get_rfc2409_prime_1024, 128, 30),
      make_modp(BN_get_rfc3526_prime_1536, 192, 30),
  };
  if (group == model::legacy::kModp1024) return &kGroups[3];
  if (group == model::legacy::kModp1536) return &kGroups[4];
  switch (group) {
    case model::KeGroup::kModp2048: return kGroups.data();
    case model::KeGroup::kModp3072: return &kGroups[1];
    case model::KeGroup::kModp4096: return &kGroups[2];
    default: return nullptr;
  }
}

const EcpGroup* ecp_group(model::KeGroup group) {
  static const std::array<EcpGroup, 3> kGroups = {
      EcpGroup{EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), 32},
      EcpGroup{EC_GROUP_new_by_curve_name(NID_secp384r1), 48},
      EcpGroup{EC_GROUP_new_by_curve_name(NID_secp521r1), 66},
  };
  switch (group) {
    case model::KeGroup::kEcp256: return kGroups.data();
    case model::KeGroup::kEcp384: return &kGroups[1];
    case model::KeGroup::kEcp521: return &kGroups[2];
    default: return nullptr;
  }
}

// A secret number: freed with wiping, and computed with in constant time.
Number secret_number(ByteView big_endian) {
  Number number(BN_bin2bn(big_endian.data(), int_size(big_endian.size()), nullptr));
  require(number != nullptr);
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  return number;
}

Number public_number(ByteView big_endian) {
  Number number(BN_bin2bn(big_endian.data(), int_size(big_endian.size()), nullptr));
  require(number != nullptr);
  return number;
}

template <typename Container>
Container to_octets(const BIGNUM* number, std::size_t octets) {
  Container out(octets);
  require(BN_bn2binpad(number, out.data(), int_size(octets)) == int_size(octets));
  return out;
}

std::unexpected<Error> refuse(std::string message) {
  ERR_clear_error();  // nothing of this may surface in an unrelated call of the same thread
  return fail(std::move(message));
}

// ---- MODP

Number modp_power(const ModpGroup& group, const BIGNUM* base, const BIGNUM* exponent) {
  const NumberContext numbers(BN_CTX_new());
  Number result(BN_new());
  require(numbers != nullptr && result != nullptr);
  // The Montgomery form is read only; OpenSSL's signature lacks the const.
  require_ok(BN_mod_exp_mont_consttime(result.get(), base, exponent, group.prime, numbers.get(),
                                       const_cast<BN_MONT_CTX*>(group.montgomery)));
  return result;
}

KeyPair generate_modp(model::KeGroup id, const ModpGroup& group, Random& random) {
  SecretBytes exponent(group.exponent_octets);
  random.fill(exponent);
  exponent[0] |= 0x80;  // a full-length exponent whatever the random source: never 0 or 1
  const Number generator = public_number(std::array<std::uint8_t, 1>{2});
  const Number secret = secret_number(exponent);
  const Number value = modp_power(group, generator.get(), secret.get());
  return {id, std::move(exponent), to_octets<Bytes>(value.get(), group.octets)};
}

Result<SecretBytes> derive_modp(const ModpGroup& group, const KeyPair& own, ByteView peer_public) {
  const Number peer = public_number(peer_public);
  const Number limit(BN_dup(group.prime));
  require(limit != nullptr);
  require_ok(BN_sub_word(limit.get(), 1));
  // RFC 6989 section 2.1: for groups whose p is a safe prime, 1 < r < p-1 is the whole test.
  if (BN_cmp(peer.get(), BN_value_one()) <= 0 || BN_cmp(peer.get(), limit.get()) >= 0) {
    return refuse("the peer's Diffie-Hellman value is 0, 1, p-1 or larger (RFC 6989 section 2.1)");
  }
  const Number secret = secret_number(own.private_key);
  const Number shared = modp_power(group, peer.get(), secret.get());
  return to_octets<SecretBytes>(shared.get(), group.octets);
}

// ---- ECP

// Scalars outside [1, n-1] are drawn again: with random input practically never for P-256 and P-384, and about never
// for P-521 once the surplus bits are masked. A source that keeps giving bad numbers is an error, not an endless loop.
Result<SecretBytes> draw_scalar(const EcpGroup& group, Random& random) {
  const BIGNUM* order = EC_GROUP_get0_order(group.curve);
  const auto top_mask =
      static_cast<std::uint8_t>(0xff >> (group.field_octets * 8 - static_cast<std::size_t>(BN_num_bits(order))));
  SecretBytes scalar(group.field_octets);
  for (int attempt = 0; attempt < 64; ++attempt) {
    random.fill(scalar);
    scalar[0] &= top_mask;
    const Number number = secret_number(scalar);
    if (!BN_is_zero(number.get()) && BN_cmp(number.get(), order) < 0) return scalar;
  }
  return fail("the random source gives no usable number for an elliptic-curve key");
}

// RFC 5903 section 7: "the public value is the concatenation of the x and y values"; the shared secret is x alone.
template <typename Container>
Container point_octets(const EcpGroup& group, const EC_POINT* point, BN_CTX* numbers, bool with_y) {
  const Number x(BN_new());
  const Number y(BN_new());
  require(x != nullptr && y != nullptr);
  require_ok(EC_POINT_get_affine_coordinates(group.curve, point, x.get(), y.get(), numbers));
  auto out = to_octets<Container>(x.get(), group.field_octets);
  if (with_y) append(out, to_octets<Container>(y.get(), group.field_octets));
  return out;
}

Result<KeyPair> generate_ecp(model::KeGroup id, const EcpGroup& group, Random& random) {
  auto scalar = draw_scalar(group, random);
  if (!scalar) return std::unexpected(scalar.error());
  const NumberContext numbers(BN_CTX_new());
  const CurvePoint point(EC_POINT_new(group.curve));
  require(numbers != nullptr && point != nullptr);
  const Number secret = secret_number(*scalar);
  require_ok(EC_POINT_mul(group.curve, point.get(), secret.get(), nullptr, nullptr, numbers.get()));
  return KeyPair{id, std::move(*scalar), point_octets<Bytes>(group, point.get(), numbers.get(), true)};
}

Result<SecretBytes> derive_ecp(const EcpGroup& group, const KeyPair& own, ByteView peer_public) {
  const NumberContext numbers(BN_CTX_new());
  const CurvePoint peer(EC_POINT_new(group.curve));
  const CurvePoint shared(EC_POINT_new(group.curve));
  require(numbers != nullptr && peer != nullptr && shared != nullptr);
  const Number x = public_number(peer_public.first(group.field_octets));
  const Number y = public_number(peer_public.last(group.field_octets));
  const Number secret = secret_number(own.private_key);
  // RFC 6989 section 2.3: x and y must be elements of the field (below its prime) and satisfy the curve's equation.
  if (EC_POINT_set_affine_coordinates(group.curve, peer.get(), x.get(), y.get(), numbers.get()) != 1) {
    return refuse("the peer's Diffie-Hellman value is not a point of the curve (RFC 6989 section 2.3)");
  }
  // OpenSSL takes coordinates modulo the prime: what comes back differs from what went in if one was too large.
  if (!std::ranges::equal(point_octets<Bytes>(group, peer.get(), numbers.get(), true), peer_public)) {
    return refuse("the peer's Diffie-Hellman value has a coordinate outside the field (RFC 6989 section 2.3)");
  }
  // These curves have cofactor 1: a point of the curve other than infinity has the full order.
  if (EC_POINT_mul(group.curve, shared.get(), nullptr, peer.get(), secret.get(), numbers.get()) != 1 ||
      EC_POINT_is_at_infinity(group.curve, shared.get()) == 1) {
    return refuse("the Diffie-Hellman result is the point at infinity");
  }
  return point_octets<SecretBytes>(group, shared.get(), numbers.get(), false);
}

}  // namespace

std::size_t public_octets(model::KeGroup group) {
  if (group == model::KeGroup::kX25519) return x25519::kOctets;
  if (const auto* modp = modp_group(group)) return modp->octets;
  if (const auto* ecp = ecp_group(group)) return ecp->field_octets * 2;
  return 0;
}

Result<KeyPair> generate_key_pair(model::KeGroup group, Random& random) {
  if (group == model::KeGroup::kX25519) return x25519::generate(random);
  if (const auto* modp = modp_group(group)) return generate_modp(group, *modp, random);
  if (const auto* ecp = ecp_group(group)) return generate_ecp(group, *ecp, random);
  return fail("key exchange method " + std::to_string(static_cast<unsigned>(group)) + " is not built in");
}

namespace {

Result<> check_length(model::KeGroup group, ByteView peer_public) {
  const std::size_t expected = public_octets(group);
  if (expected == 0)
    return fail("key exchange method " + std::to_string(static_cast<unsigned>(group)) + " is not built in");
  // RFC 7296 section 3.4: the length "for modular exponentiation group (MODP) groups MUST be equal to the length of the
  // prime modulus ... prepending zero bits to the value if necessary".
  if (peer_public.size() != expected) {
    return fail("the peer's Diffie-Hellman value has " + std::to_string(peer_public.size()) +
                " octets, the group's have " + std::to_string(expected));
  }
  return {};
}

}  // namespace

Result<SecretBytes> derive_shared_secret(const KeyPair& own, ByteView peer_public) {
  if (auto sound = check_length(own.group, peer_public); !sound) return std::unexpected(sound.error());
  if (own.private_key.empty()) return fail("there is no private value to derive with");
  if (own.group == model::KeGroup::kX25519) {
    if (own.private_key.size() != x25519::kOctets) return fail("the Curve25519 private value has the wrong length");
    return x25519::derive(own, peer_public);
  }
  if (const auto* modp = modp_group(own.group)) return derive_modp(*modp, own, peer_public);
  return derive_ecp(*ecp_group(own.group), own, peer_public);
}

Result<Agreement> agree(model::KeGroup group, Random& random, ByteView peer_public) {
  if (auto sound = check_length(group, peer_public); !sound) return std::unexpected(sound.error());
  if (group == model::KeGroup::kX25519) return x25519::agree(random, peer_public);
  auto own = generate_key_pair(group, random);
  if (!own) return std::unexpected(own.error());
  auto shared = derive_shared_secret(*own, peer_public);
  if (!shared) return std::unexpected(shared.error());
  return Agreement{std::move(*own), std::move(*shared)};
}

}  // namespace cygnet::crypto
