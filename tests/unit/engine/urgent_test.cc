// SPDX-License-Identifier: Apache-2.0
// traffic=latency: its packets leave and come out before what came with them, and wait for no cipher elsewhere; in each
// SA they keep their order.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/flights.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

// Holds all that it is handed until it is told to work.
class SlowProvider final : public crypto::AsyncCipher {
 public:
  bool submit(crypto::CipherBatch& batch) override {
    held.push_back(&batch);
    return true;
  }
  std::size_t completed(std::span<crypto::CipherBatch*> done) override {
    if (!works) return 0;
    const std::size_t count = std::min(done.size(), held.size());
    for (std::size_t i = 0; i < count; ++i) {
      crypto::work_on(*held[i]);
      done[i] = held[i];
    }
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  std::vector<crypto::CipherBatch*> held;
  bool works = false;
};

class Sink final : public UrgentSink {
 public:
  void on_urgent(Verdicts& verdicts, Instant /*now*/) override {
    auto outcome = outcome_of(verdicts.urgent());
    for (auto& esp : outcome.esp()) sent.push_back(std::move(esp));
    for (auto& packet : outcome.packets()) delivered.push_back(std::move(packet));
    trains += outcome.sent.size();
    verdicts.clear_urgent();
  }
  std::vector<Bytes> sent, delivered;
  std::size_t trains = 0;
};

// Two tunnels between a and b: 10.1/16 to 10.2/16 as usual, 10.3/16 to 10.4/16 with traffic=latency.
class UrgentTest : public TwoGateways {
 protected:
  void SetUp() override {
    connect();
    add_urgent(a, true);
    add_urgent(b, false);
  }
  static model::SaSpec urgent_spec(const TunnelOptions& o, bool from_a, model::Direction direction) {
    auto s = spec(o, from_a, direction);
    s.spi = Spi{s.spi.value + 0x100};
    s.child = model::ChildId{43};
    s.policy = model::PolicyId{8};
    s.traffic = model::Traffic::kLatency;
    return s;
  }
  static void add_urgent(Gateway& gateway, bool at_a) {
    const TunnelOptions o{.left = {"10.3.0.0/16"}, .right = {"10.4.0.0/16"}};
    auto p = policy(o, at_a);
    p.id = model::PolicyId{8};
    ok(gateway.engine.install_policy(p));
    for (const auto direction : {model::Direction::kOutbound, model::Direction::kInbound}) {
      ok(gateway.engine.install_sa(urgent_spec(o, at_a == (direction == model::Direction::kOutbound), direction),
                                   gateway.now));
    }
  }
  static Bytes usual(std::uint16_t port, std::size_t octets = 64) {
    return udp_packet("10.1.0.1", "10.2.0.1", octets, {}, port);
  }
  static Bytes urgent(std::uint16_t port, std::size_t octets = 64) {
    return udp_packet("10.3.0.1", "10.4.0.1", octets, {}, port);
  }
  static std::vector<std::uint16_t> ports(const std::vector<Bytes>& packets) {
    std::vector<std::uint16_t> all;
    for (const auto& packet : packets) all.push_back(load_be16(&packet[20]));
    return all;
  }
  static std::vector<OutPacket> read(Gateway& gateway, std::vector<Bytes>& packets) {
    std::vector<OutPacket> burst;
    for (auto& p : packets) burst.push_back({p, {}, gateway.device});
    return burst;
  }
  static std::vector<InPacket> arrived(Gateway& gateway, std::vector<Bytes>& esp) {
    std::vector<InPacket> burst;
    for (auto& e : esp) burst.push_back({e, 0, gateway.from_local, gateway.from_remote, gateway.from_udp, 0});
    return burst;
  }

