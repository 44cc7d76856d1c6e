// SPDX-License-Identifier: Apache-2.0
// sad/sas:N             inbound SAs by SPI in bursts of 32, random order, each SA's first lines asked for
// sad/unknown/sas:N     the same with SPIs that nobody has
// sad/change/sas:N      one inbound SA out and one in (two changes), at that size
// sad/child/sas:N       a child, inbound and outbound SA, out and in again (four changes)
// sad/load/sas:N        N inbound SAs into an empty SAD; counter longest_us: CPU time of the longest single insertion
// sad/select/sas:N      which of N SAs of one policy takes a packet
#include "engine/sad.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "measure.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

using engine::InboundSa;
using engine::OutboundSa;
using engine::Sad;

[[nodiscard]] std::unique_ptr<InboundSa> inbound(Spi spi, std::uint64_t child) {
  auto sa = std::make_unique<InboundSa>(0, false);
  sa->spec.spi = spi;
  sa->spec.child = model::ChildId{child};
  return sa;
}

[[nodiscard]] std::unique_ptr<OutboundSa> outbound(Spi spi, std::uint64_t child, model::PolicyId policy) {
  auto sa = std::make_unique<OutboundSa>();
  sa->spec.direction = model::Direction::kOutbound;
  sa->spec.spi = spi;
  sa->spec.child = model::ChildId{child};
  sa->spec.policy = policy;
  sa->spec.remote = {IpAddress::v4(0xc0000201), 4500};
  sa->spec.local_selectors = {model::TrafficSelector::of(IpRange::all(Family::kV4))};
  sa->spec.remote_selectors = {
      model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(child))))};
  return sa;
}

// Random and distinct; those of the lower half of the numbers are given away, the others nobody has.
[[nodiscard]] Spi spi_of(std::uint32_t i) { return Spi{((i * 2654435761U) & 0x7fffffffU) + 256}; }

struct Loaded {
  std::uint32_t sas = 0;
  std::unique_ptr<Sad> sad;
  double seconds = 0;
  double longest_us = 0;
};

[[nodiscard]] Loaded& loaded(std::uint32_t sas) {
  static Loaded last;
  if (last.sad != nullptr && last.sas == sas) return last;
  last = {};
  last.sas = sas;
  last.sad = std::make_unique<Sad>(4711);
  constexpr std::uint32_t kAtOnce = 4096;
  Stopwatch watch;
  std::vector<std::unique_ptr<InboundSa>> made;
  for (std::uint32_t i = 0; i < sas;) {
    made.clear();
    for (; i < sas && made.size() < kAtOnce; ++i) made.push_back(inbound(spi_of(i), i));
    watch.start();
    for (auto& sa : made) {
      const double before = thread_cpu_seconds();
      last.sad->insert(std::move(sa));
      const double took = thread_cpu_seconds() - before;
      last.longest_us = std::max(last.longest_us, took * 1e6);
    }
    watch.stop();
  }
  last.seconds = watch.total();
  return last;
}

void load(benchmark::State& state, std::uint32_t sas) {
  double seconds = 0;
  std::uint64_t count = 0;
  for (auto _ : state) {
    const auto& made = loaded(sas);
    seconds += made.seconds;
    count += sas;
    state.counters["longest_us"] = made.longest_us;
  }
  report(state, count, seconds);
}

void look_up(benchmark::State& state, std::uint32_t sas, bool known) {
  constexpr std::size_t kBurst = 32;
  const auto& sad = *loaded(sas).sad;
  SeededRandom random(3);
  std::vector<Spi> spis(1U << 18U);
  for (auto& spi : spis) {
    spi = spi_of(static_cast<std::uint32_t>(random.below(sas)));
    if (!known) spi.value |= 0x80000000U;
  }
  std::array<InboundSa*, kBurst> found{};
  Stopwatch watch;
  std::uint64_t count = 0;
  for (auto _ : state) {
    watch.start();
    for (std::size_t i = 0; i < spis.size(); i += kBurst) {
      sad.find_inbound(std::span(spis).subspan(i, kBurst), found);
      benchmark::DoNotOptimize(found.data());
    }
    watch.stop();
    count += spis.size();
  }
  report(state, count, watch.total());
}

