// SPDX-License-Identifier: Apache-2.0
#pragma once

// The engine's side of sadb: requests of ike to calls of the engine, events of the engine to messages. Also keeps ike's
// checkpoints. Pure but for the Engine it drives: the packet loop moves the bytes.
#include <deque>
#include <functional>
#include <string>

#include "base/log.h"
#include "engine/engine.h"
#include "sadb/checkpoints.h"
#include "sadb/messages.h"

namespace cygnet::daemon {

// The engine's event as sadb tells it.
[[nodiscard]] sadb::Event translate(const engine::Event& event);

class EngineControl {
 public:
  EngineControl(engine::Engine& engine, Logger& log) : engine_(engine), log_(log) {}

  // One message of ike. False: it was not understood, and the connection should be closed.
  [[nodiscard]] bool on_message(ByteView message, Instant now);
  // Events the engine has gathered become messages.
  void collect_events();
  // To be sent to ike, in order. Bounded: events beyond kMaxQueued wait in the engine.
  [[nodiscard]] std::deque<Bytes>& queue() { return queue_; }
  // Adds to the statistics what only the threads' owner knows.
  void ask_about_threads(std::function<void(sadb::Statistics&)> add) { add_threads_ = std::move(add); }
  // Another ike: what was meant for the old one goes.
  void forget_queue() { queue_.clear(); }

  static constexpr std::size_t kMaxQueued = 100000;

 private:
  [[nodiscard]] Result<void> perform(const sadb::InstallSaRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::RemoveSaRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::ActivateRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::ExpectSpiRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::UpdateEndpointsRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::InstallPolicyRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::RemovePolicyRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::AcquireFailedRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::PutCheckpointRequest& r, Instant now);
  [[nodiscard]] Result<void> perform(const sadb::DropCheckpointRequest& r, Instant now);
  // What does not fit into a message is told as an error.
  void answer(std::uint32_t request, const sadb::Reply& reply);
  void answer_dump(std::uint32_t request, bool with_keys);
  void answer_usage(std::uint32_t request, const sadb::QueryUsageRequest& r);
  void answer_statistics(std::uint32_t request);
  void answer_explain(std::uint32_t request, const sadb::ExplainRequest& r);

  engine::Engine& engine_;
  Logger& log_;
  std::deque<Bytes> queue_;
  std::function<void(sadb::Statistics&)> add_threads_;
  sadb::Checkpoints checkpoints_;
};

}  // namespace cygnet::daemon
