// SPDX-License-Identifier: Apache-2.0
#pragma once

// Rows of Wireshark's "ESP SAs" (file esp_sa) and "IKEv2 Decryption Table" (file ikev2_decryption_table).
// These hold keys: call only when config setup says allow-key-export=yes, and never log the result.
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/strong.h"
#include "model/proposal.h"
#include "model/sa_spec.h"

namespace cygnet::control {

// Ten columns, as Wireshark 4.2 and later want them; earlier ones leave the last two out with a warning. The high half
// of an extended sequence number is given as 0. Nothing for algorithms Wireshark does not know for ESP
// (ChaCha20-Poly1305).
[[nodiscard]] std::optional<std::string> wireshark_esp_sa(const model::SaSpec& sa);

struct IkeKeys {
  IkeSpi spi_i, spi_r;
  ByteView sk_ei, sk_er, sk_ai, sk_ar;  // sk_e*: key octets followed by salt octets
  model::ChosenIke algorithms;
};
[[nodiscard]] std::optional<std::string> wireshark_ikev2(const IkeKeys& keys);

}  // namespace cygnet::control
