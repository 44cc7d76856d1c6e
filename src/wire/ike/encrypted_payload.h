// SPDX-License-Identifier: Apache-2.0
#pragma once

// Encrypted payload, SK (RFC 7296 section 3.14), and Encrypted Fragment payload, SKF (RFC 7383 section 2.5).
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"
#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

struct EncryptedPayload {
  PayloadType first_inner = PayloadType::kNone;
  Bytes body;                     // IV || ciphertext || ICV
  std::size_t header_octets = 0;  // of the message in front of body: authenticated with it
  bool operator==(const EncryptedPayload&) const = default;
};

struct EncryptedFragmentPayload {
  PayloadType first_inner = PayloadType::kNone;  // in the fragment with number 1 alone
  std::uint16_t fragment_number = 0;             // from 1
  std::uint16_t total_fragments = 0;
  Bytes body;                     // IV || ciphertext || ICV
  std::size_t header_octets = 0;  // of the message in front of body: authenticated with it
  bool operator==(const EncryptedFragmentPayload&) const = default;
};

// `next` is the Next Payload field of the payload's own header: "the type of the first embedded payload".
[[nodiscard]] ParseResult<EncryptedPayload> parse_encrypted(PayloadType next, ByteView body, std::size_t header_octets);
[[nodiscard]] ParseResult<EncryptedFragmentPayload> parse_encrypted_fragment(PayloadType next, ByteView body,
                                                                             std::size_t header_octets);
void serialize(const EncryptedPayload& payload, ByteWriter& out);
void serialize(const EncryptedFragmentPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
