// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who is known is not yet who may: what was proven, against the rules of one connection.
#include <string>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Does the proof satisfy the connection's own rules, for the identity that the peer showed? The reason if not.
[[nodiscard]] Result<void> authorize(const Credentials& credentials, const model::Connection& connection,
                                     const model::Identity& peer, const auth::AuthResult& proof);

// "RSASSA-PSS with SHA2-256, RSA 2048, C=DE, CN=moon, certificate by 'CN=Root', valid until 2027-01-15 08:00:00 UTC";
// "Ed25519, raw public key"; "pre-shared key (ipsec.secrets:3)".
[[nodiscard]] std::string proof_words(const auth::AuthResult& result);
// Where to look when the peer does not believe us: "compare the pre-shared key in ipsec.secrets on both ends".
[[nodiscard]] std::string what_to_compare(const Credentials& credentials, const model::Connection& connection);
// What the connection wants of the peer: "a pre-shared key (authby=secret)".
[[nodiscard]] std::string wanted_method(const model::Connection& connection);

}  // namespace cygnet::ike::v2
