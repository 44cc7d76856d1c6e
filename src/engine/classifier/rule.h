// SPDX-License-Identifier: Apache-2.0
#pragma once

// A rule: a box in the space of packets (addresses, protocol, ports, device) with a rank and an owner. Policies and SAs
// are owners; each pair of a local and a remote traffic selector is one box.
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "engine/classifier/trie.h"
#include "engine/packet.h"
#include "engine/selectors.h"
#include "model/traffic_selector.h"

namespace cygnet::engine::classifier {

// The two families: what holds an address, and what the tries are keyed by.
struct V4 {
  using Address = std::uint32_t;
  using Key = std::uint64_t;
  static constexpr Family kFamily = Family::kV4;
  [[nodiscard]] static Address address(const IpAddress& a) { return a.v4_value(); }
};
struct V6 {
  using Address = U128;
  using Key = U128;
  static constexpr Family kFamily = Family::kV6;
  [[nodiscard]] static Address address(const IpAddress& a) {
    return (Address{load_be64(a.bytes().data())} << 64U) | load_be64(a.bytes().data() + 8);
  }
};

inline constexpr std::uint32_t kNoPort = 0x10000;  // the port of a packet without ports: OPAQUE lies there
inline constexpr std::uint32_t kEveryDevice = UINT32_MAX;

// Dimensions a set of rules can be told apart by. The relaxed ones cover a range by two prefixes at most, the exact
// ones by as many as it takes (up to kMaxPieces); they are used only where relaxed ones did not tell enough.
enum class Dim : std::uint8_t {
  kRemote,
  kLocal,
  kRemotePort,  // with the protocol in front
  kLocalPort,
  kDevice,
  kRemoteExact,
  kLocalExact,
  kRemotePortExact,
  kLocalPortExact,
};
inline constexpr unsigned kDims = 9;
inline constexpr unsigned kKeys = 5;  // exact dimensions use the keys of the relaxed ones
[[nodiscard]] constexpr unsigned key_index(unsigned dim) { return dim < kKeys ? dim : dim - kKeys; }
inline constexpr std::size_t kMaxPieces = 64;

template <typename V>
struct alignas(64) Rule {
  using Address = typename V::Address;
  Address remote_first{}, remote_span{};  // span: last - first
  Address local_first{}, local_span{};
  std::uint64_t rank = 0;  // lowest first
  const void* owner = nullptr;
  Rule* sibling = nullptr;  // next rule of the same owner
  std::uint32_t remote_port_first = 0, remote_port_span = kNoPort;
  std::uint32_t local_port_first = 0, local_port_span = kNoPort;
  std::uint32_t device = kEveryDevice;
  std::uint8_t protocol = 0;  // 0: any
  std::uint8_t refuses = 0;   // kRemoteScoped, kLocalScoped: not meant for link-scoped addresses there
  bool loose = false;         // the classifier's: it stands in places wider than its pieces
  bool whole = false;         // the box is only around the owner's selectors: ask the owner
};
static_assert(sizeof(Rule<V4>) == 64);
static_assert(sizeof(Rule<V6>) == 128);

inline constexpr std::uint8_t kRemoteScoped = 1;
inline constexpr std::uint8_t kLocalScoped = 2;

// A packet to be looked up. Without initial values: room for many is made for each burst.
template <typename V>
struct Query {
  typename V::Address remote, local;
  std::uint32_t remote_port, local_port;
  std::uint32_t device;  // kEveryDevice: of rules for whatever device
  std::uint8_t protocol;
  std::uint8_t scoped;
  const PacketSelectors* packet;
  std::array<typename V::Key, kKeys> keys;

  // device: kEveryDevice for a packet that came from elsewhere.
  [[nodiscard]] static Query of(const PacketSelectors& packet, std::uint32_t device);
  // Without jumps: the answer is as random as the packet.
  [[nodiscard]] bool lies_in(const Rule<V>& rule) const {
    const bool addresses =
        (remote - rule.remote_first <= rule.remote_span) & (local - rule.local_first <= rule.local_span);
    const bool ports = (remote_port - rule.remote_port_first <= rule.remote_port_span) &
                       (local_port - rule.local_port_first <= rule.local_port_span);
    const bool kind = ((rule.protocol == 0) | (rule.protocol == protocol)) & ((rule.refuses & scoped) == 0);
    return addresses & ports & kind &
           ((rule.device == kEveryDevice) | (device == kEveryDevice) | (rule.device == device));
  }
};

// Prefixes that together cover the rule in this dimension; each packet of the rule lies in at least one.
template <typename V>
[[nodiscard]] std::vector<Prefix<typename V::Key>> pieces_of(const Rule<V>& rule, Dim dim);

// Where the keys of its packets lie in this dimension (a relaxed one), the bits below included.
template <typename V>
struct KeyRange {
  typename V::Key first, last;
};
template <typename V>
[[nodiscard]] KeyRange<V> key_range_of(const Rule<V>& rule, Dim dim);

// The boxes of an owner with these selectors, without rank, owner and siblings. Empty selectors match nothing, unless
// empty_is_all. on_purpose: link-scoped addresses only through selectors that name them.
struct BoxOptions {
  std::uint32_t device = kEveryDevice;
  bool on_purpose = false;
  bool empty_is_all = false;
  bool paired = false;  // an entry of one list goes with the same entry of the other only
};
template <typename V>
[[nodiscard]] std::vector<Rule<V>> boxes_of(const model::TrafficSelectors& local, const model::TrafficSelectors& remote,
                                            const BoxOptions& options);

}  // namespace cygnet::engine::classifier
