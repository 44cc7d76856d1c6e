// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every algorithm that the engine can negotiate for ESP, by the name that cases carry.
#include <string>
#include <vector>

#include "crypto/esp_cipher.h"
#include "model/sa_spec.h"

namespace cygnet::bench {

struct Algorithm {
  std::string name;  // "aes128gcm16", "aes128-sha256"
  model::EncryptionId encryption{};
  std::uint16_t bits = 0;
  model::IntegrityId integrity{};

  // Fills algorithms and keys (all SAs have the same: their state is their own nevertheless).
  void apply(model::SaSpec& spec) const;
  [[nodiscard]] std::unique_ptr<crypto::EspCipher> create() const;
};

// All, AES-128-GCM-16 first.
[[nodiscard]] const std::vector<Algorithm>& algorithms();

// Octets of an ESP packet around an inner packet of this size, in tunnel mode.
[[nodiscard]] std::size_t esp_size(const crypto::EspCipher& cipher, std::size_t inner_octets);
// CPU seconds that the cipher alone takes to seal (or open) the ESP packet around an inner one of this size: bursts of
// 32 packets, one key, all in the nearest cache; the best of five measurements, made once in a run.
[[nodiscard]] double cipher_seconds(const Algorithm& algorithm, std::size_t inner_octets, model::Direction direction);

}  // namespace cygnet::bench
