// SPDX-License-Identifier: Apache-2.0
#pragma once

// Identities (RFC 7296 section 3.5, RFC 7619 for ID_NULL).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"

namespace cygnet::model {

enum class IdType : std::uint8_t {
  kIpv4Addr = 1,
  kFqdn = 2,
  kRfc822Addr = 3,
  kIpv6Addr = 5,
  kDerAsn1Dn = 9,
  kDerAsn1Gn = 10,
  kKeyId = 11,
  kNull = 13
};

struct Identity {
  IdType type = IdType::kNull;
  Bytes data;

  [[nodiscard]] static Identity of(const IpAddress& address);
  // As people write it: an address, "@name" or "name" (FQDN), "user@host" or "@user@host" (RFC822), "@#hex" or
  // "keyid:text" or "@[text]" (KEY_ID), "C=DE, O=…" (DER_ASN1_DN), or with its kind in front: "fqdn:…", "email:…",
  // "keyid:…", "ipv4:…", "ipv6:…", "dn:…", "asn1dn:…". %any gives nothing.
  [[nodiscard]] static std::optional<Identity> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;  // printable, hostile bytes escaped
  // FQDN and RFC822 compare without case, distinguished names by RFC 5280 section 7.1; everything else octet by octet.
  [[nodiscard]] bool matches(const Identity& other) const;
  // A rule for many: "*.example.org" (FQDN), "*@example.org" (RFC822), a distinguished name with an attribute "*".
  [[nodiscard]] bool is_pattern() const;
  // As matches(); a pattern (this one, never the other) also covers what it stands for: one or more labels in front of
  // the domain, one mailbox, any one value of the attribute.
  [[nodiscard]] bool covers(const Identity& other) const;
  bool operator==(const Identity&) const = default;
};

[[nodiscard]] std::string_view to_string(IdType type);

}  // namespace cygnet::model
