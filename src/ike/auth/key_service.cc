// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/key_service.h"

#include <algorithm>
#include <array>

#include "crypto/prf.h"

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

Result<PskAuth> LocalKeys::psk_auth(model::PrfId prf, const PskQuery& query, ByteView signed_octets) const {
  const auto* secret = find_secret(secrets_, query);
  if (secret == nullptr) {
    return fail("no pre-shared key for '" + query.local_id.to_string() + "' and '" + query.remote_id.to_string() +
                "' (" + query.local.to_string() + " and " + query.remote.to_string() + "): add a line '" +
                query.local_id.to_string() + " " + query.remote_id.to_string() + " : PSK \"…\"' to ipsec.secrets");
  }
  const std::array<ByteView, 1> pad{view_of("Key Pad for IKEv2")};
  const auto key = crypto::prf(prf, ByteView(secret->secret), pad);
  const std::array<ByteView, 1> octets{signed_octets};
  return PskAuth{crypto::prf(prf, ByteView(key), octets), secret->source};
}

}  // namespace cygnet::ike::auth
