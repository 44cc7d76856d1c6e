// SPDX-License-Identifier: Apache-2.0
#pragma once

// One backend made of two: our own engine carries some connections, the kernel others. Each SA, policy and question
// goes to the engine of its connection; what both know is told together. Checkpoints are our own engine's. Until
// split() is called, everything is `first`'s.
#include <unordered_map>
#include <unordered_set>

#include "sadb/backend.h"

namespace cygnet::sadb {

class SplitBackend final : public SaBackend {
 public:
  using InKernel = std::function<bool(const std::string& connection)>;
  // Both outlive this.
  SplitBackend(SaBackend& first, SaBackend& kernel) : first_(first), kernel_(kernel) {}
  void split(InKernel in_kernel) { in_kernel_ = std::move(in_kernel); }
  // The policy is with one engine, and its connection is the other's by now.
  [[nodiscard]] bool is_elsewhere(const model::PolicySpec& spec) const {
    const auto it = policies_.find(spec.id);
    return it != policies_.end() && it->second != is_kernels(spec.connection);
  }
  // Both engines have it: it was installed in one while it was the other's.
  [[nodiscard]] bool is_in_both(model::PolicyId id) const { return in_both_.contains(id); }
  // The engine that it was moved from gives it up: when the one that it was moved to has it, and gets its packets.
  void leave_behind(model::PolicyId id, Done done);

  void install_sa(const model::SaSpec& spec, Done done) override;
  void remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) override;
  void expect_spi(Spi spi, Done done) override;
  void activate(model::ChildId child, Done done) override;
  void update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote, bool udp_encapsulation,
                        std::uint32_t keepalive_s, Done done) override;
  // One that is elsewhere stays there as well, until leave_behind().
  void install_policy(const model::PolicySpec& spec, Done done) override;
  void remove_policy(model::PolicyId id, Done done) override;
  void acquire_failed(model::PolicyId id, Done done) override;
  void put_checkpoint(const std::string& key, const Bytes& value, Done done) override;
  void drop_checkpoint(const std::string& key, Done done) override;
  void query_sas(bool with_keys, std::function<void(Result<Dump>)> done) override;
  void query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) override;
  void query_statistics(std::function<void(Result<Statistics>)> done) override;
  // Of the policies that both may have found, the one that is looked at first.
  void explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
               std::function<void(Result<Explanation>)> done) override;
  void set_event_handler(std::function<void(Event)> handler) override;

 private:
  [[nodiscard]] bool is_kernels(const std::string& connection) const { return in_kernel_ && in_kernel_(connection); }
  [[nodiscard]] SaBackend& of(bool kernel) { return kernel ? kernel_ : first_; }
  [[nodiscard]] SaBackend& of(model::ChildId child) { return of(children_.contains(child)); }
  [[nodiscard]] SaBackend& of(model::PolicyId policy) {
    const auto it = policies_.find(policy);
    return of(it != policies_.end() && it->second);
  }
  void note(const Dump& own, const Dump& kernel);

  SaBackend& first_;
  SaBackend& kernel_;
  InKernel in_kernel_;
  std::unordered_map<model::ChildId, std::size_t> children_;  // the kernel's, and how many SAs each has
  std::unordered_map<model::PolicyId, bool> policies_;        // whether it is the kernel's
  std::unordered_set<model::PolicyId> in_both_;
};

}  // namespace cygnet::sadb
