// SPDX-License-Identifier: Apache-2.0
// flowcache/talk/used:N/cache:ON     the case of the ipsec-tools talk about SPDcache: 1,000 tunnels, 2,000 policies, N
// of
//                                    them used at random; policy and SA of each packet, with the cache and without
// flowcache/tunnels:N/setups:R/cache:ON   a million packets a second to all of N tunnels while R tunnels a second are
// set
//                                    up anew elsewhere; counter hits: share of packets that the cache knew
#include "engine/flow_cache.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/sad.h"
#include "engine/spd.h"
#include "measure.h"
#include "suite.h"
#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"

namespace cygnet::bench {
namespace {

using namespace engine;

constexpr std::size_t kAtOnce = 32;

struct Gateway {
  Epochs epochs;
  FlowRegions regions;
  Sad sad{epochs, 11, &regions};
  Spd spd{epochs, 12, &regions};
  FlowCache cache{16384, 13, regions};
  std::uint64_t hits = 0;

  // One site a tunnel: 10.0.0.0/24, 10.0.1.0/24 ...; policies and SA.
  void set_up(std::uint32_t tunnel, std::uint32_t policies) {
    for (std::uint32_t k = 0; k < policies; ++k) {
      model::PolicySpec p;
      p.id = model::PolicyId{tunnel * policies + k + 1};
      p.device = "";
      p.local = {model::TrafficSelector::of(IpPrefix{IpAddress::v4(0xc0a80000U + (k << 8U)), 24})};
      p.remote = {model::TrafficSelector::of(IpPrefix{site(tunnel), 24})};
      spd.install(p, 0);
    }
    auto sa = std::make_unique<OutboundSa>();
    sa->spec.direction = model::Direction::kOutbound;
    sa->spec.spi = Spi{1000 + tunnel};
    sa->spec.child = model::ChildId{tunnel + 1};
    sa->spec.policy = model::PolicyId{tunnel * policies + 1};
    sa->spec.remote = {IpAddress::v4(0xc6120000U + tunnel), 4500};
    sa->spec.local_selectors = {model::TrafficSelector::of(IpRange::all(Family::kV4))};
    sa->spec.remote_selectors = {model::TrafficSelector::of(IpPrefix{site(tunnel), 24})};
    sad.insert(std::move(sa));
    cache.fit(sad.outbound_size());
  }
  void take_down(std::uint32_t tunnel, std::uint32_t policies) {
    for (std::uint32_t k = 0; k < policies; ++k) (void)spd.remove(model::PolicyId{tunnel * policies + k + 1});
    if (auto* sa = sad.outbound_of(model::ChildId{tunnel + 1})) sad.erase(*sa);
  }
  [[nodiscard]] static IpAddress site(std::uint32_t tunnel) { return IpAddress::v4(0x0a000000U + (tunnel << 8U)); }
};

struct Packet {
  std::array<std::uint8_t, 28> octets{};
  wire::IpPacketInfo info;
};

[[nodiscard]] Packet packet_to(std::uint32_t tunnel, std::uint16_t port) {
  Packet p;
  wire::write_ipv4_header(p.octets.data(), {.total_octets = 28,
                                            .ttl = 64,
                                            .protocol = wire::protocol::kUdp,
                                            .source = IpAddress::v4(0xc0a80005U),
                                            .destination = IpAddress::v4(0x0a000007U + (tunnel << 8U))});
  store_be16(&p.octets[20], port);
  store_be16(&p.octets[22], 53);
  store_be16(&p.octets[24], 8);
  p.info = wire::parse_ip_packet(p.octets).value();
  return p;
}

[[nodiscard]] FlowTarget target_of(const Gateway& gateway, Policy* policy, const PacketSelectors& packet) {
  FlowTarget target{.policy = policy};
  if (policy != nullptr) target.sa = gateway.sad.select(policy->spec.id, packet);
  return target;
}

// Policy and SA of a burst, as the engine finds them.
void look_up(Gateway& gateway, std::span<const Packet> packets, bool cached) {
  std::array<FlowKey, kAtOnce> keys;
  std::array<FlowPlace, kAtOnce> places;
  std::array<FlowTarget, kAtOnce> targets;
  std::array<PacketSelectors, kAtOnce> selectors;
  std::array<std::size_t, kAtOnce> unknown;
  std::array<Policy*, kAtOnce> policies;
  static constexpr std::array<DeviceId, kAtOnce> kDevices{};
  if (cached) {
    for (std::size_t i = 0; i < packets.size(); ++i) {
      keys[i] = FlowKey::of(packets[i].octets, packets[i].info, 0);
      places[i] = gateway.cache.place(keys[i]);
    }
  }
  std::size_t count = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const auto* known = cached ? gateway.cache.find(keys[i], places[i]) : nullptr;
    if (known != nullptr) {
      targets[i] = *known;
      ++gateway.hits;
    } else {
      selectors[count] = PacketSelectors::of(packets[i].octets, packets[i].info, model::Direction::kOutbound);
      unknown[count++] = i;
    }
  }
  if (count != 0) {
    gateway.spd.find(std::span(selectors).first(count), std::span(kDevices).first(count), policies);
    for (std::size_t k = 0; k < count; ++k) {
      const auto i = unknown[k];
      targets[i] = target_of(gateway, policies[k], selectors[k]);
      if (cached) gateway.cache.insert(keys[i], places[i], targets[i]);
    }
  }
  benchmark::DoNotOptimize(targets.data());
}

void talk(benchmark::State& state, std::uint32_t used, bool cached) {
  constexpr std::uint32_t kTunnels = 1000;
  Gateway gateway;
  for (std::uint32_t t = 0; t < kTunnels; ++t) gateway.set_up(t, 2);
  SeededRandom random(21);
  std::vector<Packet> flows;
  // None in use: traffic that no policy covers.
  for (std::uint32_t i = 0; i < std::max(used, 1U); ++i) {
    flows.push_back(packet_to(used == 0 ? 50000 : static_cast<std::uint32_t>(random.below(kTunnels)), 9));
  }
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < 8192; ++i) packets.push_back(flows[random.below(flows.size())]);
  Stopwatch watch;
  std::uint64_t count = 0;
  for (auto _ : state) {
    watch.start();
    for (std::size_t i = 0; i < packets.size(); i += kAtOnce) {
      look_up(gateway, std::span(packets).subspan(i, kAtOnce), cached);
    }
    watch.stop();
    count += packets.size();
  }
  report(state, count, watch.total());
}

