// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which identity had which address, kept across restarts. Whoever opens it owns the file; failures are sentences for
// the log, and nothing here is needed for service to go on.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "model/identity.h"

namespace cygnet::store {

struct LeaseRecord {
  IpAddress address;
  model::Identity peer;
  std::uint64_t last_used_s = 0;  // wall clock
  bool operator==(const LeaseRecord&) const = default;
};
struct LeaseChange {
  LeaseRecord lease;
  bool forgotten = false;  // nobody's any more; only the address counts
  bool operator==(const LeaseChange&) const = default;
};

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;
  // The longest unused first.
  [[nodiscard]] virtual Result<std::vector<LeaseRecord>> load() = 0;
  // All of them or none.
  [[nodiscard]] virtual Result<void> save(const std::vector<LeaseChange>& changes) = 0;
};

struct OpenedStore {
  std::unique_ptr<LeaseStore> store;
  std::string notice;  // not empty: a damaged file was put aside, and where
};
// The SQLite file of that path, made if it is not there. A damaged file is renamed (PATH.damaged) and begun anew.
[[nodiscard]] Result<OpenedStore> open_lease_store(const std::string& path);

}  // namespace cygnet::store
