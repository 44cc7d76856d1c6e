// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where each member of the kernel's structures lies, once for both ways: `A` is In or Out, `V` the value, const when
// it is written. Padding is written as zeros and skipped when read, as the kernel does.
#include <concepts>
#include <optional>
#include <type_traits>

#include "wire/host_order.h"
#include "wire/xfrm/attributes.h"
#include "wire/xfrm/refusal.h"
#include "wire/xfrm/structures.h"

namespace cygnet::wire::xfrm {

class Out {
 public:
  void number(std::uint8_t v) { writer.u8(v); }
  void number(std::uint16_t v) { writer.u16(v); }
  void number(std::uint32_t v) { writer.u32(v); }
  void number(std::uint64_t v) { writer.u64(v); }
  void port(std::uint16_t v) { writer.network_u16(v); }
  void spi(Spi v) { writer.network_u32(v.value); }
  void flag(bool v) { writer.u8(v ? 1 : 0); }
  void address(const Address& v) { writer.bytes(v.octets); }
  void padding(std::size_t octets) { writer.zeros(octets); }
  HostWriter writer;
};

class In {
 public:
  explicit In(ByteView octets) : reader(octets) {}
  void number(std::uint8_t& v) { v = reader.u8(); }
  void number(std::uint16_t& v) { v = reader.u16(); }
  void number(std::uint32_t& v) { v = reader.u32(); }
  void number(std::uint64_t& v) { v = reader.u64(); }
  void port(std::uint16_t& v) { v = reader.network_u16(); }
  void spi(Spi& v) { v = Spi(reader.network_u32()); }
  void flag(bool& v) { v = reader.u8() != 0; }
  void address(Address& v) {
    const auto octets = reader.take(v.octets.size());
    if (!octets.empty()) std::memcpy(v.octets.data(), octets.data(), octets.size());
  }
  void padding(std::size_t octets) { reader.skip(octets); }
  HostReader reader;
};

template <typename V, typename T>
concept Is = std::same_as<std::remove_const_t<V>, T>;

template <typename A, Is<Selector> V>
void fields(A& a, V& v) {
  a.address(v.destination);
  a.address(v.source);
  a.port(v.destination_port);
  a.port(v.destination_port_mask);
  a.port(v.source_port);
  a.port(v.source_port_mask);
  a.number(v.family);
  a.number(v.destination_length);
  a.number(v.source_length);
  a.number(v.protocol);
  a.padding(3);
  a.number(v.interface_index);
  a.number(v.user);
}

template <typename A, Is<LifetimeLimits> V>
void fields(A& a, V& v) {
  a.number(v.soft_bytes);
  a.number(v.hard_bytes);
  a.number(v.soft_packets);
  a.number(v.hard_packets);
  a.number(v.soft_add_s);
  a.number(v.hard_add_s);
  a.number(v.soft_use_s);
  a.number(v.hard_use_s);
}

template <typename A, Is<LifetimeCurrent> V>
void fields(A& a, V& v) {
  a.number(v.bytes);
  a.number(v.packets);
  a.number(v.added);
  a.number(v.used);
}

template <typename A, Is<SaErrors> V>
void fields(A& a, V& v) {
  a.number(v.replay_window);
  a.number(v.replay);
  a.number(v.integrity_failed);
}

template <typename A, Is<SaAddress> V>
void fields(A& a, V& v) {
  a.address(v.destination);
  a.spi(v.spi);
  a.number(v.protocol);
  a.padding(3);
}

template <typename A, Is<SaInfo> V>
void fields(A& a, V& v) {
  fields(a, v.selector);
  fields(a, v.id);
  a.address(v.source);
  fields(a, v.limits);
  fields(a, v.current);
  fields(a, v.errors);
  a.number(v.sequence);
  a.number(v.reqid);
  a.number(v.family);
  a.number(v.mode);
  a.number(v.replay_window);
  a.number(v.flags);
  a.padding(7);
}

template <typename A, Is<SaId> V>
void fields(A& a, V& v) {
  a.address(v.destination);
  a.spi(v.spi);
  a.number(v.family);
  a.number(v.protocol);
  a.padding(1);
}

template <typename A, Is<SpiRange> V>
void fields(A& a, V& v) {
  fields(a, v.info);
  a.number(v.min);
  a.number(v.max);
}

template <typename A, Is<AeventId> V>
void fields(A& a, V& v) {
  fields(a, v.id);
  a.address(v.source);
  a.number(v.flags);
  a.number(v.reqid);
}

template <typename A, Is<PolicyInfo> V>
void fields(A& a, V& v) {
  fields(a, v.selector);
  fields(a, v.limits);
  fields(a, v.current);
  a.number(v.priority);
  a.number(v.index);
  a.number(v.direction);
  a.number(v.action);
  a.number(v.flags);
  a.number(v.share);
  a.padding(4);
}

template <typename A, Is<PolicyId> V>
void fields(A& a, V& v) {
  fields(a, v.selector);
  a.number(v.index);
  a.number(v.direction);
  a.padding(3);
}

template <typename A, Is<Acquire> V>
void fields(A& a, V& v) {
  fields(a, v.id);
  a.address(v.source);
  fields(a, v.selector);
  fields(a, v.policy);
  a.number(v.auth_algorithms);
  a.number(v.encrypt_algorithms);
  a.number(v.compress_algorithms);
  a.number(v.sequence);
}

template <typename A, Is<SaExpire> V>
void fields(A& a, V& v) {
  fields(a, v.state);
  a.flag(v.hard);
  a.padding(7);
}

template <typename A, Is<PolicyExpire> V>
void fields(A& a, V& v) {
  fields(a, v.policy);
  a.flag(v.hard);
  a.padding(7);
}

template <typename A, Is<SaFlush> V>
void fields(A& a, V& v) {
  a.number(v.protocol);
}

template <typename A, Is<Report> V>
void fields(A& a, V& v) {
  a.number(v.protocol);
  a.padding(3);
  fields(a, v.selector);
}

template <typename A, Is<Mapping> V>
void fields(A& a, V& v) {
  fields(a, v.id);
  a.number(v.reqid);
  a.address(v.old_source);
  a.address(v.new_source);
  a.port(v.old_port);
  a.port(v.new_port);
}

template <typename A, Is<PolicyDefaults> V>
void fields(A& a, V& v) {
  a.number(v.in);
  a.number(v.forward);
  a.number(v.out);
}

// ---- what stands in attributes
template <typename A, Is<Template> V>
void fields(A& a, V& v) {
  fields(a, v.id);
  a.number(v.family);
  a.padding(2);
  a.address(v.source);
  a.number(v.reqid);
  a.number(v.mode);
  a.number(v.share);
  a.flag(v.optional);
  a.padding(1);
  a.number(v.auth_algorithms);
  a.number(v.encrypt_algorithms);
  a.number(v.compress_algorithms);
}

template <typename A, Is<Encapsulation> V>
void fields(A& a, V& v) {
  a.number(v.type);
  a.port(v.source_port);
  a.port(v.destination_port);
  a.padding(2);
  a.address(v.original_address);
}

template <typename A, Is<ReplayState> V>
void fields(A& a, V& v) {
  a.number(v.sent);
  a.number(v.seen);
  a.number(v.bitmap);
}

template <typename A, Is<Migration> V>
void fields(A& a, V& v) {
  a.address(v.old_destination);
  a.address(v.old_source);
  a.address(v.new_destination);
  a.address(v.new_source);
  a.number(v.protocol);
  a.number(v.mode);
  a.padding(2);
  a.number(v.reqid);
  a.number(v.old_family);
  a.number(v.new_family);
}

template <typename A, Is<KmAddress> V>
void fields(A& a, V& v) {
  a.address(v.local);
  a.address(v.remote);
  a.padding(4);
  a.number(v.family);
  a.padding(2);
}

template <typename A, Is<Mark> V>
void fields(A& a, V& v) {
  a.number(v.value);
  a.number(v.mask);
}

template <typename A, Is<SaMove> V>
void fields(A& a, V& v) {
  fields(a, v.id);
  a.address(v.new_destination);
  a.address(v.new_source);
  fields(a, v.old_mark);
  fields(a, v.selector);
  a.number(v.reqid);
  a.number(v.flags);
  a.number(v.new_family);
  a.padding(2);
}

template <typename A, Is<AddressFilter> V>
void fields(A& a, V& v) {
  a.address(v.source);
  a.address(v.destination);
  a.number(v.family);
  a.number(v.source_length);
  a.number(v.destination_length);
}

template <typename A, Is<Offload> V>
void fields(A& a, V& v) {
  a.number(v.interface_index);
  a.number(v.flags);
  a.padding(3);
}

// ---- octets of a structure
template <typename T>
[[nodiscard]] std::size_t octets_of() {
  Out out;
  const T value{};
  fields(out, value);
  return out.writer.size();
}

}  // namespace cygnet::wire::xfrm
