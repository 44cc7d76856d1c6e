// SPDX-License-Identifier: Apache-2.0
#include "wire/xfrm/attributes.h"

#include <algorithm>

#include "wire/xfrm/layout.h"

namespace cygnet::wire::xfrm {
namespace {

constexpr std::size_t kAttributeHeader = 4;
constexpr std::uint16_t kTypeMask = 0x3fff;  // the two bits above say how it is encoded (NLA_F_NESTED, ...)
constexpr std::size_t kBitsPerOctet = 8;

using A = AttributeType;

// Every attribute that stands in a slot of its own, in the order they are written.
template <typename T, typename Visit>
void for_each_attribute(T& a, Visit visit) {
  visit(A::kAlgAuth, a.auth);
  visit(A::kAlgAuthTruncated, a.auth_truncated);
  visit(A::kAlgCrypt, a.crypt);
  visit(A::kAlgAead, a.aead);
  visit(A::kAlgComp, a.compress);
  visit(A::kEncap, a.encapsulation);
  visit(A::kTemplates, a.templates);
  visit(A::kSa, a.sa);
  visit(A::kPolicy, a.policy);
  visit(A::kSecurityContext, a.security_context);
  visit(A::kLifetime, a.lifetime);
  visit(A::kReplay, a.replay);
  visit(A::kReplayEsn, a.replay_esn);
  visit(A::kReplayThreshold, a.replay_threshold);
  visit(A::kTimerThreshold, a.timer_threshold);
  visit(A::kSourceAddress, a.source_address);
  visit(A::kCareOfAddress, a.care_of_address);
  visit(A::kLastUsed, a.last_used);
  visit(A::kPolicyType, a.policy_type);
  visit(A::kMigrate, a.migrations);
  visit(A::kKmAddress, a.km_address);
  visit(A::kMark, a.mark);
  visit(A::kTfcPad, a.tfc_pad);
  visit(A::kExtraFlags, a.extra_flags);
  visit(A::kProtocol, a.protocol);
  visit(A::kAddressFilter, a.address_filter);
  visit(A::kOffload, a.offload);
  visit(A::kSetMark, a.set_mark);
  visit(A::kSetMarkMask, a.set_mark_mask);
  visit(A::kInterfaceId, a.interface_id);
  visit(A::kMappingThreshold, a.mapping_threshold);
  visit(A::kDirection, a.direction);
  visit(A::kNatKeepalive, a.nat_keepalive);
  visit(A::kCpu, a.cpu);
  visit(A::kIptfsDropTime, a.iptfs_drop_time_us);
  visit(A::kIptfsReorderWindow, a.iptfs_reorder_window);
  visit(A::kIptfsInitialDelay, a.iptfs_initial_delay_us);
  visit(A::kIptfsMaxQueue, a.iptfs_max_queue);
  visit(A::kIptfsPacketSize, a.iptfs_packet_size);
}

std::string text(std::size_t number) { return std::to_string(number); }

// ---- values of a fixed size
template <typename T>
  requires std::is_integral_v<T>
void write(A type, const T& value, HostWriter& writer) {
  // struct xfrm_userpolicy_type: the type, and padding around two reserved members
  constexpr std::size_t kPolicyTypePadding = 5;
  Out out;
  out.number(value);
  if (type == A::kPolicyType) out.padding(kPolicyTypePadding);
  writer.bytes(std::move(out.writer).take());
}

template <typename T>
  requires std::is_integral_v<T>
Parsed<void> read(A /*type*/, ByteView octets, T& value) {
  In in(octets);
  in.number(value);
  if (!in.reader.ok()) {
    return refuse(Refusal::kBadAttribute, "it has " + text(octets.size()) + " octets and needs " + text(sizeof value));
  }
  return {};
}

template <typename T>
concept Structure = requires(Out& out, const T& value) { fields(out, value); };

template <Structure T>
void write(A /*type*/, const T& value, HostWriter& writer) {
  Out out;
  fields(out, value);
  writer.bytes(std::move(out.writer).take());
}

template <Structure T>
Parsed<void> read(A /*type*/, ByteView octets, T& value) {
  In in(octets);
  fields(in, value);
  if (!in.reader.ok()) {
    return refuse(Refusal::kBadAttribute,
                  "it has " + text(octets.size()) + " octets and needs " + text(octets_of<T>()));
  }
  if constexpr (requires { check(value); }) {
    return check(value);
  }
  return {};
}

void write(A /*type*/, const Address& value, HostWriter& writer) { writer.bytes(value.octets); }
Parsed<void> read(A /*type*/, ByteView octets, Address& value) {
  if (octets.size() < value.octets.size()) {
    return refuse(Refusal::kBadAttribute, "it has " + text(octets.size()) + " octets and needs 16");
  }
  std::ranges::copy(octets.first(value.octets.size()), value.octets.begin());
  return {};
}

// ---- several of one kind behind each other
template <typename T>
void write(A type, const std::vector<T>& list, HostWriter& writer) {
  for (const auto& entry : list) write(type, entry, writer);
}

template <typename T>
Parsed<void> read(A type, ByteView octets, std::vector<T>& list) {
  const auto each = octets_of<T>();
  if (octets.size() % each != 0) {
    return refuse(Refusal::kBadAttribute, "its " + text(octets.size()) + " octets are no multiple of " + text(each));
  }
  if (octets.size() / each > kMostTemplates) {
    return refuse(Refusal::kBadAttribute, "it has " + text(octets.size() / each) + " entries; the kernel takes 6");
  }
  for (; !octets.empty(); octets = octets.subspan(each)) {
    if (auto done = read(type, octets.first(each), list.emplace_back()); !done) return done;
  }
  return {};
}

// ---- algorithms
bool has_tag_bits(A type) { return type == A::kAlgAuthTruncated || type == A::kAlgAead; }

void write(A type, const Algorithm& value, HostWriter& writer) {
  const auto octets = std::min(value.name.size(), kAlgorithmNameOctets - 1);
  writer.bytes(view_of(value.name).first(octets));
  writer.zeros(kAlgorithmNameOctets - octets);
  writer.u32(static_cast<std::uint32_t>(value.key.size() * kBitsPerOctet));
  if (has_tag_bits(type)) writer.u32(value.tag_bits);
  writer.bytes(value.key);
}

Parsed<void> read(A type, ByteView octets, Algorithm& value) {
  HostReader reader(octets);
  const auto name = reader.take(kAlgorithmNameOctets);
  const std::size_t key_bits = reader.u32();
  if (has_tag_bits(type)) value.tag_bits = reader.u32();
  if (!reader.ok()) return refuse(Refusal::kBadAttribute, "it is too short for an algorithm");
  const auto end = std::ranges::find(name, 0);
  if (end == name.end()) return refuse(Refusal::kBadAttribute, "the name of the algorithm has no end");
  value.name.assign(name.begin(), end);
  const auto key = reader.take((key_bits + kBitsPerOctet - 1) / kBitsPerOctet);
  if (!reader.ok()) {
    return refuse(Refusal::kBadAttribute, "the key of " + text(key_bits) + " bits is longer than the attribute");
  }
  if (key_bits % kBitsPerOctet != 0) {
    return refuse(Refusal::kBadAttribute, "the key of " + text(key_bits) + " bits is not of whole octets");
  }
  value.key.assign(key.begin(), key.end());
  return {};
}

// ---- replay windows
// struct xfrm_replay_state_esn: words of the bitmap, the low halves of both sequence numbers, their high halves, the
// window, and the bitmap.
void write(A /*type*/, const ReplayStateEsn& value, HostWriter& writer) {
  writer.u32(static_cast<std::uint32_t>(value.bitmap.size()));
  writer.u32(static_cast<std::uint32_t>(value.sent));
  writer.u32(static_cast<std::uint32_t>(value.seen));
  writer.u32(static_cast<std::uint32_t>(value.sent >> 32U));
  writer.u32(static_cast<std::uint32_t>(value.seen >> 32U));
  writer.u32(value.window);
  for (const auto word : value.bitmap) writer.u32(word);
}

Parsed<void> read(A /*type*/, ByteView octets, ReplayStateEsn& value) {
  constexpr std::uint32_t kBitsPerWord = 32;
  HostReader reader(octets);
  const std::size_t words = reader.u32();
  value.sent = reader.u32();
  value.seen = reader.u32();
  value.sent |= std::uint64_t{reader.u32()} << 32U;
  value.seen |= std::uint64_t{reader.u32()} << 32U;
  value.window = reader.u32();
  if (!reader.ok()) return refuse(Refusal::kBadAttribute, "it is too short for a replay window");
  if (words > kMostBitmapWords) {
    return refuse(Refusal::kBadAttribute, "the window has " + text(words * kBitsPerWord) + " bits; 4096 are the most");
  }
  if (value.window > words * kBitsPerWord) {
    return refuse(Refusal::kBadAttribute,
                  "the window of " + text(value.window) + " packets does not fit into " + text(words) + " words");
  }
  // A new window may come without its bits, as `ip xfrm` sends it: the kernel takes that for zeros.
  if (reader.remaining() == 0) {
    value.bitmap.resize(words);
    return {};
  }
  for (std::size_t i = 0; i < words; ++i) value.bitmap.push_back(reader.u32());
  if (!reader.ok()) return refuse(Refusal::kBadAttribute, "it is too short for its " + text(words) + " words");
  return {};
}

// ---- security labels
constexpr std::size_t kSecurityContextHeader = 8;

void write(A /*type*/, const SecurityContext& value, HostWriter& writer) {
  writer.u16(static_cast<std::uint16_t>(kSecurityContextHeader + value.label.size()));
  writer.u16(static_cast<std::uint16_t>(A::kSecurityContext));
  writer.u8(value.algorithm);
  writer.u8(value.domain);
  writer.u16(static_cast<std::uint16_t>(value.label.size()));
  writer.bytes(value.label);
}

Parsed<void> read(A /*type*/, ByteView octets, SecurityContext& value) {
  HostReader reader(octets);
  const std::size_t length = reader.u16();
  reader.skip(sizeof(std::uint16_t));
  value.algorithm = reader.u8();
  value.domain = reader.u8();
  const std::size_t label_octets = reader.u16();
  const auto label = reader.take(label_octets);
  if (!reader.ok() || length != kSecurityContextHeader + label_octets) {
    return refuse(Refusal::kBadAttribute, "the lengths of the label contradict each other");
  }
  value.label.assign(label.begin(), label.end());
  return {};
}

template <typename T>
void write_attribute(A type, const T& value, HostWriter& writer) {
  const auto start = writer.size();
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(type));
  write(type, value, writer);
  writer.patch_u16(start, static_cast<std::uint16_t>(writer.size() - start));
  writer.pad_to(kAlignment);
}

Parsed<void> take(Attributes& attributes, A type, ByteView octets) {
  if (type == A::kIptfsDontFragment) {
    attributes.iptfs_dont_fragment = true;
    return {};
  }
  if (type == A::kPad) return {};
  Parsed<void> result;
  bool known = false;
  for_each_attribute(attributes, [&](A slot_type, auto& slot) {
    if (slot_type != type) return;
    known = true;
    // As in the kernel the later one counts: strongSwan moves an SA by sending back what it was told, with numbers that
    // it asked for anew behind it. For anything else it would be a contradiction.
    const bool asked_anew = type == A::kReplay || type == A::kReplayEsn;
    if (slot && !asked_anew) {
      result = refuse(Refusal::kDuplicateAttribute, "the attribute " + name_of(type) + " stands there twice");
      return;
    }
    result = read(type, octets, slot.emplace());
    if (!result) result.error().message = "attribute " + name_of(type) + ": " + result.error().message;
  });
  if (!known) attributes.unknown.push_back(static_cast<std::uint16_t>(type));
  return result;
}

}  // namespace

Parsed<Attributes> Attributes::parse(ByteView octets) {
  Attributes attributes;
  while (!octets.empty()) {
    HostReader reader(octets);
    const std::size_t length = reader.u16();
    const auto type = static_cast<A>(reader.u16() & kTypeMask);
    if (!reader.ok() || length < kAttributeHeader || length > octets.size()) {
      return refuse(Refusal::kBadLength,
                    "an attribute says it has " + text(length) + " octets, and " + text(octets.size()) + " are left");
    }
    const auto taken = take(attributes, type, octets.subspan(kAttributeHeader, length - kAttributeHeader));
    if (!taken) return std::unexpected(taken.error());
    // The last one need not be padded.
    octets = octets.subspan(std::min((length + kAlignment - 1) / kAlignment * kAlignment, octets.size()));
  }
  return attributes;
}

void Attributes::serialize(HostWriter& writer) const {
  for_each_attribute(*this, [&](A type, const auto& slot) {
    if (slot) write_attribute(type, *slot, writer);
  });
  if (iptfs_dont_fragment) {
    writer.u16(kAttributeHeader);
    writer.u16(static_cast<std::uint16_t>(A::kIptfsDontFragment));
  }
}

}  // namespace cygnet::wire::xfrm
