// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/proofs.h"

#include <algorithm>
#include <array>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/certificates.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using crypto::HashId;

// RFC 7427 section 4: SHA1 may be listed; a signature over it proves too little today.
constexpr std::array kVerifiedHashes{HashId::kSha2_256, HashId::kSha2_384, HashId::kSha2_512, HashId::kIdentity};

bool is_signature(wi::AuthMethodId method) {
  switch (method) {
    case wi::AuthMethodId::kRsaSignature:
    case wi::AuthMethodId::kEcdsaP256:
    case wi::AuthMethodId::kEcdsaP384:
    case wi::AuthMethodId::kEcdsaP521:
    case wi::AuthMethodId::kDigitalSignature: return true;
    default: return false;
  }
}

// Keys and certificates that the candidates name for the peer.
void add_known(const Credentials& credentials, const std::vector<ConnectionPtr>& candidates,
               auth::SignatureVerify& out) {
  std::vector<const Bytes*> pinned;
  for (const auto& candidate : candidates) {
    const auto* key = credentials.key_of(candidate->remote);
    if (key == nullptr) continue;
    if (std::find(out.known_keys.begin(), out.known_keys.end(), key->spki()) == out.known_keys.end())
      out.known_keys.push_back(key->spki());
    const auto* certificate = credentials.find_certificate(candidate->remote.certificate);
    const auto same = [&](const Bytes* other) { return *other == certificate->der(); };
    if (certificate != nullptr && std::none_of(pinned.begin(), pinned.end(), same))
      pinned.push_back(&certificate->der());
  }
  // A peer that sends no certificate because we have it: dates and revocation are looked at all the same.
  if (out.certificates.empty() && out.raw_public_key.empty() && pinned.size() == 1 && out.known_keys.size() == 1)
    out.certificates.push_back(*pinned.front());
}

}  // namespace

bool method_fits(const model::Connection& connection, wi::AuthMethodId shown) {
  switch (connection.remote.auth) {
    case model::AuthMethod::kPsk: return shown == wi::AuthMethodId::kSharedKey;
    case model::AuthMethod::kSignature: return is_signature(shown);
    // RFC 7619 section 2.2: what proves nothing is not taken for a proof.
    case model::AuthMethod::kNull: return false;
  }
  return false;
}

wi::NotifyPayload signature_hash_algorithms() {
  Bytes data(2 * kVerifiedHashes.size());
  for (std::size_t i = 0; i < kVerifiedHashes.size(); ++i)
    store_be16(data.data() + 2 * i, static_cast<std::uint16_t>(kVerifiedHashes[i]));
  return notify(wi::NotifyType::kSignatureHashAlgorithms, std::move(data));
}

void read_peer_wishes(Handshake& handshake, const wi::Payloads& payloads) {
  if (const auto* n = wi::find_notify(payloads, wi::NotifyType::kSignatureHashAlgorithms)) {
    handshake.peer_hashes.clear();
    for (std::size_t i = 0; i + 2 <= n->data.size(); i += 2) {
      const auto hash = static_cast<HashId>(load_be16(n->data.data() + i));
      const bool known = std::find(kVerifiedHashes.begin(), kVerifiedHashes.end(), hash) != kVerifiedHashes.end();
      const auto& list = handshake.peer_hashes;
      if (known && std::find(list.begin(), list.end(), hash) == list.end()) handshake.peer_hashes.push_back(hash);
    }
  }
}

Result<AuthWork> own_proof(const World& world, const IkeSa& sa, const model::Connection& connection,
                           const model::Identity& peer, Bytes octets) {
  const auto& own = connection.local;
  if (own.auth == model::AuthMethod::kPsk)
    return AuthWork(auth::PskProve{sa.algorithms.prf, query_of(sa, sa.local_id, peer), std::move(octets)});
  if (own.auth == model::AuthMethod::kNull) {
    return fail("connection " + connection.name +
                " proves nothing at our end (leftauth=null), which is not spoken: write leftauth=psk or pubkey");
  }
  const auto* key = world.credentials.key_of(own);
  if (key == nullptr) {
    return fail("connection " + connection.name +
                " signs, but no certificate or public key of ours is loaded for it: write leftcert= (or leftpubkey=) "
                "with one whose private key ipsec.secrets names");
  }
  const auto& hashes = sa.handshake->peer_hashes;
  // RFC 7427 section 4: method 14 is for peers that sent SIGNATURE_HASH_ALGORITHMS.
  return AuthWork(auth::SignatureProve{key->key_id(), !hashes.empty(), hashes, std::move(octets)});
}

AuthWork peer_check(World& world, const IkeSa& sa, const std::vector<ConnectionPtr>& candidates,
                    const wi::Payloads& payloads, Bytes octets) {
  const auto& auth = *wi::find_payload<wi::AuthPayload>(payloads);
  const auto& first = *candidates.front();
  if (first.remote.auth == model::AuthMethod::kPsk)
    return auth::PskVerify{sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id), std::move(octets), auth.data};
  auth::SignatureVerify out;
  out.method = auth.method;
  out.presented = auth.data;
  out.octets = std::move(octets);
  read_certificates(world, sa, payloads, out);
  add_known(world.credentials, candidates, out);
  out.fetch_revocation = std::any_of(candidates.begin(), candidates.end(),
                                     [](const auto& c) { return c->remote.revocation != model::Revocation::kIgnore; });
  return out;
}

ProofFault proof_fault(const IkeSa& sa, const auth::AuthResult& result) {
  const bool psk = sa.connection && sa.connection->remote.auth == model::AuthMethod::kPsk;
  if (psk && result.source.empty()) return {"no-secret", result.error};
  if (psk) return {"auth-failed", diagnosis::keys_differ(sa.peer(), sa.local_id, sa.remote_id, result.source)};
  return {"auth-failed",
          "authentication of '" + sa.remote_id.to_string() + "' (" + sa.peer() + ") failed: " + result.error};
}

}  // namespace cygnet::ike::v2
