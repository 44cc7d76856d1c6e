// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the ESP cipher tests share: every algorithm, in either provider, with and without ESN.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "crypto/esp_cipher.h"

namespace cygnet::crypto::test {

struct Algorithm {
  const char* name;
  model::EncryptionId encryption;
  std::uint16_t bits;
  model::IntegrityId integrity;
  // As the RFCs have them, not as the product's tables do.
  std::size_t iv, icv, block;
};

inline const std::vector<Algorithm>& algorithms() {
  using E = model::EncryptionId;
  using I = model::IntegrityId;
  static const std::vector<Algorithm> kAlgorithms = {
      {"AesGcm128", E::kAesGcm16, 128, I::kNone, 8, 16, 4},
      {"AesGcm192", E::kAesGcm16, 192, I::kNone, 8, 16, 4},
      {"AesGcm256", E::kAesGcm16, 256, I::kNone, 8, 16, 4},
      {"ChaCha20Poly1305", E::kChaCha20Poly1305, 0, I::kNone, 8, 16, 4},
      {"AesCbc128Sha256", E::kAesCbc, 128, I::kHmacSha2_256_128, 16, 16, 16},
      {"AesCbc192Sha384", E::kAesCbc, 192, I::kHmacSha2_384_192, 16, 24, 16},
      {"AesCbc256Sha384", E::kAesCbc, 256, I::kHmacSha2_384_192, 16, 24, 16},
      {"AesCbc256Sha512", E::kAesCbc, 256, I::kHmacSha2_512_256, 16, 32, 16},
      {"AesCbc256Sha1", E::kAesCbc, 256, I::kHmacSha1_96, 16, 12, 16},
      {"AesCbc128Sha256In96", E::kAesCbc, 128, I::kHmacSha2_256_96, 16, 12, 16},
      {"AesCbc128Xcbc", E::kAesCbc, 128, I::kAesXcbc96, 16, 12, 16},
      {"AesCtr128Sha256", E::kAesCtr, 128, I::kHmacSha2_256_128, 8, 16, 4},
      {"AesCtr192Cmac", E::kAesCtr, 192, I::kAesCmac96, 8, 12, 4},
      {"AesCtr256Sha1", E::kAesCtr, 256, I::kHmacSha1_96, 8, 12, 4},
      {"AesCcm8of128", E::kAesCcm8, 128, I::kNone, 8, 8, 4},
      {"AesCcm12of192", E::kAesCcm12, 192, I::kNone, 8, 12, 4},
      {"AesCcm16of256", E::kAesCcm16, 256, I::kNone, 8, 16, 4},
      {"AesGcm8of128", E::kAesGcm8, 128, I::kNone, 8, 8, 4},
      {"AesGcm12of256", E::kAesGcm12, 256, I::kNone, 8, 12, 4},
      {"AesGmac128", E::kNullAesGmac, 128, I::kNone, 8, 16, 4},
      {"AesGmac256", E::kNullAesGmac, 256, I::kNone, 8, 16, 4},
      {"AesGcmImplicitIv", E::kAesGcm16ImplicitIv, 256, I::kNone, 0, 16, 4},
      {"AesCcmImplicitIv", E::kAesCcm8ImplicitIv, 128, I::kNone, 0, 8, 4},
      {"ChaCha20Poly1305ImplicitIv", E::kChaCha20Poly1305ImplicitIv, 0, I::kNone, 0, 16, 4},
      {"TripleDesMd5", E::k3DesCbc, 0, I::kHmacMd5_96, 8, 12, 8},
      {"Camellia128Sha256", E::kCamelliaCbc, 128, I::kHmacSha2_256_128, 16, 16, 16},
      {"Camellia256Sha512", E::kCamelliaCbc, 256, I::kHmacSha2_512_256, 16, 32, 16},
      {"NullXcbc", E::kNull, 0, I::kAesXcbc96, 0, 12, 4},
      {"NullCmac", E::kNull, 0, I::kAesCmac96, 0, 12, 4},
      {"NullMd5", E::kNull, 0, I::kHmacMd5_96, 0, 12, 4},
      {"NullSha256", E::kNull, 0, I::kHmacSha2_256_128, 0, 16, 4},
      {"NullSha384", E::kNull, 0, I::kHmacSha2_384_192, 0, 24, 4},
      {"NullSha512", E::kNull, 0, I::kHmacSha2_512_256, 0, 32, 4},
  };
  return kAlgorithms;
}

inline SecretBytes pattern(std::size_t octets, std::uint8_t first) {
  SecretBytes out(octets);
  for (std::size_t i = 0; i < octets; ++i) out[i] = static_cast<std::uint8_t>(first + i * 7);
  return out;
}

inline model::SaSpec spec_of(const Algorithm& algorithm, bool esn) {
  model::SaSpec spec;
  spec.encryption = algorithm.encryption;
  spec.encryption_bits = algorithm.bits;
  spec.integrity = algorithm.integrity;
  spec.encryption_key =
      pattern(model::key_octets(algorithm.encryption, algorithm.bits) + model::salt_octets(algorithm.encryption), 3);
  spec.integrity_key = pattern(model::key_octets(algorithm.integrity), 101);
  spec.esn = esn;
  return spec;
}

inline std::unique_ptr<EspCipher> make(const model::SaSpec& spec, EspProvider provider) {
  auto cipher = create_esp_cipher(spec, provider);
  EXPECT_TRUE(cipher.has_value()) << (cipher ? "" : cipher.error().message);
  return cipher ? std::move(*cipher) : nullptr;
}

inline constexpr std::uint32_t kSpi = 0xc0ffee01;
inline constexpr std::size_t kGuard = 8;
inline constexpr std::uint8_t kGuardValue = 0xa5;

// A packet with guard octets behind it, so that writing too far shows.
struct Packet {
  Bytes buffer;
  EspJob job;

