// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the ESP cipher tests share: every algorithm, in either provider, with and without ESN.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "crypto/esp_cipher.h"
#include "model/legacy.h"

namespace cygnet::crypto::test {

struct Algorithm {
  const char* name;
  model::EncryptionId encryption;
  std::uint16_t bits;
  model::IntegrityId integrity;
};

inline const std::vector<Algorithm>& algorithms() {
  using E = model::EncryptionId;
  using I = model::IntegrityId;
  static const std::vector<Algorithm> kAlgorithms = {
      {"AesGcm128", E::kAesGcm16, 128, I::kNone},
      {"AesGcm192", E::kAesGcm16, 192, I::kNone},
      {"AesGcm256", E::kAesGcm16, 256, I::kNone},
      {"ChaCha20Poly1305", E::kChaCha20Poly1305, 0, I::kNone},
      {"AesCbc128Sha256", E::kAesCbc, 128, I::kHmacSha2_256_128},
      {"AesCbc192Sha384", E::kAesCbc, 192, I::kHmacSha2_384_192},
      {"AesCbc256Sha384", E::kAesCbc, 256, I::kHmacSha2_384_192},
      {"AesCbc256Sha512", E::kAesCbc, 256, I::kHmacSha2_512_256},
      {"AesCbc256Sha1", E::kAesCbc, 256, model::legacy::kHmacSha1_96},
      {"AesCbc128Sha256Cut96", E::kAesCbc, 128, model::legacy::kHmacSha2_256_96},
      {"NullSha256", E::kNull, 0, I::kHmacSha2_256_128},
      {"NullSha384", E::kNull, 0, I::kHmacSha2_384_192},
      {"NullSha512", E::kNull, 0, I::kHmacSha2_512_256},
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
