// SPDX-License-Identifier: Apache-2.0
#pragma once

// Payload types (RFC 7296 section 3.2) and the generic header in front of every payload.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

enum class PayloadType : std::uint8_t {
  kNone = 0,
  kSa = 33,
  kKe = 34,
  kIdi = 35,
  kIdr = 36,
  kCert = 37,
  kCertReq = 38,
  kAuth = 39,
  kNonce = 40,
  kNotify = 41,
  kDelete = 42,
  kVendorId = 43,
  kTsi = 44,
  kTsr = 45,
  kEncrypted = 46,
  kConfiguration = 47,
  kEap = 48,
  kEncryptedFragment = 53,  // RFC 7383 section 2.5
  kPuzzleSolution = 54      // RFC 8019 section 8.2
};

// "SA", "KE", "IDi", …, "payload 99".
[[nodiscard]] std::string to_string(PayloadType type);

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr std::size_t kPayloadHeaderOctets = 4;

struct PayloadHeader {
  PayloadType next = PayloadType::kNone;
  bool critical = false;
  std::uint16_t length = 0;  // with this header
};

// Reads the header at the front and checks that the whole payload lies within bytes. `type` is for the error message.
[[nodiscard]] ParseResult<PayloadHeader> parse_payload_header(PayloadType type, ByteView bytes);
// The length is patched in by whoever knows it.
void serialize_payload_header(const PayloadHeader& header, ByteWriter& out);

}  // namespace cygnet::wire::ike
