// SPDX-License-Identifier: Apache-2.0
// The names of algorithms are those of Wireshark's preferences: packet-ipsec and packet-isakmp know no others.
#include "control/wireshark.h"

#include <cstdio>

namespace cygnet::control {
namespace {

using model::EncryptionId;
using model::IntegrityId;

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string key_text(ByteView key) { return key.empty() ? quoted("") : quoted("0x" + to_hex(key)); }

std::string spi_text(Spi spi) {
  char text[16];
  (void)std::snprintf(text, sizeof text, "0x%08x", spi.value);
  return text;
}

std::string ike_spi_text(IkeSpi spi) {
  char text[20];
  (void)std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(spi.value));
  return text;
}

std::optional<std::string_view> esp_encryption(EncryptionId id) {
  switch (id) {
    case EncryptionId::kAesGcm8: return "AES-GCM with 8 octet ICV [RFC4106]";
    case EncryptionId::kAesGcm12: return "AES-GCM with 12 octet ICV [RFC4106]";
    case EncryptionId::kAesGcm16: return "AES-GCM with 16 octet ICV [RFC4106]";
    case EncryptionId::kAesCbc: return "AES-CBC [RFC3602]";
    case EncryptionId::kAesCtr: return "AES-CTR [RFC3686]";
    case EncryptionId::k3DesCbc: return "TripleDES-CBC [RFC2451]";
    case EncryptionId::kNull: return "NULL";
    default: return std::nullopt;
  }
}

std::string_view esp_integrity(IntegrityId id) {
  switch (id) {
    case IntegrityId::kHmacMd5_96: return "HMAC-MD5-96 [RFC2403]";
    case IntegrityId::kHmacSha1_96: return "HMAC-SHA-1-96 [RFC2404]";
    case IntegrityId::kHmacSha2_256_96: return "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]";
    case IntegrityId::kAesXcbc96:
    case IntegrityId::kAesCmac96: return "ANY 96 bit authentication [no checking]";
    case IntegrityId::kHmacSha2_256_128: return "HMAC-SHA-256-128 [RFC4868]";
    case IntegrityId::kHmacSha2_384_192: return "HMAC-SHA-384-192 [RFC4868]";
    case IntegrityId::kHmacSha2_512_256: return "HMAC-SHA-512-256 [RFC4868]";
    case IntegrityId::kAes128Gmac:
    case IntegrityId::kAes192Gmac:
    case IntegrityId::kAes256Gmac: return "ANY 128 bit authentication [no checking]";
    case IntegrityId::kNone: return "NULL";
  }
  return "NULL";
}

std::optional<std::string> ike_encryption(EncryptionId id, std::uint16_t bits) {
  switch (id) {
    case EncryptionId::kAesGcm16: return "AES-GCM-" + std::to_string(bits) + " with 16 octet ICV [RFC5282]";
    case EncryptionId::kAesCbc: return "AES-CBC-" + std::to_string(bits) + " [RFC3602]";
    default: return std::nullopt;
  }
}

std::string_view ike_integrity(IntegrityId id) {
  switch (id) {
    case IntegrityId::kHmacSha1_96: return "HMAC_SHA1_96 [RFC2404]";
    case IntegrityId::kHmacSha2_256_128: return "HMAC_SHA2_256_128 [RFC4868]";
    case IntegrityId::kHmacSha2_384_192: return "HMAC_SHA2_384_192 [RFC4868]";
    case IntegrityId::kHmacSha2_512_256: return "HMAC_SHA2_512_256 [RFC4868]";
    default: return "NONE [RFC4306]";  // nothing else protects IKE here
  }
}

}  // namespace

std::optional<std::string> wireshark_esp_sa(const model::SaSpec& sa) {
  const auto encryption = esp_encryption(sa.encryption);
  if (!encryption) return std::nullopt;
  const bool inbound = sa.direction == model::Direction::kInbound;
  const auto& source = inbound ? sa.remote.address : sa.local.address;
  const auto& destination = inbound ? sa.local.address : sa.remote.address;
  const auto family = source.is_v4() ? "IPv4" : "IPv6";
  return quoted(family) + ',' + quoted(source.to_string()) + ',' + quoted(destination.to_string()) + ',' +
         quoted(spi_text(sa.spi)) + ',' + quoted(*encryption) + ',' + key_text(sa.encryption_key) + ',' +
         quoted(esp_integrity(sa.integrity)) + ',' + key_text(sa.integrity_key) + ',' +
         (sa.esn ? "\"64-bit\",\"0x00000000\"" : "\"32-bit\",\"\"");
}

std::optional<std::string> wireshark_ikev2(const IkeKeys& keys) {
  const auto encryption = ike_encryption(keys.algorithms.encryption, keys.algorithms.encryption_bits);
  if (!encryption) return std::nullopt;
  return ike_spi_text(keys.spi_i) + ',' + ike_spi_text(keys.spi_r) + ',' + to_hex(keys.sk_ei) + ',' +
         to_hex(keys.sk_er) + ',' + quoted(*encryption) + ',' + (keys.sk_ai.empty() ? quoted("") : to_hex(keys.sk_ai)) +
         ',' + (keys.sk_ar.empty() ? quoted("") : to_hex(keys.sk_ar)) + ',' +
         quoted(ike_integrity(keys.algorithms.integrity));
}

}  // namespace cygnet::control
