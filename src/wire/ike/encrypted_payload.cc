// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/encrypted_payload.h"

namespace cygnet::wire::ike {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                     Initialization Vector                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                    Encrypted IKE Payloads                     ~
// +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |               |             Padding (0-255 octets)            |
// +-+-+-+-+-+-+-+-+                               +-+-+-+-+-+-+-+-+
// |                                               |  Pad Length   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                    Integrity Checksum Data                    ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<EncryptedPayload> parse_encrypted(PayloadType next, ByteView body, std::size_t header_octets) {
  if (body.empty()) return malformed(static_cast<std::uint8_t>(PayloadType::kEncrypted), "empty Encrypted payload");
  return EncryptedPayload{next, Bytes(body.begin(), body.end()), header_octets};
}

// RFC 7383 section 2.5:
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |        Fragment Number        |        Total Fragments        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~        Initialization Vector, encrypted content, ICV          ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<EncryptedFragmentPayload> parse_encrypted_fragment(PayloadType next, ByteView body,
                                                               std::size_t header_octets) {
  constexpr auto kType = static_cast<std::uint8_t>(PayloadType::kEncryptedFragment);
  ByteReader in(body);
  EncryptedFragmentPayload payload;
  payload.first_inner = next;
  payload.fragment_number = in.u16();
  payload.total_fragments = in.u16();
  payload.header_octets = header_octets + 4;
  // RFC 7383 section 2.5: numbers start from 1, and the Fragment Number is "less than or equal to Total Fragments".
  if (!in.ok() || payload.fragment_number == 0 || payload.fragment_number > payload.total_fragments) {
    return malformed(kType, "Encrypted Fragment payload with impossible fragment numbers");
  }
  const ByteView rest = in.rest();
  payload.body.assign(rest.begin(), rest.end());
  return payload;
}

void serialize(const EncryptedPayload& payload, ByteWriter& out) { out.bytes(payload.body); }

void serialize(const EncryptedFragmentPayload& payload, ByteWriter& out) {
  out.u16(payload.fragment_number).u16(payload.total_fragments).bytes(payload.body);
}

}  // namespace cygnet::wire::ike
