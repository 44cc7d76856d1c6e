// SPDX-License-Identifier: Apache-2.0
// The life of SAs and policies: waiting packets, standby, lifetimes, keepalives, moves.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::Direction;

class Life : public TwoGateways {
 protected:
  [[nodiscard]] static Bytes hello() { return udp_packet("10.1.0.5", "10.2.0.6", 20); }
  [[nodiscard]] static model::PolicySpec on_demand() {
    auto p = policy({}, true);
    p.acquire = true;
    return p;
  }
  [[nodiscard]] static model::SaSpec out() { return spec({}, true, Direction::kOutbound); }
};

// ---- on demand

TEST_F(Life, FirstPacketsWaitForTheTunnelAndArrive) {
  ok(a.engine.install_policy(on_demand()));
  EXPECT_EQ(a.send_all({hello(), hello()}).held, 2U);
  const auto asked = a.events<AcquireEvent>();
  ASSERT_EQ(asked.size(), 1U) << "once, not for every packet";
  EXPECT_EQ(asked[0].policy, kPolicy);
  EXPECT_EQ(asked[0].local.to_string(), model::TrafficSelector::parse("10.1.0.5[udp/40001]")->to_string());
  EXPECT_EQ(asked[0].remote.to_string(), model::TrafficSelector::parse("10.2.0.6[udp/40002]")->to_string());
  ok(a.engine.install_sa(out(), a.now));
  ok(b.engine.install_sa(spec({}, true, Direction::kInbound), b.now));
  EXPECT_EQ(a.engine.next_deadline(), Instant::min());
  std::size_t arrived = 0;
  for (const auto& esp : a.tick().esp()) {
    for (const auto& packet : b.receive(esp).packets()) {
      EXPECT_EQ(packet, hello());
      ++arrived;
    }
  }
  EXPECT_EQ(arrived, 2U);
  EXPECT_TRUE(a.tick().sent.empty());
  EXPECT_EQ(a.engine.statistics().acquires, 1U);
}

TEST_F(Life, HeldPacketsStayUntilAStandbySaIsActivated) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  auto standby = out();
  standby.standby = true;
  ok(a.engine.install_sa(standby, a.now));
  EXPECT_TRUE(a.tick().sent.empty());
  ok(a.engine.activate(kChild));
  EXPECT_EQ(a.tick().sent.size(), 1U);
}

// The tunnel that came may have been for other addresses, and may be gone again: packets that go on coming never wait
// in vain.
TEST_F(Life, PacketsThatGoOnComingAskAgain) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
  (void)a.tick(999ms);
  (void)a.send(hello());
  EXPECT_EQ(a.events<AcquireEvent>().size(), 0U);
  (void)a.tick(1ms);
  (void)a.send_all({hello(), hello()});
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
  // Nor where there is no room left for what waits.
  (void)a.tick(1s);
  std::size_t held = 0;
  do {
    held = a.send_all({hello(), hello()}).held;
  } while (held == 2);
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
  (void)a.tick(1s);
  EXPECT_EQ(a.send(hello()).held, 0U);
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
}

TEST_F(Life, AFailedAcquireDropsWhatWaitsAndTheNextPacketAsksAgain) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send_all({hello(), hello()});
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
  ok(a.engine.acquire_failed(kPolicy));
  EXPECT_EQ(a.drops(DropReason::kAcquireTimeout), 2U);
  (void)a.send(hello());
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
}

TEST_F(Life, AfterATimeoutTheNextPacketAsksAgain) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  (void)a.tick(30s);
  (void)a.events<AcquireEvent>();
  (void)a.send(hello());
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
}

TEST_F(Life, AnSaTooNarrowForAPacketLeavesItWaitingAndAsksAgain) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  (void)a.events<AcquireEvent>();
  auto narrow = out();
  narrow.remote_selectors = selectors({"10.2.0.99"});
  ok(a.engine.install_sa(narrow, a.now));
  EXPECT_EQ(a.tick().held, 1U);
  EXPECT_EQ(a.events<AcquireEvent>().size(), 1U);
}

TEST_F(Life, WaitingPacketsMayLeaveThroughAnotherPolicy) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  auto other = policy({}, true);
  other.id = model::PolicyId{8};
  other.order = 10;
  auto sa = out();
  sa.policy = other.id;
  ok(a.engine.install_sa(sa, a.now));
  ok(a.engine.install_policy(other));
  EXPECT_EQ(a.tick().sent.size(), 1U);
}

