// SPDX-License-Identifier: Apache-2.0
#include "wire/xfrm/message.h"

#include <algorithm>

#include "wire/xfrm/layout.h"

namespace cygnet::wire::xfrm {
namespace {

constexpr std::size_t kAttributeHeader = 4;
constexpr std::uint16_t kErrorText = 1;  // NLMSGERR_ATTR_MSG
constexpr std::uint16_t kSadCount = 1, kSadBuckets = 2;
constexpr std::uint16_t kSpdCounts = 1, kSpdBuckets = 2, kSpdHash4 = 3, kSpdHash6 = 4;

std::size_t aligned(std::size_t octets) { return (octets + kAlignment - 1) / kAlignment * kAlignment; }

// The body that a type has, before it is read. Nothing if there is no such type.
std::optional<Body> body_for(const Header& header) {
  using T = MessageType;
  switch (header.type) {
    case T::kNoop:
    case T::kOverrun:
    case T::kFlushPolicy: return Nothing{};
    case T::kError: return ErrorReply{};
    case T::kDone: return DoneReply{};
    case T::kNewSa:
    case T::kUpdSa: return SaInfo{};
    case T::kDelSa:
    case T::kGetSa: return SaId{};
    case T::kNewPolicy:
    case T::kUpdPolicy: return PolicyInfo{};
    case T::kDelPolicy:
    case T::kGetPolicy:
    case T::kMigrate: return PolicyId{};
    case T::kAllocSpi: return SpiRange{};
    case T::kAcquire: return Acquire{};
    case T::kExpire: return SaExpire{};
    case T::kPolExpire: return PolicyExpire{};
    case T::kFlushSa: return SaFlush{};
    case T::kNewAe:
    case T::kGetAe: return AeventId{};
    case T::kReport: return Report{};
    case T::kNewSadInfo:
    case T::kGetSadInfo: return SadInfo{};
    case T::kNewSpdInfo:
    case T::kGetSpdInfo: return SpdInfo{};
    case T::kMapping: return Mapping{};
    case T::kSetDefault:
    case T::kGetDefault: return PolicyDefaults{};
    case T::kMigrateState: return SaMove{};
  }
  return std::nullopt;
}

// A dump asks with nothing but attributes. As in the kernel, either of the two bits makes one.
bool is_dump_request(const Header& header) {
  return (header.type == MessageType::kGetSa || header.type == MessageType::kGetPolicy) &&
         (header.flags & kRequest) != 0 && (header.flags & kDump) != 0;
}

template <typename A, Is<Header> V>
void fields(A& a, V& v) {
  auto type = static_cast<std::uint16_t>(v.type);
  a.number(type);
  a.number(v.flags);
  a.number(v.sequence);
  a.number(v.port);
  if constexpr (!std::is_const_v<V>) v.type = static_cast<MessageType>(type);
}

template <typename A, Is<SadBuckets> V>
void fields(A& a, V& v) {
  a.number(v.used);
  a.number(v.most);
}

template <typename A, Is<SpdCounts> V>
void fields(A& a, V& v) {
  a.number(v.in);
  a.number(v.out);
  a.number(v.forward);
  a.number(v.socket_in);
  a.number(v.socket_out);
  a.number(v.socket_forward);
}

template <typename A, Is<SpdThresholds> V>
void fields(A& a, V& v) {
  a.number(v.local_bits);
  a.number(v.remote_bits);
}

// ---- attributes of other tables than XFRMA_*
template <typename Each>
Parsed<void> for_each_small_attribute(ByteView octets, Each each) {
  while (!octets.empty()) {
    HostReader reader(octets);
    const std::size_t length = reader.u16();
    const auto type = reader.u16();
    if (!reader.ok() || length < kAttributeHeader || length > octets.size()) {
      return refuse(Refusal::kBadLength, "an attribute says it has " + std::to_string(length) + " octets, and " +
                                             std::to_string(octets.size()) + " are left");
    }
    if (auto done = each(type, octets.subspan(kAttributeHeader, length - kAttributeHeader)); !done) return done;
    octets = octets.subspan(std::min(aligned(length), octets.size()));
  }
  return {};
}

template <typename T>
Parsed<void> read_into(std::optional<T>& slot, ByteView octets) {
  In in(octets);
  auto& value = slot.emplace();
  if constexpr (std::is_integral_v<T>) {
    in.number(value);
  } else {
    fields(in, value);
  }
  if (!in.reader.ok()) return refuse(Refusal::kBadAttribute, "an attribute is too short for what it carries");
  return {};
}

template <typename T>
void write_small(std::uint16_t type, const std::optional<T>& slot, HostWriter& writer) {
  if (!slot) return;
  Out out;
  if constexpr (std::is_integral_v<T>) {
    out.number(*slot);
  } else {
    fields(out, *slot);
  }
  writer.u16(static_cast<std::uint16_t>(kAttributeHeader + out.writer.size()));
  writer.u16(type);
  writer.bytes(std::move(out.writer).take());
  writer.pad_to(kAlignment);
}

// ---- bodies that are more than a structure
Parsed<void> read_body(const Header& header, ByteView octets, ErrorReply& v) {
  In in(octets);
  std::uint32_t error = 0;
  std::uint32_t length = 0;
  in.number(error);
  in.number(length);
  fields(in, v.request);
  v.error = static_cast<std::int32_t>(error);
  if (!in.reader.ok()) return refuse(Refusal::kTruncated, "an error that is too short");
  if ((header.flags & kAckAttributes) == 0) return {};
  // The request stands in front of the attributes, if it was not cut off.
  if ((header.flags & kCapped) == 0 && v.error != 0) {
    if (length < kHeaderOctets) return refuse(Refusal::kBadLength, "the request in an error is shorter than a header");
    in.reader.skip(std::min(aligned(length - kHeaderOctets), in.reader.remaining()));
  }
  return for_each_small_attribute(in.reader.rest(), [&](std::uint16_t type, ByteView value) -> Parsed<void> {
    if (type == kErrorText) v.text.assign(value.begin(), std::ranges::find(value, 0));
    return {};
  });
}

void write_body(const ErrorReply& v, HostWriter& writer) {
  Out out;
  out.number(static_cast<std::uint32_t>(v.error));
  out.number(static_cast<std::uint32_t>(kHeaderOctets));
  fields(out, v.request);
  writer.bytes(std::move(out.writer).take());
  if (v.text.empty()) return;
  writer.u16(static_cast<std::uint16_t>(kAttributeHeader + v.text.size() + 1));
  writer.u16(kErrorText);
  writer.bytes(view_of(v.text));
  writer.zeros(1);
  writer.pad_to(kAlignment);
}

Parsed<void> read_body(const Header& /*header*/, ByteView octets, DoneReply& v) {
  HostReader reader(octets);
  v.error = octets.empty() ? 0 : static_cast<std::int32_t>(reader.u32());
  if (!reader.ok()) return refuse(Refusal::kTruncated, "the end of a dump is too short");
  return {};
}

Parsed<void> read_body(const Header& /*header*/, ByteView octets, SadInfo& v) {
  HostReader reader(octets);
  v.flags = reader.u32();
  if (!reader.ok()) return refuse(Refusal::kTruncated, "it is too short for its flags");
  return for_each_small_attribute(reader.rest(), [&](std::uint16_t type, ByteView value) -> Parsed<void> {
    if (type == kSadCount) return read_into(v.count, value);
    if (type == kSadBuckets) return read_into(v.buckets, value);
    return {};
  });
}

Parsed<void> read_body(const Header& /*header*/, ByteView octets, SpdInfo& v) {
  HostReader reader(octets);
  v.flags = reader.u32();
  if (!reader.ok()) return refuse(Refusal::kTruncated, "it is too short for its flags");
  return for_each_small_attribute(reader.rest(), [&](std::uint16_t type, ByteView value) -> Parsed<void> {
    if (type == kSpdCounts) return read_into(v.counts, value);
    if (type == kSpdBuckets) return read_into(v.buckets, value);
    if (type == kSpdHash4) return read_into(v.hash_v4, value);
    if (type == kSpdHash6) return read_into(v.hash_v6, value);
    return {};
  });
}

void write_body(const Nothing& /*v*/, HostWriter& /*writer*/) {}
void write_body(const DoneReply& v, HostWriter& writer) { writer.u32(static_cast<std::uint32_t>(v.error)); }
void write_body(const SadInfo& v, HostWriter& writer) {
  writer.u32(v.flags);
  write_small(kSadCount, v.count, writer);
  write_small(kSadBuckets, v.buckets, writer);
}
void write_body(const SpdInfo& v, HostWriter& writer) {
  writer.u32(v.flags);
  write_small(kSpdCounts, v.counts, writer);
  write_small(kSpdBuckets, v.buckets, writer);
  write_small(kSpdHash4, v.hash_v4, writer);
  write_small(kSpdHash6, v.hash_v6, writer);
}
template <typename T>
void write_body(const T& v, HostWriter& writer) {
  Out out;
  fields(out, v);
  writer.bytes(std::move(out.writer).take());
  writer.pad_to(kAlignment);
}

Parsed<void> check(const PolicyId& id) {
  if (id.direction >= kDirections) {
    return refuse(Refusal::kBadValue, "there is no direction " + std::to_string(id.direction));
  }
  return xfrm::check(id.selector);
}
Parsed<void> check(const SpiRange& v) { return xfrm::check(v.info); }
Parsed<void> check(const SaExpire& v) { return xfrm::check(v.state); }
Parsed<void> check(const PolicyExpire& v) { return xfrm::check(v.policy); }
Parsed<void> check(const Report& v) { return xfrm::check(v.selector); }
Parsed<void> check(const Acquire& v) {
  if (auto selector = xfrm::check(v.selector); !selector) return selector;
  return xfrm::check(v.policy);
}
Parsed<void> check(const SaId& v) {
  if (v.family == kFamilyAny || v.family == kFamilyV4 || v.family == kFamilyV6) return {};
  return refuse(Refusal::kBadFamily,
                "the SA is of address family " + std::to_string(v.family) + ", which is neither IPv4 nor IPv6");
}
Parsed<void> check(const SaMove& v) {
  if (auto id = check(v.id); !id) return id;
  return xfrm::check(v.selector);
}
Parsed<void> check(const AeventId& v) { return check(v.id); }
Parsed<void> check(const Mapping& v) { return check(v.id); }

// A structure in front and XFRMA_* behind it.
template <typename T>
Parsed<void> read_structure(ByteView octets, T& v, Attributes& attributes) {
  In in(octets);
  fields(in, v);
  if (!in.reader.ok()) {
    return refuse(Refusal::kTruncated,
                  "it has " + std::to_string(octets.size()) + " octets and needs " + std::to_string(octets_of<T>()));
  }
  if constexpr (requires { check(v); }) {
    if (auto checked = check(v); !checked) return checked;
  }
  const auto rest = octets.subspan(std::min(aligned(octets_of<T>()), octets.size()));
  auto parsed = Attributes::parse(rest);
  if (!parsed) return std::unexpected(parsed.error());
  attributes = std::move(*parsed);
  return {};
}

// Programs have various structures in front: none, that of a single GET, a family (struct rtgenmsg), or what rtnetlink
// has (struct ifinfomsg). The kernel looks at none of them.
Parsed<void> read_dump_request(Message& message, ByteView octets) {
  constexpr std::size_t kGeneric = 4;
  constexpr std::size_t kInterface = 16;
  const auto structure = message.header.type == MessageType::kGetSa ? octets_of<SaId>() : octets_of<PolicyId>();
  message.body = Nothing{};
  auto parsed = Attributes::parse(octets);
  const auto first = parsed;
  for (const auto skipped : {kGeneric, kInterface, structure}) {
    if (parsed && parsed->unknown.empty()) break;
    if (octets.size() + kAlignment > skipped) {
      parsed = Attributes::parse(octets.subspan(std::min(skipped, octets.size())));
    }
  }
  if (!parsed) parsed = first;
  if (!parsed) return std::unexpected(parsed.error());
  message.attributes = std::move(*parsed);
  return {};
}

Parsed<void> read(Message& message, ByteView octets) {
  if (is_dump_request(message.header)) return read_dump_request(message, octets);
  return std::visit(
      [&](auto& body) -> Parsed<void> {
        using T = std::decay_t<decltype(body)>;
        if constexpr (requires { read_body(message.header, octets, body); }) {
          return read_body(message.header, octets, body);
        } else if constexpr (std::is_same_v<T, Nothing>) {
          if (message.header.type != MessageType::kFlushPolicy) return {};
          auto parsed = Attributes::parse(octets);
          if (!parsed) return std::unexpected(parsed.error());
          message.attributes = std::move(*parsed);
          return {};
        } else {
          return read_structure(octets, body, message.attributes);
        }
      },
      message.body);
}

}  // namespace

Parsed<Message> Message::parse(ByteView bytes) {
  In in(bytes);
  std::uint32_t length = 0;
  in.number(length);
  Message message;
  fields(in, message.header);
  if (!in.reader.ok()) {
    return refuse(Refusal::kTruncated,
                  "a message of " + std::to_string(bytes.size()) + " octets is shorter than a header");
  }
  if (length != bytes.size()) {
    return refuse(Refusal::kBadLength, "the message says it has " + std::to_string(length) + " octets, and " +
                                           std::to_string(bytes.size()) + " are there");
  }
  auto body = body_for(message.header);
  if (!body) return refuse(Refusal::kUnknownType, "there is no " + name_of(message.header.type));
  message.body = std::move(*body);
  if (auto done = read(message, bytes.subspan(kHeaderOctets)); !done) {
    return refuse(done.error().why, name_of(message.header.type) + ": " + done.error().message);
  }
  return message;
}

Bytes Message::serialize() const {
  Out out;
  out.number(std::uint32_t{0});
  auto head = header;
  const auto* error = std::get_if<ErrorReply>(&body);
  if (error != nullptr) {
    // Of the request only the header is repeated here.
    head.flags = static_cast<std::uint16_t>(head.flags | kCapped);
    if (!error->text.empty()) head.flags = static_cast<std::uint16_t>(head.flags | kAckAttributes);
  }
  fields(out, std::as_const(head));
  auto& writer = out.writer;
  std::visit([&](const auto& v) { write_body(v, writer); }, body);
  attributes.serialize(writer);
  writer.patch_u32(0, static_cast<std::uint32_t>(writer.size()));
  return std::move(writer).take();
}

Parsed<std::vector<ByteView>> split_messages(ByteView datagram) {
  std::vector<ByteView> messages;
  while (!datagram.empty()) {
    HostReader reader(datagram);
    const std::size_t length = reader.u32();
    if (!reader.ok() || length < kHeaderOctets) {
      return refuse(Refusal::kTruncated, "a message that is shorter than its header");
    }
    if (length > datagram.size()) {
      return refuse(Refusal::kBadLength, "the message says it has " + std::to_string(length) + " octets, and " +
                                             std::to_string(datagram.size()) + " are there");
    }
    messages.push_back(datagram.first(length));
    datagram = datagram.subspan(std::min(aligned(length), datagram.size()));
  }
  return messages;
}

bool is_about_ipsec(ByteView message) {
  HostReader reader(message);
  reader.skip(sizeof(std::uint32_t));
  const auto type = reader.u16();
  return reader.ok() && type >= static_cast<std::uint16_t>(MessageType::kNewSa);
}

}  // namespace cygnet::wire::xfrm
