// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/proofs.h"

#include <algorithm>
#include <array>

#include "ike/auth/shared_key.h"
#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/authorize.h"
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
  for (const auto& candidate : candidates) {
    const auto* key = credentials.key_of(candidate->remote);
    if (key == nullptr) continue;
    if (std::find(out.known_keys.begin(), out.known_keys.end(), key->spki()) == out.known_keys.end())
      out.known_keys.push_back(key->spki());
    const auto* certificate = credentials.find_certificate(candidate->remote.certificate);
    if (certificate != nullptr && std::ranges::find(out.pinned, certificate->der()) == out.pinned.end())
      out.pinned.push_back(certificate->der());
  }
}

// RFC 7619 section 2.1: AUTH without authentication is made as with a shared key; the key is SK_pi or SK_pr, which
// shows that both ends saw the same IKE_SA_INIT, and no more.
auth::AuthResult null_proof(const IkeSa& sa, ByteView octets) {
  auth::AuthResult out;
  out.ok = true;
  out.source = "NULL authentication";
  out.method = wi::AuthMethodId::kNull;
  out.auth = auth::shared_key_auth(sa.algorithms.prf, ByteView(sa.initiator ? sa.keys.pi : sa.keys.pr), octets);
  return out;
}

auth::AuthResult null_check(const IkeSa& sa, ByteView octets, ByteView presented) {
  auth::AuthResult out;
  const auto expected =
      auth::shared_key_auth(sa.algorithms.prf, ByteView(sa.initiator ? sa.keys.pr : sa.keys.pi), octets);
  out.ok = constant_time_equal(ByteView(expected), presented);
  out.source = "NULL authentication";
  out.method = wi::AuthMethodId::kNull;
  if (!out.ok) out.error = "its AUTH does not belong to this IKE_SA_INIT: somebody stands between, or it is broken";
  return out;
}

}  // namespace

bool method_fits(const model::Connection& connection, wi::AuthMethodId shown) {
  switch (connection.remote.auth) {
    case model::AuthMethod::kPsk: return shown == wi::AuthMethodId::kSharedKey;
    case model::AuthMethod::kSignature: return is_signature(shown);
    // RFC 7619: only where the connection says so; a peer that could prove something else is not meant either.
    case model::AuthMethod::kNull: return shown == wi::AuthMethodId::kNull;
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

Result<void> order_proof(World& world, IkeSa& sa, About about, const model::Identity& peer, Bytes octets) {
  const auto& connection = *sa.connection;
  const auto& own = connection.local;
  if (own.auth == model::AuthMethod::kPsk) {
    world.order_auth(sa, about, auth::PskProve{sa.algorithms.prf, query_of(sa, sa.local_id, peer), std::move(octets)});
    return {};
  }
  if (own.auth == model::AuthMethod::kNull) {
    world.finish_auth_here(sa, about, true, null_proof(sa, ByteView(octets)));
    return {};
  }
  const auto* key = world.credentials.key_of(own);
  if (key == nullptr) {
    return fail("connection " + connection.name +
                " signs, but no certificate or public key of ours is loaded for it: write leftcert= (or leftpubkey=) "
                "with one whose private key ipsec.secrets names");
  }
  const auto& hashes = sa.handshake->peer_hashes;
  // RFC 7427 section 4: method 14 is for peers that sent SIGNATURE_HASH_ALGORITHMS.
  world.order_auth(sa, about, auth::SignatureProve{key->key_id(), !hashes.empty(), hashes, std::move(octets)});
  return {};
}

void order_check(World& world, IkeSa& sa, About about, const std::vector<ConnectionPtr>& candidates,
                 const wi::Payloads& payloads, Bytes octets, Bytes answer) {
  const auto& auth = *wi::find_payload<wi::AuthPayload>(payloads);
  const auto wanted = candidates.front()->remote.auth;
  if (wanted == model::AuthMethod::kNull)
    return world.finish_auth_here(sa, about, false, null_check(sa, ByteView(octets), ByteView(auth.data)));
  if (wanted == model::AuthMethod::kPsk) {
    if (candidates.front()->local.auth != model::AuthMethod::kPsk) answer.clear();
    return world.order_auth(sa, about,
                            auth::PskVerify{sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id),
                                            std::move(octets), auth.data, std::move(answer)});
  }
  auth::SignatureVerify out;
  out.method = auth.method;
  out.presented = auth.data;
  out.octets = std::move(octets);
  read_certificates(world, sa, payloads, out);
  add_known(world.credentials, candidates, out);
  out.fetch_revocation = std::any_of(candidates.begin(), candidates.end(),
                                     [](const auto& c) { return c->remote.revocation != model::Revocation::kIgnore; });
  world.order_auth(sa, about, std::move(out));
}

bool take_answer(World& world, IkeSa& sa, About about, const auth::AuthResult& checked) {
  // The connection may be another candidate than the check was ordered with.
  if (checked.auth.empty() || sa.connection->local.auth != model::AuthMethod::kPsk) return false;
  world.finish_auth_here(sa, about, true,
                         {.ok = true, .source = checked.source, .method = checked.method, .auth = checked.auth});
  return true;
}

ProofFault method_fault(const IkeSa& sa, const model::Connection& connection, wi::AuthMethodId shown) {
  return {"auth-method-unsupported", sa.peer() + " authenticates with " + wi::to_string(shown) + ", but connection " +
                                         connection.name + " wants " + wanted_method(connection) +
                                         ": write the same at the peer"};
}

ProofFault proof_fault(const IkeSa& sa, const auth::AuthResult& result) {
  const bool psk = sa.connection && sa.connection->remote.auth == model::AuthMethod::kPsk;
  if (psk && result.source.empty()) return {"no-secret", result.error};
  if (psk) return {"auth-failed", diagnosis::keys_differ(sa.peer(), sa.local_id, sa.remote_id, result.source)};
  return {"auth-failed",
          "authentication of '" + sa.remote_id.to_string() + "' (" + sa.peer() + ") failed: " + result.error};
}

}  // namespace cygnet::ike::v2