TEST_F(Life, RemovingThePolicyFreesWhatItHeld) {
  ok(a.engine.install_policy(on_demand()));
  (void)a.send(hello());
  ok(a.engine.remove_policy(kPolicy));
  EXPECT_EQ(a.tick().dropped, std::vector{DropReason::kPolicyDiscard});
  EXPECT_EQ(a.engine.next_deadline(), kNever);
}

// ---- several SAs of one policy

TEST_F(Life, TheNewestActiveSaIsUsed) {
  connect();
  auto next = out();
  next.spi = Spi{0x7777};
  next.child = model::ChildId{43};
  next.standby = true;
  ok(a.engine.install_sa(next, a.now));
  EXPECT_EQ(load_be32(a.send(hello()).esp()[0].data()), 0x1001U);
  ok(a.engine.activate(next.child));
  EXPECT_EQ(load_be32(a.send(hello()).esp()[0].data()), 0x7777U);
  ok(a.engine.remove_sa(Direction::kOutbound, next.spi, next.child));
  EXPECT_EQ(load_be32(a.send(hello()).esp()[0].data()), 0x1001U);
}

TEST_F(Life, TheFirstValidInboundPacketActivatesTheStandbySa) {
  connect();
  auto next_out = spec({}, false, Direction::kOutbound);  // b to a
  next_out.spi = Spi{0x7777};
  next_out.child = model::ChildId{43};
  next_out.standby = true;
  auto next_in = spec({}, true, Direction::kInbound);  // at b, from a
  next_in.spi = Spi{0x8888};
  next_in.child = model::ChildId{43};
  ok(b.engine.install_sa(next_in, b.now));
  ok(b.engine.install_sa(next_out, b.now));
  auto by_a = out();
  by_a.spi = Spi{0x8888};
  auto forged = seal_by_hand(by_a, 1, hello(), wire::protocol::kIpv4);
  forged.back() ^= 1;
  (void)b.receive(forged);
  const auto back = udp_packet("10.2.0.6", "10.1.0.5", 5);
  EXPECT_EQ(load_be32(b.send(back).esp()[0].data()), 0x2002U) << "a forgery activates nothing";
  EXPECT_TRUE(b.events<ChildActivatedEvent>().empty());
  (void)b.receive(seal_by_hand(by_a, 1, hello(), wire::protocol::kIpv4));
  EXPECT_EQ(load_be32(b.send(back).esp()[0].data()), 0x7777U);
  const auto events = b.events<ChildActivatedEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].child, model::ChildId{43});
}

TEST_F(Life, SelectorsChooseAmongTheSasOfAPolicy) {
  connect();
  auto special = out();
  special.spi = Spi{0x7777};
  special.child = model::ChildId{43};
  special.remote_selectors = selectors({"10.2.0.6[udp/53]"});
  ok(a.engine.install_sa(special, a.now));
  EXPECT_EQ(load_be32(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5, {}, 1024, 53)).esp()[0].data()), 0x7777U);
  EXPECT_EQ(load_be32(a.send(hello()).esp()[0].data()), 0x1001U);
}

// ---- lifetimes

TEST_F(Life, SoftLimitsAreToldOnceAndTheSaGoesOn) {
  auto limited = out();
  limited.lifetime.soft_packets = 2;
  ok(a.engine.install_policy(policy({}, true)));
  ok(a.engine.install_sa(limited, a.now));
  EXPECT_EQ(a.send_all({hello(), hello(), hello()}).esp().size(), 3U);
  const auto events = a.events<SaExpiringEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_FALSE(events[0].hard);
  EXPECT_EQ(events[0].spi, kSpiToB);
  EXPECT_EQ(events[0].direction, Direction::kOutbound);
  EXPECT_EQ(events[0].child, kChild);
}

TEST_F(Life, SoftOctetsCountClearText) {
  auto limited = out();
  limited.lifetime.soft_bytes = 96;  // two packets of 48
  ok(a.engine.install_policy(policy({}, true)));
  ok(a.engine.install_sa(limited, a.now));
  (void)a.send(hello());
  EXPECT_TRUE(a.events<SaExpiringEvent>().empty());
  (void)a.send(hello());
  EXPECT_EQ(a.events<SaExpiringEvent>().size(), 1U);
}

