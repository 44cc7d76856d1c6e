// SPDX-License-Identifier: Apache-2.0
#pragma once

// The algorithms of IKEv2 and ESP, by their IANA numbers (RFC 7296 section 3.3.2), and their names in both dialects.
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cygnet::model {

// RFC 7296 section 3.3.2, Transform Type.
enum class TransformType : std::uint8_t { kEncryption = 1, kPrf = 2, kIntegrity = 3, kKeyExchange = 4, kEsn = 5 };

// IANA "Transform Type 1". Those that can be negotiated here carry a row in the table of transform.cc; the others are
// known by name so that a peer's offer can be shown.
enum class EncryptionId : std::uint16_t {
  kNone = 0,
  k3DesCbc = 3,
  kNull = 11,
  kAesCbc = 12,
  kAesCtr = 13,
  kAesCcm8 = 14,
  kAesCcm12 = 15,
  kAesCcm16 = 16,
  kAesGcm8 = 18,
  kAesGcm12 = 19,
  kAesGcm16 = 20,
  kNullAesGmac = 21,
  kCamelliaCbc = 23,
  kChaCha20Poly1305 = 28,
  // RFC 8750: the sequence number serves as the IV, which is not sent.
  kAesCcm8ImplicitIv = 29,
  kAesGcm16ImplicitIv = 30,
  kChaCha20Poly1305ImplicitIv = 31
};
// "Transform Type 2".
enum class PrfId : std::uint16_t { kNone = 0, kHmacSha2_256 = 5, kHmacSha2_384 = 6, kHmacSha2_512 = 7 };
// "Transform Type 3".
enum class IntegrityId : std::uint16_t {
  kNone = 0,
  kHmacMd5_96 = 1,
  kHmacSha1_96 = 2,
  kAesXcbc96 = 5,
  kAesCmac96 = 8,
  // RFC 4543 section 4: for AH. The key is followed by four octets of salt.
  kAes128Gmac = 9,
  kAes192Gmac = 10,
  kAes256Gmac = 11,
  kHmacSha2_256_128 = 12,
  kHmacSha2_384_192 = 13,
  kHmacSha2_512_256 = 14,
  // HMAC-SHA2-256 cut to 96 bits, as a draft of RFC 4868 had it and Linux's PF_KEY still does. From the range for
  // private use: never negotiated.
  kHmacSha2_256_96 = 1025
};
// "Transform Type 4".
enum class KeGroup : std::uint16_t {
  kNone = 0,
  kModp2048 = 14,
  kModp3072 = 15,
  kModp4096 = 16,
  kEcp256 = 19,
  kEcp384 = 20,
  kEcp521 = 21,
  kX25519 = 31
};
// "Transform Type 5".
enum class EsnChoice : std::uint16_t { kNo = 0, kYes = 1 };

// One transform as it stands in a proposal. key_bits is the Key Length attribute, 0 where there is none.
struct Transform {
  TransformType type = TransformType::kEncryption;
  std::uint16_t id = 0;
  std::uint16_t key_bits = 0;
  auto operator<=>(const Transform&) const = default;
};

// What a name in a configuration or a number on the wire stands for.
struct TransformInfo {
  Transform transform;
  std::string_view iana_name;   // ENCR_AES_GCM_16
  std::string_view libreswan;   // aes_gcm256 (with the key length where the dialect writes it so), empty: none
  std::string_view strongswan;  // aes256gcm16
  bool supported = false;       // can be negotiated
  bool for_ike = false;
  bool for_esp = false;
};

[[nodiscard]] std::span<const TransformInfo> all_transforms();
[[nodiscard]] const TransformInfo* find_transform(const Transform& transform);
// "AES_GCM_16_256", "HMAC_SHA2_256_128", "CURVE25519", "UNKNOWN_ENCR_42".
[[nodiscard]] std::string to_string(const Transform& transform);
[[nodiscard]] std::string_view to_string(TransformType type);

[[nodiscard]] bool is_aead(EncryptionId id);
// RFC 5282 section 8, RFC 7634 section 3: encryption key octets without salt.
[[nodiscard]] std::size_t key_octets(EncryptionId id, std::uint16_t key_bits);
// Salt octets taken from the keying material behind the key: 4 for the AEADs (RFC 4106 section 8.1, RFC 7634 section
// 2), else 0.
[[nodiscard]] std::size_t salt_octets(EncryptionId id);
[[nodiscard]] std::size_t key_octets(IntegrityId id);  // RFC 4868 section 2.1.1: the size of the hash output
[[nodiscard]] std::size_t icv_octets(IntegrityId id);
// What stands in front of the check value in AH: 8 for AES-GMAC (RFC 4543 section 3.1), else 0.
[[nodiscard]] std::size_t iv_octets(IntegrityId id);
[[nodiscard]] std::size_t key_octets(PrfId id);         // preferred key size = output size
[[nodiscard]] std::size_t icv_octets(EncryptionId id);  // 16 for AEADs, else 0
[[nodiscard]] std::size_t iv_octets(EncryptionId id);   // on the wire: 8 for AEADs, 16 for AES-CBC, 0 for NULL
[[nodiscard]] std::size_t block_octets(EncryptionId id);

}  // namespace cygnet::model
