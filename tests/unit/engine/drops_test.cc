// SPDX-License-Identifier: Apache-2.0
// Every drop reason the engine can give, each by a packet that earns it.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::Direction;

class Drops : public TwoGateways {
 protected:
  void expect_drop(Gateway& g, const Outcome& outcome, DropReason reason, std::uint64_t count = 1) {
    EXPECT_EQ(outcome.dropped, std::vector<DropReason>(count, reason));
    EXPECT_TRUE(outcome.delivered.empty());
    EXPECT_TRUE(outcome.sent.empty());
    EXPECT_EQ(g.drops(reason), count);
  }
  [[nodiscard]] Bytes hello() const { return udp_packet("10.1.0.5", "10.2.0.6", 20); }
  [[nodiscard]] static model::SaSpec to_b() { return spec({}, true, Direction::kOutbound); }
};

// ---- inbound

TEST_F(Drops, TruncatedWhenShorterThanAnEspHeader) {
  connect();
  expect_drop(b, b.receive(Bytes(7, 1)), DropReason::kTruncated);
}
TEST_F(Drops, TruncatedWhenShorterThanItsSaNeeds) {
  connect();
  auto esp = a.send(hello()).esp()[0];
  esp.resize(8 + 8 + 3 + 16);
  expect_drop(b, b.receive(esp), DropReason::kTruncated);
  EXPECT_EQ(counters(b.engine, Direction::kInbound).errors, 1U);
}
TEST_F(Drops, TruncatedWhenEmpty) {
  connect();
  expect_drop(b, b.receive({}), DropReason::kTruncated);
}
TEST_F(Drops, UnknownSpi) {
  connect();
  auto esp = a.send(hello()).esp()[0];
  store_be32(esp.data(), 0x31337);
  expect_drop(b, b.receive(esp), DropReason::kUnknownSpi);
  const auto events = b.events<UnknownSpiEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].spi, Spi{0x31337});
}
TEST_F(Drops, UnknownSpiIsToldAtMostOnceASecond) {
  for (int i = 0; i < 50; ++i) (void)b.receive(Bytes(40, 7));
  EXPECT_EQ(b.events<UnknownSpiEvent>().size(), 1U);
  b.now += 1s;
  (void)b.receive(Bytes(40, 7));
  EXPECT_EQ(b.events<UnknownSpiEvent>().size(), 1U);
  EXPECT_EQ(b.drops(DropReason::kUnknownSpi), 51U);
}
TEST_F(Drops, ReplaySeen) {
  connect();
  const auto esp = a.send(hello()).esp()[0];
  EXPECT_EQ(b.receive(esp).delivered.size(), 1U);
  expect_drop(b, b.receive(esp), DropReason::kReplaySeen);
}
TEST_F(Drops, ReplaySeenForTwinsInOneBurst) {
  connect();
  const auto esp = a.send(hello()).esp()[0];
  const auto outcome = b.receive_all({esp, esp, esp});
  EXPECT_EQ(outcome.delivered.size(), 1U);
  EXPECT_EQ(outcome.dropped, (std::vector{DropReason::kReplaySeen, DropReason::kReplaySeen}));
}
TEST_F(Drops, ReplayOld) {
  connect({.replay_window = 32});
  const auto esp = a.send_all(std::vector<Bytes>(33, hello())).esp();
  EXPECT_EQ(b.receive(esp[32]).delivered.size(), 1U);
  EXPECT_EQ(b.receive(esp[1]).delivered.size(), 1U);
  expect_drop(b, b.receive(esp[0]), DropReason::kReplayOld);
}
TEST_F(Drops, NothingIsReplayedWithAWindowOfZero) {
  connect({.replay_window = 0});
  const auto esp = a.send(hello()).esp()[0];
  EXPECT_EQ(b.receive_all({esp, esp}).delivered.size(), 2U);
}
TEST_F(Drops, IntegrityFailedForEveryChangedOctet) {
  connect();
  const auto esp = a.send(hello()).esp()[0];
  for (std::size_t i = 4; i < esp.size(); ++i) {
    auto changed = esp;
    changed[i] ^= 0x40;
    if (i < 8) changed[4] &= 0x7f;  // a huge sequence number is as good a lie as any
    EXPECT_EQ(b.receive(changed).dropped, std::vector{DropReason::kIntegrityFailed}) << i;
  }
  EXPECT_EQ(b.receive(esp).delivered.size(), 1U) << "forgeries must not move the window";
  EXPECT_EQ(counters(b.engine, Direction::kInbound).errors, esp.size() - 4);
}
TEST_F(Drops, BadPaddingWhenLongerThanThePayload) {
  connect();
  const Bytes trailer{1, 2, 200, wire::protocol::kIpv4};
  expect_drop(b, b.receive(seal_by_hand(to_b(), 1, Bytes(8), 4, trailer)), DropReason::kBadPadding);
}
TEST_F(Drops, BadPaddingWhenNotWholeBlocks) {
  connect();
  auto esp = a.send(hello()).esp()[0];
  esp.push_back(0);
  expect_drop(b, b.receive(esp), DropReason::kBadPadding);
}
TEST_F(Drops, BadNextHeaderInATunnel) {
  connect();
  expect_drop(b, b.receive(seal_by_hand(to_b(), 1, hello(), wire::protocol::kUdp)), DropReason::kBadNextHeader);
}
TEST_F(Drops, DummyPackets) {
  connect();
  Verdicts verdicts;
  ok(a.engine.send_dummy(kChild, 100, a.now, verdicts));
  const auto sent = outcome_of(verdicts).esp();
  ASSERT_EQ(sent.size(), 1U);
  expect_drop(b, b.receive(sent[0]), DropReason::kDummy);
}
TEST_F(Drops, SaExpiredInbound) {
  auto limited = spec({}, true, Direction::kInbound);
  limited.lifetime.hard_packets = 2;
  connect();
  ok(b.engine.install_sa(limited, b.now));
  const auto esp = a.send_all(std::vector<Bytes>(4, hello())).esp();
  const auto outcome = b.receive_all(esp);
  EXPECT_EQ(outcome.delivered.size(), 2U);
  EXPECT_EQ(outcome.dropped, (std::vector{DropReason::kSaExpired, DropReason::kSaExpired}));
  const auto events = b.events<SaExpiringEvent>();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].hard);
}
TEST_F(Drops, InnerMalformed) {
  connect();
  auto broken = hello();
  broken[10] ^= 1;  // header checksum
  expect_drop(b, b.receive(seal_by_hand(to_b(), 1, broken, wire::protocol::kIpv4)), DropReason::kInnerMalformed);
}
TEST_F(Drops, InnerMalformedWhenNextHeaderNamesTheOtherFamily) {
  connect();
  expect_drop(b, b.receive(seal_by_hand(to_b(), 1, hello(), wire::protocol::kIpv6)), DropReason::kInnerMalformed);
}
TEST_F(Drops, SelectorMismatch) {
  connect();
  const auto foreign = udp_packet("10.9.0.5", "10.2.0.6", 20);
  expect_drop(b, b.receive(seal_by_hand(to_b(), 1, foreign, wire::protocol::kIpv4)), DropReason::kSelectorMismatch);
  EXPECT_EQ(counters(b.engine, Direction::kInbound).errors, 1U);
}
TEST_F(Drops, EcnDropped) {
  connect();
  b.outer_tos = 3;
  expect_drop(b, b.receive(a.send(hello()).esp()[0]), DropReason::kEcnDropped);
}
TEST_F(Drops, PlainTextRefused) {
  connect();
  EXPECT_EQ(b.engine.check_clear_inbound(hello()), DropReason::kPlainTextRefused);
  EXPECT_EQ(b.drops(DropReason::kPlainTextRefused), 1U);
  EXPECT_EQ(b.engine.check_clear_inbound(udp_packet("172.16.0.1", "10.2.0.6", 1)), DropReason::kPolicyDiscard);
  EXPECT_EQ(b.engine.check_clear_inbound(Bytes(3)), DropReason::kMalformedIp);
  auto pass = policy({}, false);
  pass.id = model::PolicyId{1};
  pass.order = 1;
  pass.action = model::PolicyAction::kBypass;
  ok(b.engine.install_policy(pass));
  EXPECT_EQ(b.engine.check_clear_inbound(hello()), std::nullopt);
}

