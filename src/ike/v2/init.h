// SPDX-License-Identifier: Apache-2.0
#pragma once

// Steps of IKE_SA_INIT that more than one way through it takes.
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// SKEYSEED and the seven keys (RFC 7296 section 2.14), taken into use.
[[nodiscard]] Result<void> use_shared_secret(IkeSa& sa, ByteView secret);
// The responder's answer; it asks for the puzzle in the handshake, if there is one (RFC 8019 section 7.2.1).
void answer_init(World& world, IkeSa& sa, const Bytes& public_value);

}  // namespace cygnet::ike::v2
