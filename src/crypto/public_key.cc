// SPDX-License-Identifier: Apache-2.0
#include "crypto/public_key.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <string>

#include "crypto/signature.h"
#include "crypto/x509.h"

namespace cygnet::crypto {
namespace {

constexpr int kMaxRsaBits = 16384;
constexpr std::size_t kMaxSpki = 8192;

std::optional<KeyKind> kind_of_curve(EVP_PKEY* key) {
  // RFC 5480 section 2.1.1: "implicitCurve and specifiedCurve MUST NOT be used in PKIX."
  int explicit_parameters = 0;
  if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_parameters) == 1 &&
      explicit_parameters != 0) {
    return std::nullopt;
  }
  std::array<char, 64> name{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &length) != 1) return std::nullopt;
  const std::string_view curve(name.data(), length);
  if (curve == "prime256v1" || curve == "P-256") return KeyKind::kEcdsaP256;
  if (curve == "secp384r1" || curve == "P-384") return KeyKind::kEcdsaP384;
  if (curve == "secp521r1" || curve == "P-521") return KeyKind::kEcdsaP521;
  return std::nullopt;
}

std::optional<KeyKind> kind_of(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return KeyKind::kRsa;
    case EVP_PKEY_EC: return kind_of_curve(key);
    case EVP_PKEY_ED25519: return KeyKind::kEd25519;
    case EVP_PKEY_ED448: return KeyKind::kEd448;
    default: return std::nullopt;
  }
}

bool is_ecdsa(KeyKind kind) {
  return kind == KeyKind::kEcdsaP256 || kind == KeyKind::kEcdsaP384 || kind == KeyKind::kEcdsaP521;
}

// The hashes of a family in the order in which a key of this strength wants them.
std::array<HashId, 3> preferred_hashes(KeyKind kind, unsigned bits) {
  if (kind == KeyKind::kEcdsaP521 || (kind == KeyKind::kRsa && bits > 7680)) {
    return {HashId::kSha2_512, HashId::kSha2_384, HashId::kSha2_256};
  }
  if (kind == KeyKind::kEcdsaP384 || (kind == KeyKind::kRsa && bits > 3072)) {
    return {HashId::kSha2_384, HashId::kSha2_512, HashId::kSha2_256};
  }
  return {HashId::kSha2_256, HashId::kSha2_384, HashId::kSha2_512};
}

SignatureScheme with_hash(HashId hash, SignatureScheme sha256, SignatureScheme sha384, SignatureScheme sha512) {
  if (hash == HashId::kSha2_256) return sha256;
  return hash == HashId::kSha2_384 ? sha384 : sha512;
}

// RFC 7296 section 3.8 and RFC 4754: the method itself says key and hash.
std::vector<SignatureScheme> classic_schemes(KeyKind kind) {
  switch (kind) {
    case KeyKind::kRsa: return {SignatureScheme::kRsaPkcs1Sha1};
    case KeyKind::kEcdsaP256: return {SignatureScheme::kEcdsaSha256};
    case KeyKind::kEcdsaP384: return {SignatureScheme::kEcdsaSha384};
    case KeyKind::kEcdsaP521: return {SignatureScheme::kEcdsaSha512};
    case KeyKind::kEd25519:
    case KeyKind::kEd448: break;  // RFC 8420: with Digital Signature only
  }
  return {};
}

}  // namespace

std::string_view to_string(KeyKind kind) {
  switch (kind) {
    case KeyKind::kRsa: return "RSA";
    case KeyKind::kEcdsaP256: return "ECDSA P-256";
    case KeyKind::kEcdsaP384: return "ECDSA P-384";
    case KeyKind::kEcdsaP521: return "ECDSA P-521";
    case KeyKind::kEd25519: return "Ed25519";
    case KeyKind::kEd448: return "Ed448";
  }
  return "unknown";
}

std::string_view to_string(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha1: return "RSASSA-PKCS1-v1_5 with SHA-1";
    case SignatureScheme::kRsaPkcs1Sha256: return "RSASSA-PKCS1-v1_5 with SHA2-256";
    case SignatureScheme::kRsaPkcs1Sha384: return "RSASSA-PKCS1-v1_5 with SHA2-384";
    case SignatureScheme::kRsaPkcs1Sha512: return "RSASSA-PKCS1-v1_5 with SHA2-512";
    case SignatureScheme::kRsaPssSha256: return "RSASSA-PSS with SHA2-256";
    case SignatureScheme::kRsaPssSha384: return "RSASSA-PSS with SHA2-384";
    case SignatureScheme::kRsaPssSha512: return "RSASSA-PSS with SHA2-512";
    case SignatureScheme::kEcdsaSha256: return "ECDSA with SHA2-256";
    case SignatureScheme::kEcdsaSha384: return "ECDSA with SHA2-384";
    case SignatureScheme::kEcdsaSha512: return "ECDSA with SHA2-512";
    case SignatureScheme::kEd25519: return "Ed25519";
    case SignatureScheme::kEd448: return "Ed448";
  }
  return "unknown";
}

