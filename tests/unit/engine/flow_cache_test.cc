// SPDX-License-Identifier: Apache-2.0
// The flow cache: what it remembers is what SPD and SAD would say now, whatever came and went; and what has nothing to
// do with a change stays.
#include "engine/flow_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/sad.h"
#include "engine/spd.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

struct Flow {
  PacketSelectors selectors;
  FlowKey key;
};

[[nodiscard]] Flow flow(const std::string& local, const std::string& remote, std::uint16_t port = 53) {
  Bytes udp(8, 0);
  store_be16(&udp[0], 1000);
  store_be16(&udp[2], port);
  const auto packet = ip_packet(local, remote, wire::protocol::kUdp, udp);
  const auto info = wire::parse_ip_packet(packet).value();
  return {PacketSelectors::of(packet, info, model::Direction::kOutbound), FlowKey::of(packet, info, 0)};
}

[[nodiscard]] model::PolicySpec protect(std::uint32_t id, std::uint32_t order, std::string_view remote) {
  model::PolicySpec p;
  p.id = model::PolicyId{id};
  p.order = order;
  p.remote = {*model::TrafficSelector::parse(remote)};
  p.local = {model::TrafficSelector::of(IpRange::all(p.remote[0].range.first.family()))};
  p.device = "";
  return p;
}

[[nodiscard]] std::unique_ptr<OutboundSa> outbound(std::uint32_t child, std::uint32_t policy, std::string_view remote) {
  auto sa = std::make_unique<OutboundSa>();
  sa->spec.direction = model::Direction::kOutbound;
  sa->spec.spi = Spi{1000 + child};
  sa->spec.child = model::ChildId{child};
  sa->spec.policy = model::PolicyId{policy};
  sa->spec.remote = {ip("192.0.2.1"), 4500};
  if (!remote.empty()) {
    sa->spec.remote_selectors = {*model::TrafficSelector::parse(remote)};
    sa->spec.local_selectors = {
        model::TrafficSelector::of(IpRange::all(sa->spec.remote_selectors[0].range.first.family()))};
  }
  return sa;
}

struct World {
  Epochs epochs;
  FlowRegions regions;
  Sad sad{epochs, 1, &regions};
  Spd spd{epochs, 2, &regions};
  FlowCache cache{64, 3, regions};

  [[nodiscard]] FlowTarget ask(const Flow& f) const {
    FlowTarget target{.policy = spd.find(f.selectors, 0)};
    if (target.policy != nullptr) target.sa = sad.select(target.policy->spec.id, f.selectors);
    return target;
  }
  void learn(const Flow& f) {
    const auto place = cache.place(f.key);
    cache.insert(f.key, place, ask(f));
  }
  [[nodiscard]] const FlowTarget* known(const Flow& f) const { return cache.find(f.key, cache.place(f.key)); }
};

TEST(FlowCacheAnswers, BothNegativeResultsAreRemembered) {
  World world;
  const auto f = flow("10.9.0.1", "10.1.0.1");
  EXPECT_EQ(world.known(f), nullptr);
  world.learn(f);
  ASSERT_NE(world.known(f), nullptr);
  EXPECT_EQ(world.known(f)->policy, nullptr);  // no policy
  world.spd.install(protect(1, 10, "10.1.0.0/24"), 0);
  EXPECT_EQ(world.known(f), nullptr);
  world.learn(f);
  EXPECT_EQ(world.known(f)->policy, world.spd.find(model::PolicyId{1}));
  EXPECT_EQ(world.known(f)->sa, nullptr);  // no SA
  auto& sa = world.sad.insert(outbound(5, 1, "10.1.0.0/24"));
  EXPECT_EQ(world.known(f), nullptr);
  world.learn(f);
  EXPECT_EQ(world.known(f)->sa, &sa);
  world.sad.erase(sa);
  EXPECT_EQ(world.known(f), nullptr);
}

TEST(FlowCacheAnswers, ChangesElsewhereLeaveAFlowAlone) {
  // Other hosts of other sites: a set-up of one in a thousand shares a counter with the flow.
  World world;
  world.spd.install(protect(1, 10, "10.1.0.0/24"), 0);
  const auto f = flow("10.9.0.1", "10.1.0.1");
  int kept = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    world.learn(f);
    const auto site = "172." + std::to_string(16 + i % 16) + "." + std::to_string(i / 16) + ".";
    world.spd.install(protect(100 + i, 5, i % 2 == 0 ? site + "0/24" : site + "7"), 0);
    world.sad.insert(outbound(100 + i, 100 + i, i % 2 == 0 ? site + "0/24" : site + "7"));
    kept += world.known(f) != nullptr ? 1 : 0;
  }
  EXPECT_GE(kept, 990);
  world.learn(f);
  world.spd.install(protect(5000, 5, "10.0.0.0/8"), 0);  // wide: concerns every flow
  EXPECT_EQ(world.known(f), nullptr);
}

TEST(FlowCacheAnswers, TwoFlowsOfOneSetKeepTheirPlaces) {
  FlowRegions regions;
  FlowCache cache(2, 9, regions);  // one set
  const auto a = flow("10.9.0.1", "10.1.0.1", 1);
  const auto b = flow("10.9.0.1", "10.1.0.1", 2);
  const auto c = flow("2001:db8::1", "2001:db8::2", 3);
  const auto has = [&](const Flow& f) { return cache.find(f.key, cache.place(f.key)) != nullptr; };
  cache.insert(a.key, cache.place(a.key), {});
  cache.insert(b.key, cache.place(b.key), {});
  EXPECT_TRUE(has(a) && has(b));
  // Learned again, as after a change: the other one stays.
  cache.insert(b.key, cache.place(b.key), {});
  EXPECT_TRUE(has(a) && has(b));
  cache.insert(c.key, cache.place(c.key), {});
  EXPECT_TRUE(has(c) && has(b));
  EXPECT_FALSE(has(a));
}

