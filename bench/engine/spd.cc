// SPDX-License-Identifier: Apache-2.0
// spd/KIND/policies:N            lookups of packets that random policies cover, in bursts of 64, without the flow cache
// spd/anywhere/KIND/policies:N   the same with random addresses, which most policies do not cover
// spd/change/KIND/policies:N     one policy in and another one out (two changes), at that size
// spd/load/KIND/policies:N       N policies into an empty SPD; counter octets: memory of the index for each policy
#include "engine/spd.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "cases.h"
#include "measure.h"
#include "suite.h"

namespace cygnet::bench {
namespace {

using engine::DeviceId;
using engine::PacketSelectors;
using engine::Policy;
using engine::Spd;
using model::PolicySpec;
using model::TrafficSelector;

enum class Kind { kHosts, kHosts6, kPrefixes, kPrefixes6, kRanges, kPorts, kMixed };
constexpr std::array<std::pair<Kind, const char*>, 7> kKinds = {{{Kind::kHosts, "hosts"},
                                                                 {Kind::kHosts6, "hosts6"},
                                                                 {Kind::kPrefixes, "prefixes"},
                                                                 {Kind::kPrefixes6, "prefixes6"},
                                                                 {Kind::kRanges, "ranges"},
                                                                 {Kind::kPorts, "ports"},
                                                                 {Kind::kMixed, "mixed"}}};
constexpr std::uint32_t kPortsOfAPair = 10000;

class Maker {
 public:
  explicit Maker(Kind kind) : kind_(kind), random_(42) {}

  [[nodiscard]] PolicySpec policy(std::uint32_t id) {
    static constexpr std::array<Kind, 5> kMix = {Kind::kHosts, Kind::kPrefixes, Kind::kRanges, Kind::kPorts,
                                                 Kind::kPrefixes6};
    const auto kind = kind_ == Kind::kMixed ? kMix[id % kMix.size()] : kind_;
    PolicySpec p;
    p.id = model::PolicyId{id};
    p.order = kind_ == Kind::kMixed ? 1000 + random_.u32() % 1000 : 1000;
    p.local = {side(kind, id)};
    p.remote = {side(kind, id)};
    if (kind == Kind::kPorts) {
      // The next pair of addresses every ten thousand ports.
      p.local = {TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000001)))};
      p.remote = {TrafficSelector::of(IpRange::of(IpAddress::v4(0xac100000 + id / kPortsOfAPair)))};
      p.remote[0].protocol = 17;
      p.remote[0].port_first = p.remote[0].port_last = static_cast<std::uint16_t>(id % kPortsOfAPair);
    } else if (kind_ == Kind::kMixed && id % 7 == 0) {
      p.remote[0].protocol = 6;
      p.remote[0].port_first = random_.u32() & 0x3fffU;
      p.remote[0].port_last = static_cast<std::uint16_t>(p.remote[0].port_first + (random_.u32() & 0x3fffU));
    }
    return p;
  }

 private:
  [[nodiscard]] IpAddress any6() {
    auto octets = random_.bytes(16);
    octets[0] = 0x20;
    octets[1] = 0x01;
    return IpAddress::from_bytes(octets);
  }
  // Addresses of unicast, so that no policy is only for multicast.
  [[nodiscard]] IpAddress any4() { return IpAddress::v4(0x01000000U + random_.u32() % 0xdc000000U); }

  [[nodiscard]] TrafficSelector side(Kind kind, std::uint32_t) {
    switch (kind) {
      case Kind::kHosts: return TrafficSelector::of(IpRange::of(any4()));
      case Kind::kHosts6: return TrafficSelector::of(IpRange::of(any6()));
      case Kind::kPrefixes:
        return TrafficSelector::of(IpPrefix{any4(), static_cast<std::uint8_t>(8 + random_.below(25))});
      case Kind::kPrefixes6:
        return TrafficSelector::of(IpPrefix{any6(), static_cast<std::uint8_t>(24 + random_.below(105))});
      case Kind::kRanges: {
        const auto first = any4().v4_value();
        return TrafficSelector::of(IpRange{IpAddress::v4(first), IpAddress::v4(first + random_.u32() % 5000)});
      }
      case Kind::kPorts:
      case Kind::kMixed: break;
    }
    return TrafficSelector::of(IpRange::all(Family::kV4));
  }

  Kind kind_;
  SeededRandom random_;
};

