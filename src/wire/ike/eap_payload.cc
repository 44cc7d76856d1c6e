// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/eap_payload.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       EAP Message                             ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<EapPayload> parse_eap(ByteView body) { return EapPayload{Bytes(body.begin(), body.end())}; }

void serialize(const EapPayload& payload, ByteWriter& out) { out.bytes(payload.message); }

}  // namespace cygnet::wire::ike