TEST(FlowCacheSize, GrowsWithTheSasUpToAMillionEntries) {
  FlowRegions regions;
  FlowCache cache(64, 9, regions);
  const auto f = flow("10.9.0.1", "10.1.0.1");
  const auto has = [&] { return cache.find(f.key, cache.place(f.key)) != nullptr; };
  cache.insert(f.key, cache.place(f.key), {});
  cache.fit(8);
  EXPECT_EQ(cache.entries(), 64U);
  EXPECT_TRUE(has());
  cache.fit(9);
  EXPECT_EQ(cache.entries(), 128U);
  EXPECT_FALSE(has());
  cache.insert(f.key, cache.place(f.key), {});
  EXPECT_TRUE(has());
  cache.fit(1);
  EXPECT_EQ(cache.entries(), 128U);
  cache.fit(100000000);
  EXPECT_EQ(cache.entries(), std::size_t{1} << 20U);
}

TEST(FlowRegionsStamps, ARangeTouchesEachFlowIntoIt) {
  FlowRegions regions;
  const struct {
    const char* selector;
    std::vector<const char*> inside;
  } cases[] = {
      {"10.1.2.3", {"10.1.2.3"}},
      {"10.1.2.0/24", {"10.1.2.0", "10.1.2.255"}},
      {"10.1.2.100-10.1.2.101", {"10.1.2.100", "10.1.2.101"}},
      {"10.1.2.255-10.1.3.0", {"10.1.2.255", "10.1.3.0"}},
      {"10.1.0.0/16", {"10.1.0.0", "10.1.255.255"}},
      {"10.1.255.255-10.2.0.0", {"10.1.255.255", "10.2.0.0"}},
      {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255", "10.0.0.1"}},
      {"2001:db8::7", {"2001:db8::7"}},
      {"2001:db8::/64", {"2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"}},
      {"2001:db8:1::/48", {"2001:db8:1::", "2001:db8:1:ffff::1"}},
      {"2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"}},
      {"::/0", {"::1", "ffff::1"}},
  };
  for (const auto& c : cases) {
    for (const auto* address : c.inside) {
      const bool v6 = std::string_view(address).find(':') != std::string_view::npos;
      const auto f = flow(v6 ? "fd00::1" : "10.9.0.1", address);
      const auto before = f.key.stamp(regions);
      regions.touch({*model::TrafficSelector::parse(c.selector)});
      EXPECT_NE(f.key.stamp(regions), before) << c.selector << " " << address;
    }
  }
  const auto f = flow("10.9.0.1", "10.1.0.1");
  const auto before = f.key.stamp(regions);
  regions.touch({});  // an SA without selectors takes everything
  EXPECT_NE(f.key.stamp(regions), before);
}

// Whatever is remembered is what would be said now.
TEST(FlowCacheAnswers, AgreeWithSpdAndSadWhateverChanges) {
  static constexpr std::array kRemotes = {"10.1.0.0/16", "10.1.0.0/24",   "10.1.0.1",           "10.1.0.2",
                                          "10.1.1.0/24", "0.0.0.0/0",     "10.1.0.1-10.1.0.9",  "2001:db8::/64",
                                          "2001:db8::1", "2001:db8::/32", "10.1.0.200-10.1.1.7"};
  static constexpr std::array kHosts = {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.1.1", "10.2.0.1", "192.0.2.9"};
  static constexpr std::array kHosts6 = {"2001:db8::1", "2001:db8::2", "2001:db8:1::1"};
  std::vector<Flow> flows;
  for (const auto* host : kHosts) flows.push_back(flow("10.9.0.1", host));
  for (const auto* host : kHosts6) flows.push_back(flow("fd00::1", host));
  World world;
  SeededRandom random(17);
  std::uint64_t hits = 0;
  for (int n = 0; n < 30000; ++n) {
    const auto id = 1 + static_cast<std::uint32_t>(random.below(12));
    const auto* remote = kRemotes[random.below(kRemotes.size())];
    switch (random.below(12)) {
      case 0: world.spd.install(protect(id, static_cast<std::uint32_t>(random.below(4)), remote), 0); break;
      case 1: (void)world.spd.remove(model::PolicyId{id}); break;
      case 2: world.sad.insert(outbound(id, 1 + id % 6, random.below(8) == 0 ? "" : remote)); break;
      case 3:
        if (auto* sa = world.sad.outbound_of(model::ChildId{id})) world.sad.erase(*sa);
        break;
      case 4:
        if (auto* sa = world.sad.outbound_of(model::ChildId{id})) {
          sa->spec.standby = !sa->spec.standby;
          world.regions.touch(sa->spec.remote_selectors);
        }
        break;
      default: {
        const auto& f = flows[random.below(flows.size())];
        const auto wanted = world.ask(f);
        if (const auto* known = world.known(f)) {
          ++hits;
          ASSERT_EQ(known->policy, wanted.policy) << "step " << n;
          ASSERT_EQ(known->sa, wanted.sa) << "step " << n;
        } else {
          world.learn(f);
        }
      }
    }
  }
  EXPECT_GT(hits, 2000U);
}

}  // namespace
}  // namespace cygnet::engine::test