// A packet from within the policy, at random.
[[nodiscard]] IpAddress within(const IpRange& range, SeededRandom& random) {
  if (range.first.is_v4()) {
    const auto span = std::uint64_t{range.last.v4_value()} - range.first.v4_value() + 1;
    return IpAddress::v4(range.first.v4_value() + static_cast<std::uint32_t>(random.below(span)));
  }
  auto octets = random.bytes(16);
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const auto differing = range.first.bytes()[i] ^ range.last.bytes()[i];
    octets[i] = static_cast<std::uint8_t>(range.first.bytes()[i] | (octets[i] & differing));
  }
  return IpAddress::from_bytes(octets);
}

[[nodiscard]] PacketSelectors covered(const PolicySpec& policy, SeededRandom& random) {
  const auto& remote = policy.remote[0];
  PacketSelectors p{within(policy.local[0].range, random), within(remote.range, random), 17, true, 4000, 0};
  if (remote.protocol != 0) p.protocol = remote.protocol;
  p.remote_port = static_cast<std::uint16_t>(remote.port_first +
                                             random.below(std::uint64_t{remote.port_last} - remote.port_first + 1));
  return p;
}

[[nodiscard]] PacketSelectors anywhere(bool six, SeededRandom& random) {
  PacketSelectors p{
      IpAddress::v4(random.u32() % 0xe0000000U), IpAddress::v4(random.u32() % 0xe0000000U), 17, true, 1, 2};
  if (six) {
    for (auto* address : {&p.local, &p.remote}) {
      auto octets = random.bytes(16);
      octets[0] = 0x20;
      octets[1] = 0x01;
      *address = IpAddress::from_bytes(octets);
    }
  }
  return p;
}

// The last SPD made: cases of one size and kind stand next to each other.
struct Loaded {
  Kind kind{};
  std::uint32_t policies = 0;
  std::unique_ptr<Spd> spd;
  std::vector<PacketSelectors> covered, anywhere;
  double load_seconds = 0;
};

// Fills it, without the time that making the specs takes.
[[nodiscard]] std::unique_ptr<Spd> fill(Kind kind, std::uint32_t policies, double& seconds) {
  constexpr std::uint32_t kAtOnce = 4096;
  auto spd = std::make_unique<Spd>();
  Maker maker(kind);
  Stopwatch watch;
  std::vector<PolicySpec> specs;
  for (std::uint32_t id = 0; id < policies;) {
    specs.clear();
    for (; id < policies && specs.size() < kAtOnce; ++id) specs.push_back(maker.policy(id));
    watch.start();
    for (const auto& spec : specs) spd->install(spec, 0);
    watch.stop();
  }
  seconds = watch.total();
  return spd;
}

[[nodiscard]] Loaded& loaded(Kind kind, std::uint32_t policies) {
  static Loaded last;
  if (last.spd != nullptr && last.kind == kind && last.policies == policies) return last;
  constexpr std::size_t kPackets = 1U << 18U;
  last = {};
  last.kind = kind;
  last.policies = policies;
  last.spd = fill(kind, policies, last.load_seconds);
  SeededRandom random(7);
  const auto all = last.spd->ordered();
  for (std::size_t i = 0; i < kPackets; ++i) {
    last.covered.push_back(covered(all[random.below(all.size())]->spec, random));
    last.anywhere.push_back(anywhere(kind == Kind::kHosts6 || kind == Kind::kPrefixes6, random));
  }
  return last;
}

