// SPDX-License-Identifier: Apache-2.0
#pragma once

// A whole message of NETLINK_XFRM: struct nlmsghdr, the structure that belongs to its type, and attributes. The same
// types travel both ways: what a program asks, and what the kernel answers and tells.
//
//   +---------------+---------------+---------------+---------------+
//   |                 nlmsg_len (octets, header included)           |
//   +---------------+---------------+---------------+---------------+
//   |        nlmsg_type             |         nlmsg_flags           |
//   +---------------+---------------+---------------+---------------+
//   |                          nlmsg_seq                            |
//   |                          nlmsg_pid                            |
//   +---------------+---------------+---------------+---------------+
//   >  structure, padded to four octets; attributes                 <
//   +---------------+---------------+---------------+---------------+
#include <variant>
#include <vector>

#include "wire/xfrm/attributes.h"

namespace cygnet::wire::xfrm {

struct Header {
  MessageType type{};
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;  // who asked; 0: the kernel
  bool operator==(const Header&) const = default;
};

// No structure: a dump's request, FLUSHPOLICY, NOOP, OVERRUN.
struct Nothing {
  bool operator==(const Nothing&) const = default;
};

// struct nlmsgerr. error 0 acknowledges; else a negative errno.
struct ErrorReply {
  std::int32_t error = 0;
  Header request;
  std::string text;  // the kernel's own sentence (NLMSGERR_ATTR_MSG)
  bool operator==(const ErrorReply&) const = default;
};

struct DoneReply {
  std::int32_t error = 0;
  bool operator==(const DoneReply&) const = default;
};

// Of the kernel's hash table of SAs.
struct SadBuckets {
  std::uint32_t used = 0, most = 0;
  bool operator==(const SadBuckets&) const = default;
};

// GETSADINFO, NEWSADINFO
struct SadInfo {
  std::uint32_t flags = 0;
  std::optional<std::uint32_t> count;
  std::optional<SadBuckets> buckets;
  bool operator==(const SadInfo&) const = default;
};

// How many policies there are of each direction.
struct SpdCounts {
  std::uint32_t in = 0, out = 0, forward = 0, socket_in = 0, socket_out = 0, socket_forward = 0;
  bool operator==(const SpdCounts&) const = default;
};
struct SpdThresholds {  // prefixes at least this long are hashed
  std::uint8_t local_bits = 0, remote_bits = 0;
  bool operator==(const SpdThresholds&) const = default;
};

// GETSPDINFO, NEWSPDINFO
struct SpdInfo {
  std::uint32_t flags = 0;
  std::optional<SpdCounts> counts;
  std::optional<SadBuckets> buckets;
  std::optional<SpdThresholds> hash_v4, hash_v6;
  bool operator==(const SpdInfo&) const = default;
};

using Body =
    std::variant<Nothing, ErrorReply, DoneReply, SaInfo, SaId, SpiRange, SaFlush, SaExpire, AeventId, PolicyInfo,
                 PolicyId, PolicyExpire, Acquire, Report, Mapping, PolicyDefaults, SadInfo, SpdInfo, SaMove>;

struct Message {
  Header header;
  Body body;
  Attributes attributes;  // none in ERROR, DONE, SADINFO and SPDINFO, which have others

  // Exactly one message; octets behind it that its length leaves out are refused.
  [[nodiscard]] static Parsed<Message> parse(ByteView bytes);
  // Whoever writes a message with keys wipes what comes out of here.
  [[nodiscard]] Bytes serialize() const;
  bool operator==(const Message&) const = default;
};

// What came in one datagram: one message or several behind each other.
[[nodiscard]] Parsed<std::vector<ByteView>> split_messages(ByteView datagram);
// By its type: not one of netlink itself (an error, the end of a dump). The message may be of a kind unknown here.
[[nodiscard]] bool is_about_ipsec(ByteView message);

}  // namespace cygnet::wire::xfrm
