// SPDX-License-Identifier: Apache-2.0
#pragma once

// What there is of certificates, authorities and CRLs, for `cygnet certs`, the log and `cygnet doctor`.
#include <cstdint>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "control/messages.h"
#include "daemon/ike_role/revocation.h"
#include "model/connection.h"
#include "model/credentials.h"

namespace cygnet::daemon {

struct CertificateFacts {
  const model::PublicCredentials& credentials;
  const std::vector<model::Connection>& connections;
  const std::vector<RevocationCache::Kept>& fetched;
  const std::set<Bytes>* held_keys = nullptr;   // PublicKey::key_id() of our private keys; null: not known
  std::int64_t now = 0;                         // seconds since 1970
  const std::set<Bytes>* token_keys = nullptr;  // of those on tokens; null: none
};
[[nodiscard]] control::CertsReport report_certificates(const CertificateFacts& facts);

// DER of what our ends of the connections prove themselves with, each once.
[[nodiscard]] std::vector<Bytes> own_certificates(const model::PublicCredentials& credentials,
                                                  const std::vector<model::Connection>& connections);

// Seconds until there is more to say: until a certificate ends, or one of the days before on which that is told. At
// least 1; 0: nothing ends.
[[nodiscard]] std::int64_t next_certificate_warning_s(const control::CertsReport& report);

// What to say of it in the log: certificates that end within 30 days (notice), a week (warning) or a day, and ended
// ones (error); and our own certificates without a private key.
[[nodiscard]] std::vector<LogEntry> certificate_warnings(const control::CertsReport& report);

}  // namespace cygnet::daemon
