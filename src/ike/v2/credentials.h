// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the configuration proves identities with, read once when it is loaded. Public halves only.
#include <map>
#include <string>
#include <vector>

#include "crypto/certificate.h"
#include "crypto/public_key.h"
#include "model/connection.h"

namespace cygnet::ike::v2 {

struct World;

struct Credentials {
  std::map<std::string, crypto::PublicKey> public_keys;     // by the configuration's name
  std::map<std::string, crypto::Certificate> certificates;  // our own, pinned ones of peers, and intermediates
  std::vector<crypto::Certificate> authorities;             // trust anchors

  // Null with an empty name, and for what could not be read.
  [[nodiscard]] const crypto::PublicKey* find_key(const std::string& name) const;
  [[nodiscard]] const crypto::Certificate* find_certificate(const std::string& name) const;
  // The key that this end is bound to by its configuration: of its certificate, or the raw one; null: none.
  [[nodiscard]] const crypto::PublicKey* key_of(const model::End& end) const;
};

// What cannot be used is reported.
[[nodiscard]] Credentials read_credentials(World& world, const model::PublicCredentials& credentials);

// Identities that nobody wrote come from the certificates, our own end's and a pinned peer's, or from the peer's name.
// A written one that our certificate does not carry is reported: the peer will not believe it.
void fill_in_identities(World& world, model::Connection& connection);

}  // namespace cygnet::ike::v2
