// SPDX-License-Identifier: Apache-2.0
#pragma once

// A data plane that only remembers: for tests of what stands above it.
#include <map>
#include <optional>

#include "sadb/backend.h"

namespace cygnet::sadb {

class RecordingBackend final : public SaBackend {
 public:
  std::vector<std::string> calls;  // "install-sa out 0x00001234", "remove-policy 7", ... in order
  std::vector<model::SaSpec> sas;
  std::map<model::PolicyId, model::PolicySpec> policies;
  std::map<std::string, Bytes> checkpoints;
  std::optional<std::string> fail_next;  // answer of the next call that has a Done

  // Something happens in the data plane.
  void raise(Event event) {
    if (on_event_) {
      on_event_(std::move(event));
    }
  }

  void install_sa(const model::SaSpec& spec, Done done) override;
  void remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) override;
  void expect_spi(Spi spi, Done done) override;
  void activate(model::ChildId child, Done done) override;
  void update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote, bool udp_encapsulation,
                        std::uint32_t keepalive_s, Done done) override;
  void install_policy(const model::PolicySpec& spec, Done done) override;
  void remove_policy(model::PolicyId id, Done done) override;
  void acquire_failed(model::PolicyId id, Done done) override;
  void put_checkpoint(const std::string& key, const Bytes& value, Done done) override;
  void drop_checkpoint(const std::string& key, Done done) override;
  void query_sas(bool with_keys, std::function<void(Result<Dump>)> done) override;
  void query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) override;
  void query_statistics(std::function<void(Result<Statistics>)> done) override;
  void explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
               std::function<void(Result<Explanation>)> done) override;
  void set_event_handler(std::function<void(Event)> handler) override { on_event_ = std::move(handler); }

 private:
  void answer(std::string call, const Done& done);
  std::function<void(Event)> on_event_;
};

}  // namespace cygnet::sadb
