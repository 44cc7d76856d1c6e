// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/local_keys.h"

#include <algorithm>
#include <array>

#include "ike/auth/shared_key.h"
#include "ike/auth/signature_proof.h"
#include "ike/v2/sa_index.h"

namespace cygnet::ike::auth {
namespace {

enum class Rank : int { kNone = 0, kAnyone, kOneAddress, kOneIdentity, kBothAddresses, kBothIdentities };

bool lists(const model::SharedSecret& secret, const model::Identity& id) {
  return std::any_of(secret.ids.begin(), secret.ids.end(),
                     [&](const model::Identity& listed) { return listed.matches(id); });
}

Rank rank(const model::SharedSecret& secret, const PskQuery& q) {
  if (secret.ids.empty()) return Rank::kAnyone;
  const bool local_id = lists(secret, q.local_id);
  const bool remote_id = lists(secret, q.remote_id);
  const bool local = local_id || lists(secret, model::Identity::of(q.local));
  const bool remote = remote_id || lists(secret, model::Identity::of(q.remote));
  if (local_id && remote_id) return Rank::kBothIdentities;
  if (local && remote) return Rank::kBothAddresses;
  // A secret that names two ends belongs to these two; only one with a single name, or with %any, may serve others as
  // well.
  if (secret.ids.size() > 1 && !secret.any_peer) return Rank::kNone;
  if (local_id || remote_id) return Rank::kOneIdentity;
  if (local || remote) return Rank::kOneAddress;
  return Rank::kNone;
}

std::string no_secret(const PskQuery& q) {
  return "no pre-shared key for '" + q.local_id.to_string() + "' and '" + q.remote_id.to_string() + "' (" +
         q.local.to_string() + " and " + q.remote.to_string() + "): add a line '" + q.local_id.to_string() + " " +
         q.remote_id.to_string() + " : PSK \"…\"' to ipsec.secrets";
}

AuthResult perform_psk(const SecretIndex& secrets, const PskProve& prove) {
  AuthResult out;
  const auto* secret = secrets.find(prove.query);
  if (secret == nullptr) {
    out.error = no_secret(prove.query);
    return out;
  }
  out.ok = true;
  out.source = secret->source;
  out.method = wire::ike::AuthMethodId::kSharedKey;
  out.auth = shared_key_auth(prove.prf, ByteView(secret->secret), ByteView(prove.octets));
  return out;
}

AuthResult perform_psk(const SecretIndex& secrets, const PskVerify& verify) {
  AuthResult out;
  const auto* secret = secrets.find(verify.query);
  if (secret == nullptr) {
    out.error = no_secret(verify.query);
    return out;
  }
  out.source = secret->source;
  const auto expected = shared_key_auth(verify.prf, ByteView(secret->secret), ByteView(verify.octets));
  out.ok = constant_time_equal(ByteView(expected), ByteView(verify.presented));
  if (!out.ok) {
    out.error = "the pre-shared keys differ (here: " + secret->source + ")";
  } else if (!verify.answer.empty()) {
    out.method = wire::ike::AuthMethodId::kSharedKey;
    out.auth = shared_key_auth(verify.prf, ByteView(secret->secret), ByteView(verify.answer));
  }
  return out;
}

}  // namespace

const model::SharedSecret* find_secret(const std::vector<model::SharedSecret>& secrets, const PskQuery& query) {
  const model::SharedSecret* best = nullptr;
  auto best_rank = Rank::kNone;
  for (const auto& secret : secrets) {
    const auto r = rank(secret, query);
    if (r > best_rank) {
      best_rank = r;
      best = &secret;
    }
  }
  return best;
}

SecretIndex::SecretIndex(std::vector<model::SharedSecret> secrets) : secrets_(std::move(secrets)) {
  for (std::uint32_t i = 0; i < secrets_.size(); ++i) {
    const auto& secret = secrets_[i];
    if (secret.ids.empty()) for_anyone_.push_back(i);
    const bool serves_one = secret.ids.size() == 1 || secret.any_peer;
    for (const auto& id : secret.ids) {
      naming_[v2::hash_of(id)].push_back(i);
      if (serves_one) serving_[v2::hash_of(id)].push_back(i);
    }
  }
}

const model::SharedSecret* SecretIndex::find(const PskQuery& query) const {
  const std::array<std::uint64_t, 2> local{v2::hash_of(query.local_id), v2::hash_of(model::Identity::of(query.local))};
  const std::array<std::uint64_t, 2> remote{v2::hash_of(query.remote_id),
                                            v2::hash_of(model::Identity::of(query.remote))};
  std::vector<std::uint32_t> candidates = for_anyone_;
  const auto take = [&](const Places& places, const std::array<std::uint64_t, 2>& ends) {
    for (const auto end : ends) {
      const auto at = places.find(end);
      if (at != places.end()) candidates.insert(candidates.end(), at->second.begin(), at->second.end());
    }
  };
  const auto count = [&](const std::array<std::uint64_t, 2>& ends) {
    std::size_t sum = 0;
    for (const auto end : ends) {
      const auto at = naming_.find(end);
      sum += at == naming_.end() ? 0 : at->second.size();
    }
    return sum;
  };
  take(serving_, local);
  take(serving_, remote);
  // What names both ends stands in both lists: the gateway's own identity may stand in all.
  take(naming_, count(local) < count(remote) ? local : remote);
  // Among equals the first.
  std::ranges::sort(candidates);
  const model::SharedSecret* best = nullptr;
  auto best_rank = Rank::kNone;
  for (const auto i : candidates) {
    const auto r = rank(secrets_[i], query);
    if (r > best_rank) {
      best_rank = r;
      best = &secrets_[i];
    }
  }
  return best;
}

LocalKeys::LocalKeys(model::Secrets secrets) : shared_(std::move(secrets.shared)) {
  for (const auto& source : secrets.private_keys) {
    if (!source.uri.empty()) continue;  // on a token: for the process of the tokens
    auto key = crypto::PrivateKey::load(ByteView(source.bytes), ByteView(source.passphrase));
    if (!key) {
      problems_.push_back(source.source + ": " + key.error().message);
      continue;
    }
    const auto id = key->public_key().key_id();
    private_keys_.emplace(id, Held{std::move(*key), source.source});
  }
}

std::vector<crypto::PublicKey> LocalKeys::public_keys() const {
  std::vector<crypto::PublicKey> out;
  for (const auto& [id, held] : private_keys_) out.push_back(held.key.public_key());
  return out;
}

bool LocalKeys::is_quick(const AuthJob& job) const {
  const auto* prove = std::get_if<SignatureProve>(&job.what);
  if (prove == nullptr) return true;
  const auto held = private_keys_.find(prove->key_id);
  if (held == private_keys_.end()) return true;
  const auto kind = held->second.key.public_key().kind();
  return kind == crypto::KeyKind::kEcdsaP256 || kind == crypto::KeyKind::kEd25519;
}

AuthResult LocalKeys::sign(const AuthJob& job) const {
  AuthResult out;
  const auto* prove = std::get_if<SignatureProve>(&job.what);
  if (prove == nullptr) {
    out.error = "this job needs no key of ours";
    return out;
  }
  const auto held = private_keys_.find(prove->key_id);
  if (held == private_keys_.end()) {
    out.error = "there is no private key for this public key: name its file in ipsec.secrets";
    return out;
  }
  const auto& key = held->second.key;
  return prove_by_signature(*prove, {.public_key = key.public_key(),
                                     .source = held->second.source,
                                     .can = {},
                                     .sign = [&key](crypto::SignatureScheme scheme, crypto::EcdsaForm form,
                                                    ByteView octets) { return key.sign(scheme, form, octets); }});
}

AuthResult LocalKeys::perform(const AuthJob& job) const {
  AuthResult out;
  if (const auto* prove = std::get_if<PskProve>(&job.what)) {
    out = perform_psk(shared_, *prove);
  } else if (const auto* verify = std::get_if<PskVerify>(&job.what)) {
    out = perform_psk(shared_, *verify);
  } else {
    out = sign(job);
  }
  out.job = job.job;
  return out;
}

}  // namespace cygnet::ike::auth
