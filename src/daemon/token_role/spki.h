// SPDX-License-Identifier: Apache-2.0
#pragma once

// SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) of what a token tells of its keys (PKCS#11 attributes).
#include "base/bytes.h"

namespace cygnet::daemon {

// CKA_MODULUS and CKA_PUBLIC_EXPONENT: unsigned, the most significant octet first (RFC 3279 section 2.3.1).
[[nodiscard]] Bytes rsa_public_key_info(ByteView modulus, ByteView exponent);
// CKA_EC_PARAMS, the DER of the curve, and CKA_EC_POINT: the point in a DER OCTET STRING, or, from tokens that read the
// standard otherwise, the bare point (RFC 5480 section 2). Empty: neither.
[[nodiscard]] Bytes ec_public_key_info(ByteView parameters, ByteView point);

}  // namespace cygnet::daemon
