// SPDX-License-Identifier: Apache-2.0
#pragma once

// PF_KEY's algorithm numbers and the transforms they stand for.
#include <optional>

#include "sadb/pfkey/engine_port.h"
#include "sadb/pfkey/error.h"
#include "wire/pfkey/message.h"

namespace cygnet::sadb {

struct PfkeyTransforms {
  model::EncryptionId encryption{};
  std::uint16_t encryption_bits = 0;  // without the salt
  model::IntegrityId integrity{};
};

// What an SA extension and keys of these sizes (bits, salt included) ask for, checked against each other.
[[nodiscard]] PfkeyResult<PfkeyTransforms> transforms_of(const wire::pfkey::SaExtension& sa, std::size_t encrypt_bits,
                                                         std::size_t auth_bits);

[[nodiscard]] PfkeyResult<model::IntegrityId> integrity_of_ah(const wire::pfkey::SaExtension& sa,
                                                              std::size_t encrypt_bits, std::size_t auth_bits);

// What this engine can do, tried one by one.
struct PfkeySupported {
  wire::pfkey::SupportedExtension auth, encrypt;
};
[[nodiscard]] PfkeySupported supported_by(const PfkeyEngine& engine);
// What an ACQUIRE proposes of it, best first.
[[nodiscard]] wire::pfkey::ProposalExtension proposal_of(const PfkeySupported& supported, wire::pfkey::SaType type);

}  // namespace cygnet::sadb
