// SPDX-License-Identifier: Apache-2.0
#include "sadb/split_backend.h"

#include <iterator>

#include "model/connection.h"

namespace cygnet::sadb {

namespace {

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

bool is_kernels(Spi spi) { return (spi.value & model::kKernelSpiBit) != 0; }

void add(Statistics& to, const Statistics& from) {
  for (std::size_t i = 0; i < to.drops.size(); ++i) to.drops[i] += from.drops[i];
  to.packets_out += from.packets_out;
  to.bytes_out += from.bytes_out;
  to.packets_in += from.packets_in;
  to.bytes_in += from.bytes_in;
  to.bypassed += from.bypassed;
  to.acquires += from.acquires;
}

}  // namespace

// An SA that takes the place of its like is counted twice: the child is then known for longer than it lives, no more.
void SplitBackend::install_sa(const model::SaSpec& spec, Done done) {
  const bool kernel = is_kernels(spec.connection);
  if (kernel) ++children_[spec.child];
  of(kernel).install_sa(spec, std::move(done));
}

void SplitBackend::remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) {
  auto& backend = of(child);
  if (const auto it = children_.find(child); it != children_.end() && --it->second == 0) children_.erase(it);
  backend.remove_sa(direction, spi, child, std::move(done));
}

void SplitBackend::expect_spi(Spi spi, Done done) {
  of(in_kernel_ && sadb::is_kernels(spi)).expect_spi(spi, std::move(done));
}

void SplitBackend::activate(model::ChildId child, Done done) { of(child).activate(child, std::move(done)); }

void SplitBackend::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                    bool udp_encapsulation, std::uint32_t keepalive_s, Done done) {
  of(child).update_endpoints(child, local, remote, udp_encapsulation, keepalive_s, std::move(done));
}

void SplitBackend::install_policy(const model::PolicySpec& spec, Done done) {
  const bool kernel = is_kernels(spec.connection);
  if (in_kernel_) {
    if (is_elsewhere(spec)) in_both_.insert(spec.id);
    policies_[spec.id] = kernel;
  }
  of(kernel).install_policy(spec, std::move(done));
}

void SplitBackend::leave_behind(model::PolicyId id, Done done) {
  const auto it = policies_.find(id);
  if (it == policies_.end() || in_both_.erase(id) == 0) return;
  // Packets that wait there would be looked up again, and another connection's policy may let them go in the clear.
  of(!it->second).acquire_failed(id, {});
  of(!it->second).remove_policy(id, std::move(done));
}

void SplitBackend::remove_policy(model::PolicyId id, Done done) {
  leave_behind(id, {});
  auto& backend = of(id);
  policies_.erase(id);
  backend.remove_policy(id, std::move(done));
}

void SplitBackend::acquire_failed(model::PolicyId id, Done done) {
  if (is_in_both(id)) of(&of(id) == &first_).acquire_failed(id, {});
  of(id).acquire_failed(id, std::move(done));
}

void SplitBackend::put_checkpoint(const std::string& key, const Bytes& value, Done done) {
  first_.put_checkpoint(key, value, std::move(done));
}

void SplitBackend::drop_checkpoint(const std::string& key, Done done) { first_.drop_checkpoint(key, std::move(done)); }

// What the kernel's engine holds is told by it, whatever the configuration says by now.
void SplitBackend::note(const Dump& own, const Dump& kernel) {
  for (const auto& sa : kernel.sas) ++children_[sa.spec.child];
  for (const auto& policy : own.policies) policies_[policy.id] = false;
  for (const auto& policy : kernel.policies) {
    // Both: that ike was killed while it moved.
    if (!policies_.insert_or_assign(policy.id, true).second) in_both_.insert(policy.id);
  }
}

void SplitBackend::query_sas(bool with_keys, std::function<void(Result<Dump>)> done) {
  if (!in_kernel_) return first_.query_sas(with_keys, std::move(done));
  first_.query_sas(with_keys, [this, with_keys, done = std::move(done)](Result<Dump> own) mutable {
    if (!own) return done(std::move(own));
    kernel_.query_sas(with_keys,
                      [this, with_keys, own = std::move(*own), done = std::move(done)](Result<Dump> kernel) mutable {
                        if (!kernel) return done(std::move(kernel));
                        // Keys are asked for by an ike that has just begun.
                        if (with_keys && children_.empty() && policies_.empty()) note(own, *kernel);
                        append(own.sas, kernel->sas);
                        append(own.policies, kernel->policies);
                        append(own.checkpoints, kernel->checkpoints);
                        done(std::move(own));
                      });
  });
}

void SplitBackend::query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) {
  std::vector<Spi> own, kernels;
  for (const auto spi : spis) (in_kernel_ && sadb::is_kernels(spi) ? kernels : own).push_back(spi);
  if (kernels.empty()) return first_.query_usage(own, std::move(done));
  kernel_.query_usage(kernels, [this, own, done = std::move(done)](Result<std::vector<Usage>> part) mutable {
    if (!part || own.empty()) return done(std::move(part));
    first_.query_usage(own, [part = std::move(*part), done = std::move(done)](Result<std::vector<Usage>> rest) mutable {
      if (rest) append(*rest, part);
      done(std::move(rest));
    });
  });
}

void SplitBackend::query_statistics(std::function<void(Result<Statistics>)> done) {
  if (!in_kernel_) return first_.query_statistics(std::move(done));
  first_.query_statistics([this, done = std::move(done)](Result<Statistics> own) mutable {
    if (!own) return done(std::move(own));
    kernel_.query_statistics([own = std::move(*own), done = std::move(done)](const Result<Statistics>& kernel) mutable {
      if (!kernel) return done(std::unexpected(kernel.error()));
      add(own, *kernel);
      done(std::move(own));
    });
  });
}

void SplitBackend::explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
                           std::function<void(Result<Explanation>)> done) {
  if (!in_kernel_) return first_.explain(local, remote, std::move(done));
  first_.explain(local, remote, [this, local, remote, done = std::move(done)](Result<Explanation> own) mutable {
    if (!own) return done(std::move(own));
    kernel_.explain(local, remote, [own = std::move(*own), done = std::move(done)](Result<Explanation> kernel) mutable {
      const bool second = kernel && kernel->found && (!own.found || kernel->policy.order < own.policy.order);
      done(second || !kernel ? std::move(kernel) : Result<Explanation>(std::move(own)));
    });
  });
}

void SplitBackend::set_event_handler(std::function<void(Event)> handler) {
  first_.set_event_handler(handler);
  kernel_.set_event_handler(std::move(handler));
}

}  // namespace cygnet::sadb