  Packet(const EspCipher& cipher, ByteView payload, std::uint64_t sequence)
      : buffer(8 + cipher.iv_octets() + payload.size() + cipher.icv_octets() + kGuard, kGuardValue) {
    store_be32(buffer.data(), kSpi);
    store_be32(buffer.data() + 4, static_cast<std::uint32_t>(sequence));
    std::copy(payload.begin(), payload.end(), buffer.begin() + static_cast<std::ptrdiff_t>(8 + cipher.iv_octets()));
    job = {.esp = buffer.data(), .octets = buffer.size() - kGuard, .sequence = sequence};
  }
  Packet(Packet&& other) noexcept : buffer(std::move(other.buffer)), job(other.job) {}
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;

  [[nodiscard]] bool guards_intact() const {
    for (std::size_t i = buffer.size() - kGuard; i < buffer.size(); ++i) {
      if (buffer[i] != kGuardValue) return false;
    }
    return true;
  }
  [[nodiscard]] Bytes sealed() const { return {buffer.begin(), buffer.end() - static_cast<std::ptrdiff_t>(kGuard)}; }
  [[nodiscard]] Bytes payload(const EspCipher& cipher) const {
    const auto view =
        ByteView(buffer).subspan(8 + cipher.iv_octets(), job.octets - 8 - cipher.iv_octets() - cipher.icv_octets());
    return {view.begin(), view.end()};
  }
};

inline Bytes payload_of(std::size_t octets, std::uint64_t seed) {
  SeededRandom random(seed * 1000 + octets);
  return random.bytes(octets);
}

inline std::vector<EspProvider> providers() {
  std::vector<EspProvider> out{EspProvider::kBest, EspProvider::kOpenSsl};
  if (is_available(EspProvider::kIpsecMb)) out.push_back(EspProvider::kIpsecMb);
  return out;
}

inline std::string name_of(EspProvider provider) {
  if (provider == EspProvider::kOpenSsl) return "OpenSsl";
  return provider == EspProvider::kIpsecMb ? "IpsecMb" : "Best";
}

}  // namespace cygnet::crypto::test
