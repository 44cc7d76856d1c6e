// SPDX-License-Identifier: Apache-2.0
#include "model/transform.h"

#include <algorithm>
#include <array>

#include "model/legacy.h"

namespace cygnet::model {
namespace {

constexpr auto kEncr = TransformType::kEncryption;
constexpr auto kPrf = TransformType::kPrf;
constexpr auto kInteg = TransformType::kIntegrity;
constexpr auto kKe = TransformType::kKeyExchange;
constexpr auto kEsn = TransformType::kEsn;

// Rows with key_bits 0 and an algorithm of variable key length never stand alone in a proposal we make.
// Unsupported rows are there so that a peer's offer, or a word in a configuration, can be named.
constexpr std::array kTransforms{
    TransformInfo{{kEncr, 11, 0}, "NULL", "null", "null", true, false, true},
    TransformInfo{{kEncr, 12, 128}, "AES_CBC_128", "aes128", "aes128", true, true, true},
    TransformInfo{{kEncr, 12, 192}, "AES_CBC_192", "aes192", "aes192", true, true, true},
    TransformInfo{{kEncr, 12, 256}, "AES_CBC_256", "aes256", "aes256", true, true, true},
    TransformInfo{{kEncr, 20, 128}, "AES_GCM_16_128", "aes_gcm128", "aes128gcm16", true, true, true},
    TransformInfo{{kEncr, 20, 192}, "AES_GCM_16_192", "aes_gcm192", "aes192gcm16", true, true, true},
    TransformInfo{{kEncr, 20, 256}, "AES_GCM_16_256", "aes_gcm256", "aes256gcm16", true, true, true},
    TransformInfo{{kEncr, 28, 0}, "CHACHA20_POLY1305", "chacha20_poly1305", "chacha20poly1305", true, true, true},
    TransformInfo{{kEncr, 2, 0}, "DES_CBC", "des", "des", false, false, false},
    TransformInfo{{kEncr, 3, 0}, "3DES_CBC", "3des", "3des", true, false, true},
    TransformInfo{{kEncr, 7, 0}, "BLOWFISH_CBC", "blowfish", "blowfish", false, false, false},
    TransformInfo{{kEncr, 13, 128}, "AES_CTR_128", "aes_ctr128", "aes128ctr", true, false, true},
    TransformInfo{{kEncr, 13, 192}, "AES_CTR_192", "aes_ctr192", "aes192ctr", true, false, true},
    TransformInfo{{kEncr, 13, 256}, "AES_CTR_256", "aes_ctr256", "aes256ctr", true, false, true},
    TransformInfo{{kEncr, 14, 128}, "AES_CCM_8_128", "aes_ccm_a128", "aes128ccm8", true, false, true},
    TransformInfo{{kEncr, 14, 192}, "AES_CCM_8_192", "aes_ccm_a192", "aes192ccm8", true, false, true},
    TransformInfo{{kEncr, 14, 256}, "AES_CCM_8_256", "aes_ccm_a256", "aes256ccm8", true, false, true},
    TransformInfo{{kEncr, 15, 128}, "AES_CCM_12_128", "aes_ccm_b128", "aes128ccm12", true, false, true},
    TransformInfo{{kEncr, 15, 192}, "AES_CCM_12_192", "aes_ccm_b192", "aes192ccm12", true, false, true},
    TransformInfo{{kEncr, 15, 256}, "AES_CCM_12_256", "aes_ccm_b256", "aes256ccm12", true, false, true},
    TransformInfo{{kEncr, 16, 128}, "AES_CCM_16_128", "aes_ccm128", "aes128ccm16", true, false, true},
    TransformInfo{{kEncr, 16, 192}, "AES_CCM_16_192", "aes_ccm192", "aes192ccm16", true, false, true},
    TransformInfo{{kEncr, 16, 256}, "AES_CCM_16_256", "aes_ccm256", "aes256ccm16", true, false, true},
    TransformInfo{{kEncr, 18, 128}, "AES_GCM_8_128", "aes_gcm_a128", "aes128gcm8", true, false, true},
    TransformInfo{{kEncr, 18, 192}, "AES_GCM_8_192", "aes_gcm_a192", "aes192gcm8", true, false, true},
    TransformInfo{{kEncr, 18, 256}, "AES_GCM_8_256", "aes_gcm_a256", "aes256gcm8", true, false, true},
    TransformInfo{{kEncr, 19, 128}, "AES_GCM_12_128", "aes_gcm_b128", "aes128gcm12", true, false, true},
    TransformInfo{{kEncr, 19, 192}, "AES_GCM_12_192", "aes_gcm_b192", "aes192gcm12", true, false, true},
    TransformInfo{{kEncr, 19, 256}, "AES_GCM_12_256", "aes_gcm_b256", "aes256gcm12", true, false, true},
    TransformInfo{{kEncr, 21, 128}, "NULL_AES_GMAC_128", "null_auth_aes_gmac128", "aes128gmac", true, false, true},
    TransformInfo{{kEncr, 21, 192}, "NULL_AES_GMAC_192", "null_auth_aes_gmac192", "aes192gmac", true, false, true},
    TransformInfo{{kEncr, 21, 256}, "NULL_AES_GMAC_256", "null_auth_aes_gmac256", "aes256gmac", true, false, true},
    TransformInfo{{kEncr, 23, 128}, "CAMELLIA_CBC_128", "camellia128", "camellia128", true, false, true},
    TransformInfo{{kEncr, 23, 192}, "CAMELLIA_CBC_192", "camellia192", "camellia192", true, false, true},
    TransformInfo{{kEncr, 23, 256}, "CAMELLIA_CBC_256", "camellia256", "camellia256", true, false, true},
    TransformInfo{{kEncr, 29, 128}, "AES_CCM_8_IIV_128", "", "aes128ccm8iiv", true, false, true},
    TransformInfo{{kEncr, 29, 256}, "AES_CCM_8_IIV_256", "", "aes256ccm8iiv", true, false, true},
    TransformInfo{{kEncr, 30, 128}, "AES_GCM_16_IIV_128", "", "aes128gcm16iiv", true, false, true},
    TransformInfo{{kEncr, 30, 256}, "AES_GCM_16_IIV_256", "", "aes256gcm16iiv", true, false, true},
    TransformInfo{{kEncr, 31, 0}, "CHACHA20_POLY1305_IIV", "", "chacha20poly1305iiv", true, false, true},

    TransformInfo{{kPrf, 1, 0}, "PRF_HMAC_MD5", "md5", "prfmd5", false, false, false},
    TransformInfo{{kPrf, 2, 0}, "PRF_HMAC_SHA1", "sha1", "prfsha1", true, true, false},
    TransformInfo{{kPrf, 4, 0}, "PRF_AES128_XCBC", "aes_xcbc", "prfaesxcbc", false, false, false},
    TransformInfo{{kPrf, 5, 0}, "PRF_HMAC_SHA2_256", "sha2_256", "prfsha256", true, true, false},
    TransformInfo{{kPrf, 6, 0}, "PRF_HMAC_SHA2_384", "sha2_384", "prfsha384", true, true, false},
    TransformInfo{{kPrf, 7, 0}, "PRF_HMAC_SHA2_512", "sha2_512", "prfsha512", true, true, false},
    TransformInfo{{kPrf, 8, 0}, "PRF_AES128_CMAC", "aes_cmac", "prfaescmac", false, false, false},

    TransformInfo{{kInteg, 1, 0}, "HMAC_MD5_96", "md5", "md5", true, false, true},
    TransformInfo{{kInteg, 2, 0}, "HMAC_SHA1_96", "sha1", "sha1", true, true, true},
    TransformInfo{{kInteg, 5, 0}, "AES_XCBC_96", "aes_xcbc", "aesxcbc", true, false, true},
    TransformInfo{{kInteg, 8, 0}, "AES_CMAC_96", "aes_cmac", "aescmac", true, false, true},
    // RFC 4543 section 4, for AH only; written as the ciphers that they are for ESP (section 3).
    TransformInfo{{kInteg, 9, 0}, "AES_128_GMAC", "", "", true, false, true},
    TransformInfo{{kInteg, 10, 0}, "AES_192_GMAC", "", "", true, false, true},
    TransformInfo{{kInteg, 11, 0}, "AES_256_GMAC", "", "", true, false, true},
    TransformInfo{{kInteg, 12, 0}, "HMAC_SHA2_256_128", "sha2_256", "sha256", true, true, true},
    TransformInfo{{kInteg, 13, 0}, "HMAC_SHA2_384_192", "sha2_384", "sha384", true, true, true},
    TransformInfo{{kInteg, 14, 0}, "HMAC_SHA2_512_256", "sha2_512", "sha512", true, true, true},
    TransformInfo{{kInteg, 1025, 0}, "HMAC_SHA2_256_96", "", "sha256_96", false, false, false},

    TransformInfo{{kKe, 1, 0}, "MODP_768", "dh1", "modp768", false, false, false},
    TransformInfo{{kKe, 2, 0}, "MODP_1024", "dh2", "modp1024", true, true, true},
    TransformInfo{{kKe, 5, 0}, "MODP_1536", "dh5", "modp1536", true, true, true},
    TransformInfo{{kKe, 14, 0}, "MODP_2048", "dh14", "modp2048", true, true, true},
    TransformInfo{{kKe, 15, 0}, "MODP_3072", "dh15", "modp3072", true, true, true},
    TransformInfo{{kKe, 16, 0}, "MODP_4096", "dh16", "modp4096", true, true, true},
    TransformInfo{{kKe, 17, 0}, "MODP_6144", "dh17", "modp6144", false, false, false},
    TransformInfo{{kKe, 18, 0}, "MODP_8192", "dh18", "modp8192", false, false, false},
    TransformInfo{{kKe, 19, 0}, "ECP_256", "dh19", "ecp256", true, true, true},
    TransformInfo{{kKe, 20, 0}, "ECP_384", "dh20", "ecp384", true, true, true},
    TransformInfo{{kKe, 21, 0}, "ECP_521", "dh21", "ecp521", true, true, true},
    TransformInfo{{kKe, 22, 0}, "MODP_1024_160", "dh22", "modp1024s160", false, false, false},
    TransformInfo{{kKe, 23, 0}, "MODP_2048_224", "dh23", "modp2048s224", false, false, false},
    TransformInfo{{kKe, 24, 0}, "MODP_2048_256", "dh24", "modp2048s256", false, false, false},
    TransformInfo{{kKe, 28, 0}, "ECP_256_BP", "dh28", "ecp256bp", false, false, false},
    TransformInfo{{kKe, 29, 0}, "ECP_384_BP", "dh29", "ecp384bp", false, false, false},
    TransformInfo{{kKe, 30, 0}, "ECP_512_BP", "dh30", "ecp512bp", false, false, false},
    TransformInfo{{kKe, 31, 0}, "CURVE_25519", "dh31", "x25519", true, true, true},
    TransformInfo{{kKe, 32, 0}, "CURVE_448", "dh32", "x448", false, false, false},
    TransformInfo{{kKe, 35, 0}, "ML_KEM_512", "", "mlkem512", false, false, false},
    TransformInfo{{kKe, 36, 0}, "ML_KEM_768", "", "mlkem768", false, false, false},
    TransformInfo{{kKe, 37, 0}, "ML_KEM_1024", "", "mlkem1024", false, false, false},

    TransformInfo{{kEsn, 0, 0}, "NO_EXT_SEQ", "", "noesn", true, false, true},
    TransformInfo{{kEsn, 1, 0}, "EXT_SEQ", "", "esn", true, false, true},
};

}  // namespace

std::span<const TransformInfo> all_transforms() { return kTransforms; }

const TransformInfo* find_transform(const Transform& transform) {
  const auto* row = std::find_if(kTransforms.begin(), kTransforms.end(),
                                 [&](const TransformInfo& info) { return info.transform == transform; });
  return row == kTransforms.end() ? nullptr : row;
}

std::string_view to_string(TransformType type) {
  switch (type) {
    case TransformType::kEncryption: return "ENCR";
    case TransformType::kPrf: return "PRF";
    case TransformType::kIntegrity: return "INTEG";
    case TransformType::kKeyExchange: return "KE";
    case TransformType::kEsn: return "ESN";
  }
  return "TYPE";
}

std::string to_string(const Transform& transform) {
  if (const auto* row = find_transform(transform)) return std::string(row->iana_name);
  if (transform.id == 0 && transform.type == TransformType::kIntegrity) return "NO_INTEGRITY";
  if (transform.id == 0 && transform.type == TransformType::kKeyExchange) return "NO_KE";
  std::string text = "UNKNOWN_" + std::string(to_string(transform.type)) + "_" + std::to_string(transform.id);
  if (transform.key_bits != 0) text += "_" + std::to_string(transform.key_bits);
  return text;
}

namespace {

struct CipherShape {
  EncryptionId id;
  std::uint8_t salt_octets;  // keying material behind the key
  std::uint8_t iv_octets;    // sent with each packet
  std::uint8_t icv_octets;   // 0: needs an integrity algorithm beside it
  std::uint8_t block_octets;
};
constexpr std::array kCipherShapes{
    CipherShape{EncryptionId::kNull, 0, 0, 0, 4},
    CipherShape{EncryptionId::k3DesCbc, 0, 8, 0, 8},        // RFC 2451 section 2.4
    CipherShape{EncryptionId::kAesCbc, 0, 16, 0, 16},       // RFC 3602 section 3
    CipherShape{EncryptionId::kCamelliaCbc, 0, 16, 0, 16},  // RFC 4312 section 2.3
    CipherShape{EncryptionId::kAesCtr, 4, 8, 0, 4},         // RFC 3686 sections 3.1 and 5.1
    CipherShape{EncryptionId::kAesCcm8, 3, 8, 8, 4},        // RFC 4309 sections 3 and 7.1
    CipherShape{EncryptionId::kAesCcm12, 3, 8, 12, 4},
    CipherShape{EncryptionId::kAesCcm16, 3, 8, 16, 4},
    CipherShape{EncryptionId::kAesGcm8, 4, 8, 8, 4},  // RFC 4106 sections 3.1, 6 and 8.1
    CipherShape{EncryptionId::kAesGcm12, 4, 8, 12, 4},
    CipherShape{EncryptionId::kAesGcm16, 4, 8, 16, 4},
    CipherShape{EncryptionId::kNullAesGmac, 4, 8, 16, 4},       // RFC 4543 sections 3.1 and 3.5
    CipherShape{EncryptionId::kChaCha20Poly1305, 4, 8, 16, 4},  // RFC 7634 section 2
    CipherShape{EncryptionId::kAesCcm8ImplicitIv, 3, 0, 8, 4},  // RFC 8750 section 3
    CipherShape{EncryptionId::kAesGcm16ImplicitIv, 4, 0, 16, 4},
    CipherShape{EncryptionId::kChaCha20Poly1305ImplicitIv, 4, 0, 16, 4},
};

constexpr CipherShape shape_of(EncryptionId id) {
  for (const auto& shape : kCipherShapes) {
    if (shape.id == id) return shape;
  }
  return {id, 0, 0, 0, 4};
}

}  // namespace

bool is_aead(EncryptionId id) { return shape_of(id).icv_octets != 0; }

std::size_t key_octets(EncryptionId id, std::uint16_t key_bits) {
  switch (id) {
    case EncryptionId::kNone:
    case EncryptionId::kNull: return 0;
    case EncryptionId::k3DesCbc: return 24;
    case EncryptionId::kChaCha20Poly1305:
    case EncryptionId::kChaCha20Poly1305ImplicitIv: return 32;
    default: return key_bits / 8U;
  }
}

std::size_t salt_octets(EncryptionId id) { return shape_of(id).salt_octets; }

std::size_t key_octets(IntegrityId id) {
  switch (id) {
    case IntegrityId::kHmacMd5_96:
    case IntegrityId::kAesXcbc96:
    case IntegrityId::kAesCmac96: return 16;
    case IntegrityId::kHmacSha1_96: return 20;
    case IntegrityId::kHmacSha2_256_96:
    case IntegrityId::kHmacSha2_256_128: return 32;
    case IntegrityId::kHmacSha2_384_192: return 48;
    case IntegrityId::kHmacSha2_512_256: return 64;
    // RFC 4543 section 5.4: "the remaining four octets are used as the salt value in the nonce".
    case IntegrityId::kAes128Gmac: return 16 + 4;
    case IntegrityId::kAes192Gmac: return 24 + 4;
    case IntegrityId::kAes256Gmac: return 32 + 4;
    case IntegrityId::kNone: return 0;
  }
  return 0;
}

// RFC 2403, 2404, 3566, 4494: the first 96 bits; RFC 4868 section 2.6: half of the hash.
std::size_t icv_octets(IntegrityId id) {
  switch (id) {
    case IntegrityId::kHmacSha2_256_128:
    case IntegrityId::kHmacSha2_384_192:
    case IntegrityId::kHmacSha2_512_256: return key_octets(id) / 2;
    case IntegrityId::kAes128Gmac:
    case IntegrityId::kAes192Gmac:
    case IntegrityId::kAes256Gmac: return 16;
    case IntegrityId::kNone: return 0;
    default: return 12;
  }
}

std::size_t iv_octets(IntegrityId id) {
  switch (id) {
    case IntegrityId::kAes128Gmac:
    case IntegrityId::kAes192Gmac:
    case IntegrityId::kAes256Gmac: return 8;
    default: return 0;
  }
}

std::size_t key_octets(PrfId id) {
  if (id == legacy::kPrfHmacSha1) return 20;
  switch (id) {
    case PrfId::kHmacSha2_256: return 32;
    case PrfId::kHmacSha2_384: return 48;
    case PrfId::kHmacSha2_512: return 64;
    case PrfId::kNone: return 0;
  }
  return 0;
}

std::size_t icv_octets(EncryptionId id) { return shape_of(id).icv_octets; }

std::size_t iv_octets(EncryptionId id) { return shape_of(id).iv_octets; }

std::size_t block_octets(EncryptionId id) { return shape_of(id).block_octets; }

}  // namespace cygnet::model