HashId hash_of(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha1: return HashId::kSha1;
    case SignatureScheme::kRsaPkcs1Sha256:
    case SignatureScheme::kRsaPssSha256:
    case SignatureScheme::kEcdsaSha256: return HashId::kSha2_256;
    case SignatureScheme::kRsaPkcs1Sha384:
    case SignatureScheme::kRsaPssSha384:
    case SignatureScheme::kEcdsaSha384: return HashId::kSha2_384;
    case SignatureScheme::kRsaPkcs1Sha512:
    case SignatureScheme::kRsaPssSha512:
    case SignatureScheme::kEcdsaSha512: return HashId::kSha2_512;
    case SignatureScheme::kEd25519:
    case SignatureScheme::kEd448: break;
  }
  return HashId::kIdentity;
}

Result<PublicKey> PublicKey::from_spki(ByteView der) {
  if (der.size() > kMaxSpki) return fail("the public key is longer than 8 KiB");
  auto handle = from_der<KeyHandle>(d2i_PUBKEY, der);
  if (handle == nullptr) return fail("this is no public key (SubjectPublicKeyInfo, RFC 5280)");
  return from_handle(std::shared_ptr<EVP_PKEY>(handle.release(), EVP_PKEY_free), der);
}

Result<PublicKey> PublicKey::from_handle(std::shared_ptr<evp_pkey_st> key, ByteView spki) {
  if (spki.size() > kMaxSpki) return fail("the public key is longer than 8 KiB");
  const auto kind = kind_of(key.get());
  if (!kind) {
    return refuse(
        "the public key is of a kind that IKE cannot use here: RSA, ECDSA (P-256, P-384, P-521 by name), Ed25519 or "
        "Ed448 are needed");
  }
  const int bits = EVP_PKEY_get_bits(key.get());
  if (bits <= 0 || (*kind == KeyKind::kRsa && bits > kMaxRsaBits)) {
    return refuse("the RSA key has " + std::to_string(bits) + " bits; more than 16384 are refused");
  }
  PublicKey public_key;
  public_key.key_ = std::move(key);
  public_key.kind_ = *kind;
  public_key.bits_ = static_cast<unsigned>(bits);
  public_key.spki_ = Bytes(spki.begin(), spki.end());
  public_key.key_id_ = sha2_256(spki);
  public_key.authority_hash_ = sha1(spki);
  return public_key;
}

std::string PublicKey::to_string() const {
  return kind_ == KeyKind::kRsa ? "RSA " + std::to_string(bits_) : std::string(crypto::to_string(kind_));
}

bool PublicKey::verify(SignatureScheme scheme, EcdsaForm form, ByteView octets, ByteView signature) const {
  if (!scheme_fits(scheme, kind_)) return false;
  Bytes as_der;
  if (is_ecdsa(kind_) && form == EcdsaForm::kFixed) {
    as_der = ecdsa_to_der(signature, ecdsa_half_octets(kind_));
    signature = as_der;
  }
  if (signature.empty()) return false;
  const DigestContext context(EVP_MD_CTX_new());
  require(context != nullptr);
  EVP_PKEY_CTX* options = nullptr;
  const bool valid =
      EVP_DigestVerifyInit(context.get(), &options, digest_of(scheme), nullptr, key_.get()) == 1 &&
      set_padding(options, scheme) &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), octets.data(), octets.size()) == 1;
  ERR_clear_error();
  return valid;
}

std::vector<SignatureScheme> schemes_for(KeyKind kind, unsigned bits, const std::vector<HashId>& hashes) {
  if (hashes.empty()) return classic_schemes(kind);
  const auto listed = [&](HashId hash) { return std::find(hashes.begin(), hashes.end(), hash) != hashes.end(); };
  std::vector<SignatureScheme> schemes;
  if (kind == KeyKind::kEd25519 || kind == KeyKind::kEd448) {
    // RFC 8420 section 2: the "Identity" hash stands for "the message is not hashed before".
    if (listed(HashId::kIdentity)) {
      schemes.push_back(kind == KeyKind::kEd25519 ? SignatureScheme::kEd25519 : SignatureScheme::kEd448);
    }
    return schemes;
  }
  const auto add = [&](SignatureScheme sha256, SignatureScheme sha384, SignatureScheme sha512) {
    for (const auto hash : preferred_hashes(kind, bits)) {
      if (listed(hash)) schemes.push_back(with_hash(hash, sha256, sha384, sha512));
    }
  };
  using enum SignatureScheme;
  if (kind != KeyKind::kRsa) {
    add(kEcdsaSha256, kEcdsaSha384, kEcdsaSha512);
    return schemes;
  }
  // RFC 8247 section 3.2 asks for RSASSA-PSS; PKCS#1 v1.5 is for peers that cannot.
  add(kRsaPssSha256, kRsaPssSha384, kRsaPssSha512);
  add(kRsaPkcs1Sha256, kRsaPkcs1Sha384, kRsaPkcs1Sha512);
  return schemes;
}

}  // namespace cygnet::crypto
