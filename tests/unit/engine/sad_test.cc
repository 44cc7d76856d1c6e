// SPDX-License-Identifier: Apache-2.0
// The tables of the SAD while they grow and shrink, and which SA of a policy a packet takes.
#include "engine/sad.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

[[nodiscard]] std::unique_ptr<InboundSa> inbound(std::uint32_t spi, std::uint64_t child) {
  auto sa = std::make_unique<InboundSa>(0, false);
  sa->spec.spi = Spi{spi};
  sa->spec.child = model::ChildId{child};
  return sa;
}

[[nodiscard]] std::unique_ptr<OutboundSa> outbound(std::uint32_t spi, std::string_view remote_selector) {
  auto sa = std::make_unique<OutboundSa>();
  sa->spec.direction = model::Direction::kOutbound;
  sa->spec.spi = Spi{spi};
  sa->spec.child = model::ChildId{spi};
  sa->spec.policy = model::PolicyId{7};
  sa->spec.remote = {ip("192.0.2.1"), 4500};
  sa->spec.local = {ip("192.0.2.2"), 4500};
  sa->spec.remote_selectors = {*model::TrafficSelector::parse(remote_selector)};
  sa->spec.local_selectors = {model::TrafficSelector::of(IpRange::all(Family::kV4))};
  return sa;
}

[[nodiscard]] std::uint32_t taken(const Sad& sad, std::string_view remote, std::string_view local = "10.9.9.9") {
  const auto* sa = sad.select(model::PolicyId{7}, {.local = ip(local), .remote = ip(remote)});
  return sa == nullptr ? 0 : sa->spec.spi.value;
}

TEST(SadGrowth, EveryEntryIsFoundAtEachSize) {
  Sad sad(7);
  SeededRandom random(11);
  std::vector<std::uint32_t> spis;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const auto spi = 256 + i * 4096;  // as a counter in the upper bits would make them
    spis.push_back(spi);
    sad.insert(inbound(spi, i));
    if (i % 37 == 0) {
      for (const auto s : spis) ASSERT_NE(sad.find_inbound(Spi{s}), nullptr) << s << " at " << i;
    }
    ASSERT_EQ(sad.find_inbound(Spi{spi + 1}), nullptr);
  }
  std::size_t seen = 0;
  sad.for_each_inbound([&](const InboundSa&) { ++seen; });
  EXPECT_EQ(seen, spis.size());
  for (std::size_t i = 0; i < spis.size(); ++i) {
    sad.erase(*sad.find_inbound(Spi{spis[i]}));
    ASSERT_EQ(sad.find_inbound(Spi{spis[i]}), nullptr);
    if (i + 1 < spis.size()) {
      ASSERT_NE(sad.find_inbound(Spi{spis.back()}), nullptr);
    }
  }
  EXPECT_EQ(sad.size(), 0U);
}

TEST(SadGrowth, ABurstAnswersInItsOrder) {
  Sad sad(7);
  for (std::uint32_t i = 0; i < 100; i += 2) sad.insert(inbound(256 + i, i));
  std::vector<Spi> spis;
  for (std::uint32_t i = 0; i < 100; ++i) spis.push_back(Spi{256 + i});
  std::vector<InboundSa*> found(spis.size());
  sad.find_inbound(spis, found);
  for (std::uint32_t i = 0; i < 100; ++i) {
    ASSERT_EQ(found[i] != nullptr, i % 2 == 0);
    if (found[i] != nullptr) {
      ASSERT_EQ(found[i]->spec.spi, spis[i]);
    }
  }
}

struct ByValue {
  using Key = std::uint32_t;
  static constexpr bool kExact = true;
  [[nodiscard]] static std::uint32_t name(Key key, std::uint64_t) { return key; }
  [[nodiscard]] static bool is(const std::uint32_t&, Key) { return true; }
};

