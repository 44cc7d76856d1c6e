// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/auth_payload.h"

#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

std::string to_string(AuthMethodId method) {
  switch (method) {
    case AuthMethodId::kRsaSignature: return "RSA signature";
    case AuthMethodId::kSharedKey: return "pre-shared key";
    case AuthMethodId::kDssSignature: return "DSS signature";
    case AuthMethodId::kEcdsaP256: return "ECDSA with SHA-256 on P-256";
    case AuthMethodId::kEcdsaP384: return "ECDSA with SHA-384 on P-384";
    case AuthMethodId::kEcdsaP521: return "ECDSA with SHA-512 on P-521";
    case AuthMethodId::kNull: return "NULL authentication";
    case AuthMethodId::kDigitalSignature: return "digital signature";
  }
  return "authentication method " + std::to_string(static_cast<unsigned>(method));
}

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Auth Method   |                RESERVED                       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                      Authentication Data                      ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
ParseResult<AuthPayload> parse_auth(ByteView body) {
  ByteReader in(body);
  AuthPayload payload;
  payload.method = static_cast<AuthMethodId>(in.u8());
  in.skip(3);
  if (!in.ok())
    return malformed(static_cast<std::uint8_t>(PayloadType::kAuth), "AUTH payload is too short for a method");
  const ByteView data = in.rest();
  payload.data.assign(data.begin(), data.end());
  return payload;
}

void serialize(const AuthPayload& payload, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(payload.method)).zeros(3).bytes(payload.data);
}

}  // namespace cygnet::wire::ike
