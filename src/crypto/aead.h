// SPDX-License-Identifier: Apache-2.0
#pragma once

// Authenticated encryption with associated data as RFC 5116 section 2 has it: AES-GCM and ChaCha20-Poly1305, one
// message a call. The nonce has 12 octets and must never repeat under a key; the tag has 16.
#include "base/bytes.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::crypto {

inline constexpr std::size_t kAeadNonceOctets = 12;
inline constexpr std::size_t kAeadTagOctets = 16;

// Ciphertext followed by the tag. Errors: unknown algorithm, wrong key or nonce size, more than 2^31-1 octets.
[[nodiscard]] Result<Bytes> aead_seal(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad,
                                      ByteView plaintext);
// The plaintext of ciphertext | tag; an error if it does not verify.
[[nodiscard]] Result<SecretBytes> aead_open(model::EncryptionId id, ByteView key, ByteView nonce, ByteView aad,
                                            ByteView sealed);

}  // namespace cygnet::crypto
