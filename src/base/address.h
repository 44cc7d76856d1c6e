// SPDX-License-Identifier: Apache-2.0
#pragma once

// IP addresses, prefixes, ranges and transport endpoints of both families.
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace cygnet {

enum class Family : std::uint8_t { kV4 = 4, kV6 = 6 };

// An IPv4 or IPv6 address in network byte order. Ordered by family, then numerically. Default: 0.0.0.0.
class IpAddress {
 public:
  constexpr IpAddress() = default;
  [[nodiscard]] static IpAddress v4(std::uint32_t host_order);
  // 4 or 16 bytes; any other length gives 0.0.0.0.
  [[nodiscard]] static IpAddress from_bytes(ByteView bytes);
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress any(Family family);
  [[nodiscard]] static IpAddress last(Family family);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::kV4; }
  [[nodiscard]] bool is_v6() const { return family_ == Family::kV6; }
  [[nodiscard]] ByteView bytes() const { return {bytes_.data(), size()}; }
  [[nodiscard]] std::size_t size() const { return is_v4() ? 4U : 16U; }
  [[nodiscard]] unsigned bits() const { return is_v4() ? 32U : 128U; }
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_multicast() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_link_local() const;
  // v4 only: the number in host byte order.
  [[nodiscard]] std::uint32_t v4_value() const { return load_be32(bytes_.data()); }
  // The next or previous address; nothing at the end of the family.
  [[nodiscard]] std::optional<IpAddress> next() const;
  [[nodiscard]] std::optional<IpAddress> previous() const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::kV4;
  std::array<std::uint8_t, 16> bytes_{};
};

// An address and a prefix length, host bits kept as given (network() clears them).
struct IpPrefix {
  IpAddress address;
  std::uint8_t length = 0;

  // "10.0.0.0/8", "2001:db8::/32", or a bare address (full length).
  [[nodiscard]] static std::optional<IpPrefix> parse(std::string_view text);
  [[nodiscard]] static IpPrefix host(const IpAddress& a) { return {a, static_cast<std::uint8_t>(a.bits())}; }
  [[nodiscard]] IpAddress network() const;
  [[nodiscard]] IpAddress broadcast() const;  // the last address of the prefix
  [[nodiscard]] bool contains(const IpAddress& a) const;
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const IpPrefix&) const = default;
};

// Inclusive range of one family.
struct IpRange {
  IpAddress first;
  IpAddress last;

  [[nodiscard]] static IpRange of(const IpPrefix& p) { return {p.network(), p.broadcast()}; }
  [[nodiscard]] static IpRange of(const IpAddress& a) { return {a, a}; }
  [[nodiscard]] static IpRange all(Family f) { return {IpAddress::any(f), IpAddress::last(f)}; }
  [[nodiscard]] bool valid() const { return first.family() == last.family() && first <= last; }
  [[nodiscard]] bool contains(const IpAddress& a) const {
    return a.family() == first.family() && first <= a && a <= last;
  }
  [[nodiscard]] bool contains(const IpRange& r) const { return contains(r.first) && contains(r.last); }
  [[nodiscard]] std::optional<IpRange> intersect(const IpRange& r) const;
  // The single prefix that equals the range, if there is one.
  [[nodiscard]] std::optional<IpPrefix> as_prefix() const;
  // The fewest prefixes that cover exactly the range, in order (at most 2*bits).
  [[nodiscard]] std::vector<IpPrefix> to_prefixes() const;
  [[nodiscard]] std::string to_string() const;  // a prefix where possible, else first-last
  auto operator<=>(const IpRange&) const = default;
};

// An address and a UDP port.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  [[nodiscard]] std::string to_string() const;  // 192.0.2.1:500, [2001:db8::1]:4500
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace cygnet

template <>
struct std::hash<cygnet::IpAddress> {
  std::size_t operator()(const cygnet::IpAddress& a) const noexcept;
};
template <>
struct std::hash<cygnet::Endpoint> {
  std::size_t operator()(const cygnet::Endpoint& e) const noexcept {
    return std::hash<cygnet::IpAddress>{}(e.address) * 31U + e.port;
  }
};
