// SPDX-License-Identifier: Apache-2.0
#include "config/pem.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace cygnet::config {
namespace {

constexpr std::size_t kMaxBlocks = 64;
constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";

std::optional<std::uint8_t> base64_digit(char c) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto at = kDigits.find(c);
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<std::uint8_t>(at));
}

Bytes element(std::uint8_t tag, ByteView value) {
  Bytes out{tag};
  if (value.size() >= 0x80) {
    out.push_back(value.size() >= 0x100 ? 0x82 : 0x81);
    if (value.size() >= 0x100) out.push_back(static_cast<std::uint8_t>(value.size() >> 8));
  }
  out.push_back(static_cast<std::uint8_t>(value.size()));
  append(out, value);
  return out;
}

// A positive INTEGER of big-endian octets.
Bytes integer(ByteView octets) {
  while (octets.size() > 1 && octets[0] == 0) octets = octets.subspan(1);
  Bytes value;
  if (octets[0] >= 0x80) value.push_back(0);
  append(value, octets);
  return element(0x02, value);
}

// RFC 3279 section 2.3.1: rsaEncryption, with NULL parameters.
Bytes rsa_info(ByteView rsa_public_key) {
  static constexpr std::array<std::uint8_t, 15> kRsa{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                     0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
  Bytes bits{0};
  append(bits, rsa_public_key);
  Bytes info(kRsa.begin(), kRsa.end());
  append(info, element(0x03, bits));
  return element(0x30, info);
}

// Octets of the header of the DER element; 0: none.
std::size_t header_octets(ByteView der, std::size_t& length) {
  if (der.size() < 2) return 0;
  length = der[1];
  if (length < 0x80) return 2;
  const std::size_t octets = length & 0x7fU;
  if (octets == 0 || octets > 3 || der.size() < 2 + octets) return 0;
  length = 0;
  for (std::size_t i = 0; i < octets; ++i) length = length << 8 | der[2 + i];
  return 2 + octets;
}

Result<Bytes> from_rfc3110(ByteView octets) {
  std::size_t exponent = octets.empty() ? 0 : octets[0];
  std::size_t at = 1;
  if (exponent == 0 && octets.size() >= 3) {
    exponent = load_be16(octets.data() + 1);
    at = 3;
  }
  // RFC 3110 section 2: "the modulus ... is limited to 4096 bits"; larger ones are in use, none beyond 16384.
  if (exponent == 0 || octets.size() < at + exponent + 64 || octets.size() - at - exponent > 2048)
    return fail("neither a public key in DER nor an RSA key as RFC 3110 writes it");
  Bytes key = integer(octets.subspan(at + exponent));
  append(key, integer(octets.subspan(at, exponent)));
  return rsa_info(element(0x30, key));
}

}  // namespace

std::optional<Bytes> parse_base64(std::string_view text) {
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned digits = 0;
  bool padded = false;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) continue;
    if (c == '=') {
      padded = true;
      continue;
    }
    const auto digit = base64_digit(c);
    if (!digit || padded) return std::nullopt;
    bits = (bits << 6) | *digit;
    ++digits;
    if (digits % 4 != 1) out.push_back(static_cast<std::uint8_t>(bits >> ((4 - ((digits - 1) % 4) - 1) * 2)));
  }
  if (digits % 4 == 1) return std::nullopt;
  return out;
}

bool is_der_sequence(ByteView octets) {
  std::size_t length = 0;
  const auto header = header_octets(octets, length);
  return header != 0 && octets[0] == 0x30 && octets.size() - header == length;
}

Result<std::vector<PemBlock>> parse_pem(std::string_view text) {
  std::vector<PemBlock> blocks;
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin)) {
    text.remove_prefix(at + kBegin.size());
    const auto label_end = text.find(kDashes);
    if (label_end == std::string_view::npos || label_end > 64) return fail("a PEM block begins but has no label");
    const std::string label(text.substr(0, label_end));
    text.remove_prefix(label_end + kDashes.size());
    const auto end = text.find(std::string(kEnd) + label + std::string(kDashes));
    if (end == std::string_view::npos) return fail("the PEM block '" + label + "' does not end");
    if (blocks.size() == kMaxBlocks) return fail("more than 64 PEM blocks");
    auto der = parse_base64(text.substr(0, end));
    // Encrypted keys have headers in front of the base64: nobody looks for them here.
    blocks.push_back({label, der ? std::move(*der) : Bytes{}});
    text.remove_prefix(end);
  }
  return blocks;
}

Result<std::vector<Bytes>> read_objects(std::string_view file, std::string_view what,
                                        const std::vector<std::string_view>& labels) {
  if (is_der_sequence(view_of(file))) return std::vector<Bytes>{to_bytes(file)};
  auto blocks = parse_pem(file);
  if (!blocks) return std::unexpected(blocks.error());
  std::vector<Bytes> objects;
  for (auto& block : *blocks) {
    if (std::find(labels.begin(), labels.end(), block.label) == labels.end()) continue;
    if (!is_der_sequence(block.der)) return fail("the " + std::string(what) + " in it is damaged");
    objects.push_back(std::move(block.der));
  }
  if (!objects.empty()) return objects;
  if (blocks->empty()) return fail("it holds no " + std::string(what) + ", neither PEM nor DER");
  return fail("it holds no " + std::string(what) + " but '" + blocks->front().label + "'");
}

Result<Bytes> to_subject_public_key_info(ByteView octets) {
  if (!is_der_sequence(octets)) return from_rfc3110(octets);
  std::size_t length = 0;
  const auto inner = octets.subspan(header_octets(octets, length));
  if (!inner.empty() && inner[0] == 0x02) return rsa_info(octets);
  return Bytes(octets.begin(), octets.end());
}

}  // namespace cygnet::config
