// SPDX-License-Identifier: Apache-2.0
#pragma once

// What identities are proven with: shared secrets, certificates, public keys. Bytes and where they came from; what they
// mean is for crypto/. Private halves exist in the keys process alone: PublicCredentials is all that other processes
// see.
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "model/identity.h"

namespace cygnet::model {

// A pre-shared key and whom it is for. Empty selectors: anyone.
struct SharedSecret {
  std::vector<Identity> ids;
  bool any_peer = false;  // %any or no selector
  SecretBytes secret;
  std::string source;  // "file:line"
};

// One DER object and the name a configuration calls it by.
struct NamedObject {
  std::string name;  // as written in leftcert=, rightpubkey=, …; the file's name for directories
  Bytes der;
  std::string source;  // path of the file, for people
  bool operator==(const NamedObject&) const = default;
};

// What a `ca` section says of one authority.
struct AuthorityOptions {
  std::string name;         // of the section
  std::string certificate;  // NamedObject::name among the authorities
  std::vector<std::string> crl_urls;
  std::vector<std::string> ocsp_urls;
  bool operator==(const AuthorityOptions&) const = default;
};

struct PublicCredentials {
  std::vector<NamedObject> certificates;  // X.509: our own, pinned ones of peers, and intermediates
  std::vector<NamedObject> authorities;   // X.509: trust anchors
  std::vector<NamedObject> crls;
  std::vector<NamedObject> public_keys;  // SubjectPublicKeyInfo: raw public keys, ours and of peers
  std::vector<AuthorityOptions> authority_options;
  bool operator==(const PublicCredentials&) const = default;
};

// A private key as it was found: a file's bytes (PEM or DER, PKCS#1, PKCS#8, PKCS#12, perhaps under a passphrase), or a
// PKCS#11 URI (RFC 7512).
struct PrivateKeySource {
  SecretBytes bytes;  // empty with a URI
  std::string uri;
  SecretBytes passphrase;  // or PIN; empty: none
  std::string source;      // "file:line" of the secret's line, and the key's path
};

struct Secrets {
  std::vector<SharedSecret> shared;
  std::vector<PrivateKeySource> private_keys;
};

}  // namespace cygnet::model
