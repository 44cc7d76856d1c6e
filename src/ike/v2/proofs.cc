// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/proofs.h"

#include <algorithm>
#include <array>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using crypto::HashId;

// IANA "IKEv2 Certificate Encodings": Raw Public Key (RFC 7670).
constexpr std::uint8_t kRawPublicKey = 15;
// RFC 7427 section 4: SHA1 may be listed; a signature over it proves too little today.
constexpr std::array kVerifiedHashes{HashId::kSha2_256, HashId::kSha2_384, HashId::kSha2_512, HashId::kIdentity};

const crypto::PublicKey* find_key(const World& world, const std::string& name) {
  const auto found = world.public_keys.find(name);
  return found == world.public_keys.end() ? nullptr : &found->second;
}

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

}  // namespace

void take_credentials(World& world, model::PublicCredentials credentials) {
  world.public_keys.clear();
  for (const auto& object : credentials.public_keys) {
    auto key = crypto::PublicKey::from_spki(ByteView(object.der));
    if (!key) {
      world.report(
          Severity::kError, "", "", "public-key-unusable",
          "the public key '" + object.name + "' (" + object.source + ") cannot be used: " + key.error().message);
      continue;
    }
    world.public_keys.emplace(object.name, std::move(*key));
  }
  world.credentials = std::move(credentials);
}

bool method_fits(const model::Connection& connection, wi::AuthMethodId shown) {
  switch (connection.remote.auth) {
    case model::AuthMethod::kPsk: return shown == wi::AuthMethodId::kSharedKey;
    case model::AuthMethod::kSignature: return is_signature(shown);
    // RFC 7619 section 2.2: what proves nothing is not taken for a proof.
    case model::AuthMethod::kNull: return false;
  }
  return false;
}

std::string wanted_method(const model::Connection& connection) {
  switch (connection.remote.auth) {
    case model::AuthMethod::kPsk: return "a pre-shared key (authby=secret)";
    case model::AuthMethod::kSignature: return "a signature (authby=pubkey)";
    case model::AuthMethod::kNull: return "NULL authentication";
  }
  return "nothing";
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
  for (const auto& payload : payloads) {
    const auto* request = std::get_if<wi::CertReqPayload>(&payload);
    if (request != nullptr && request->encoding == kRawPublicKey) handshake.raw_key_wanted = true;
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
  const auto* key = own.public_key.empty() ? nullptr : find_key(world, own.public_key);
  if (key == nullptr) {
    return fail("connection " + connection.name + " signs, but names no raw public key of ours that is loaded: write " +
                "leftpubkey= with a key whose private half ipsec.secrets holds");
  }
  const auto& hashes = sa.handshake->peer_hashes;
  // RFC 7427 section 4: method 14 is for peers that sent SIGNATURE_HASH_ALGORITHMS.
  return AuthWork(auth::SignatureProve{key->key_id(), !hashes.empty(), hashes, std::move(octets)});
}

void add_own_key(const World& world, const IkeSa& sa, wi::Payloads& payloads) {
  const auto& own = sa.connection->local;
  if (own.auth != model::AuthMethod::kSignature || own.send_certificate == model::SendCertificate::kNever) return;
  if (!sa.handshake->raw_key_wanted) return;
  // RFC 7670 section 3: the Certificate Data field holds the SubjectPublicKeyInfo.
  if (const auto* key = find_key(world, own.public_key))
    payloads.emplace_back(wi::CertPayload{kRawPublicKey, key->spki()});
}

AuthWork peer_check(const World& world, const IkeSa& sa, const std::vector<ConnectionPtr>& candidates,
                    const wi::Payloads& payloads, Bytes octets) {
  const auto& auth = *wi::find_payload<wi::AuthPayload>(payloads);
  const auto& first = *candidates.front();
  if (first.remote.auth == model::AuthMethod::kPsk)
    return auth::PskVerify{sa.algorithms.prf, query_of(sa, sa.local_id, sa.remote_id), std::move(octets), auth.data};
  auth::SignatureVerify out;
  out.method = auth.method;
  out.presented = auth.data;
  out.octets = std::move(octets);
  for (const auto& payload : payloads) {
    const auto* cert = std::get_if<wi::CertPayload>(&payload);
    if (cert != nullptr && cert->encoding == kRawPublicKey && out.raw_public_key.empty())
      out.raw_public_key = cert->data;
  }
  for (const auto& candidate : candidates) {
    const auto* key = candidate->remote.public_key.empty() ? nullptr : find_key(world, candidate->remote.public_key);
    if (key == nullptr) continue;
    if (std::find(out.known_keys.begin(), out.known_keys.end(), key->spki()) == out.known_keys.end())
      out.known_keys.push_back(key->spki());
  }
  return out;
}

std::string proof_words(const auth::AuthResult& result) {
  return result.facts ? result.source : "pre-shared key (" + result.source + ")";
}

ProofFault proof_fault(const IkeSa& sa, const auth::AuthResult& result) {
  const bool psk = sa.connection && sa.connection->remote.auth == model::AuthMethod::kPsk;
  if (psk && result.source.empty()) return {"no-secret", result.error};
  if (psk) return {"auth-failed", diagnosis::keys_differ(sa.peer(), sa.local_id, sa.remote_id, result.source)};
  return {"auth-failed",
          "authentication of '" + sa.remote_id.to_string() + "' (" + sa.peer() + ") failed: " + result.error};
}

Result<void> authorize(const World& world, const model::Connection& connection, const auth::AuthResult& proof) {
  const auto& rules = connection.remote;
  if (rules.auth == model::AuthMethod::kPsk && !proof.facts) return {};
  if (rules.auth != model::AuthMethod::kSignature || !proof.facts)
    return fail("it wants " + wanted_method(connection) + " of the peer");
  const auto& facts = *proof.facts;
  if (rules.public_key.empty()) {
    return fail(
        "the peer signed with a raw public key, and the connection names none for it: write rightpubkey= with the "
        "peer's key");
  }
  const auto* key = find_key(world, rules.public_key);
  if (key == nullptr) return fail("its rightpubkey='" + rules.public_key + "' is not loaded");
  if (facts.public_key != key->spki())
    return fail("the peer signed with another key than rightpubkey='" + rules.public_key + "'");
  return {};
}

}  // namespace cygnet::ike::v2