void look_up(benchmark::State& state, const Spd& spd, const std::vector<PacketSelectors>& packets) {
  constexpr std::size_t kBurst = 64;
  const std::vector<DeviceId> devices(kBurst, 0);
  std::array<Policy*, kBurst> found{};
  Stopwatch watch;
  std::uint64_t count = 0;
  for (auto _ : state) {
    watch.start();
    for (std::size_t i = 0; i < packets.size(); i += kBurst) {
      spd.find(std::span(packets).subspan(i, kBurst), devices, found);
      benchmark::DoNotOptimize(found.data());
    }
    watch.stop();
    count += packets.size();
  }
  report(state, count, watch.total());
}

void change(benchmark::State& state, Kind kind, std::uint32_t policies) {
  constexpr std::size_t kChanges = 2000;
  auto& spd = *loaded(kind, policies).spd;
  Maker maker(kind);
  SeededRandom random(9);
  Stopwatch watch;
  std::uint64_t count = 0;
  for (auto _ : state) {
    // Policies that are there are taken out and put back in, in another order.
    std::vector<PolicySpec> specs;
    const auto* first = spd.find(model::PolicyId{0});
    for (std::size_t i = 0; i < kChanges; ++i) {
      const auto* policy = spd.find(model::PolicyId{static_cast<std::uint32_t>(random.below(policies))});
      specs.push_back((policy == nullptr ? first : policy)->spec);
    }
    std::ranges::sort(specs, {}, &PolicySpec::id);
    const auto twins = std::ranges::unique(specs, {}, &PolicySpec::id);
    specs.erase(twins.begin(), twins.end());
    for (std::size_t i = specs.size(); i > 1; --i) std::swap(specs[i - 1], specs[random.below(i)]);
    watch.start();
    for (const auto& spec : specs) benchmark::DoNotOptimize(spd.remove(spec.id));
    for (const auto& spec : specs) benchmark::DoNotOptimize(&spd.install(spec, 0));
    watch.stop();
    count += 2 * specs.size();
  }
  report(state, count, watch.total());
}

void load(benchmark::State& state, Kind kind, std::uint32_t policies) {
  double seconds = 0;
  std::uint64_t count = 0;
  for (auto _ : state) {
    const auto& made = loaded(kind, policies);
    seconds += made.load_seconds;
    count += policies;
    state.counters["octets"] = static_cast<double>(made.spd->index_octets()) / policies;
    state.counters["seconds"] = made.load_seconds;
  }
  report(state, count, seconds);
}

}  // namespace

void register_spd() {
  constexpr std::uint32_t kMost = 1000000;
  for (const auto& [kind, name] : kKinds) {
    for (const std::uint32_t policies : {1000U, 10000U, 100000U, kMost}) {
      const std::string tail = std::string(name) + "/policies:" + std::to_string(policies);
      const auto k = kind;
      // Without --filter: what bench/RESULTS.md shows.
      const bool selected = all_cases() || policies == kMost;
      if (selected) {
        benchmark::RegisterBenchmark(("spd/load/" + tail).c_str(), [k, policies](auto& s) {
          load(s, k, policies);
        })->Iterations(1);
      }
      benchmark::RegisterBenchmark(("spd/" + tail).c_str(), [k, policies](auto& s) {
        const auto& made = loaded(k, policies);
        look_up(s, *made.spd, made.covered);
      });
      if (!selected) continue;
      benchmark::RegisterBenchmark(("spd/anywhere/" + tail).c_str(), [k, policies](auto& s) {
        const auto& made = loaded(k, policies);
        look_up(s, *made.spd, made.anywhere);
      });
      benchmark::RegisterBenchmark(("spd/change/" + tail).c_str(), [k, policies](auto& s) { change(s, k, policies); });
    }
  }
}

}  // namespace cygnet::bench
