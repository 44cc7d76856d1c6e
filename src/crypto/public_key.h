// SPDX-License-Identifier: Apache-2.0
#pragma once

// Public keys and the signatures made with them, as IKEv2 uses them (RFC 7296 section 3.8, RFC 4754, RFC 7427, RFC
// 8420).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

struct evp_pkey_st;

namespace cygnet::crypto {

// IANA "IKEv2 Hash Algorithms", as SIGNATURE_HASH_ALGORITHMS lists them (RFC 7427 section 4, RFC 8420 section 2).
enum class HashId : std::uint16_t { kSha1 = 1, kSha2_256 = 2, kSha2_384 = 3, kSha2_512 = 4, kIdentity = 5 };

enum class KeyKind : std::uint8_t { kRsa, kEcdsaP256, kEcdsaP384, kEcdsaP521, kEd25519, kEd448 };
[[nodiscard]] std::string_view to_string(KeyKind kind);

enum class SignatureScheme : std::uint8_t {
  kRsaPkcs1Sha1,  // verified only where a peer can do nothing better (AUTH method 1 without RFC 7427)
  kRsaPkcs1Sha256,
  kRsaPkcs1Sha384,
  kRsaPkcs1Sha512,
  kRsaPssSha256,  // salt as long as the hash (RFC 7427 section A.4.4)
  kRsaPssSha384,
  kRsaPssSha512,
  kEcdsaSha256,
  kEcdsaSha384,
  kEcdsaSha512,
  kEd25519,
  kEd448
};
[[nodiscard]] std::string_view to_string(SignatureScheme scheme);  // "RSASSA-PSS with SHA2-256"
[[nodiscard]] HashId hash_of(SignatureScheme scheme);
// ECDSA signatures are DER (Ecdsa-Sig-Value) in AUTH method 14, and r | s of fixed size in methods 9 to 11 (RFC 4754
// section 7).
enum class EcdsaForm : std::uint8_t { kDer, kFixed };

// DER AlgorithmIdentifier that stands in front of a Digital Signature (RFC 7427 section 3 and appendix A).
[[nodiscard]] Bytes algorithm_identifier(SignatureScheme scheme);
[[nodiscard]] std::optional<SignatureScheme> parse_algorithm_identifier(ByteView der);

class PublicKey {
 public:
  // SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). Refuses kinds that are not listed above, RSA above 16384 bits, and
  // trailing octets.
  [[nodiscard]] static Result<PublicKey> from_spki(ByteView der);

  // The same of a key that OpenSSL has decoded already; `spki` is its DER.
  [[nodiscard]] static Result<PublicKey> from_handle(std::shared_ptr<evp_pkey_st> key, ByteView spki);

  [[nodiscard]] KeyKind kind() const { return kind_; }
  [[nodiscard]] unsigned bits() const { return bits_; }
  [[nodiscard]] const Bytes& spki() const { return spki_; }
  // SHA2-256 of the SubjectPublicKeyInfo: by this a private key is asked for.
  [[nodiscard]] const Bytes& key_id() const { return key_id_; }
  // SHA-1 of the SubjectPublicKeyInfo: what CERTREQ lists (RFC 7296 section 3.7).
  [[nodiscard]] const Bytes& authority_hash() const { return authority_hash_; }
  [[nodiscard]] std::string to_string() const;  // "RSA 2048", "ECDSA P-256", "Ed25519"

  // False too if the scheme does not fit the key.
  [[nodiscard]] bool verify(SignatureScheme scheme, EcdsaForm form, ByteView octets, ByteView signature) const;

 private:
  PublicKey() = default;
  std::shared_ptr<evp_pkey_st> key_;
  KeyKind kind_{};
  unsigned bits_ = 0;
  Bytes spki_, key_id_, authority_hash_;
};

// Schemes this kind of key can sign with, the best first, of those whose hash the peer listed. Empty list of hashes:
// the peer knows no RFC 7427.
[[nodiscard]] std::vector<SignatureScheme> schemes_for(KeyKind kind, unsigned bits, const std::vector<HashId>& hashes);

}  // namespace cygnet::crypto
