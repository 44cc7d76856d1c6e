// SPDX-License-Identifier: Apache-2.0
#pragma once

// What signing and verifying share: which scheme fits which key, padding, and the two forms of ECDSA signatures.
#include "base/bytes.h"
#include "crypto/evp.h"
#include "crypto/public_key.h"

namespace cygnet::crypto {

[[nodiscard]] bool scheme_fits(SignatureScheme scheme, KeyKind kind);
// Null for schemes that hash themselves (Ed25519, Ed448).
[[nodiscard]] const EVP_MD* digest_of(SignatureScheme scheme);
// What is signed in the place of the octets: their hash; Ed25519 and Ed448: the octets themselves.
[[nodiscard]] Bytes to_be_signed(SignatureScheme scheme, ByteView octets);
[[nodiscard]] bool is_pss(SignatureScheme scheme);
// PSS: salt as long as the hash, MGF1 with the same hash. True: set, or nothing to set.
[[nodiscard]] bool set_padding(EVP_PKEY_CTX* context, SignatureScheme scheme);

// Octets of r, and of s, in the fixed form (RFC 4754 section 7).
[[nodiscard]] std::size_t ecdsa_half_octets(KeyKind kind);
// r | s -> Ecdsa-Sig-Value and back; empty if it is not of that form.
[[nodiscard]] Bytes ecdsa_to_der(ByteView fixed, std::size_t half_octets);
[[nodiscard]] Bytes ecdsa_to_fixed(ByteView der, std::size_t half_octets);

}  // namespace cygnet::crypto
