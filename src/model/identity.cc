// SPDX-License-Identifier: Apache-2.0
#include "model/identity.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "model/distinguished_name.h"

namespace cygnet::model {
namespace {

Identity text_identity(IdType type, std::string_view text) { return {type, to_bytes(text)}; }

char lower(std::uint8_t c) { return static_cast<char>(std::tolower(c)); }

// Printable text of octets that a peer chose: everything that could confuse a terminal or a log is escaped.
std::string printable(ByteView octets) {
  std::string text;
  for (const auto c : octets) {
    if (c >= 0x20 && c < 0x7f && c != '\\') {
      text.push_back(static_cast<char>(c));
    } else {
      text += "\\x" + to_hex({&c, 1});
    }
  }
  return text;
}

std::optional<Identity> parse_name(std::string_view text) {
  auto der = parse_distinguished_name(text);
  return der ? std::optional(Identity{IdType::kDerAsn1Dn, std::move(*der)}) : std::nullopt;
}

bool same_text(ByteView a, ByteView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto x, auto y) { return lower(x) == lower(y); });
}

std::optional<Identity> parse_typed(std::string_view kind, std::string_view value) {
  if (value.empty()) return std::nullopt;
  if (kind == "fqdn") return text_identity(IdType::kFqdn, value);
  if (kind == "email" || kind == "rfc822") return text_identity(IdType::kRfc822Addr, value);
  if (kind == "keyid") {
    Bytes octets;
    if (value.starts_with("0x") && from_hex(value, octets)) return Identity{IdType::kKeyId, octets};
    return text_identity(IdType::kKeyId, value);
  }
  if (kind == "dn" || kind == "asn1dn") {
    Bytes der;
    if (!value.starts_with('#')) return parse_name(value);
    if (!from_hex(value.substr(1), der) || !is_distinguished_name(der)) return std::nullopt;
    return Identity{IdType::kDerAsn1Dn, der};
  }
  if (kind == "ipv4" || kind == "ipv6") {
    const auto address = IpAddress::parse(value);
    if (!address || address->is_v4() != (kind == "ipv4")) return std::nullopt;
    return Identity::of(*address);
  }
  return std::nullopt;
}

}  // namespace

Identity Identity::of(const IpAddress& address) {
  const auto octets = address.bytes();
  return {address.is_v4() ? IdType::kIpv4Addr : IdType::kIpv6Addr, Bytes(octets.begin(), octets.end())};
}

std::optional<Identity> Identity::parse(std::string_view text) {
  if (text.empty() || text == "%any") return std::nullopt;
  if (const auto address = IpAddress::parse(text)) return of(*address);
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    static constexpr std::array<std::string_view, 8> kKinds{"fqdn", "email", "rfc822", "keyid",
                                                            "ipv4", "ipv6",  "dn",     "asn1dn"};
    const auto kind = text.substr(0, colon);
    if (std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end()) return parse_typed(kind, text.substr(colon + 1));
  }
  if (text.starts_with("@#")) {
    Bytes octets;
    if (!from_hex(text.substr(2), octets) || octets.empty()) return std::nullopt;
    return Identity{IdType::kKeyId, octets};
  }
  if (text.starts_with("@@"))
    return text.size() > 2 ? std::optional(text_identity(IdType::kRfc822Addr, text.substr(2))) : std::nullopt;
  if (text.starts_with("@[") && text.ends_with("]") && text.size() > 3)
    return text_identity(IdType::kKeyId, text.substr(2, text.size() - 3));
  if (text.find('=') != std::string_view::npos) return parse_name(text);
  const bool at_first = text.starts_with("@");
  const auto name = at_first ? text.substr(1) : text;
  if (name.empty()) return std::nullopt;
  if (name.find('@') != std::string_view::npos) return text_identity(IdType::kRfc822Addr, name);
  return text_identity(IdType::kFqdn, name);
}

std::string Identity::to_string() const {
  switch (type) {
    case IdType::kIpv4Addr:
    case IdType::kIpv6Addr:
      if (data.size() == (type == IdType::kIpv4Addr ? 4U : 16U)) return IpAddress::from_bytes(data).to_string();
      break;
    case IdType::kFqdn:
    case IdType::kRfc822Addr: return printable(data);
    case IdType::kKeyId: {
      const bool plain =
          !data.empty() && std::all_of(data.begin(), data.end(), [](auto c) { return c >= 0x20 && c < 0x7f; });
      return plain ? "keyid:" + printable(data) : "@#" + to_hex(data);
    }
    case IdType::kNull: return "%null";
    case IdType::kDerAsn1Dn:
      if (is_distinguished_name(data)) return distinguished_name_to_string(data);
      break;
    case IdType::kDerAsn1Gn: break;
  }
  return std::string(model::to_string(type)) + ":" + to_hex(data);
}

bool Identity::matches(const Identity& other) const {
  if (type != other.type) return false;
  if (type == IdType::kDerAsn1Dn) return data == other.data || distinguished_names_equal(data, other.data);
  if (type != IdType::kFqdn && type != IdType::kRfc822Addr) return data == other.data;
  return same_text(data, other.data);
}

bool Identity::is_pattern() const {
  if (type == IdType::kDerAsn1Dn) return has_wildcard_attribute(data);
  if (data.size() < 3 || data[0] != '*') return false;
  return data[1] == (type == IdType::kRfc822Addr ? '@' : '.') && (type == IdType::kFqdn || type == IdType::kRfc822Addr);
}

bool Identity::covers(const Identity& other) const {
  if (type != other.type) return false;
  if (!is_pattern()) return matches(other);
  if (type == IdType::kDerAsn1Dn) return distinguished_names_match(data, other.data);
  const auto suffix = ByteView(data).subspan(1);  // ".example.org" or "@example.org"
  if (other.data.size() <= suffix.size()) return false;
  const auto front = ByteView(other.data).first(other.data.size() - suffix.size());
  if (!same_text(ByteView(other.data).subspan(front.size()), suffix)) return false;
  // A mailbox has one '@'; what looks like a second domain in front is none of ours.
  return type == IdType::kFqdn ? front[0] != '.' : std::find(front.begin(), front.end(), '@') == front.end();
}

std::string_view to_string(IdType type) {
  switch (type) {
    case IdType::kIpv4Addr: return "ID_IPV4_ADDR";
    case IdType::kFqdn: return "ID_FQDN";
    case IdType::kRfc822Addr: return "ID_RFC822_ADDR";
    case IdType::kIpv6Addr: return "ID_IPV6_ADDR";
    case IdType::kDerAsn1Dn: return "ID_DER_ASN1_DN";
    case IdType::kDerAsn1Gn: return "ID_DER_ASN1_GN";
    case IdType::kKeyId: return "ID_KEY_ID";
    case IdType::kNull: return "ID_NULL";
  }
  return "ID_UNKNOWN";
}

}  // namespace cygnet::model
