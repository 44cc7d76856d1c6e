// SPDX-License-Identifier: Apache-2.0
// Bursts that wait for ciphers elsewhere: the engine's part of engine/flights.h.
#include "engine/engine.h"
#include "engine/state.h"

namespace cygnet::engine {
namespace {

// Works on a lane's burst.
class Aboard {
 public:
  Aboard(EngineState& state, Lane& lane) : state_(state) { state_.lane = &lane; }
  Aboard(const Aboard&) = delete;
  Aboard& operator=(const Aboard&) = delete;
  ~Aboard() { state_.lane = &state_.own; }

 private:
  EngineState& state_;
};

void begin(Lane& lane, bool inbound, std::span<InPacket> packets, Instant now, Verdicts& out) {
  lane.reader->resume();
  lane.under_way = {.inbound = inbound, .packets = packets, .began = now, .out = &out};
}

}  // namespace

Lane* Engine::open_flight() {
  auto* reader = state_->epochs.join();
  if (reader == nullptr) return nullptr;
  reader->rest();
  state_->flying.push_back(std::make_unique<Lane>());
  auto& lane = *state_->flying.back();
  lane.most_jobs = kMostCipherBurst;
  lane.flies = true;
  lane.reader = reader;
  return &lane;
}

void Engine::begin_outbound(Lane& lane, std::span<OutPacket> packets, Instant now, Verdicts& out) {
  const Aboard aboard(*state_, lane);
  begin(lane, false, {}, now, out);
  run_outbound(*state_, packets, true, now, out);
}

void Engine::begin_inbound(Lane& lane, std::span<InPacket> packets, Instant now, Verdicts& out) {
  const Aboard aboard(*state_, lane);
  begin(lane, true, packets, now, out);
  run_inbound(*state_, packets, true, now, out);
}

void Engine::finish(Lane& lane) {
  const Aboard aboard(*state_, lane);
  if (lane.under_way.inbound) {
    finish_inbound(*state_, lane);
  } else {
    finish_outbound(*state_, lane);
  }
  lane.reader->rest();
}

void Engine::abandon(Lane& lane) { lane.reader->rest(); }

}  // namespace cygnet::engine