// ---- outbound

TEST_F(Drops, TruncatedOutbound) {
  connect();
  auto packet = hello();
  packet.pop_back();
  expect_drop(a, a.send(packet), DropReason::kTruncated);
}
TEST_F(Drops, MalformedIp) {
  connect();
  auto packet = hello();
  packet[0] = 0x44;  // header length 16
  expect_drop(a, a.send(packet), DropReason::kMalformedIp);
}
TEST_F(Drops, MalformedIpWhenOffloadWordsContradictThePacket) {
  connect();
  EXPECT_EQ(a.send(hello(), {.needs_checksum = true, .checksum_start = 20, .checksum_offset = 60}).dropped,
            std::vector{DropReason::kMalformedIp});
  EXPECT_EQ(a.send(hello(), {.gso = Offload::Gso::kTcpV4, .segment_octets = 100}).dropped,
            std::vector{DropReason::kMalformedIp});
  EXPECT_EQ(a.send(hello(), {.gso = Offload::Gso::kUdp, .segment_octets = 0}).dropped,
            std::vector{DropReason::kMalformedIp});
}
TEST_F(Drops, PolicyDiscardWithoutAnyPolicy) { expect_drop(a, a.send(hello()), DropReason::kPolicyDiscard); }
TEST_F(Drops, PolicyDiscardByPolicy) {
  auto p = policy({}, true);
  p.action = model::PolicyAction::kDiscard;
  ok(a.engine.install_policy(p));
  expect_drop(a, a.send(hello()), DropReason::kPolicyDiscard);
}
TEST_F(Drops, PolicyDiscardForWhatAHostSaysToItsOwnLink) {
  TunnelOptions everything;
  everything.left = everything.right = {"0.0.0.0/0", "::/0"};
  connect(everything);
  EXPECT_EQ(a.send(udp_packet("fe80::1", "ff02::2", 8)).dropped, std::vector{DropReason::kPolicyDiscard});
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "224.0.0.251", 8)).dropped, std::vector{DropReason::kPolicyDiscard});
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "255.255.255.255", 8)).dropped, std::vector{DropReason::kPolicyDiscard});
  EXPECT_EQ(a.send(udp_packet("::", "ff02::16", 8)).dropped, std::vector{DropReason::kPolicyDiscard});
  EXPECT_EQ(a.send(hello()).sent.size(), 1U);
}
TEST_F(Drops, NoSa) {
  ok(a.engine.install_policy(policy({}, true)));
  expect_drop(a, a.send(hello()), DropReason::kNoSa);
}
TEST_F(Drops, SaExpiredOutbound) {
  auto limited = to_b();
  limited.lifetime.hard_bytes = 100;
  connect();
  ok(a.engine.install_sa(limited, a.now));
  EXPECT_EQ(a.send(hello()).sent.size(), 1U);  // 48 octets
  EXPECT_EQ(a.send(hello()).sent.size(), 1U);
  expect_drop(a, a.send(hello()), DropReason::kSaExpired);
  (void)a.tick();
  EXPECT_EQ(a.send(hello()).dropped, std::vector{DropReason::kNoSa}) << "it is gone after the timer";
}
TEST_F(Drops, AcquireQueueFull) {
  auto p = policy({}, true);
  p.acquire = true;
  ok(a.engine.install_policy(p));
  const auto outcome = a.send_all(std::vector<Bytes>(66, hello()));
  EXPECT_EQ(outcome.held, 64U);
  EXPECT_EQ(outcome.dropped, (std::vector{DropReason::kAcquireQueueFull, DropReason::kAcquireQueueFull}));
}
TEST_F(Drops, AcquireTimeout) {
  auto p = policy({}, true);
  p.acquire = true;
  ok(a.engine.install_policy(p));
  (void)a.send_all({hello(), hello()});
  EXPECT_EQ(a.engine.next_deadline(), a.now + 30s);
  EXPECT_TRUE(a.tick(29s).dropped.empty());
  expect_drop(a, a.tick(1s), DropReason::kAcquireTimeout, 2);
}
TEST_F(Drops, TooBig) {
  connect();
  const auto outcome = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1472, {.dont_fragment = true}));
  EXPECT_EQ(outcome.dropped, std::vector{DropReason::kTooBig});
  EXPECT_TRUE(outcome.sent.empty());
  EXPECT_EQ(a.drops(DropReason::kTooBig), 1U);
}
TEST_F(Drops, TtlExpired) {
  connect();
  expect_drop(a, a.send(udp_packet("10.1.0.5", "10.2.0.6", 20, {.ttl = 0})), DropReason::kTtlExpired);
}
TEST_F(Drops, NoBuffer) {
  connect();
  auto packet = hello();
  OutPacket out{packet, {}, a.device};
  Verdicts tiny(50);
  a.engine.process_outbound({&out, 1}, a.now, tiny);
  EXPECT_EQ(outcome_of(tiny).dropped, std::vector{DropReason::kNoBuffer});
}