// Beyond the size from which tables stand in huge pages and are made ready before they are needed.
TEST(PointerTableGrowth, LargeTablesLoseNothing) {
  Epochs epochs;
  PointerTable<std::uint32_t, ByValue> table(epochs, 3);
  std::vector<std::uint32_t> values(300000);
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    values[i] = i * 7;
    table.insert(values[i], &values[i]);
    ASSERT_EQ(table.find(values[i / 2]), &values[i / 2]);
    ASSERT_EQ(table.find(values[0]), &values[0]);
  }
  for (auto& value : values) ASSERT_EQ(table.find(value), &value);
  for (std::size_t i = 0; i < values.size(); i += 2) table.erase(values[i], &values[i]);
  EXPECT_EQ(table.size(), values.size() / 2);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(table.find(values[i]), i % 2 == 0 ? nullptr : &values[i]);
}

TEST(SadNames, OneSpiOfTwoPeersIsTwoSas) {
  Sad sad(7);
  auto& a = sad.insert(outbound(500, "10.0.0.0/8"));
  auto other = outbound(500, "10.0.0.0/8");
  other->spec.child = model::ChildId{501};
  other->spec.remote.address = ip("2001:db8::1");
  auto& b = sad.insert(std::move(other));
  EXPECT_EQ(sad.find_outbound(Spi{500}, ip("192.0.2.1")), &a);
  EXPECT_EQ(sad.find_outbound(Spi{500}, ip("2001:db8::1")), &b);
  sad.move_outbound(b, b.spec.local, {ip("192.0.2.77"), 1});
  EXPECT_EQ(sad.find_outbound(Spi{500}, ip("2001:db8::1")), nullptr);
  EXPECT_EQ(sad.find_outbound(Spi{500}, ip("192.0.2.77")), &b);
}

// The SPI is the peer's choice: whoever chooses another's displaces nothing, by its first SA or by moving.
TEST(SadNames, PeersBehindOneNatDoNotDisplaceEachOther) {
  Sad sad(7);
  const auto of = [](std::uint64_t child, const char* remote, std::uint16_t port) {
    auto sa = outbound(500, "10.0.0.0/8");
    sa->spec.child = model::ChildId{child};
    sa->spec.remote = {ip(remote), port};
    sa->spec.encryption_key.assign(20, static_cast<std::uint8_t>(child));
    return sa;
  };
  auto& victim = sad.insert(of(1, "192.0.2.1", 4500));
  auto& second = sad.insert(of(2, "192.0.2.1", 31000));
  auto& third = sad.insert(of(3, "192.0.2.9", 4500));
  sad.move_outbound(third, third.spec.local, {ip("192.0.2.1"), 31001});
  EXPECT_EQ(sad.outbound_size(), 3U);
  EXPECT_EQ(sad.outbound_of(model::ChildId{1}), &victim);
  EXPECT_EQ(sad.find_outbound(Spi{500}, Endpoint{ip("192.0.2.1"), 4500}), &victim);
  EXPECT_EQ(sad.find_outbound(Spi{500}, Endpoint{ip("192.0.2.1"), 31000}), &second);
  EXPECT_EQ(sad.find_outbound(Spi{500}, Endpoint{ip("192.0.2.1"), 31001}), &third);
  EXPECT_EQ(sad.find_outbound(Spi{500}, Endpoint{ip("192.0.2.1"), 31002}), nullptr);
  sad.erase(second);
  EXPECT_EQ(sad.find_outbound(Spi{500}, Endpoint{ip("192.0.2.1"), 31000}), nullptr);
  EXPECT_EQ(sad.find_twin(victim.spec), &victim);
  // The same keys again, as another child: the old one must not go on sealing under them.
  auto again = of(4, "192.0.2.1", 4500);
  again->spec.encryption_key = victim.spec.encryption_key;
  auto& twin = sad.insert(std::move(again));
  EXPECT_EQ(sad.outbound_of(model::ChildId{1}), nullptr);
  EXPECT_EQ(sad.outbound_of(model::ChildId{4}), &twin);
  EXPECT_EQ(sad.outbound_size(), 2U);
}

