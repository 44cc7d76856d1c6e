// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/nonce_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                            Nonce Data                         ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<NoncePayload> parse_nonce(ByteView body) {
  // RFC 7296 section 3.9: "The size of the Nonce Data MUST be between 16 and 256 octets, inclusive."
  if (body.size() < kMinNonceOctets || body.size() > kMaxNonceOctets) {
    return malformed(static_cast<std::uint8_t>(PayloadType::kNonce),
                     "a nonce of " + std::to_string(body.size()) + " octets (16 to 256 are allowed)");
  }
  return NoncePayload{Bytes(body.begin(), body.end())};
}

void serialize(const NoncePayload& payload, ByteWriter& out) { out.bytes(payload.data); }

}  // namespace cygnet::wire::ike