TEST_F(Life, AgesAreToldAndAtTheHardOneTheSaIsGone) {
  auto limited = out();
  limited.lifetime.soft_age_s = 100;
  limited.lifetime.hard_age_s = 120;
  ok(a.engine.install_policy(policy({}, true)));
  ok(a.engine.install_sa(limited, a.now));
  EXPECT_EQ(a.engine.next_deadline(), a.now + 100s);
  (void)a.tick(99s);
  EXPECT_FALSE(a.engine.has_events());
  (void)a.tick(1s);
  auto events = a.events<SaExpiringEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_FALSE(events[0].hard);
  EXPECT_EQ(a.engine.next_deadline(), a.now + 20s);
  (void)a.tick(20s);
  events = a.events<SaExpiringEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].hard);
  EXPECT_TRUE(a.engine.dump(false).sas.empty());
  EXPECT_EQ(a.engine.next_deadline(), kNever);
}

TEST_F(Life, ARemovedSaLeavesNoTimerThatBites) {
  auto limited = out();
  limited.lifetime.hard_age_s = 10;
  ok(a.engine.install_sa(limited, a.now));
  ok(a.engine.remove_sa(Direction::kOutbound, kSpiToB, kChild));
  limited.lifetime.hard_age_s = 1000;
  ok(a.engine.install_sa(limited, a.now));
  (void)a.tick(10s);
  EXPECT_EQ(a.engine.dump(false).sas.size(), 1U);
  EXPECT_FALSE(a.engine.has_events());
}

// ---- NAT

TEST_F(Life, KeepalivesAreSentOnlyWhenNothingElseWas) {
  auto s = spec({.udp = true}, true, Direction::kOutbound);
  s.keepalive_s = 20;
  ok(a.engine.install_policy(policy({}, true)));
  ok(a.engine.install_sa(s, a.now));
  EXPECT_TRUE(a.tick(15s).sent.empty());
  (void)a.send(hello());
  EXPECT_TRUE(a.tick(5s).sent.empty());
  EXPECT_EQ(a.engine.next_deadline(), a.now + 15s);
  const auto sent = a.tick(15s).sent;
  ASSERT_EQ(sent.size(), 1U);
  ASSERT_EQ(sent[0].esp.size(), 1U);
  EXPECT_EQ(sent[0].esp[0], (Bytes{0xff}));
  EXPECT_TRUE(sent[0].way.udp);
  EXPECT_EQ(sent[0].way.remote, (Endpoint{ip("192.0.2.2"), 4500}));
  EXPECT_EQ(a.tick(20s).sent.size(), 1U);
  EXPECT_EQ(counters(a.engine, Direction::kOutbound).packets, 1U) << "keepalives are no traffic";
}

TEST_F(Life, ANewAddressOfThePeerIsToldOnlyForTheNewestValidPacket) {
  connect({.udp = true});
  const auto esp = a.send_all({hello(), hello(), hello(), hello()}).esp();
  const Endpoint moved{ip("198.51.100.7"), 61000};
  b.from_remote = moved;
  auto forged = esp[1];
  forged.back() ^= 1;
  (void)b.receive(forged);
  EXPECT_TRUE(b.events<PeerMovedEvent>().empty()) << "forged";
  b.from_remote = {ip("192.0.2.1"), 4500};
  (void)b.receive(esp[1]);
  b.from_remote = moved;
  (void)b.receive(esp[0]);
  EXPECT_TRUE(b.events<PeerMovedEvent>().empty()) << "late";
  (void)b.receive(esp[2]);
  const auto events = b.events<PeerMovedEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].child, kChild);
  EXPECT_EQ(events[0].remote, moved);
  EXPECT_EQ(events[0].local, b.from_local);
  (void)b.receive(esp[3]);
  EXPECT_TRUE(b.events<PeerMovedEvent>().empty()) << "told already";
}