// ---- fragments on their way into transport mode

class FragmentDrops : public Drops {
 protected:
  static TunnelOptions host_to_host() {
    TunnelOptions o;
    o.mode = model::Mode::kTransport;
    o.left = {"192.0.2.1"};
    o.right = {"192.0.2.2"};
    return o;
  }
  [[nodiscard]] static Bytes fragment(std::uint16_t offset, bool more, std::size_t octets, std::uint16_t id = 9) {
    return ip_packet("192.0.2.1", "192.0.2.2", wire::protocol::kUdp, pattern(octets),
                     {.more_fragments = more, .fragment_offset = offset, .id = id});
  }
};

TEST_F(FragmentDrops, FragmentOverlap) {
  connect(host_to_host());
  EXPECT_TRUE(a.send(fragment(0, true, 64)).dropped.empty());
  EXPECT_EQ(a.send(fragment(56, false, 64)).dropped, std::vector{DropReason::kFragmentOverlap});
  EXPECT_EQ(a.drops(DropReason::kFragmentOverlap), 2U) << "the first fragment goes with it";
}
TEST_F(FragmentDrops, FragmentTimeout) {
  connect(host_to_host());
  (void)a.send(fragment(0, true, 64));
  EXPECT_EQ(a.engine.next_deadline(), a.now + 30s);
  expect_drop(a, a.tick(30s), DropReason::kFragmentTimeout);
}
TEST_F(FragmentDrops, ReassemblyFull) {
  connect(host_to_host());
  std::size_t kept = 0;
  while (kept < 4000 && a.send(fragment(0, true, 1400, static_cast<std::uint16_t>(kept))).dropped.empty()) ++kept;
  EXPECT_EQ(kept, (1U << 20U) / (1400 + 128));
  EXPECT_EQ(a.drops(DropReason::kReassemblyFull), 1U);
}
TEST_F(FragmentDrops, CompleteFragmentsLeaveAsOnePacket) {
  connect(host_to_host());
  const auto whole = udp_packet("192.0.2.1", "192.0.2.2", 2992);
  const ByteView payload = ByteView(whole).subspan(20);
  const auto piece = [&](std::size_t first, std::size_t octets, bool more) {
    return ip_packet("192.0.2.1", "192.0.2.2", wire::protocol::kUdp, payload.subspan(first, octets),
                     {.more_fragments = more, .fragment_offset = static_cast<std::uint16_t>(first)});
  };
  EXPECT_TRUE(a.send(piece(1480, 1480, true)).sent.empty());
  EXPECT_TRUE(a.send(piece(2960, 40, false)).sent.empty());
  const auto sent = a.send(piece(0, 1480, true)).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].way.dont_fragment);
  const auto arrived = b.receive(sent[0].esp[0]);
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(ByteView(arrived.delivered[0].packet).subspan(20).size(), payload.size());
  EXPECT_TRUE(std::ranges::equal(ByteView(arrived.delivered[0].packet).subspan(20), payload));
}