void change(benchmark::State& state, std::uint32_t sas, bool child) {
  constexpr std::size_t kChanges = 2000;
  auto& sad = *loaded(sas).sad;
  SeededRandom random(5);
  Stopwatch watch;
  std::uint64_t count = 0;
  std::vector<std::uint32_t> which(kChanges);
  std::vector<std::unique_ptr<InboundSa>> in;
  std::vector<std::unique_ptr<OutboundSa>> out;
  const auto make = [&] {
    in.clear();
    out.clear();
    for (const auto i : which) {
      in.push_back(inbound(spi_of(i), i));
      if (child) out.push_back(outbound(spi_of(i), i, model::PolicyId{i + 1}));
    }
  };
  for (auto _ : state) {
    for (auto& i : which) i = static_cast<std::uint32_t>(random.below(sas));
    std::ranges::sort(which);
    const auto twins = std::ranges::unique(which);
    which.erase(twins.begin(), twins.end());
    for (std::size_t i = which.size(); i > 1; --i) std::swap(which[i - 1], which[random.below(i)]);
    make();
    if (child) {
      for (std::size_t k = 0; k < which.size(); ++k) sad.insert(std::move(out[k]));
      make();
    }
    watch.start();
    for (const auto i : which) {
      sad.erase(*sad.find_inbound(spi_of(i)));
      if (child) sad.erase(*sad.outbound_of(model::ChildId{i}));
    }
    for (std::size_t k = 0; k < which.size(); ++k) {
      sad.insert(std::move(in[k]));
      if (child) sad.insert(std::move(out[k]));
    }
    watch.stop();
    count += (child ? 4 : 2) * which.size();
    for (const auto i : which) {
      if (child) sad.erase(*sad.outbound_of(model::ChildId{i}));
    }
    which.resize(kChanges);
  }
  report(state, count, watch.total());
}

void select(benchmark::State& state, std::uint32_t sas) {
  Sad sad(4711);
  constexpr model::PolicyId kPolicy{1};
  for (std::uint32_t i = 0; i < sas; ++i) sad.insert(outbound(spi_of(i), i, kPolicy));
  SeededRandom random(3);
  std::vector<engine::PacketSelectors> packets(1U << 16U);
  for (auto& p : packets) {
    p.local = IpAddress::v4(0xc0a80001);
    p.remote = IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(random.below(sas)));
  }
  Stopwatch watch;
  std::uint64_t count = 0;
  for (auto _ : state) {
    watch.start();
    for (const auto& packet : packets) benchmark::DoNotOptimize(sad.select(kPolicy, packet));
    watch.stop();
    count += packets.size();
  }
  report(state, count, watch.total());
}

}  // namespace

void register_sad() {
  const auto add = [](const std::string& name, auto run) { return benchmark::RegisterBenchmark(name.c_str(), run); };
  for (const std::uint32_t sas : {1U, 100U, 10000U, 100000U, 1000000U}) {
    const std::string tail = "/sas:" + std::to_string(sas);
    add("sad/load" + tail, [sas](auto& s) { load(s, sas); })->Iterations(1);
    add("sad" + tail, [sas](auto& s) { look_up(s, sas, true); });
    add("sad/unknown" + tail, [sas](auto& s) { look_up(s, sas, false); });
    add("sad/change" + tail, [sas](auto& s) { change(s, sas, false); });
    add("sad/child" + tail, [sas](auto& s) { change(s, sas, true); });
    add("sad/select" + tail, [sas](auto& s) { select(s, sas); });
  }
}

}  // namespace cygnet::bench
