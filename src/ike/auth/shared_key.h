// SPDX-License-Identifier: Apache-2.0
#pragma once

// AUTH with a shared key (RFC 7296 section 2.15): "AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"),
// <InitiatorSignedOctets>)".
#include "base/bytes.h"
#include "model/transform.h"

namespace cygnet::ike::auth {

[[nodiscard]] SecretBytes shared_key_auth(model::PrfId prf, ByteView secret, ByteView signed_octets);

}  // namespace cygnet::ike::auth
