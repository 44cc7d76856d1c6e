// SPDX-License-Identifier: Apache-2.0
#pragma once

// AUTH data by signature (RFC 7296 section 3.8, RFC 7427), wherever the private key is: in memory or on a token.
#include <functional>
#include <string>

#include "ike/auth/jobs.h"

namespace cygnet::ike::auth {

struct SigningKey {
  const crypto::PublicKey& public_key;
  std::string source;                                // for people: where the private half is
  std::function<bool(crypto::SignatureScheme)> can;  // none: whatever fits the kind of key
  std::function<Result<Bytes>(crypto::SignatureScheme, crypto::EcdsaForm, ByteView)> sign;
};
// With the best scheme that the peer takes and the key can.
[[nodiscard]] AuthResult prove_by_signature(const SignatureProve& what, const SigningKey& key);

}  // namespace cygnet::ike::auth
