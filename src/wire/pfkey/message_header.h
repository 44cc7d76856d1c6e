// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/pfkey/octets.h"
#include "wire/pfkey/refusal.h"

namespace cygnet::wire::pfkey {

// struct sadb_msg, RFC 2367 section 2.1:
//
//   +---------------+---------------+---------------+---------------+
//   |  ..._version  | sadb_msg_type | sadb_msg_errno| ..._msg_satype|
//   +---------------+---------------+---------------+---------------+
//   |          sadb_msg_len         |       sadb_msg_reserved       |
//   +---------------+---------------+---------------+---------------+
//   |                         sadb_msg_seq                          |
//   +---------------+---------------+---------------+---------------+
//   |                         sadb_msg_pid                          |
//   +---------------+---------------+---------------+---------------+
struct MessageHeader {
  static constexpr std::size_t kOctets = 16;

  MessageType type{};
  std::uint8_t error = 0;  // an errno
  SaType sa_type{};
  std::uint16_t words = 0;  // of the whole message; serialize() of a message fills it in
  std::uint32_t sequence = 0;
  std::uint32_t pid = 0;

  // What follows it is not looked at.
  [[nodiscard]] static Parsed<MessageHeader> parse(ByteView bytes);
  void serialize(Writer& writer) const;
  [[nodiscard]] std::size_t octets() const { return words * kWord; }
  bool operator==(const MessageHeader&) const = default;
};

}  // namespace cygnet::wire::pfkey
