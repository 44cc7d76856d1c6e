// SPDX-License-Identifier: Apache-2.0
#include "engine/classifier/rule.h"

#include <algorithm>
#include <bit>

namespace cygnet::engine::classifier {
namespace {

// An owner with more pairs of selectors than this is indexed by its longer side, the other one enclosed as a whole.
constexpr std::size_t kMaxPairs = 64;
constexpr std::size_t kMaxBoxes = 1024;

constexpr unsigned kPortBits = 17;  // one says that there is no port
constexpr unsigned kProtocolBits = 8;
constexpr unsigned kDeviceBits = 16;

template <typename Key>
[[nodiscard]] unsigned leading_zeros(Key v) {
  if constexpr (sizeof(Key) == 16) {
    const auto high = static_cast<std::uint64_t>(v >> 64U);
    return high != 0 ? static_cast<unsigned>(std::countl_zero(high))
                     : 64 + static_cast<unsigned>(std::countl_zero(static_cast<std::uint64_t>(v)));
  } else {
    return static_cast<unsigned>(std::countl_zero(v));
  }
}

// A number of so many bits, moved to the top.
template <typename Key>
[[nodiscard]] Key to_top(Key number, unsigned bits) {
  return static_cast<Key>(number << (kKeyBits<Key> - bits));
}

template <typename Key>
struct Range {
  Key first, last;
  unsigned bits;
};

// first and last in their lowest bits. The smallest prefix around both, keyed at the top.
template <typename Key>
[[nodiscard]] Prefix<Key> around(Key first, Key last, unsigned bits) {
  const Key differing = first ^ last;
  const unsigned length = differing == 0 ? bits : bits - (kKeyBits<Key> - leading_zeros(differing));
  const Key top = to_top(first, bits);
  return {static_cast<Key>(top & prefix_mask<Key>(length)), length};
}

// Ones in the lowest n bits.
template <typename Key>
[[nodiscard]] Key low_ones(unsigned n) {
  return n == kKeyBits<Key> ? ~Key{0} : static_cast<Key>((Key{1} << n) - 1);
}

// At most two prefixes. Each is at most twice as wide as what it covers, so of disjoint ranges no more than two have
// the same prefix.
template <typename Key>
void cover(const Range<Key>& range, std::vector<Prefix<Key>>& pieces) {
  const auto whole = around(range.first, range.last, range.bits);
  const unsigned below = range.bits - whole.length;
  const Key ones_below = low_ones<Key>(below);
  if ((range.first & ones_below) == 0 && (range.last & ones_below) == ones_below) {
    pieces.push_back(whole);
    return;
  }
  const Key half = low_ones<Key>(below - 1);
  pieces.push_back(around<Key>(range.first, range.first | half, range.bits));
  pieces.push_back(around<Key>(range.last & ~half, range.last, range.bits));
}

// Exactly, widest pieces first where it matters: what does not fit into the number allowed is covered by two.
template <typename Key>
void split(Range<Key> range, std::size_t allowed, std::vector<Prefix<Key>>& pieces) {
  for (std::size_t n = 0; n + 2 < allowed; ++n) {
    // The widest prefix that starts at first and stays inside.
    unsigned free_bits = 0;
    while (free_bits < range.bits && ((range.first >> free_bits) & 1U) == 0 &&
           (range.first | low_ones<Key>(free_bits + 1)) <= range.last) {
      ++free_bits;
    }
    const Key end = range.first | low_ones<Key>(free_bits);
    pieces.push_back(around(range.first, end, range.bits));
    if (end == range.last) return;
    range.first = end + 1;
  }
  cover(range, pieces);
}

template <typename Key>
void in_front(std::uint8_t protocol, std::vector<Prefix<Key>>& pieces) {
  for (auto& piece : pieces) {
    piece.key = to_top<Key>(protocol, kProtocolBits) | static_cast<Key>(piece.key >> kProtocolBits);
    piece.length += kProtocolBits;
  }
}

// ---- boxes

template <typename V>
struct Side {
  typename V::Address first{}, span{};
  std::uint32_t port_first = 0, port_span = kNoPort;
  std::uint8_t protocol = 0;
  bool scoped_on_purpose = false;
};

template <typename V>
[[nodiscard]] std::optional<Side<V>> side_of(const model::TrafficSelector& selector) {
  if (selector.range.first.family() != V::kFamily || !selector.range.valid()) return std::nullopt;
  Side<V> side;
  side.first = V::address(selector.range.first);
  side.span = V::address(selector.range.last) - side.first;
  side.protocol = selector.protocol;
  side.scoped_on_purpose = names_link_scoped(selector.range);
  if (selector.all_ports()) return side;
  if (selector.opaque_ports()) {
    // RFC 4301 section 4.4.1.1: OPAQUE "indicates that the corresponding selector field is not available for
    // examination".
    side.port_first = kNoPort;
    side.port_span = 0;
    return side;
  }
  if (selector.port_first > selector.port_last) return std::nullopt;
  side.port_first = selector.port_first;
  side.port_span = static_cast<std::uint32_t>(selector.port_last - selector.port_first);
  return side;
}

template <typename V>
[[nodiscard]] std::vector<Side<V>> sides_of(const model::TrafficSelectors& selectors, bool empty_is_all) {
  std::vector<Side<V>> sides;
  if (selectors.empty() && empty_is_all) {
    Side<V> all;
    all.span = static_cast<typename V::Address>(~typename V::Address{0});
    sides.push_back(all);
  }
  for (const auto& selector : selectors) {
    if (const auto side = side_of<V>(selector)) sides.push_back(*side);
  }
  return sides;
}

// One side that is around all of them.
template <typename V>
[[nodiscard]] std::vector<Side<V>> hull(const std::vector<Side<V>>& sides) {
  auto first = sides.front().first;
  auto last = static_cast<typename V::Address>(first + sides.front().span);
  for (const auto& side : sides) {
    first = std::min(first, side.first);
    last = std::max(last, static_cast<typename V::Address>(side.first + side.span));
  }
  Side<V> around_all;
  around_all.first = first;
  around_all.span = last - first;
  around_all.scoped_on_purpose = true;
  return {around_all};
}

template <typename V>
void add_box(const Side<V>& local, const Side<V>& remote, bool whole, const BoxOptions& options,
             std::vector<Rule<V>>& boxes) {
  if (remote.protocol != 0 && local.protocol != 0 && remote.protocol != local.protocol) return;
  Rule<V> rule;
  rule.remote_first = remote.first;
  rule.remote_span = remote.span;
  rule.local_first = local.first;
  rule.local_span = local.span;
  rule.remote_port_first = remote.port_first;
  rule.remote_port_span = remote.port_span;
  rule.local_port_first = local.port_first;
  rule.local_port_span = local.port_span;
  rule.protocol = remote.protocol != 0 ? remote.protocol : local.protocol;
  rule.device = options.device;
  rule.whole = whole;
  if (options.on_purpose && !remote.scoped_on_purpose) rule.refuses |= kRemoteScoped;
  if (options.on_purpose && !local.scoped_on_purpose) rule.refuses |= kLocalScoped;
  boxes.push_back(rule);
}

}  // namespace

template <typename V>
Query<V> Query<V>::of(const PacketSelectors& packet, std::uint32_t device) {
  using Key = typename V::Key;
  Query q;
  q.remote = V::address(packet.remote);
  q.local = V::address(packet.local);
  q.remote_port = packet.has_ports ? packet.remote_port : kNoPort;
  q.local_port = packet.has_ports ? packet.local_port : kNoPort;
  q.device = device;
  q.protocol = packet.protocol;
  q.scoped = static_cast<std::uint8_t>((is_link_scoped(packet.remote) ? kRemoteScoped : 0) |
                                       (is_link_scoped(packet.local) ? kLocalScoped : 0));
  q.packet = &packet;
  constexpr unsigned kAddressBits = sizeof(typename V::Address) * 8;
  q.keys[static_cast<unsigned>(Dim::kRemote)] = to_top<Key>(q.remote, kAddressBits);
  q.keys[static_cast<unsigned>(Dim::kLocal)] = to_top<Key>(q.local, kAddressBits);
  q.keys[static_cast<unsigned>(Dim::kRemotePort)] =
      to_top<Key>((Key{q.protocol} << kPortBits) | q.remote_port, kProtocolBits + kPortBits);
  q.keys[static_cast<unsigned>(Dim::kLocalPort)] = to_top<Key>(q.local_port, kPortBits);
  q.keys[static_cast<unsigned>(Dim::kDevice)] = to_top<Key>(device & 0xffffU, kDeviceBits);
  return q;
}

template <typename V>
std::vector<Prefix<typename V::Key>> pieces_of(const Rule<V>& rule, Dim dim) {
  using Key = typename V::Key;
  constexpr unsigned kAddressBits = sizeof(typename V::Address) * 8;
  const Range<Key> remote{rule.remote_first, Key{rule.remote_first} + rule.remote_span, kAddressBits};
  const Range<Key> local{rule.local_first, Key{rule.local_first} + rule.local_span, kAddressBits};
  const Range<Key> remote_port{rule.remote_port_first, Key{rule.remote_port_first} + rule.remote_port_span, kPortBits};
  const Range<Key> local_port{rule.local_port_first, Key{rule.local_port_first} + rule.local_port_span, kPortBits};
  // All ports are 0 to kNoPort: the whole of it, though not of 17 bits.
  const auto all = [](const Range<Key>& ports) { return ports.first == 0 && ports.last == kNoPort; };
  std::vector<Prefix<Key>> pieces;
  switch (dim) {
    case Dim::kRemote: cover(remote, pieces); break;
    case Dim::kLocal: cover(local, pieces); break;
    case Dim::kRemoteExact: split(remote, kMaxPieces, pieces); break;
    case Dim::kLocalExact: split(local, kMaxPieces, pieces); break;
    case Dim::kRemotePort:
    case Dim::kRemotePortExact:
      // Ports of any protocol have no place behind one.
      if (rule.protocol == 0) return {Prefix<Key>{}};
      if (all(remote_port)) {
        pieces.push_back({});
      } else if (dim == Dim::kRemotePort) {
        cover(remote_port, pieces);
      } else {
        split(remote_port, kMaxPieces, pieces);
      }
      in_front(rule.protocol, pieces);
      break;
    case Dim::kLocalPort:
    case Dim::kLocalPortExact:
      if (all(local_port)) {
        pieces.push_back({});
      } else if (dim == Dim::kLocalPort) {
        cover(local_port, pieces);
      } else {
        split(local_port, kMaxPieces, pieces);
      }
      break;
    case Dim::kDevice:
      if (rule.device == kEveryDevice) return {Prefix<Key>{}};
      pieces.push_back({to_top<Key>(rule.device, kDeviceBits), kDeviceBits});
      break;
  }
  return pieces;
}

template <typename V>
KeyRange<V> key_range_of(const Rule<V>& rule, Dim dim) {
  using Key = typename V::Key;
  constexpr unsigned kAddressBits = sizeof(typename V::Address) * 8;
  const auto range = [](Key first, Key last, unsigned bits) {
    return KeyRange<V>{to_top(first, bits), static_cast<Key>(to_top(last, bits) | low_ones<Key>(kKeyBits<Key> - bits))};
  };
  switch (dim) {
    case Dim::kRemote: return range(rule.remote_first, Key{rule.remote_first} + rule.remote_span, kAddressBits);
    case Dim::kLocal: return range(rule.local_first, Key{rule.local_first} + rule.local_span, kAddressBits);
    case Dim::kRemotePort: {
      if (rule.protocol == 0) break;
      const Key first = (Key{rule.protocol} << kPortBits) + rule.remote_port_first;
      return range(first, first + rule.remote_port_span, kProtocolBits + kPortBits);
    }
    case Dim::kLocalPort:
      return range(rule.local_port_first, Key{rule.local_port_first} + rule.local_port_span, kPortBits);
    default: break;
  }
  return {0, static_cast<Key>(~Key{0})};
}

template <typename V>
std::vector<Rule<V>> boxes_of(const model::TrafficSelectors& local, const model::TrafficSelectors& remote,
                              const BoxOptions& options) {
  std::vector<Rule<V>> boxes;
  if (options.paired && std::max(local.size(), remote.size()) <= kMaxBoxes) {
    for (std::size_t i = 0; i < local.size() && i < remote.size(); ++i) {
      const auto l = side_of<V>(local[i]);
      const auto r = side_of<V>(remote[i]);
      if (l && r) add_box(*l, *r, false, options, boxes);
    }
    return boxes;
  }
  auto remotes = sides_of<V>(remote, options.empty_is_all);
  auto locals = sides_of<V>(local, options.empty_is_all);
  if (remotes.empty() || locals.empty()) return boxes;
  const bool whole = options.paired || remotes.size() * locals.size() > kMaxPairs;
  if (whole) {
    const bool keep_remotes = remotes.size() >= locals.size();
    if (!keep_remotes || remotes.size() > kMaxBoxes) remotes = hull(remotes);
    if (keep_remotes || locals.size() > kMaxBoxes) locals = hull(locals);
  }
  boxes.reserve(remotes.size() * locals.size());
  for (const auto& r : remotes) {
    for (const auto& l : locals) add_box(l, r, whole, options, boxes);
  }
  return boxes;
}

template struct Query<V4>;
template struct Query<V6>;
template std::vector<Prefix<V4::Key>> pieces_of(const Rule<V4>&, Dim);
template std::vector<Prefix<V6::Key>> pieces_of(const Rule<V6>&, Dim);
template KeyRange<V4> key_range_of(const Rule<V4>&, Dim);
template KeyRange<V6> key_range_of(const Rule<V6>&, Dim);
template std::vector<Rule<V4>> boxes_of(const model::TrafficSelectors&, const model::TrafficSelectors&,
                                        const BoxOptions&);
template std::vector<Rule<V6>> boxes_of(const model::TrafficSelectors&, const model::TrafficSelectors&,
                                        const BoxOptions&);

}  // namespace cygnet::engine::classifier
