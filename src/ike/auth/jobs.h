// SPDX-License-Identifier: Apache-2.0
#pragma once

// Work with long-term keys and certificates. The endpoint orders it as an action and goes on when the result comes back
// (IkeEndpoint::on_auth_done): secrets are in another process, signatures take long, revocation may have to be asked
// for.
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "crypto/certificate.h"
#include "crypto/public_key.h"
#include "model/identity.h"
#include "model/transform.h"
#include "wire/ike/auth_payload.h"

namespace cygnet::ike::auth {

// Octets of certificates and the like in these jobs are bounded by what fits into one IKE message.

// Whose key: the identities of both ends, and their addresses for secrets that name addresses only.
struct PskQuery {
  model::Identity local_id;
  model::Identity remote_id;
  IpAddress local;
  IpAddress remote;
};

// ---- what a job asks for
// RFC 7296 section 2.15: AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"), <SignedOctets>). Both directions can be
// asked for at once, so that an exchange costs one question.
struct PskProve {
  model::PrfId prf{};
  PskQuery query;
  Bytes octets;
};
struct PskVerify {
  model::PrfId prf{};
  PskQuery query;
  Bytes octets;
  Bytes presented;  // AUTH data of the peer
  Bytes answer;     // of our own proof, which is made if the peer's is good; empty: none is wanted
};
// Sign with the private key of this public key.
struct SignatureProve {
  Bytes key_id;                        // crypto::PublicKey::key_id()
  bool digital_signature = false;      // AUTH method 14 (RFC 7427); else the method that fits the key
  std::vector<crypto::HashId> hashes;  // that the peer listed
  Bytes octets;
};
// Verify the signature, and the path behind the certificate.
struct SignatureVerify {
  wire::ike::AuthMethodId method{};
  Bytes presented;  // AUTH data; with method 14 the AlgorithmIdentifier stands in front
  Bytes octets;
  std::vector<Bytes> certificates;    // X.509 DER: the first is the peer's own
  std::vector<Bytes> crls;            // that the peer sent
  std::vector<Bytes> ocsp_responses;  // stapled (RFC 4806)
  Bytes raw_public_key;           // SubjectPublicKeyInfo sent by the peer (RFC 7670); trust is for the rules to decide
  std::vector<Bytes> known_keys;  // SubjectPublicKeyInfos the configuration trusts for this peer without a certificate
  // Certificates that the configuration names for this peer: what is said of the key in them (dates, revocation) counts
  // however the peer shows the key.
  std::vector<Bytes> pinned;
  bool fetch_revocation = true;  // ask the network if nothing is at hand
};
struct AuthJob {
  std::uint64_t job = 0;
  std::variant<PskProve, PskVerify, SignatureProve, SignatureVerify> what;
};

// ---- results
// What is certain about a peer after its signature was verified.
struct PeerFacts {
  std::optional<crypto::Certificate> certificate;  // nothing: a raw public key
  Bytes public_key;                                // SubjectPublicKeyInfo
  std::vector<Bytes> issuers;                      // DER Names of all authorities of the path, the leaf's issuer first
  std::vector<Bytes> known_issuers;                // those of them whose key is that of a certificate loaded here
  std::vector<std::string> organizational_units;
  std::int64_t not_after = 0;  // of the path: the earliest; seconds since 1970
  bool revoked = false;
  bool revocation_known = false;
  std::string revocation_text;
  bool operator==(const PeerFacts&) const = default;
};
struct AuthResult {
  std::uint64_t job = 0;
  bool ok = false;
  std::string error;   // a sentence for our log: what is wrong and what to do
  std::string source;  // PSK: "file:line" of the secret; signatures: "RSASSA-PSS with SHA2-256, RSA 2048, moon.pem".
                       // A PskVerify that failed and yet has a source: there is a secret, and it is another one.
  // Proofs, and a PskVerify that was good and had an answer:
  wire::ike::AuthMethodId method{};
  SecretBytes auth;  // AUTH data
  // SignatureVerify:
  std::optional<PeerFacts> facts;
};

}  // namespace cygnet::ike::auth
