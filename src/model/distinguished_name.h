// SPDX-License-Identifier: Apache-2.0
#pragma once

// X.501 distinguished names: the text people write and the DER Name that certificates and ID_DER_ASN1_DN carry.
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::model {

// "C=DE, O=Example, CN=moon", attributes in the order of the DER; or OpenSSL's "/C=DE/O=Example/CN=moon". Values with
// the escapes of RFC 4514 section 2.4, in double quotes, as "#hex" of a whole DER value, or with Libreswan's ",," for a
// comma; "+" joins the attributes of one RDN. Attribute types by name (any case) or as dotted numbers.
[[nodiscard]] Result<Bytes> parse_distinguished_name(std::string_view text);

// Readable by parse_distinguished_name again. Octets that could confuse a terminal or a log are escaped. What is no
// Name becomes "(not a distinguished name: hex)".
[[nodiscard]] std::string distinguished_name_to_string(ByteView der);

// Whether the DER is a Name that we read: well-formed to the last octet, at most 64 attributes.
[[nodiscard]] bool is_distinguished_name(ByteView der);

// RFC 5280 section 7.1: the same attributes in the same order; case and white space of text do not count, nor does the
// string type. RFC 4514 writes names backwards, the dialects of ipsec.conf do not: a name turned round as a whole
// matches too, if it begins or ends with a country or a domain component.
[[nodiscard]] bool distinguished_names_equal(ByteView a, ByteView b);
// The same, but an attribute of the pattern with the value "*" matches any value of that attribute.
[[nodiscard]] bool distinguished_names_match(ByteView pattern, ByteView name);
[[nodiscard]] bool has_wildcard_attribute(ByteView name);

}  // namespace cygnet::model
