// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's side of sadb: requests of ike to calls of the KernelEngine, its events to messages. Also keeps ike's
// checkpoints, as the engine of our own does. The role moves the bytes.
#include <vector>

#include "base/log.h"
#include "sadb/checkpoints.h"
#include "sadb/kernel/engine.h"
#include "sadb/messages.h"

namespace cygnet::daemon {

class KernelControl {
 public:
  KernelControl(sadb::kernel::KernelEngine& engine, Logger& log) : engine_(engine), log_(log) {}

  // One message of ike. False: it was not understood, and the connection should be closed.
  [[nodiscard]] bool on_message(ByteView message, const sadb::kernel::Moment& at);
  // Events become messages.
  void collect_events();
  void queue(Bytes message) { queue_.push_back(std::move(message)); }
  [[nodiscard]] std::vector<Bytes> take_queue() { return std::exchange(queue_, {}); }
  // Packets that came into our devices though no policy took them: they are dropped there.
  void count_stray(std::uint64_t packets) { strays_ += packets; }

 private:
  using Moment = sadb::kernel::Moment;
  [[nodiscard]] Result<void> perform(const sadb::Request& request, const Moment& at);
  void answer(std::uint32_t request, const sadb::Reply& reply);
  void answer_dump(std::uint32_t request, bool with_keys, const Moment& at);
  [[nodiscard]] sadb::Statistics statistics(const Moment& at);

  sadb::kernel::KernelEngine& engine_;
  Logger& log_;
  std::vector<Bytes> queue_;
  sadb::Checkpoints checkpoints_;
  std::uint64_t strays_ = 0;
};

}  // namespace cygnet::daemon
