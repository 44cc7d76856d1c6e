// SPDX-License-Identifier: Apache-2.0
#include "engine/flights.h"

#include <algorithm>
#include <utility>

#include "engine/lane.h"

namespace cygnet::engine {
namespace {

// Batches know their flight by its way and number.
constexpr std::uint64_t kInbound = std::uint64_t{1} << 32U;

[[nodiscard]] std::uint64_t tag_of(const Flight& flight) {
  return flight.number | (flight.way == Way::kIn ? kInbound : 0);
}

}  // namespace

Flights::Flights(Engine& engine, crypto::AsyncCipher& provider, std::size_t each_way, std::size_t arena_octets)
    : engine_(engine), provider_(provider) {
  for (const auto way : {Way::kOut, Way::kIn}) {
    auto& fleet = of(way);
    for (std::size_t i = 0; i < std::min(each_way, kMostEachWay); ++i) {
      auto* lane = engine.open_flight();
      if (lane == nullptr) break;
      auto flight = std::make_unique<Flight>();
      flight->number = static_cast<std::uint32_t>(i);
      flight->way = way;
      flight->verdicts = Verdicts(arena_octets);
      flight->lane = lane;
      fleet.free.push_back(flight.get());
      fleet.all.push_back(std::move(flight));
    }
  }
}

Flights::~Flights() {
  for (auto& fleet : fleets_) {
    for (auto* flight : fleet.in_order) engine_.abandon(*flight->lane);
  }
}

void Flights::part_urgent(UrgentSink& sink) {
  for (auto& fleet : fleets_) {
    for (auto& flight : fleet.all) flight->verdicts.part_urgent(sink);
  }
}

Flight* Flights::take(Way way) {
  auto& free = of(way).free;
  if (free.empty()) {
    ++counters_.waits;
    return nullptr;
  }
  auto* flight = free.back();
  free.pop_back();
  return flight;
}

void Flights::launch(Flight& flight, Instant now) {
  ++counters_.bursts;
  auto& lane = *flight.lane;
  if (flight.way == Way::kOut) {
    engine_.begin_outbound(lane, flight.out, now, flight.verdicts);
    plan<OutboundSa>(flight, lane.burst.sealing);
  } else {
    engine_.begin_inbound(lane, flight.in, now, flight.verdicts);
    plan<InboundSa>(flight, lane.burst.opening);
  }
  of(flight.way).in_order.push_back(&flight);
  hand_out(flight);
}

void Flights::launch_timer(Flight& flight, Instant now) {
  engine_.on_timer(now, flight.verdicts);
  engine_.begin_outbound(*flight.lane, {}, now, flight.verdicts);
  of(flight.way).in_order.push_back(&flight);
}

// Neighbours of one SA are a task, and tasks are batches of a size worth handing out. Ciphers that no other thread may
// call work here.
template <typename Sa>
void Flights::plan(Flight& flight, std::span<Sa* const> sas) {
  sas = sas.first(flight.lane->under_way.jobs);
  const std::span<crypto::EspJob> jobs(flight.lane->burst.jobs);
  flight.tasks.clear();
  flight.batches.clear();
  auto& ends = batch_ends_;
  ends.clear();
  std::size_t octets = 0;
  std::size_t in_batch = 0;
  for (std::size_t i = 0; i < sas.size();) {
    const auto& sa = *sas[i];
    std::size_t end = i;
    while (end < sas.size() && sas[end] == sas[i] && in_batch < kBatchJobs && octets < kBatchOctets) {
      octets += jobs[end++].octets;
      ++in_batch;
    }
    const crypto::CipherTask task{sa.worker, jobs.subspan(i, end - i), &sa.spec, sa.serial};
    i = end;
    if (sa.shareable) {
      flight.tasks.push_back(task);
    } else {
      flight.way == Way::kOut ? task.cipher->seal(task.jobs) : task.cipher->open(task.jobs);
      ++counters_.inside;
    }
    if (in_batch < kBatchJobs && octets < kBatchOctets && i < sas.size()) continue;
    if (flight.tasks.size() > (ends.empty() ? 0 : ends.back())) ends.push_back(flight.tasks.size());
    octets = in_batch = 0;
  }
  std::size_t from = 0;
  for (const auto end : ends) {
    flight.batches.push_back({.tasks = std::span<const crypto::CipherTask>(flight.tasks).subspan(from, end - from),
                              .tag = tag_of(flight),
                              .seal = flight.way == Way::kOut});
    from = end;
  }
  flight.undone = flight.batches.size();
  counters_.batches += flight.batches.size();
}

void Flights::hand_out(Flight& flight) {
  for (auto& batch : flight.batches) {
    // Nothing overtakes what waits.
    if (waiting_.empty() && provider_.submit(batch)) continue;
    ++counters_.full;
    waiting_.push_back(&batch);
  }
}

void Flights::take_back(crypto::CipherBatch& batch) {
  if (batch.failed) {
    ++counters_.failed;
    crypto::work_on(batch);
  }
  auto& fleet = of((batch.tag & kInbound) != 0 ? Way::kIn : Way::kOut);
  --fleet.all[batch.tag & ~kInbound]->undone;
}

void Flights::poll() {
  std::array<crypto::CipherBatch*, 32> done{};
  for (;;) {
    const std::size_t count = provider_.completed(done);
    for (std::size_t i = 0; i < count; ++i) take_back(*done[i]);
    while (!waiting_.empty() && provider_.submit(*waiting_.front())) waiting_.pop_front();
    if (count < done.size()) return;
  }
}

Flight* Flights::next(Way way) {
  auto& fleet = of(way);
  if (fleet.in_order.empty() || fleet.in_order.front()->undone != 0) return nullptr;
  auto* flight = fleet.in_order.front();
  fleet.in_order.pop_front();
  engine_.finish(*flight->lane);
  return flight;
}

void Flights::give_back(Flight& flight) {
  flight.out.clear();
  flight.in.clear();
  flight.verdicts.clear();
  of(flight.way).free.push_back(&flight);
}

}  // namespace cygnet::engine
