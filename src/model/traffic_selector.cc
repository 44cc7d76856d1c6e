// SPDX-License-Identifier: Apache-2.0
#include "model/traffic_selector.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cygnet::model {
namespace {

struct ProtocolName {
  std::uint8_t number;
  std::string_view name;
};
// The first name of a number is the one printed.
constexpr std::array<ProtocolName, 18> kProtocolNames = {{{0, "any"},
                                                          {1, "icmp"},
                                                          {2, "igmp"},
                                                          {4, "ipencap"},
                                                          {6, "tcp"},
                                                          {17, "udp"},
                                                          {41, "ipv6"},
                                                          {47, "gre"},
                                                          {50, "esp"},
                                                          {51, "ah"},
                                                          {58, "ipv6-icmp"},
                                                          {58, "icmpv6"},
                                                          {89, "ospf"},
                                                          {115, "l2tp"},
                                                          {132, "sctp"},
                                                          {135, "mobility-header"},
                                                          {135, "mh"},
                                                          {136, "udplite"}}};

// RFC 4301 section 4.4.1.1: the port field holds a type in its upper half; ICMP has a code in the lower one, Mobile
// IPv6's header nothing.
bool has_types(std::uint8_t protocol) { return protocol == 1 || protocol == 58 || protocol == 135; }

std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || value > max) return std::nullopt;
  return value;
}

// A port, or an ICMP or mobility header "type" or "type.code", as first and last value of the port field.
std::optional<std::pair<std::uint16_t, std::uint16_t>> parse_port_item(std::string_view text, std::uint8_t protocol) {
  if (!has_types(protocol)) {
    const auto port = parse_number(text, 65535);
    if (!port) return std::nullopt;
    return std::pair{static_cast<std::uint16_t>(*port), static_cast<std::uint16_t>(*port)};
  }
  const auto dot = text.find('.');
  const auto type = parse_number(text.substr(0, dot), 255);
  if (!type) return std::nullopt;
  if (dot == std::string_view::npos) {
    return std::pair{static_cast<std::uint16_t>(*type << 8), static_cast<std::uint16_t>((*type << 8) | 0xffU)};
  }
  const auto code = parse_number(text.substr(dot + 1), 255);
  if (!code) return std::nullopt;
  const auto both = static_cast<std::uint16_t>((*type << 8) | *code);
  return std::pair{both, both};
}

bool parse_ports(std::string_view text, TrafficSelector& ts) {
  if (text.empty() || text == "any" || text == "%any") return true;
  if (text == "opaque" || text == "%opaque") {
    ts.port_first = 65535;
    ts.port_last = 0;
    return true;
  }
  const auto dash = text.find('-');
  const auto first = parse_port_item(text.substr(0, dash), ts.protocol);
  if (!first) return false;
  ts.port_first = first->first;
  ts.port_last = first->second;
  if (dash != std::string_view::npos) {
    const auto last = parse_port_item(text.substr(dash + 1), ts.protocol);
    if (!last) return false;
    ts.port_last = last->second;
  }
  return ts.port_first <= ts.port_last;
}

std::optional<IpRange> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) return std::nullopt;
    return IpRange::of(*prefix);
  }
  const auto first = IpAddress::parse(text.substr(0, dash));
  const auto last = IpAddress::parse(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  const IpRange range{*first, *last};
  if (!range.valid()) return std::nullopt;
  return range;
}

std::string port_item_name(std::uint16_t value, std::uint8_t protocol) {
  if (!has_types(protocol)) return std::to_string(value);
  return std::to_string(value >> 8) + "." + std::to_string(value & 0xff);
}

std::string ports_name(const TrafficSelector& ts) {
  if (ts.opaque_ports()) return "opaque";
  const bool whole_type = has_types(ts.protocol) && (ts.port_first & 0xff) == 0 && (ts.port_last & 0xff) == 0xff;
  if (whole_type) {
    const auto first = std::to_string(ts.port_first >> 8);
    const auto last = std::to_string(ts.port_last >> 8);
    return first == last ? first : first + "-" + last;
  }
  const auto first = port_item_name(ts.port_first, ts.protocol);
  return ts.port_first == ts.port_last ? first : first + "-" + port_item_name(ts.port_last, ts.protocol);
}

// RFC 4301 section 4.4.1.1: "ANY" encompasses "OPAQUE", but a list of port values does not.
bool ports_contain(const TrafficSelector& outer, const TrafficSelector& inner) {
  if (outer.all_ports()) return true;
  if (outer.opaque_ports() || inner.opaque_ports()) return outer.opaque_ports() && inner.opaque_ports();
  return outer.port_first <= inner.port_first && inner.port_last <= outer.port_last;
}

bool protocol_contains(const TrafficSelector& outer, const TrafficSelector& inner) {
  return outer.protocol == 0 || outer.protocol == inner.protocol;
}

// Does the union of those outers that allow inner's protocol and ports cover inner's addresses?
bool union_covers(const TrafficSelectors& outer, const TrafficSelector& inner) {
  std::vector<IpRange> ranges;
  for (const auto& o : outer) {
    if (o.range.first.family() == inner.range.first.family() && protocol_contains(o, inner) &&
        ports_contain(o, inner)) {
      ranges.push_back(o.range);
    }
  }
  std::sort(ranges.begin(), ranges.end());
  IpAddress next = inner.range.first;
  for (const auto& r : ranges) {
    if (r.last < next) continue;
    if (next < r.first) return false;
    if (inner.range.last <= r.last) return true;
    next = *r.last.next();  // r.last lies below inner's end, so there is a next one
  }
  return false;
}

