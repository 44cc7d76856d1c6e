// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "crypto/der.h"
#include "crypto/public_key.h"

namespace cygnet::crypto {
namespace {

// RFC 7427 appendix A, RFC 8420 appendix A, in hexadecimal.
struct Row {
  SignatureScheme scheme;
  std::string_view der;
};
constexpr std::array<Row, 12> kRows = {{
    {SignatureScheme::kRsaPkcs1Sha1, "300d06092a864886f70d0101050500"},
    {SignatureScheme::kRsaPkcs1Sha256, "300d06092a864886f70d01010b0500"},
    {SignatureScheme::kRsaPkcs1Sha384, "300d06092a864886f70d01010c0500"},
    {SignatureScheme::kRsaPkcs1Sha512, "300d06092a864886f70d01010d0500"},
    {SignatureScheme::kRsaPssSha256,
     "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d060960864801650"
     "3"
     "0402010500a203020120"},
    {SignatureScheme::kRsaPssSha384,
     "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d060960864801650"
     "3"
     "0402020500a203020130"},
    {SignatureScheme::kRsaPssSha512,
     "304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f70d010108300d060960864801650"
     "3"
     "0402030500a203020140"},
    {SignatureScheme::kEcdsaSha256, "300a06082a8648ce3d040302"},
    {SignatureScheme::kEcdsaSha384, "300a06082a8648ce3d040303"},
    {SignatureScheme::kEcdsaSha512, "300a06082a8648ce3d040304"},
    {SignatureScheme::kEd25519, "300506032b6570"},
    {SignatureScheme::kEd448, "300506032b6571"},
}};

constexpr std::string_view kRsaPssOid = "2a864886f70d01010a";
constexpr std::string_view kMgf1Oid = "2a864886f70d010108";

struct Algorithm {
  std::string oid;                       // content in hexadecimal
  std::optional<DerElement> parameters;  // absent; NULL is here
};

std::optional<Algorithm> read_algorithm(DerReader& reader) {
  const auto sequence = reader.next(kDerSequence);
  if (!sequence) return std::nullopt;
  DerReader inside(sequence->content);
  const auto oid = inside.next(kDerObjectId);
  if (!oid || oid->content.size() > 16) return std::nullopt;
  Algorithm algorithm{.oid = to_hex(oid->content), .parameters = std::nullopt};
  if (inside.at_end()) return algorithm;
  algorithm.parameters = inside.next();
  if (!algorithm.parameters || !inside.at_end()) return std::nullopt;
  return algorithm;
}

bool no_parameters(const Algorithm& algorithm) {
  return !algorithm.parameters || (algorithm.parameters->tag == kDerNull && algorithm.parameters->content.empty());
}

// SHA-2 hashes of RSASSA-PSS-params; both spellings (NULL, absent) are in use.
std::optional<HashId> hash_of_oid(const Algorithm& algorithm) {
  if (!no_parameters(algorithm)) return std::nullopt;
  if (algorithm.oid == "608648016503040201") return HashId::kSha2_256;
  if (algorithm.oid == "608648016503040202") return HashId::kSha2_384;
  if (algorithm.oid == "608648016503040203") return HashId::kSha2_512;
  return std::nullopt;
}

std::optional<SignatureScheme> pss_with(HashId hash, std::uint8_t salt) {
  if (hash == HashId::kSha2_256 && salt == 32) return SignatureScheme::kRsaPssSha256;
  if (hash == HashId::kSha2_384 && salt == 48) return SignatureScheme::kRsaPssSha384;
  if (hash == HashId::kSha2_512 && salt == 64) return SignatureScheme::kRsaPssSha512;
  return std::nullopt;
}

std::optional<HashId> read_hash(const std::optional<DerElement>& wrapped) {
  if (!wrapped) return std::nullopt;
  DerReader reader(wrapped->content);
  const auto algorithm = read_algorithm(reader);
  return algorithm && reader.at_end() ? hash_of_oid(*algorithm) : std::nullopt;
}

std::optional<HashId> read_mask_hash(const std::optional<DerElement>& wrapped) {
  if (!wrapped) return std::nullopt;
  DerReader reader(wrapped->content);
  const auto mask = read_algorithm(reader);
  if (!mask || !reader.at_end() || mask->oid != kMgf1Oid || !mask->parameters) return std::nullopt;
  DerReader inside(mask->parameters->whole);
  const auto algorithm = read_algorithm(inside);
  return algorithm ? hash_of_oid(*algorithm) : std::nullopt;
}

// RSASSA-PSS-params (RFC 4055 section 3.1). Its defaults are SHA-1 and a salt of 20 octets, which RFC 8247 section 3.2
// forbids: "RSASSA-PSS with Empty Parameters: MUST NOT".
std::optional<SignatureScheme> parse_pss(const DerElement& parameters) {
  if (parameters.tag != kDerSequence) return std::nullopt;
  DerReader reader(parameters.content);
  const auto hash = read_hash(reader.next(0xa0));
  const auto mask_hash = read_mask_hash(reader.next(0xa1));
  const auto wrapped_salt = reader.next(0xa2);
  if (!hash || hash != mask_hash || !wrapped_salt) return std::nullopt;
  DerReader salt_reader(wrapped_salt->content);
  const auto salt = salt_reader.next(kDerInteger);
  if (!salt || !salt_reader.at_end() || salt->content.size() != 1) return std::nullopt;
  if (const auto trailer = reader.next(0xa3); trailer && to_hex(trailer->content) != "020101") return std::nullopt;
  return reader.at_end() ? pss_with(*hash, salt->content[0]) : std::nullopt;
}

}  // namespace

Bytes algorithm_identifier(SignatureScheme scheme) {
  Bytes der;
  for (const auto& row : kRows) {
    if (row.scheme == scheme) (void)from_hex(row.der, der);
  }
  return der;
}

std::optional<SignatureScheme> parse_algorithm_identifier(ByteView der) {
  DerReader reader(der);
  const auto algorithm = read_algorithm(reader);
  if (!algorithm || !reader.at_end()) return std::nullopt;
  if (algorithm->oid == kRsaPssOid) {
    return algorithm->parameters ? parse_pss(*algorithm->parameters) : std::nullopt;
  }
  // RFC 4055 section 5 wants NULL with RSA, RFC 5758 section 3.2 and RFC 8410 section 3 nothing; senders mix it up, and
  // neither says anything.
  if (!no_parameters(*algorithm)) return std::nullopt;
  for (const auto& row : kRows) {
    Bytes known;
    (void)from_hex(row.der, known);
    DerReader of_row(known);
    const auto row_algorithm = read_algorithm(of_row);
    if (row_algorithm && row_algorithm->oid == algorithm->oid) return row.scheme;
  }
  return std::nullopt;
}

}  // namespace cygnet::crypto
