// SPDX-License-Identifier: Apache-2.0
#include "model/pkcs11_uri.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cygnet::model {
namespace {

std::optional<std::uint8_t> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

// RFC 3986 section 2.1: "%" HEXDIG HEXDIG.
std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = hex_value(text[i + 1]);
    const auto low = hex_value(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>((*high << 4U) | *low);
    i += 2;
  }
  return out;
}

std::string_view next_piece(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto piece = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return piece;
}

Result<void> put_text(std::string& to, const std::string& value, const std::string& name) {
  if (value.empty()) return fail("'" + name + "=' is empty");
  // PKCS#11 strings are UTF-8; a control character in one would only disturb messages.
  if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return fail("'" + name + "=' holds control characters");
  to = value;
  return {};
}

Result<void> put_path_attribute(Pkcs11Uri& uri, const std::string& name, const std::string& value) {
  if (name == "token") return put_text(uri.token, value, name);
  if (name == "manufacturer") return put_text(uri.manufacturer, value, name);
  if (name == "serial") return put_text(uri.serial, value, name);
  if (name == "model") return put_text(uri.model, value, name);
  if (name == "object") return put_text(uri.object, value, name);
  if (name == "type") {
    // RFC 7512 section 2.3: "public", "private", "cert", "secret-key", "data".
    if (value != "private" && value != "public" && value != "cert")
      return fail("'type=' is neither private nor cert: a private key or a certificate is needed here");
    uri.type = value;
    return {};
  }
  if (name == "id") {
    if (value.empty()) return fail("'id=' is empty");
    uri.id.assign(value.begin(), value.end());
    return {};
  }
  if (name == "slot-id") {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) return fail("'slot-id=' is no number");
    uri.slot_id = number;
    return {};
  }
  return fail("'" + name +
              "=' is not looked at here: name the token by token, serial, manufacturer, model or slot-id, and the "
              "object by object or id");
}

Result<void> put_query_attribute(Pkcs11Uri& uri, const std::string& name, const std::string& value) {
  if (name == "pin-value" || name == "pin-source")
    return fail("the PIN belongs into ipsec.secrets, in quotes after the URI: inside the URI it shows in messages");
  if (name != "module-path") return fail("'" + name + "=' is not looked at here: name the library with module-path=");
  if (!value.starts_with('/')) return fail("'module-path=' is no absolute path");
  return put_text(uri.module_path, value, name);
}

// RFC 7512 sections 2.3 and 2.4. What is none of these may be a slip of the hand, and is not repeated in messages: URIs
// stand beside PINs.
bool is_attribute(std::string_view name) {
  static constexpr std::array<std::string_view, 17> kNames{"token",
                                                           "manufacturer",
                                                           "serial",
                                                           "model",
                                                           "library-manufacturer",
                                                           "library-version",
                                                           "library-description",
                                                           "object",
                                                           "type",
                                                           "id",
                                                           "slot-description",
                                                           "slot-manufacturer",
                                                           "slot-id",
                                                           "pin-source",
                                                           "pin-value",
                                                           "module-name",
                                                           "module-path"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Result<void> put(Pkcs11Uri& uri, std::string_view piece, bool query, std::string& seen) {
  const auto equals = piece.find('=');
  if (equals == std::string_view::npos) return fail("something in it is no name=value");
  const std::string name(piece.substr(0, equals));
  if (!is_attribute(name)) return fail("it has an attribute that RFC 7512 does not name: it is not looked at here");
  const auto value = decode(piece.substr(equals + 1));
  if (!value) return fail("'" + name + "=' has a % without two hexadecimal digits");
  // RFC 7512 section 2.3: "an attribute MUST NOT be present more than once".
  const auto mark = ";" + name + ";";
  if (seen.find(mark) != std::string::npos) return fail("'" + name + "=' stands there twice");
  seen += mark;
  return query ? put_query_attribute(uri, name, *value) : put_path_attribute(uri, name, *value);
}

}  // namespace

Result<Pkcs11Uri> Pkcs11Uri::parse(std::string_view text) {
  if (!is_pkcs11_uri(text)) return fail("a PKCS#11 URI begins with pkcs11: (RFC 7512)");
  if (text.size() > kMaxOctets) return fail("the PKCS#11 URI is longer than 1024 octets");
  text.remove_prefix(std::string_view("pkcs11:").size());
  auto path = next_piece(text, '?');
  Pkcs11Uri uri;
  std::string seen;
  while (!path.empty()) {
    if (auto good = put(uri, next_piece(path, ';'), false, seen); !good) return std::unexpected(good.error());
  }
  while (!text.empty()) {
    if (auto good = put(uri, next_piece(text, '&'), true, seen); !good) return std::unexpected(good.error());
  }
  if (uri.object.empty() && uri.id.empty())
    return fail("it names a token but no object on it: add object=LABEL or id=%01");
  return uri;
}

std::string Pkcs11Uri::token_text() const {
  if (!token.empty()) return "token '" + token + "'";
  if (!serial.empty()) return "token with serial '" + serial + "'";
  if (!model.empty()) return "token of model '" + model + "'";
  if (!manufacturer.empty()) return "token by '" + manufacturer + "'";
  return slot_id ? "token in slot " + std::to_string(*slot_id) : "token";
}

}  // namespace cygnet::model