// Drops selectors that lie inside another one; of equal ones the first stays.
TrafficSelectors without_contained(const TrafficSelectors& all) {
  TrafficSelectors out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    bool redundant = false;
    for (std::size_t k = 0; k < all.size() && !redundant; ++k) {
      if (k != i && all[k].contains(all[i])) redundant = k < i || !all[i].contains(all[k]);
    }
    if (!redundant) out.push_back(all[i]);
  }
  return out;
}

}  // namespace

std::optional<TrafficSelector> TrafficSelector::parse(std::string_view text) {
  std::string_view inside;
  bool bracketed = false;
  if (const auto open = text.find('['); open != std::string_view::npos) {
    if (text.back() != ']') return std::nullopt;
    inside = text.substr(open + 1, text.size() - open - 2);
    text = text.substr(0, open);
    bracketed = true;
  }
  const auto range = parse_range(text);
  if (!range) return std::nullopt;
  TrafficSelector ts = of(*range);
  if (!bracketed) return ts;
  const auto slash = inside.find('/');
  const auto protocol_text = inside.substr(0, slash);
  if (!protocol_text.empty()) {
    const auto protocol = parse_ip_protocol(protocol_text);
    if (!protocol) return std::nullopt;
    ts.protocol = *protocol;
  }
  if (slash != std::string_view::npos && !parse_ports(inside.substr(slash + 1), ts)) return std::nullopt;
  // RFC 7296 section 3.13.1: without a protocol there is no port field to compare.
  if (ts.protocol == 0 && !ts.all_ports()) return std::nullopt;
  return ts;
}

bool TrafficSelector::contains(const IpAddress& address, std::uint8_t packet_protocol, std::uint16_t port) const {
  if (!range.contains(address)) return false;
  if (protocol != 0 && protocol != packet_protocol) return false;
  return all_ports() || (port_first <= port && port <= port_last);
}

bool TrafficSelector::contains(const TrafficSelector& other) const {
  return range.contains(other.range) && protocol_contains(*this, other) && ports_contain(*this, other);
}

std::optional<TrafficSelector> TrafficSelector::intersect(const TrafficSelector& other) const {
  const auto common = range.intersect(other.range);
  if (!common) return std::nullopt;
  if (protocol != 0 && other.protocol != 0 && protocol != other.protocol) return std::nullopt;
  TrafficSelector out = of(*common);
  out.protocol = protocol != 0 ? protocol : other.protocol;
  if (ports_contain(*this, other)) {
    out.port_first = other.port_first;
    out.port_last = other.port_last;
    return out;
  }
  if (ports_contain(other, *this)) {
    out.port_first = port_first;
    out.port_last = port_last;
    return out;
  }
  if (opaque_ports() || other.opaque_ports()) return std::nullopt;
  out.port_first = std::max(port_first, other.port_first);
  out.port_last = std::min(port_last, other.port_last);
  if (out.port_first > out.port_last) return std::nullopt;
  return out;
}

std::string TrafficSelector::to_string() const {
  std::string out = range.to_string();
  if (protocol == 0 && all_ports()) return out;
  out += "[" + ip_protocol_name(protocol);
  if (!all_ports()) out += "/" + ports_name(*this);
  return out + "]";
}

std::string to_string(const TrafficSelectors& selectors) {
  std::string out;
  for (const auto& ts : selectors) {
    if (!out.empty()) out += ", ";
    out += ts.to_string();
  }
  return out;
}

std::optional<std::uint8_t> parse_ip_protocol(std::string_view text) {
  if (text == "%any") return std::uint8_t{0};
  for (const auto& p : kProtocolNames) {
    if (p.name == text) return p.number;
  }
  const auto number = parse_number(text, 255);
  if (!number) return std::nullopt;
  return static_cast<std::uint8_t>(*number);
}

std::string ip_protocol_name(std::uint8_t protocol) {
  for (const auto& p : kProtocolNames) {
    if (p.number == protocol) return std::string(p.name);
  }
  return std::to_string(protocol);
}

TrafficSelectors narrow(const TrafficSelectors& proposed, const TrafficSelectors& allowed) {
  // A TS payload counts its selectors in one octet (RFC 7296 section 3.13).
  constexpr std::size_t kMaxSelectors = 255;
  TrafficSelectors out;
  for (const auto& p : proposed) {
    for (const auto& a : allowed) {
      const auto common = p.intersect(a);
      if (common && out.size() < kMaxSelectors) out.push_back(*common);
    }
  }
  return without_contained(out);
}

std::optional<Family> family_of(const TrafficSelectors& local, const TrafficSelectors& remote) {
  std::optional<Family> family;
  for (const auto* side : {&local, &remote}) {
    for (const auto& selector : *side) {
      const auto its = selector.range.first.family();
      if (family && *family != its) return std::nullopt;
      family = its;
    }
  }
  return family;
}

bool covers(const TrafficSelectors& outer, const TrafficSelectors& inner) {
  return std::all_of(inner.begin(), inner.end(), [&](const TrafficSelector& i) {
    return std::any_of(outer.begin(), outer.end(), [&](const TrafficSelector& o) { return o.contains(i); }) ||
           union_covers(outer, i);
  });
}

}  // namespace cygnet::model
