// SPDX-License-Identifier: Apache-2.0
#pragma once

// The IKE header (RFC 7296 section 3.1).
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/strong.h"
#include "wire/ike/parse_error.h"
#include "wire/ike/payload_type.h"

namespace cygnet::wire::ike {

enum class ExchangeType : std::uint8_t {
  kIkeSaInit = 34,
  kIkeAuth = 35,
  kCreateChildSa = 36,
  kInformational = 37,
  kIkeSessionResume = 38,  // RFC 5723
  kIkeIntermediate = 43    // RFC 9242
};

// "IKE_SA_INIT", …, "exchange 99".
[[nodiscard]] std::string to_string(ExchangeType type);

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                       IKE SA Initiator's SPI                  |
// |                                                               |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                       IKE SA Responder's SPI                  |
// |                                                               |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                          Message ID                           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                            Length                             |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr std::size_t kHeaderOctets = 28;

struct Header {
  IkeSpi spi_i;
  IkeSpi spi_r;
  PayloadType next_payload = PayloadType::kNone;  // written by serialize_*: what stands here is ignored
  std::uint8_t major_version = 2;
  std::uint8_t minor_version = 0;
  ExchangeType exchange = ExchangeType::kIkeSaInit;
  bool initiator = false;       // I: sent by the original initiator of the IKE SA
  bool higher_version = false;  // V: "Implementations of IKEv2 MUST clear this bit when sending and MUST ignore it"
  bool response = false;        // R
  MessageId message_id;
  std::uint32_t length = 0;  // of the whole message; written by serialize_*

  bool operator==(const Header&) const = default;
};

// Reads the header alone, whatever the version says, so that a refusal can be addressed. Fails if there are fewer than
// 28 octets. Does not compare Length with the datagram: parse_message does.
[[nodiscard]] ParseResult<Header> parse_header(ByteView datagram);
void serialize_header(const Header& header, ByteWriter& out);

}  // namespace cygnet::wire::ike
