// SPDX-License-Identifier: Apache-2.0
#include "crypto/signature.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "crypto/x509.h"

namespace cygnet::crypto {
namespace {

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

}  // namespace

bool is_pss(SignatureScheme scheme) {
  return scheme == SignatureScheme::kRsaPssSha256 || scheme == SignatureScheme::kRsaPssSha384 ||
         scheme == SignatureScheme::kRsaPssSha512;
}

bool scheme_fits(SignatureScheme scheme, KeyKind kind) {
  switch (scheme) {
    case SignatureScheme::kRsaPkcs1Sha1:
    case SignatureScheme::kRsaPkcs1Sha256:
    case SignatureScheme::kRsaPkcs1Sha384:
    case SignatureScheme::kRsaPkcs1Sha512:
    case SignatureScheme::kRsaPssSha256:
    case SignatureScheme::kRsaPssSha384:
    case SignatureScheme::kRsaPssSha512: return kind == KeyKind::kRsa;
    case SignatureScheme::kEcdsaSha256:
    case SignatureScheme::kEcdsaSha384:
    case SignatureScheme::kEcdsaSha512:
      return kind == KeyKind::kEcdsaP256 || kind == KeyKind::kEcdsaP384 || kind == KeyKind::kEcdsaP521;
    case SignatureScheme::kEd25519: return kind == KeyKind::kEd25519;
    case SignatureScheme::kEd448: return kind == KeyKind::kEd448;
  }
  return false;
}

const EVP_MD* digest_of(SignatureScheme scheme) {
  switch (hash_of(scheme)) {
    case HashId::kSha1: return sha1_digest();
    case HashId::kSha2_256: return digest_of(model::PrfId::kHmacSha2_256);
    case HashId::kSha2_384: return digest_of(model::PrfId::kHmacSha2_384);
    case HashId::kSha2_512: return digest_of(model::PrfId::kHmacSha2_512);
    case HashId::kIdentity: break;
  }
  return nullptr;
}

Bytes to_be_signed(SignatureScheme scheme, ByteView octets) {
  const EVP_MD* digest = digest_of(scheme);
  if (digest == nullptr) return {octets.begin(), octets.end()};
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(digest)));
  require_ok(EVP_Digest(octets.data(), octets.size(), out.data(), nullptr, digest, nullptr));
  return out;
}

bool set_padding(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (!is_pss(scheme)) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

std::size_t ecdsa_half_octets(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEcdsaP256: return 32;
    case KeyKind::kEcdsaP384: return 48;
    case KeyKind::kEcdsaP521: return 66;
    default: return 0;
  }
}

Bytes ecdsa_to_der(ByteView fixed, std::size_t half_octets) {
  if (half_octets == 0 || fixed.size() != 2 * half_octets) return {};
  const EcdsaSignature signature(ECDSA_SIG_new());
  Number r(BN_bin2bn(fixed.data(), int_size(half_octets), nullptr));
  Number s(BN_bin2bn(fixed.data() + half_octets, int_size(half_octets), nullptr));
  require(signature != nullptr && r != nullptr && s != nullptr);
  require_ok(ECDSA_SIG_set0(signature.get(), r.release(), s.release()));
  return to_der(i2d_ECDSA_SIG, signature.get());
}

Bytes ecdsa_to_fixed(ByteView der, std::size_t half_octets) {
  const auto signature = from_der<EcdsaSignature>(d2i_ECDSA_SIG, der);
  Bytes fixed(2 * half_octets);
  if (signature == nullptr ||
      BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), fixed.data(), int_size(half_octets)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), fixed.data() + half_octets, int_size(half_octets)) < 0) {
    ERR_clear_error();
    return {};
  }
  return fixed;
}

}  // namespace cygnet::crypto
