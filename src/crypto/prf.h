// SPDX-License-Identifier: Apache-2.0
#pragma once

// Pseudorandom functions of IKEv2 and the functions built on them (RFC 7296 sections 2.13 to 2.18, RFC 4868).
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::crypto {

// prf(key, data). Data comes in pieces so that callers need not concatenate secrets.
[[nodiscard]] SecretBytes prf(model::PrfId id, ByteView key, std::span<const ByteView> data);
// prf+ (K,S), RFC 7296 section 2.13; length at most 255 times the prf's output.
[[nodiscard]] Result<SecretBytes> prf_plus(model::PrfId id, ByteView key, ByteView seed, std::size_t length);
// Plain hash for NAT detection (SHA-1, RFC 7296 section 2.23) and others.
[[nodiscard]] Bytes sha1(std::span<const ByteView> data);
[[nodiscard]] Bytes sha256(std::span<const ByteView> data);

}  // namespace cygnet::crypto
