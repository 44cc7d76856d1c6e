// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/authorize.h"

#include <algorithm>

#include "ike/v2/match.h"
#include "model/distinguished_name.h"

namespace cygnet::ike::v2 {
namespace {

using crypto::Certificate;

struct Case {
  const Credentials& credentials;
  const model::Connection& connection;
  const model::Identity& peer;
  const auth::PeerFacts& facts;
  [[nodiscard]] const model::End& rules() const { return connection.remote; }
};

std::string quoted(const Bytes& name) { return "'" + model::distinguished_name_to_string(name) + "'"; }

// The key, where the connection names it: by certificate or raw.
Result<void> check_key(const Case& c) {
  const auto& rules = c.rules();
  const bool by_certificate = !rules.certificate.empty();
  if (!by_certificate && rules.public_key.empty()) {
    if (c.facts.certificate) return {};
    return fail(
        "the peer signed with a raw public key, and the connection names none for it: write rightpubkey= with the "
        "peer's key");
  }
  const auto word = by_certificate ? "rightcert='" + rules.certificate + "'" : "rightpubkey='" + rules.public_key + "'";
  const auto* key = c.credentials.key_of(rules);
  if (key == nullptr) return fail("its " + word + " is not loaded");
  if (c.facts.public_key != key->spki()) return fail("the peer signed with another key than that of " + word);
  return {};
}

// RFC 4945 section 3.1: the identity must be one that the certificate carries.
bool carries(const Certificate& certificate, const model::Identity& peer) {
  // A pattern is a rule of ours; shown by a peer it would be the subject of everybody.
  return !peer.is_pattern() && certificate.carries(peer);
}

Result<void> check_identity(const Case& c) {
  const auto& rules = c.rules();
  const auto expected = expected_identity(c.connection);
  const bool written = expected && !expected->is_pattern();
  const bool key_named = !rules.certificate.empty() || !rules.public_key.empty();
  // The configuration itself says whose key this is.
  if (key_named && written) return {};
  std::optional<Certificate> certificate;
  if (c.facts.certificate) {
    certificate = c.facts.certificate;
  } else if (const auto* pinned = c.credentials.find_certificate(rules.certificate)) {
    certificate = *pinned;  // ours; what the peer sent was not vouched for
  }
  if (!certificate || carries(*certificate, c.peer)) return {};
  return fail("its certificate does not carry '" + c.peer.to_string() + "'; it names " + certificate->names_text() +
              ": let the peer show one of these (leftid= there), or issue a certificate with that name");
}

Result<void> check_authority(const Case& c) {
  const auto& rules = c.rules();
  const auto& issuers = c.facts.issuers;
  const auto in = [](const std::vector<Bytes>& names, const model::Identity& wanted) {
    return std::ranges::any_of(names,
                               [&](const Bytes& name) { return wanted.covers({model::IdType::kDerAsn1Dn, name}); });
  };
  // Any authority can give an intermediate one any name: a name counts where the certificate that has it is ours.
  const auto issued_by = [&](const model::Identity& wanted) { return in(c.facts.known_issuers, wanted); };
  auto path = issuers.empty() ? std::string("no authority vouches for it") : "it is " + quoted(issuers.front());
  if (rules.authority && !issued_by(*rules.authority) && in(issuers, *rules.authority))
    path =
        "one that the peer sent calls itself so, and is not known here: if it is the right one, put it into cacerts/";
  if (rules.authority && !issued_by(*rules.authority))
    return fail("its certificate must come from '" + rules.authority->to_string() + "' (rightca=); " + path);
  if (!rules.same_authority) return {};
  const auto* own = c.credentials.find_certificate(c.connection.local.certificate);
  if (own == nullptr) return fail("rightca=%same asks for the authority of our own certificate, and we have none");
  if (!issued_by({model::IdType::kDerAsn1Dn, own->issuer()}))
    return fail("its certificate must come from the authority of ours, " + quoted(own->issuer()) +
                " (rightca=%same); " + path);
  return {};
}

Result<void> check_groups(const Case& c) {
  const auto& wanted = c.rules().groups;
  if (wanted.empty()) return {};
  std::string has;
  for (const auto& unit : c.facts.organizational_units) {
    if (std::find(wanted.begin(), wanted.end(), unit) != wanted.end()) return {};
    has += (has.empty() ? "'" : ", '") + unit + "'";
  }
  std::string any;
  for (const auto& group : wanted) any += (any.empty() ? "'" : ", '") + group + "'";
  return fail("its certificate must name one of the organizational units " + any + " (rightgroups=); it names " +
              (has.empty() ? "none" : has));
}

Result<void> check_revocation(const Case& c) {
  const auto& facts = c.facts;
  const auto rule = c.rules().revocation;
  // Without a certificate that was validated there is nothing to be revoked: the configuration names the key.
  if (!facts.certificate || rule == model::Revocation::kIgnore) return {};
  if (facts.revoked) return fail("its certificate is revoked: " + facts.revocation_text);
  if (rule == model::Revocation::kStrict && !facts.revocation_known)
    return fail("it is not known whether its certificate is revoked (" + facts.revocation_text +
                "), and the connection insists on it (revocation=strict)");
  return {};
}

}  // namespace

Result<void> authorize(const Credentials& credentials, const model::Connection& connection, const model::Identity& peer,
                       const auth::AuthResult& proof) {
  const auto& rules = connection.remote;
  const bool nothing = proof.method == wire::ike::AuthMethodId::kNull;
  if (nothing != (rules.auth == model::AuthMethod::kNull))
    return fail("it wants " + wanted_method(connection) + " of the peer");
  if (nothing || (rules.auth == model::AuthMethod::kPsk && !proof.facts)) return {};
  if (rules.auth != model::AuthMethod::kSignature || !proof.facts)
    return fail("it wants " + wanted_method(connection) + " of the peer");
  const Case c{credentials, connection, peer, *proof.facts};
  for (const auto check : {check_key, check_identity, check_authority, check_groups, check_revocation}) {
    if (auto good = check(c); !good) return good;
  }
  return {};
}

std::string proof_words(const auth::AuthResult& result) {
  if (result.method == wire::ike::AuthMethodId::kNull) return "NULL authentication, which proves nothing";
  if (!result.facts) return "pre-shared key (" + result.source + ")";
  const auto& facts = *result.facts;
  if (!facts.certificate) return result.source;
  return result.source +
         (facts.issuers.empty() ? ", certificate" : ", certificate by " + quoted(facts.issuers.front())) +
         " valid until " + crypto::date_text(facts.not_after) +
         (facts.revocation_known ? "" : " (revocation not known: " + facts.revocation_text + ")");
}

std::string what_to_compare(const Credentials& credentials, const model::Connection& connection) {
  const auto& own = connection.local;
  if (own.auth == model::AuthMethod::kPsk) return "compare the pre-shared key in ipsec.secrets on both ends";
  if (own.auth == model::AuthMethod::kNull) return "look whether the peer takes NULL authentication (authby=null)";
  if (const auto* certificate = credentials.find_certificate(own.certificate)) {
    return "look whether the peer trusts " + quoted(certificate->issuer()) + ", the authority of our certificate " +
           certificate->names_text() + " (valid until " + crypto::date_text(certificate->not_after()) + ")";
  }
  return "compare our public key (leftpubkey= here) with the one that the peer has";
}

std::string wanted_method(const model::Connection& connection) {
  switch (connection.remote.auth) {
    case model::AuthMethod::kPsk: return "a pre-shared key (authby=secret)";
    case model::AuthMethod::kSignature: return "a signature (authby=pubkey)";
    case model::AuthMethod::kNull: return "NULL authentication (authby=null)";
  }
  return "nothing";
}

}  // namespace cygnet::ike::v2
