// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/message_header.h"

namespace cygnet::wire::pfkey {

Parsed<MessageHeader> MessageHeader::parse(ByteView bytes) {
  if (bytes.size() < kOctets) {
    return refuse(Refusal::kTruncated, "a PF_KEY message of " + std::to_string(bytes.size()) +
                                           " octets is shorter than its header of " + std::to_string(kOctets));
  }
  Reader reader(bytes);
  MessageHeader header;
  const auto version = reader.u8();
  header.type = static_cast<MessageType>(reader.u8());
  header.error = reader.u8();
  header.sa_type = static_cast<SaType>(reader.u8());
  header.words = reader.u16();
  reader.skip(2);
  header.sequence = reader.u32();
  header.pid = reader.u32();
  // RFC 2367 section 2.1: "sadb_msg_version ... MUST be set to PF_KEY_V2".
  if (version != kVersion) {
    return refuse(Refusal::kBadVersion, "PF_KEY version " + std::to_string(version) + " is not spoken here, only 2");
  }
  if (header.octets() < kOctets) {
    return refuse(Refusal::kBadLength, "the message says it has " + std::to_string(header.octets()) +
                                           " octets, which is less than its header");
  }
  return header;
}

void MessageHeader::serialize(Writer& writer) const {
  writer.u8(kVersion);
  writer.u8(static_cast<std::uint8_t>(type));
  writer.u8(error);
  writer.u8(static_cast<std::uint8_t>(sa_type));
  writer.u16(words);
  writer.u16(0);
  writer.u32(sequence);
  writer.u32(pid);
}

}  // namespace cygnet::wire::pfkey