  Sink sink;
};

TEST_F(UrgentTest, LeavesBeforeTheRestOfItsBurst) {
  std::vector<Bytes> packets{usual(1), urgent(2), usual(3), urgent(4), urgent(5), usual(6)};
  auto burst = read(a, packets);
  Verdicts verdicts;
  verdicts.part_urgent(sink);
  a.engine.process_outbound(burst, a.now, verdicts);
  EXPECT_TRUE(verdicts.urgent().empty());
  const auto rest = outcome_of(verdicts).esp();
  // Neighbours or not, those of one size are one send now.
  EXPECT_EQ(sink.trains, 1U);
  EXPECT_EQ(ports(b.receive_all(sink.sent).packets()), (std::vector<std::uint16_t>{2, 4, 5}));
  EXPECT_EQ(ports(b.receive_all(rest).packets()), (std::vector<std::uint16_t>{1, 3, 6}));
}

TEST_F(UrgentTest, StandsAmongTheOthersWhereNobodyPartsThem) {
  const auto esp = a.send_all({usual(1), urgent(2), usual(3)}).esp();
  EXPECT_EQ(ports(b.receive_all(esp).packets()), (std::vector<std::uint16_t>{1, 2, 3}));
}

TEST_F(UrgentTest, ComesOutBeforeTheRestOfItsBurst) {
  auto esp = a.send_all({usual(1), urgent(2), usual(3), urgent(4)}).esp();
  // What is wrong with a packet is found as ever.
  esp.push_back(esp[1]);
  auto forged = esp[3];
  forged.back() ^= 1U;
  esp.insert(esp.begin(), forged);
  auto burst = arrived(b, esp);
  Verdicts verdicts;
  verdicts.part_urgent(sink);
  b.engine.process_inbound(burst, b.now, verdicts);
  EXPECT_EQ(ports(sink.delivered), (std::vector<std::uint16_t>{2, 4}));
  EXPECT_EQ(ports(outcome_of(verdicts).packets()), (std::vector<std::uint16_t>{1, 3}));
  EXPECT_EQ(b.drops(DropReason::kReplaySeen), 1U);
  EXPECT_EQ(b.drops(DropReason::kIntegrityFailed), 1U);
}

// What an SA limits and what ends it is the same for these packets.
TEST_F(UrgentTest, AnSaThatEndsWithinTheBurstSendsNoMore) {
  auto s = urgent_spec({.left = {"10.3.0.0/16"}, .right = {"10.4.0.0/16"}}, true, model::Direction::kOutbound);
  s.lifetime.hard_packets = 2;
  ok(a.engine.install_sa(s, a.now));
  std::vector<Bytes> packets{urgent(1), usual(2), urgent(3), urgent(4), usual(5)};
  auto burst = read(a, packets);
  Verdicts verdicts;
  verdicts.part_urgent(sink);
  a.engine.process_outbound(burst, a.now, verdicts);
  EXPECT_EQ(sink.sent.size(), 2U);
  EXPECT_EQ(outcome_of(verdicts).esp().size(), 2U);
  EXPECT_EQ(a.drops(DropReason::kSaExpired), 1U);
}

TEST_F(UrgentTest, SuperPacketsAndHeldOnesGoTheSameWay) {
  Verdicts verdicts;
  verdicts.part_urgent(sink);
  std::vector<Bytes> packets{tcp_packet("10.3.0.1", "10.4.0.1", {.payload = pattern(30000)})};
  auto burst = read(a, packets);
  burst[0].offload = {.needs_checksum = true,
                      .gso = Offload::Gso::kTcpV4,
                      .segment_octets = 1000,
                      .checksum_start = 20,
                      .checksum_offset = 16};
  a.engine.process_outbound(burst, a.now, verdicts);
  EXPECT_EQ(sink.sent.size(), 30U);
  EXPECT_EQ(sink.trains, 1U);
  EXPECT_TRUE(verdicts.empty());

  ok(a.engine.remove_sa(model::Direction::kOutbound, urgent_spec({}, true, model::Direction::kOutbound).spi,
                        model::ChildId{43}));
  auto p = policy({.left = {"10.3.0.0/16"}, .right = {"10.4.0.0/16"}}, true);
  p.id = model::PolicyId{8};
  p.acquire = true;
  ok(a.engine.install_policy(p));
  packets = {urgent(9)};
  burst = read(a, packets);
  a.engine.process_outbound(burst, a.now, verdicts);
  EXPECT_EQ(outcome_of(verdicts).held, 1U);
  sink.sent.clear();
  add_urgent(a, true);
  verdicts.clear();
  a.engine.on_timer(a.now, verdicts);
  EXPECT_EQ(sink.sent.size(), 1U);
  EXPECT_FALSE(verdicts.favours());
}

TEST_F(UrgentTest, WaitsForNoSlowCipher) {
  SlowProvider provider;
  Flights flights(a.engine, provider, 4, 1U << 20U);
  flights.part_urgent(sink);
  auto send = [&](std::vector<Bytes>& packets) {
    auto* flight = flights.take(Way::kOut);
    ASSERT_NE(flight, nullptr);
    flight->out = read(a, packets);
    flights.launch(*flight, a.now);
  };
  std::vector<Bytes> first{usual(1), urgent(2), usual(3)};
  std::vector<Bytes> second{urgent(4), usual(5)};
  send(first);
  send(second);
  if (!crypto::is_available(crypto::EspProvider::kIpsecMb)) GTEST_SKIP() << "no cipher here is shareable";
  EXPECT_EQ(provider.held.size(), 2U);
  EXPECT_EQ(ports(b.receive_all(sink.sent).packets()), (std::vector<std::uint16_t>{2, 4}));
  flights.poll();
  EXPECT_EQ(flights.next(Way::kOut), nullptr);
  provider.works = true;
  std::vector<Bytes> rest;
  while (flights.busy()) {
    flights.poll();
    while (auto* flight = flights.next(Way::kOut)) {
      for (auto& esp : outcome_of(flight->verdicts).esp()) rest.push_back(std::move(esp));
      flights.give_back(*flight);
    }
  }
  EXPECT_EQ(ports(b.receive_all(rest).packets()), (std::vector<std::uint16_t>{1, 3, 5}));
}

TEST_F(UrgentTest, ComesInBesideASlowCipherAndWhenNoFlightIsFree) {
  if (!crypto::is_available(crypto::EspProvider::kIpsecMb)) GTEST_SKIP() << "no cipher here is shareable";
  SlowProvider provider;
  Flights flights(b.engine, provider, 1, 1U << 20U);
  flights.part_urgent(sink);
  auto esp = a.send_all({usual(1), urgent(2)}).esp();
  auto* flight = flights.take(Way::kIn);
  ASSERT_NE(flight, nullptr);
  flight->in = arrived(b, esp);
  flights.launch(*flight, b.now);
  EXPECT_EQ(ports(sink.delivered), (std::vector<std::uint16_t>{2}));
  // The one flight is under way: what waits for it is dropped, what does not wait comes out.
  EXPECT_EQ(flights.take(Way::kIn), nullptr);
  auto more = a.send_all({usual(3), urgent(4), usual(5)}).esp();
  auto burst = arrived(b, more);
  Verdicts verdicts;
  verdicts.part_urgent(sink);
  b.engine.process_inbound_urgent(burst, b.now, verdicts);
  EXPECT_EQ(ports(sink.delivered), (std::vector<std::uint16_t>{2, 4}));
  EXPECT_EQ(b.drops(DropReason::kNoBuffer), 2U);
  provider.works = true;
  flights.poll();
  ASSERT_EQ(flights.next(Way::kIn), flight);
  EXPECT_EQ(ports(outcome_of(flight->verdicts).packets()), (std::vector<std::uint16_t>{1}));
  flights.give_back(*flight);
}

}  // namespace
}  // namespace cygnet::engine::test
