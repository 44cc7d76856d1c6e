// SPDX-License-Identifier: Apache-2.0
#pragma once

// The seam behind which secrets lie: whoever implements it holds the pre-shared keys, in this process or in another
// one.
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "model/connection.h"
#include "model/identity.h"
#include "model/transform.h"

namespace cygnet::ike::auth {

// Whose key: the identities of both ends, and their addresses for secrets that name addresses only.
struct PskQuery {
  model::Identity local_id;
  model::Identity remote_id;
  IpAddress local;
  IpAddress remote;
};

struct PskAuth {
  SecretBytes value;   // AUTH data
  std::string source;  // "file:line" of the secret that was used, for people
};

class KeyService {
 public:
  virtual ~KeyService() = default;
  // RFC 7296 section 2.15: AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"), <SignedOctets>).
  // Fails, with the reason, if there is no key for these two.
  [[nodiscard]] virtual Result<PskAuth> psk_auth(model::PrfId prf, const PskQuery& query,
                                                 ByteView signed_octets) const = 0;
};

// Keys held in memory. The most specific secret wins: both identities, both addresses, one of them, anyone; among
// equals the first.
class LocalKeys final : public KeyService {
 public:
  explicit LocalKeys(std::vector<model::SharedSecret> secrets) : secrets_(std::move(secrets)) {}
  [[nodiscard]] Result<PskAuth> psk_auth(model::PrfId prf, const PskQuery& query,
                                         ByteView signed_octets) const override;

 private:
  std::vector<model::SharedSecret> secrets_;
};

// Which of the secrets serves the query; null: none.
[[nodiscard]] const model::SharedSecret* find_secret(const std::vector<model::SharedSecret>& secrets,
                                                     const PskQuery& query);

}  // namespace cygnet::ike::auth