TEST_F(Life, TransportModeBehindANatGetsRightChecksums) {
  TunnelOptions o;
  o.mode = model::Mode::kTransport;
  o.udp = true;
  o.left = {"192.0.2.1"};
  o.right = {"192.0.2.2"};
  connect(o);
  // a calls itself 10.0.0.1 behind its NAT; b knows it as 192.0.2.1.
  auto inner = spec(o, true, Direction::kOutbound);
  std::uint64_t sequence = 0;
  for (const auto& packet :
       {udp_packet("10.0.0.1", "192.0.2.2", 64), tcp_packet("10.0.0.1", "192.0.2.2", {.payload = pattern(33)})}) {
    const auto arrived = b.receive(seal_by_hand(inner, ++sequence, ByteView(packet).subspan(20), packet[9]));
    ASSERT_EQ(arrived.delivered.size(), 1U);
    EXPECT_EQ(wire::source_address(arrived.delivered[0].packet), ip("192.0.2.1"));
    EXPECT_TRUE(checksum_right(arrived.delivered[0].packet));
  }
}

TEST_F(Life, TransportModeLeavesAMissingUdpChecksumMissing) {
  TunnelOptions o;
  o.mode = model::Mode::kTransport;
  o.udp = true;
  o.left = {"192.0.2.1"};
  o.right = {"192.0.2.2"};
  connect(o);
  auto packet = udp_packet("192.0.2.1", "192.0.2.2", 64);
  store_be16(&packet[26], 0);
  const auto arrived =
      b.receive(seal_by_hand(spec(o, true, Direction::kOutbound), 1, ByteView(packet).subspan(20), 17));
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(load_be16(&arrived.delivered[0].packet[26]), 0);
}

TEST_F(Life, TransportModeCarriesEveryFamilyAndAlgorithmShape) {
  for (const bool v6 : {false, true}) {
    for (const auto encryption : {model::EncryptionId::kAesGcm16, model::EncryptionId::kAesCbc}) {
      TunnelOptions o;
      o.mode = model::Mode::kTransport;
      o.outer_v6 = v6;
      o.encryption = encryption;
      if (encryption == model::EncryptionId::kAesCbc) o.integrity = model::IntegrityId::kHmacSha2_256_128;
      o.left = {v6 ? "2001:db8::1" : "192.0.2.1"};
      o.right = {v6 ? "2001:db8::2" : "192.0.2.2"};
      connect(o);
      for (std::size_t size = 0; size < 20; ++size) {
        const auto packet = udp_packet(o.left[0], o.right[0], size, {.tos = 0x28, .dont_fragment = true});
        const auto sent = a.send(packet).sent;
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_EQ(sent[0].way.tos, 0x28);
        EXPECT_TRUE(sent[0].way.dont_fragment);
        const auto arrived = b.receive(sent[0].esp[0]);
        ASSERT_EQ(arrived.delivered.size(), 1U);
        const std::size_t header = v6 ? 40 : 20;
        EXPECT_EQ(Bytes(arrived.delivered[0].packet.begin() + header, arrived.delivered[0].packet.end()),
                  Bytes(packet.begin() + header, packet.end()));
        EXPECT_EQ(wire::source_address(arrived.delivered[0].packet), ip(o.left[0]));
        EXPECT_EQ(wire::destination_address(arrived.delivered[0].packet), ip(o.right[0]));
      }
      disconnect();
    }
  }
}

TEST_F(Life, TransportModeIsForTheEndpointsOnly) {
  TunnelOptions o;
  o.mode = model::Mode::kTransport;
  connect(o);
  EXPECT_EQ(a.send(hello()).dropped, std::vector{DropReason::kNoSa});
}

// ---- sequence numbers

TEST_F(Life, EventsAreBounded) {
  Gateway small{5, {.max_events = 3}};
  for (int i = 0; i < 10; ++i) {
    small.now += 1s;
    (void)small.receive(Bytes(40, 9));
  }
  EXPECT_EQ(small.engine.take_events().size(), 3U);
  EXPECT_EQ(small.engine.statistics().events_lost, 7U);
}

// ---- refusals

TEST_F(Life, WhatCannotBeRightIsRefusedWithAReason) {
  auto s = out();
  s.spi = Spi{255};
  EXPECT_NE(a.engine.install_sa(s, a.now).error().message.find("reserved"), std::string::npos);
  s = out();
  s.remote.address = ip("2001:db8::2");
  EXPECT_FALSE(a.engine.install_sa(s, a.now));
  s = out();
  s.udp_encapsulation = true;
  EXPECT_FALSE(a.engine.install_sa(s, a.now));
  s = out();
  s.encryption = model::EncryptionId::kAesCbc;
  EXPECT_FALSE(a.engine.install_sa(s, a.now)) << "encryption without integrity";
  s = out();
  s.encryption_key.pop_back();
  EXPECT_FALSE(a.engine.install_sa(s, a.now));
  EXPECT_FALSE(a.engine.remove_sa(Direction::kOutbound, kSpiToB, kChild));
  EXPECT_FALSE(a.engine.activate(kChild));
  EXPECT_FALSE(a.engine.remove_policy(kPolicy));
  EXPECT_FALSE(a.engine.update_endpoints(kChild, {}, {}, false));
  auto p = policy({}, true);
  p.remote.clear();
  EXPECT_FALSE(a.engine.install_policy(p));
}

