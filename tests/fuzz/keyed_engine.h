// SPDX-License-Identifier: Apache-2.0
#pragma once

// An engine for fuzzing the services over it: whatever it is told must be consistent.
#include <cstdlib>
#include <set>

#include "base/log.h"
#include "sadb/pfkey/engine_port.h"

namespace cygnet::fuzz {

// Takes everything, and remembers what it holds.
class KeyedEngine final : public sadb::PfkeyEngine {
 public:
  std::set<std::pair<model::Direction, std::uint64_t>> sas;
  std::set<std::uint32_t> policies;
  int routes = 0;

  Result<void> install_sa(const model::SaSpec& spec, Instant) override {
    if (spec.spi.value < 256 || !sadb::is_pfkey(spec.child)) std::abort();
    sas.insert({spec.direction, spec.child.value});
    return {};
  }
  Result<void> remove_sa(model::Direction direction, Spi, model::ChildId child) override {
    if (sas.erase({direction, child.value}) != 1) std::abort();
    return {};
  }
  Result<void> update_endpoints(model::ChildId, const Endpoint&, const Endpoint&, bool) override { return {}; }
  Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                             const model::TrafficSelectors& remote, bool) override {
    if (!sas.contains({model::Direction::kInbound, child.value}) || local.size() != remote.size()) std::abort();
    return {};
  }
  std::optional<model::SaCounters> counters(model::Direction direction, model::ChildId child) const override {
    if (!sas.contains({direction, child.value})) std::abort();
    return model::SaCounters{.packets = 1, .bytes = 100, .last_used = Instant{std::chrono::hours(1)}};
  }
  Result<void> install_policy(const model::PolicySpec& spec) override {
    if (!sadb::is_pfkey(spec.id)) std::abort();
    policies.insert(spec.id.value);
    return {};
  }
  Result<void> remove_policy(model::PolicyId id) override {
    if (policies.erase(id.value) != 1) std::abort();
    return {};
  }
  void acquire_failed(model::PolicyId) override {}
  bool spi_in_use(Spi) const override { return false; }
  void expect_spi(Spi, Instant) override {}
  bool supports(model::EncryptionId, std::uint16_t, model::IntegrityId) const override { return true; }
  bool is_local(const IpAddress& address) const override { return address.bytes().back() % 2 == 1; }
  void lead_into_device(const IpPrefix&, const IpPrefix&, bool wanted) override { routes += wanted ? 1 : -1; }
};

struct Silent final : Logger {
  void write(const LogEntry&) override {}
};

}  // namespace cygnet::fuzz
