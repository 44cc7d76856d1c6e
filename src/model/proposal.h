// SPDX-License-Identifier: Apache-2.0
#pragma once

// Proposals: what a peer offers, what we accept, what was chosen (RFC 7296 sections 2.7 and 3.3).
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/transform.h"

namespace cygnet::model {

// RFC 7296 section 3.3.1, Protocol ID.
enum class Protocol : std::uint8_t { kNone = 0, kIke = 1, kAh = 2, kEsp = 3 };

// One proposal: alternatives for each transform type. In a configured proposal their order is our preference.
// An ESP proposal without an ESN transform means "no ESN"; configured ones list kYes and/or kNo explicitly.
struct Proposal {
  Protocol protocol = Protocol::kIke;
  std::vector<Transform> transforms;

  [[nodiscard]] std::vector<Transform> of(TransformType type) const;
  auto operator<=>(const Proposal&) const = default;
};

// The single algorithms agreed on.
struct ChosenIke {
  EncryptionId encryption{};
  std::uint16_t encryption_bits = 0;
  IntegrityId integrity{};  // kNone with an AEAD
  PrfId prf{};
  KeGroup group{};
  bool operator==(const ChosenIke&) const = default;
};
struct ChosenEsp {
  EncryptionId encryption{};
  std::uint16_t encryption_bits = 0;
  IntegrityId integrity{};
  KeGroup group{};  // kNone: no key exchange of its own
  bool esn = false;
  // AH (RFC 4302) has no encryption algorithm, ESP always has one (NULL at least).
  [[nodiscard]] bool is_ah() const { return encryption == EncryptionId::kNone && integrity != IntegrityId::kNone; }
  [[nodiscard]] Protocol protocol() const { return is_ah() ? Protocol::kAh : Protocol::kEsp; }
  bool operator==(const ChosenEsp&) const = default;
};

// "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519".
[[nodiscard]] std::string to_string(const Proposal& proposal);
[[nodiscard]] std::string to_string(const ChosenIke& chosen);
[[nodiscard]] std::string to_string(const ChosenEsp& chosen);
// As one writes it in ipsec.conf (strongSwan's spelling): "aes256gcm16-prfsha256-x25519". What cannot be written is
// left out.
[[nodiscard]] std::string to_config(const Proposal& proposal);

}  // namespace cygnet::model