TEST_F(Life, TheNumberOfSasIsBounded) {
  Gateway small{5, {.max_sas = 3}};
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto s = out();
    s.spi = Spi{0x1000 + i};
    s.child = model::ChildId{i};
    ok(small.engine.install_sa(s, small.now));
  }
  EXPECT_FALSE(small.engine.install_sa(out(), small.now));
}

// ---- packets that come before their SA

TEST_F(Life, PacketsOfAnExpectedSaWaitForIt) {
  connect();
  ok(b.engine.remove_sa(Direction::kInbound, kSpiToB, kChild));
  b.engine.expect_spi(kSpiToB, b.now);
  const auto first = a.send(hello()).esp()[0];
  const auto second = a.send(hello()).esp()[0];
  EXPECT_EQ(b.receive(first).held, 1U);
  EXPECT_EQ(b.receive(second).held, 1U);
  EXPECT_TRUE(b.events<UnknownSpiEvent>().empty());
  ok(b.engine.install_sa(spec({}, true, Direction::kInbound), b.now));
  EXPECT_EQ(b.engine.next_deadline(), Instant::min());
  EXPECT_EQ(b.tick().packets(), (std::vector<Bytes>{hello(), hello()}));
  EXPECT_EQ(b.drops(DropReason::kUnknownSpi), 0U);
  // It is there now: what is sent twice is seen twice.
  EXPECT_EQ(b.receive(second).dropped, std::vector{DropReason::kReplaySeen});
}

TEST_F(Life, WhatWaitsForAnExpectedSaWaitsASecond) {
  connect();
  ok(b.engine.remove_sa(Direction::kInbound, kSpiToB, kChild));
  b.engine.expect_spi(kSpiToB, b.now);
  EXPECT_EQ(b.receive(a.send(hello()).esp()[0]).held, 1U);
  EXPECT_EQ(b.tick(999ms).dropped.size(), 0U);
  EXPECT_EQ(b.tick(1ms).dropped, std::vector{DropReason::kUnknownSpi});
  // The SPI itself is expected for a minute.
  EXPECT_EQ(b.receive(a.send(hello()).esp()[0]).held, 1U);
  (void)b.tick(61s);
  EXPECT_EQ(b.receive(a.send(hello()).esp()[0]).dropped, std::vector{DropReason::kUnknownSpi});
}

TEST_F(Life, OnlySoManyPacketsWait) {
  connect();
  ok(b.engine.remove_sa(Direction::kInbound, kSpiToB, kChild));
  b.engine.expect_spi(kSpiToB, b.now);
  std::size_t held = 0;
  for (int i = 0; i < 300; ++i) held += b.receive(a.send(hello()).esp()[0]).held;
  EXPECT_EQ(held, 256U);
  EXPECT_EQ(b.drops(DropReason::kUnknownSpi), 44U);
  // Others get nothing of it.
  EXPECT_EQ(b.receive(Bytes(60, 7)).dropped, std::vector{DropReason::kUnknownSpi});
}

TEST_F(Life, UsageOfSomeSas) {
  connect();
  b.now += 5s;
  (void)b.receive(a.send(hello()).esp()[0]);
  const Instant received = b.now;
  b.now += 2s;
  (void)b.send(udp_packet("10.2.0.6", "10.1.0.5", 20));
  const std::array asked{kSpiToB, Spi{0x7777}};
  const auto usage = b.engine.usage(asked);
  ASSERT_EQ(usage.size(), 1U);
  EXPECT_EQ(usage[0].spi, kSpiToB);
  EXPECT_EQ(usage[0].inbound, received);
  EXPECT_EQ(usage[0].outbound, b.now);
}

}  // namespace
}  // namespace cygnet::engine::test
