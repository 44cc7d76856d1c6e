// SPDX-License-Identifier: Apache-2.0
#pragma once

// Performs AuthJobs with keys held in memory. The keys process, tests and simulations use it; ike itself only orders.
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "crypto/private_key.h"
#include "crypto/trust_store.h"
#include "ike/auth/jobs.h"
#include "model/credentials.h"

namespace cygnet::ike::auth {

// Pre-shared keys, found by the identities and addresses they name: among thousands as fast as among a few.
class SecretIndex {
 public:
  explicit SecretIndex(std::vector<model::SharedSecret> secrets);
  // As find_secret() in all of them.
  [[nodiscard]] const model::SharedSecret* find(const PskQuery& query) const;

 private:
  using Places = std::unordered_map<std::uint64_t, std::vector<std::uint32_t>>;  // by hash_of(identity)
  std::vector<model::SharedSecret> secrets_;
  Places naming_;   // all that name it
  Places serving_;  // those that serve one end, whoever the other is
  std::vector<std::uint32_t> for_anyone_;
};

class LocalKeys {
 public:
  explicit LocalKeys(model::Secrets secrets);

  // PskProve, PskVerify and SignatureProve. (SignatureVerify needs no secret: see below.)
  [[nodiscard]] AuthResult perform(const AuthJob& job) const;
  // Takes less time than the way to another thread and back: shared keys, signatures with P-256 and Ed25519.
  [[nodiscard]] bool is_quick(const AuthJob& job) const;
  // Keys that could not be loaded: a sentence each, with the source.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] std::vector<crypto::PublicKey> public_keys() const;

 private:
  [[nodiscard]] AuthResult sign(const AuthJob& job) const;

  struct Held {
    crypto::PrivateKey key;
    std::string source;
  };
  SecretIndex shared_;
  std::map<Bytes, Held> private_keys_;  // by PublicKey::key_id()
  std::vector<std::string> problems_;
};

// Which of the secrets serves the query; null: none. The most specific wins: both identities, both addresses, one of
// them, anyone; among equals the first.
[[nodiscard]] const model::SharedSecret* find_secret(const std::vector<model::SharedSecret>& secrets,
                                                     const PskQuery& query);

// SignatureVerify: the signature, then the path. Where revocation is unknown and could be asked for, `sources` says
// where; whoever fetched something puts it into the store and calls again.
struct Verification {
  AuthResult result;
  std::vector<crypto::RevocationSource> sources;
};
[[nodiscard]] Verification verify_signature(const AuthJob& job, const crypto::TrustStore& trust,
                                            std::int64_t wall_seconds);

}  // namespace cygnet::ike::auth
