// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace cygnet {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress a;
  store_be32(a.bytes_.data(), host_order);
  return a;
}

IpAddress IpAddress::from_bytes(ByteView bytes) {
  IpAddress a;
  if (bytes.size() != 4 && bytes.size() != 16) return a;
  a.family_ = bytes.size() == 4 ? Family::kV4 : Family::kV6;
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string z(text);
  IpAddress a;
  if (inet_pton(AF_INET, z.c_str(), a.bytes_.data()) == 1) return a;
  a.bytes_ = {};
  a.family_ = Family::kV6;
  if (inet_pton(AF_INET6, z.c_str(), a.bytes_.data()) == 1) return a;
  return std::nullopt;
}

IpAddress IpAddress::any(Family family) {
  IpAddress a;
  a.family_ = family;
  return a;
}

IpAddress IpAddress::last(Family family) {
  IpAddress a;
  a.family_ = family;
  std::fill_n(a.bytes_.begin(), a.size(), std::uint8_t{0xff});
  return a;
}

bool IpAddress::is_unspecified() const { return *this == any(family_); }
bool IpAddress::is_multicast() const { return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }
bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; }) && bytes_[15] == 1;
}
bool IpAddress::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::optional<IpAddress> IpAddress::next() const {
  IpAddress a = *this;
  for (std::size_t i = size(); i-- > 0;) {
    if (++a.bytes_[i] != 0) return a;
  }
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::previous() const {
  IpAddress a = *this;
  for (std::size_t i = size(); i-- > 0;) {
    if (a.bytes_[i]-- != 0) return a;
  }
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4()) {
    // inet_ntop goes through sprintf: logs and names of peers are written for each handshake.
    auto* at = text.data();
    for (std::size_t i = 0; i < 4; ++i) {
      if (i != 0) *at++ = '.';
      at = std::to_chars(at, text.data() + text.size(), static_cast<unsigned>(bytes_[i])).ptr;
    }
    return {text.data(), at};
  }
  inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
  return text.data();
}

namespace {
// The address with every bit after `length` set to `ones`.
IpAddress with_host_bits(const IpAddress& address, unsigned length, bool ones) {
  std::array<std::uint8_t, 16> b{};
  std::copy(address.bytes().begin(), address.bytes().end(), b.begin());
  for (std::size_t i = length / 8; i < address.size(); ++i) {
    const unsigned kept = i == length / 8 ? length % 8 : 0;
    const auto host = static_cast<std::uint8_t>(0xffU >> kept);
    b[i] = static_cast<std::uint8_t>(ones ? (b[i] | host) : (b[i] & ~host));
  }
  return IpAddress::from_bytes({b.data(), address.size()});
}
}  // namespace

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return host(*address);
  const auto digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (ec != std::errc{} || end != digits.data() + digits.size() || digits.empty() || length > address->bits())
    return std::nullopt;
  return IpPrefix{*address, static_cast<std::uint8_t>(length)};
}

IpAddress IpPrefix::network() const { return with_host_bits(address, length, false); }
IpAddress IpPrefix::broadcast() const { return with_host_bits(address, length, true); }
bool IpPrefix::contains(const IpAddress& a) const { return IpRange::of(*this).contains(a); }
std::string IpPrefix::to_string() const { return address.to_string() + "/" + std::to_string(length); }

std::optional<IpRange> IpRange::intersect(const IpRange& r) const {
  if (first.family() != r.first.family()) return std::nullopt;
  const IpRange both{std::max(first, r.first), std::min(last, r.last)};
  if (both.first > both.last) return std::nullopt;
  return both;
}

std::optional<IpPrefix> IpRange::as_prefix() const {
  if (!valid()) return std::nullopt;
  // Only the bits that both ends share can be those of a prefix.
  unsigned length = first.bits();
  for (std::size_t i = 0; i < first.size(); ++i) {
    const unsigned differ = first.bytes()[i] ^ last.bytes()[i];
    if (differ != 0) {
      length =
          static_cast<unsigned>(i) * 8 + static_cast<unsigned>(std::countl_zero(static_cast<std::uint8_t>(differ)));
      break;
    }
  }
  const IpPrefix p{first, static_cast<std::uint8_t>(length)};
  return p.network() == first && p.broadcast() == last ? std::optional(p) : std::nullopt;
}

std::vector<IpPrefix> IpRange::to_prefixes() const {
  std::vector<IpPrefix> prefixes;
  if (!valid()) return prefixes;
  std::optional<IpAddress> at = first;
  while (at && *at <= last) {
    IpPrefix best = IpPrefix::host(*at);
    while (best.length > 0) {
      const IpPrefix wider{*at, static_cast<std::uint8_t>(best.length - 1)};
      if (wider.network() != *at || wider.broadcast() > last) break;
      best = wider;
    }
    prefixes.push_back(best);
    at = best.broadcast().next();
  }
  return prefixes;
}

std::string IpRange::to_string() const {
  if (const auto p = as_prefix()) return p->to_string();
  return first.to_string() + "-" + last.to_string();
}

std::string Endpoint::to_string() const {
  const auto text = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return text + ":" + std::to_string(port);
}

}  // namespace cygnet

std::size_t std::hash<cygnet::IpAddress>::operator()(const cygnet::IpAddress& a) const noexcept {
  const auto b = a.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(b.data()), b.size()});
}
