// SPDX-License-Identifier: Apache-2.0
#pragma once

// Objects in files: DER as it is, or PEM blocks (RFC 7468). What the octets mean is for crypto/.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace cygnet::config {

struct PemBlock {
  std::string label;  // "CERTIFICATE"
  Bytes der;
};
// All blocks of a text, other lines passed over. At most 64.
[[nodiscard]] Result<std::vector<PemBlock>> parse_pem(std::string_view text);

// The objects in a file: every PEM block with one of the labels, or the whole file if it is one DER SEQUENCE. The error
// says what the file holds instead; `what` names the thing that was wanted: "certificate".
[[nodiscard]] Result<std::vector<Bytes>> read_objects(std::string_view file, std::string_view what,
                                                      const std::vector<std::string_view>& labels);

[[nodiscard]] std::optional<Bytes> parse_base64(std::string_view text);
// Whether the octets are one DER SEQUENCE, to the last octet.
[[nodiscard]] bool is_der_sequence(ByteView octets);

// A raw public key as SubjectPublicKeyInfo, from that itself, from a PKCS#1 RSAPublicKey, or from RFC 3110's form of an
// RSA key (section 2: length of the exponent, exponent, modulus).
[[nodiscard]] Result<Bytes> to_subject_public_key_info(ByteView octets);

}  // namespace cygnet::config