TEST(ServingSelection, TheNewestThatTakesThePacket) {
  for (const std::uint32_t others : {0U, 3U, 50U}) {  // few, and through the index
    Sad sad(7);
    for (std::uint32_t i = 0; i < others; ++i) sad.insert(outbound(1000 + i, "172.16.0.0/12"));
    sad.insert(outbound(301, "10.0.0.0/8"));
    sad.insert(outbound(302, "10.1.0.0/16"));
    auto& newest = sad.insert(outbound(303, "10.0.0.0/8"));
    EXPECT_EQ(taken(sad, "10.1.2.3"), 303U);
    newest.spec.standby = true;
    EXPECT_EQ(taken(sad, "10.1.2.3"), 302U);
    EXPECT_EQ(taken(sad, "10.2.2.3"), 301U);
    newest.spec.standby = false;
    newest.dead = true;
    EXPECT_EQ(taken(sad, "10.2.2.3"), 301U);
    sad.erase(newest);
    sad.erase(*sad.outbound_of(model::ChildId{301}));
    EXPECT_EQ(taken(sad, "10.2.2.3"), 0U);
    EXPECT_EQ(taken(sad, "10.1.2.3"), 302U);
    EXPECT_EQ(taken(sad, "172.16.1.1"), others == 0 ? 0 : 999 + others);
  }
}

TEST(ServingSelection, TransportPairedAndWithoutSelectors) {
  for (const std::uint32_t others : {0U, 50U}) {
    Sad sad(7);
    for (std::uint32_t i = 0; i < others; ++i) sad.insert(outbound(1000 + i, "172.16.0.0/12"));
    auto transport = outbound(301, "192.0.2.1");
    transport->spec.mode = model::Mode::kTransport;
    sad.insert(std::move(transport));
    EXPECT_EQ(taken(sad, "192.0.2.1", "192.0.2.2"), 301U);
    EXPECT_EQ(taken(sad, "192.0.2.1", "192.0.2.3"), 0U);
    auto paired = outbound(302, "10.1.0.0/16");
    paired->spec.paired_selectors = true;
    paired->spec.remote_selectors.push_back(*model::TrafficSelector::parse("10.2.0.0/16"));
    paired->spec.local_selectors = {*model::TrafficSelector::parse("10.8.0.0/16"),
                                    *model::TrafficSelector::parse("10.9.0.0/16")};
    sad.insert(std::move(paired));
    EXPECT_EQ(taken(sad, "10.1.0.1", "10.8.0.1"), 302U);
    EXPECT_EQ(taken(sad, "10.1.0.1", "10.9.0.1"), 0U);
    EXPECT_EQ(taken(sad, "10.2.0.1", "10.9.0.1"), 302U);
    auto keyed = outbound(303, "10.0.0.0/8");
    keyed->spec.remote_selectors.clear();
    keyed->spec.local_selectors.clear();
    sad.insert(std::move(keyed));
    EXPECT_EQ(taken(sad, "198.51.100.1"), 303U);
    EXPECT_EQ(taken(sad, "2001:db8::1", "2001:db8::2"), 303U);
  }
}

TEST(ServingSelection, TenThousandSasOfOnePolicy) {
  Sad sad(7);
  for (std::uint32_t i = 0; i < 10000; ++i) {
    auto sa = outbound(1000 + i, "10.0.0.0/8");
    sa->spec.remote_selectors = {model::TrafficSelector::of(IpRange::of(IpAddress::v4(0x0a000000 + i)))};
    sad.insert(std::move(sa));
  }
  for (std::uint32_t i = 0; i < 10000; ++i) {
    ASSERT_EQ(taken(sad, IpAddress::v4(0x0a000000 + i).to_string()), 1000 + i);
  }
  for (std::uint32_t i = 0; i < 10000; i += 2) sad.erase(*sad.outbound_of(model::ChildId{1000 + i}));
  for (std::uint32_t i = 0; i < 10000; ++i) {
    ASSERT_EQ(taken(sad, IpAddress::v4(0x0a000000 + i).to_string()), i % 2 == 0 ? 0 : 1000 + i);
  }
}

}  // namespace
}  // namespace cygnet::engine::test
