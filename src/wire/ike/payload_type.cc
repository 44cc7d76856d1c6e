// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

std::string to_string(PayloadType type) {
  switch (type) {
    case PayloadType::kNone: return "none";
    case PayloadType::kSa: return "SA";
    case PayloadType::kKe: return "KE";
    case PayloadType::kIdi: return "IDi";
    case PayloadType::kIdr: return "IDr";
    case PayloadType::kCert: return "CERT";
    case PayloadType::kCertReq: return "CERTREQ";
    case PayloadType::kAuth: return "AUTH";
    case PayloadType::kNonce: return "No";
    case PayloadType::kNotify: return "N";
    case PayloadType::kDelete: return "D";
    case PayloadType::kVendorId: return "V";
    case PayloadType::kTsi: return "TSi";
    case PayloadType::kTsr: return "TSr";
    case PayloadType::kEncrypted: return "SK";
    case PayloadType::kConfiguration: return "CP";
    case PayloadType::kEap: return "EAP";
    case PayloadType::kEncryptedFragment: return "SKF";
    case PayloadType::kPuzzleSolution: return "PS";
  }
  return "payload " + std::to_string(static_cast<unsigned>(type));
}

ParseResult<PayloadHeader> parse_payload_header(PayloadType type, ByteView bytes) {
  const auto number = static_cast<std::uint8_t>(type);
  if (bytes.size() < kPayloadHeaderOctets) {
    return malformed(number, "the message ends inside the header of a payload (" + to_string(type) + ")");
  }
  PayloadHeader header;
  header.next = static_cast<PayloadType>(bytes[0]);
  // RFC 7296 section 3.2: RESERVED "MUST be sent as zero; MUST be ignored on receipt".
  header.critical = (bytes[1] & 0x80U) != 0;
  header.length = load_be16(bytes.data() + 2);
  if (header.length < kPayloadHeaderOctets || header.length > bytes.size()) {
    return malformed(number, to_string(type) + " payload claims " + std::to_string(header.length) + " octets where " +
                                 std::to_string(bytes.size()) + " are left");
  }
  return header;
}

void serialize_payload_header(const PayloadHeader& header, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(header.next)).u8(header.critical ? 0x80U : 0U).u16(header.length);
}

}  // namespace cygnet::wire::ike
