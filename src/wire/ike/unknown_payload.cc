// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/unknown_payload.h"

namespace cygnet::wire::ike {

void serialize(const UnknownPayload& payload, ByteWriter& out) { out.bytes(payload.body); }

}  // namespace cygnet::wire::ike
