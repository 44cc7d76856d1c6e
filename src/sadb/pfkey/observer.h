// SPDX-License-Identifier: Apache-2.0
#pragma once

// Two services, PF_KEY and NETLINK_XFRM, change the one database: what a client of one does is told by it to its own
// listeners, and through this interface to those of the other.
#include "sadb/backend.h"
#include "sadb/pfkey/policy_table.h"
#include "sadb/pfkey/sa_table.h"

namespace cygnet::sadb {

enum class SaChange : std::uint8_t { kAdded, kUpdated, kDeleted, kSoftExpired, kHardExpired };
enum class PolicyChange : std::uint8_t { kAdded, kUpdated, kDeleted, kExpired };

class DatabaseObserver {
 public:
  virtual ~DatabaseObserver() = default;
  // What is deleted or has expired is told of while it is still there.
  virtual void on_sa(const PfkeySa& sa, SaChange change, PfkeyTime time) = 0;
  virtual void on_sas_flushed() = 0;
  virtual void on_policy(const PfkeyPolicy& policy, PolicyChange change) = 0;
  virtual void on_policies_flushed() = 0;
  // Somebody there sets up SAs when asked.
  [[nodiscard]] virtual bool hears_acquires() const = 0;
  virtual void on_acquire(const PfkeyPolicy& policy, const Acquire& event, std::uint32_t sequence) = 0;
  virtual void on_moved(const PfkeySa& sa, const PeerMoved& event) = 0;
  // The SAs of a tunnel have other ends now.
  virtual void on_migrated(const PfkeyPolicy& policy, const wire::pfkey::PolicyRequest& from,
                           const wire::pfkey::PolicyRequest& to) = 0;
  // Lines "name value".
  [[nodiscard]] virtual std::string statistics() const = 0;
};

}  // namespace cygnet::sadb
