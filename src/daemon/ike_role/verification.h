// SPDX-License-Identifier: Apache-2.0
#pragma once

// Checks the signatures and certificates of peers (SignatureVerify) on the pool, and asks the network about revocation
// where nothing is at hand, for a bounded time.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "crypto/trust_store.h"
#include "daemon/ike_role/own_status.h"
#include "daemon/ike_role/path_memory.h"
#include "daemon/ike_role/revocation.h"
#include "ike/auth/jobs.h"
#include "ike/auth/local_keys.h"
#include "io/event_loop.h"
#include "model/credentials.h"

namespace cygnet::daemon {

class Verifier {
 public:
  using Done = std::function<void(const ike::auth::AuthResult&)>;
  // How long a peer waits for a revocation server before it is judged by what is known.
  static constexpr Duration kPatience = std::chrono::seconds(4);

  Verifier(io::EventLoop& loop, io::WorkPool& pool, const Clock& clock, Logger& log);
  // Another resolver, for tests.
  Verifier(io::EventLoop& loop, io::WorkPool& pool, const Clock& clock, Logger& log, io::HttpClient::Resolve resolve);

  // From now on these count; what is being checked is judged by the old ones or the new. What was fetched stays.
  // Objects that cannot be used are warned about when they are new.
  void use(const model::PublicCredentials& credentials);
  // The certificates we prove ourselves with: OCSP responses about them are kept at hand, and told to `on_status` by
  // fingerprint.
  void use_own(const std::vector<Bytes>& certificates);
  void on_own_status(OwnStatus::OnChange on_status) { own_status_.on_change(std::move(on_status)); }
  // Calls `done` once, from the loop.
  void verify(ike::auth::AuthJob job, Done done);

  [[nodiscard]] std::vector<RevocationCache::Kept> fetched() const { return revocation_.list(); }
  [[nodiscard]] std::size_t under_way() const { return open_.size(); }

 private:
  struct Open {
    std::shared_ptr<const ike::auth::AuthJob> job;
    Done done;
    ike::auth::AuthResult result;  // of the last check
    io::EventLoop::TimerId timer = 0;
    bool checking = false;
    bool again = false;   // something was fetched while it was being checked
    bool patient = true;  // it may still wait for the network
  };
  using Id = std::uint64_t;
  void check(Id id);
  void on_checked(Id id, ike::auth::Verification checked);
  void on_fetched(const RevocationCache::Kept* fresh);
  void finish(Id id);
  void rebuild();

  io::EventLoop& loop_;
  io::WorkPool& pool_;
  const Clock& clock_;
  Logger& log_;
  // Names of revocation servers are looked up here: a resolver that hangs must not keep key exchanges waiting.
  std::unique_ptr<io::WorkPool> lookups_;
  std::shared_ptr<BoundedPathMemory> memory_ = std::make_shared<BoundedPathMemory>();
  model::PublicCredentials credentials_;
  crypto::TrustStore paths_;                         // authorities, intermediates and URLs of the configuration
  crypto::TrustStore configured_;                    // and its CRLs
  std::shared_ptr<const crypto::TrustStore> trust_;  // and what was fetched
  std::map<Id, Open> open_;
  Id next_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  RevocationCache revocation_;
  OwnStatus own_status_;
};

}  // namespace cygnet::daemon