TEST_F(FragmentDrops, CompleteIpv6FragmentsLeaveAsOnePacketToo) {
  auto o = host_to_host();
  o.outer_v6 = true;
  o.left = {"2001:db8::1"};
  o.right = {"2001:db8::2"};
  connect(o);
  const auto whole = udp_packet("2001:db8::1", "2001:db8::2", 2992);
  const auto piece = [&](std::uint16_t first, std::size_t octets, bool more) {
    Bytes fragment{wire::protocol::kUdp, 0, 0, 0, 0, 0, 0, 77};
    store_be16(&fragment[2], static_cast<std::uint16_t>(first | (more ? 1U : 0U)));
    append(fragment, ByteView(whole).subspan(40U + first, octets));
    return ip_packet("2001:db8::1", "2001:db8::2", wire::protocol::kFragment, fragment);
  };
  EXPECT_TRUE(a.send(piece(0, 1400, true)).sent.empty());
  EXPECT_TRUE(a.send(piece(1400, 1400, true)).sent.empty());
  const auto sent = a.send(piece(2800, 200, false)).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].way.dont_fragment) << "the kernel fragments the outer packet";
  const auto arrived = b.receive(sent[0].esp[0]);
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(arrived.delivered[0].packet, whole);
}

TEST_F(Drops, EveryReasonHasAName) {
  for (std::size_t i = 0; i < kDropReasonCount; ++i) EXPECT_FALSE(info(static_cast<DropReason>(i)).name.empty());
}

}  // namespace
}  // namespace cygnet::engine::test