void churn(benchmark::State& state, std::uint32_t tunnels, std::uint32_t setups, bool cached) {
  constexpr std::uint32_t kPacketsASecond = 1000000;
  constexpr std::uint32_t kElsewhere = 40000;  // number of the first tunnel that comes and goes
  Gateway gateway;
  for (std::uint32_t t = 0; t < tunnels; ++t) gateway.set_up(t, 1);
  SeededRandom random(22);
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < 1U << 16U; ++i) {
    packets.push_back(packet_to(static_cast<std::uint32_t>(random.below(tunnels)), 9));
  }
  Stopwatch watch;
  std::uint64_t count = 0;
  std::uint64_t owed = 0;
  std::uint32_t next = 0;
  // The set-ups themselves are not counted.
  const auto set_up_others = [&] {
    owed += std::uint64_t{setups} * kAtOnce;
    if (owed < kPacketsASecond) return;
    watch.stop();
    for (; owed >= kPacketsASecond; owed -= kPacketsASecond) {
      gateway.take_down(kElsewhere + next % 20000, 1);
      gateway.set_up(kElsewhere + next++ % 20000, 1);
    }
    watch.start();
  };
  for (auto _ : state) {
    watch.start();
    for (std::size_t i = 0; i < packets.size(); i += kAtOnce) {
      set_up_others();
      look_up(gateway, std::span(packets).subspan(i, kAtOnce), cached);
    }
    watch.stop();
    count += packets.size();
  }
  report(state, count, watch.total());
  state.counters["hits"] = static_cast<double>(gateway.hits) / static_cast<double>(std::max<std::uint64_t>(count, 1));
}

}  // namespace

void register_flow_cache() {
  for (const bool cached : {false, true}) {
    const std::string tail = cached ? "/cache:1" : "/cache:0";
    for (const std::uint32_t used : {0U, 1U, 100U, 200U, 300U, 400U}) {
      benchmark::RegisterBenchmark(("flowcache/talk/used:" + std::to_string(used) + tail).c_str(),
                                   [=](auto& s) { talk(s, used, cached); });
    }
    for (const std::uint32_t setups : {0U, 100U, 6500U}) {
      const std::string name = "flowcache/tunnels:4000/setups:" + std::to_string(setups) + tail;
      benchmark::RegisterBenchmark(name.c_str(), [=](auto& s) { churn(s, 4000, setups, cached); });
    }
  }
}

}  // namespace cygnet::bench
