// SPDX-License-Identifier: Apache-2.0
// IP-TFS (RFC 9347): aggregation, fragmentation, pace, order and loss.
#include <algorithm>

#include "engine/state.h"
#include "unit/engine/support.h"
#include "wire/aggfrag_header.h"

namespace cygnet::engine::test {
namespace {

constexpr std::size_t kPayload = 1500 - 20 - 8 - 8 - 16 - 2;  // outer IP, ESP, IV, ICV, trailer: 1446

class IpTfs : public TwoGateways {
 protected:
  [[nodiscard]] static TunnelOptions with(model::IpTfs tfs) {
    tfs.enabled = true;
    return {.iptfs = tfs};
  }
  // The AGGFRAG payload of a's packet, which has this number.
  [[nodiscard]] static Bytes payload_of(const Bytes& esp) {
    const std::uint32_t sequence = load_be32(&esp[4]);
    auto [payload, next_header] = open_by_hand(spec({}, true, model::Direction::kOutbound), esp, sequence);
    EXPECT_EQ(next_header, 144);
    return payload;
  }
  [[nodiscard]] static Bytes sealed(std::uint64_t sequence, ByteView payload, std::uint8_t next_header = 144) {
    return seal_by_hand(spec({}, true, model::Direction::kOutbound), sequence, payload, next_header);
  }
  [[nodiscard]] static Bytes small(std::size_t octets, std::uint16_t port = 40001) {
    return udp_packet("10.1.0.1", "10.2.0.1", octets - 28, {}, port);
  }
  [[nodiscard]] static Bytes join(const std::vector<Bytes>& pieces) {
    Bytes all;
    for (const auto& piece : pieces) append(all, piece);
    return all;
  }
};

TEST_F(IpTfs, SmallPacketsShareAnOuterOneOfFullSize) {
  connect(with({}));
  const std::vector<Bytes> clear{small(60), small(100), udp_packet("2001:db8:1::1", "2001:db8:2::1", 30)};
  const auto sent = a.send_all(clear);
  ASSERT_EQ(sent.esp().size(), 1U);
  EXPECT_EQ(sent.esp()[0].size(), 1500U - 20);
  EXPECT_TRUE(sent.sent[0].way.dont_fragment);
  EXPECT_EQ(sent.sent[0].way.tos, 0);
  auto wanted = Bytes{0, 0, 0, 0};
  append(wanted, join(clear));
  wanted.resize(kPayload);
  EXPECT_EQ(payload_of(sent.esp()[0]), wanted);
  EXPECT_EQ(b.receive(sent.esp()[0]).packets(), clear);
  EXPECT_EQ(a.engine.statistics().packets_out, 3U);
  EXPECT_EQ(b.engine.statistics().packets_in, 3U);
}

TEST_F(IpTfs, LargePacketsAreCutAndTheOffsetSaysHowMuchIsLeft) {
  connect(with({}));
  const auto large = small(4000);
  const auto last = small(200);
  const auto sent = a.send_all({large, last});
  ASSERT_EQ(sent.esp().size(), 3U);
  const std::size_t room = kPayload - 4;
  const auto first = payload_of(sent.esp()[0]);
  EXPECT_EQ(load_be32(first.data()), 0U);
  EXPECT_TRUE(std::equal(first.begin() + 4, first.end(), large.begin()));
  EXPECT_EQ(load_be32(payload_of(sent.esp()[1]).data()), 4000U - room) << "reaches into the third";
  const auto third = payload_of(sent.esp()[2]);
  EXPECT_EQ(load_be32(third.data()), 4000U - 2 * room);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), third.begin() + 4 + 4000 - 2 * static_cast<std::ptrdiff_t>(room)));
  EXPECT_EQ(b.receive_all(sent.esp()).packets(), (std::vector<Bytes>{large, last}));
  const model::TfsCounters counted{.payloads = 3, .packets = 2, .fragments = 3, .padding = 3 * room - 4200};
  EXPECT_EQ(counters(a.engine, model::Direction::kOutbound).tfs, counted);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).tfs, counted);
}

TEST_F(IpTfs, NothingBeginsInTheLastFewOctets) {
  connect(with({}));
  const auto sent = a.send_all({small(kPayload - 4 - 39), small(100)});
  ASSERT_EQ(sent.esp().size(), 2U);
  const auto first = payload_of(sent.esp()[0]);
  EXPECT_TRUE(std::all_of(first.end() - 39, first.end(), [](auto octet) { return octet == 0; }));
  EXPECT_EQ(load_be32(payload_of(sent.esp()[1]).data()), 0U);
  EXPECT_EQ(b.receive_all(sent.esp()).packets().size(), 2U);
}

TEST_F(IpTfs, AnySplitIsPutTogether) {
  connect(with({}));
  const auto clear = small(70);
  std::uint64_t sequence = 1;
  for (std::size_t cut = 1; cut < clear.size(); ++cut) {
    SCOPED_TRACE(cut);
    Bytes first{0, 0, 0, 0};
    append(first, ByteView(clear).first(cut));
    Bytes second{0, 0, 0, static_cast<std::uint8_t>(clear.size() - cut)};
    append(second, ByteView(clear).subspan(cut));
    second.resize(second.size() + 10);
    EXPECT_TRUE(b.receive(sealed(sequence++, first)).packets().empty());
    // All-pad payloads may stand between (section 2.2.3), and so may dummies.
    EXPECT_TRUE(b.receive(sealed(sequence++, Bytes(100))).packets().empty());
    EXPECT_TRUE(b.receive(sealed(sequence++, pattern(20), 59)).packets().empty());
    EXPECT_TRUE(b.receive(sealed(sequence++, Bytes(4))).packets().empty()) << "the empty payload";
    EXPECT_EQ(b.receive(sealed(sequence++, second)).packets(), std::vector<Bytes>{clear});
  }
  EXPECT_EQ(b.drops(DropReason::kAggregationLost), 0U);
  EXPECT_EQ(b.drops(DropReason::kBadAggregation), 0U);
}

TEST_F(IpTfs, OuterPacketsAreBroughtIntoOrder) {
  connect(with({}));
  const auto clear = small(5000);
  auto esp = a.send(clear).esp();
  ASSERT_EQ(esp.size(), 4U);
  std::ranges::reverse(esp);
  EXPECT_EQ(b.receive_all(esp).packets(), std::vector<Bytes>{clear});
}

TEST_F(IpTfs, WhatNeverCameIsGivenUpBehindTheWindow) {
  connect(with({.reorder_window = 3}));
  const auto cut = small(2000);
  auto esp = a.send(cut).esp();
  ASSERT_EQ(esp.size(), 2U);
  std::vector<Bytes> later;
  for (std::uint16_t i = 0; i < 4; ++i) {
    later.push_back(small(60, static_cast<std::uint16_t>(50000 + i)));
    append(esp.emplace_back(), a.send(later.back()).esp().at(0));
  }
  EXPECT_TRUE(b.receive(esp[0]).packets().empty());
  for (const std::size_t i : {2U, 3U, 4U}) EXPECT_TRUE(b.receive(esp[i]).packets().empty()) << i;
  // The fourth behind the gap: the second is given up, and with it the packet that was cut.
  const auto got = b.receive(esp[5]);
  EXPECT_EQ(got.packets(), later);
  EXPECT_EQ(got.dropped, std::vector{DropReason::kAggregationLost});
  EXPECT_EQ(b.receive(esp[1]).dropped, std::vector{DropReason::kAggregationLost}) << "too late";
}

TEST_F(IpTfs, WhatNeverCameIsGivenUpInTime) {
  connect(with({.reorder_window = 64, .drop_time_us = 50'000}));
  const auto first = a.send(small(60)).esp();
  const auto clear = small(70);
  const auto second = a.send(clear).esp();
  EXPECT_TRUE(b.receive(second[0]).packets().empty());
  EXPECT_EQ(b.engine.next_deadline(), b.now + 50ms);
  EXPECT_TRUE(b.tick(49ms).packets().empty());
  EXPECT_EQ(b.tick(1ms).packets(), std::vector<Bytes>{clear});
  EXPECT_EQ(b.engine.next_deadline(), kNever);
}

TEST_F(IpTfs, AConstantRateHoldsWhateverThereIsToSend) {
  // 1500 octets at 12 Mbit/s: one packet a millisecond.
  connect(with({.bits_per_s = 12'000'000, .max_queue_octets = 6000}));
  EXPECT_EQ(a.tick().esp().size(), 1U);
  for (int i = 0; i < 5; ++i) {
    const auto sent = a.tick(1ms);
    ASSERT_EQ(sent.esp().size(), 1U);
    EXPECT_EQ(payload_of(sent.esp()[0]), Bytes(kPayload)) << "all padding";
    EXPECT_TRUE(b.receive(sent.esp()[0]).packets().empty());
  }
  EXPECT_EQ(a.engine.next_deadline(), a.now + 1ms);
  // A burst waits for its turns; what does not fit the queue is dropped.
  const std::vector<Bytes> burst(5, small(1400));
  const auto pushed = a.send_all(burst);
  EXPECT_TRUE(pushed.esp().empty());
  EXPECT_EQ(pushed.dropped, std::vector{DropReason::kTfsQueueFull});
  std::size_t got = 0;
  for (int i = 0; i < 5; ++i) {
    const auto sent = a.tick(1ms);
    ASSERT_EQ(sent.esp().size(), 1U);
    EXPECT_EQ(sent.esp()[0].size(), 1480U);
    got += b.receive(sent.esp()[0]).packets().size();
  }
  EXPECT_EQ(got, 4U);
  EXPECT_EQ(b.drops(DropReason::kDummy), 0U);
  // A clock that stood still is not made up for without bounds.
  EXPECT_EQ(a.tick(10s).esp().size(), 64U);
  EXPECT_EQ(a.tick(1ms).esp().size(), 1U);
}

// Who only pads waits for no answer: liveness of children looks at the last use.
TEST_F(IpTfs, PaddingIsNoUseOfTheSa) {
  connect(with({.bits_per_s = 12'000'000}));
  (void)a.tick();
  (void)a.send(small(60));
  (void)a.tick(1ms);
  const auto used = counters(a.engine, model::Direction::kOutbound).last_used;
  EXPECT_GE(used, a.now - 1ms);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(a.tick(1ms).esp().size(), 1U);
  EXPECT_EQ(counters(a.engine, model::Direction::kOutbound).last_used, used);
}

TEST_F(IpTfs, TheNewerSaTakesThePace) {
  const auto o = with({.bits_per_s = 12'000'000});
  connect(o);
  EXPECT_EQ(a.tick().esp().size(), 1U);
  auto newer = spec(o, true, model::Direction::kOutbound);
  newer.spi = Spi{0x3003};
  newer.child = model::ChildId{43};
  newer.encryption_key = key_of(20, 77);
  newer.standby = true;
  ok(a.engine.install_sa(newer, a.now));
  const auto still = a.tick(1ms).esp();
  ASSERT_EQ(still.size(), 1U);
  EXPECT_EQ(load_be32(still[0].data()), kSpiToB.value);
  ok(a.engine.activate(newer.child));
  for (int i = 0; i < 3; ++i) {
    const auto now = a.tick(1ms).esp();
    ASSERT_EQ(now.size(), 1U) << i;
    EXPECT_EQ(load_be32(now[0].data()), 0x3003U);
  }
}

TEST_F(IpTfs, PacketsWaitForOthersAsLongAsTheyMay) {
  connect(with({.init_delay_us = 2000}));
  EXPECT_TRUE(a.send(small(60)).esp().empty());
  EXPECT_EQ(a.engine.next_deadline(), a.now + 2ms);
  a.tick(1ms);
  EXPECT_TRUE(a.send(small(70)).esp().empty());
  const auto sent = a.tick(1ms);
  ASSERT_EQ(sent.esp().size(), 1U);
  EXPECT_EQ(b.receive(sent.esp()[0]).packets(), (std::vector<Bytes>{small(60), small(70)}));
  // A full payload waits for nobody.
  EXPECT_EQ(a.send_all({small(1000), small(1000)}).esp().size(), 1U);
  EXPECT_EQ(a.tick(2ms).esp().size(), 1U);
}

TEST_F(IpTfs, WithoutFragmentsEachPacketIsInOnePayload) {
  connect(with({.fragment = false}));
  const auto sent = a.send_all({small(1000), small(1000), small(400)});
  ASSERT_EQ(sent.esp().size(), 2U);
  for (const auto& esp : sent.esp()) EXPECT_EQ(load_be32(payload_of(esp).data()), 0U);
  EXPECT_EQ(b.receive_all(sent.esp()).packets().size(), 3U);
  // RFC 9347 section 2.2.6: too large ones are treated as in any tunnel.
  const auto refused = a.send(udp_packet("10.1.0.1", "10.2.0.1", 1446 - 28, {.dont_fragment = true}));
  EXPECT_EQ(refused.dropped, std::vector{DropReason::kTooBig});
  ASSERT_EQ(refused.delivered.size(), 1U);
  EXPECT_EQ(load_be16(&refused.delivered[0].packet[26]), kPayload - 4);
  EXPECT_EQ(b.receive_all(a.send(small(2000)).esp()).packets().size(), 2U) << "IPv4 fragments";
  // Queued for a path that became narrower meanwhile.
  auto slow = with({.fragment = false, .init_delay_us = 1000});
  disconnect();
  connect(slow);
  a.send(small(1400));
  ok(a.engine.set_link_mtu(kChild, 1000));
  EXPECT_TRUE(b.receive_all(a.tick(1ms).esp()).packets().empty());
  EXPECT_EQ(a.drops(DropReason::kTooBig), 2U);
}

TEST_F(IpTfs, TheSizeOfOuterPacketsIsWhatWasAskedForOrThePath) {
  connect(with({.packet_octets = 600}));
  EXPECT_EQ(a.send(small(60)).esp().at(0).size(), 600U - 20);
  ok(a.engine.set_link_mtu(kChild, 577));
  EXPECT_EQ(a.send(small(60)).esp().at(0).size(), 576U - 20) << "a multiple of four";
  disconnect();
  connect(with({.packet_octets = 1}));
  const auto least = a.send(small(68)).esp();
  ASSERT_EQ(least.size(), 1U) << "a least packet fits whatever was asked for";
  EXPECT_EQ(b.receive(least[0]).packets().size(), 1U);
}

TEST_F(IpTfs, SegmentsOfADeviceAreQueuedOneByOne) {
  connect(with({}));
  TcpOptions tcp;
  tcp.payload = pattern(5000);
  auto super = tcp_packet("10.1.0.1", "10.2.0.1", tcp);
  const auto got = b.receive_all(a.send(super, {.needs_checksum = true,
                                                .gso = Offload::Gso::kTcpV4,
                                                .header_octets = 40,
                                                .segment_octets = 1000,
                                                .checksum_start = 20,
                                                .checksum_offset = 16})
                                     .esp());
  ASSERT_EQ(got.delivered.size(), 1U) << "merged again";
  EXPECT_EQ(got.delivered[0].packet.size(), super.size());
  EXPECT_EQ(a.engine.statistics().packets_out, 5U);
}

TEST_F(IpTfs, SelectorsHoldForEachInnerPacket) {
  connect(with({}));
  Bytes payload{0, 0, 0, 0};
  append(payload, small(60));
  append(payload, udp_packet("10.9.0.1", "10.2.0.1", 10));
  append(payload, small(70));
  const auto got = b.receive(sealed(1, payload));
  EXPECT_EQ(got.packets(), (std::vector<Bytes>{small(60), small(70)}));
  EXPECT_EQ(got.dropped, std::vector{DropReason::kSelectorMismatch});
}

TEST_F(IpTfs, ContradictionsAreRefusedByName) {
  connect(with({}));
  const auto head = [](std::uint16_t offset) {
    Bytes payload(4);
    store_be16(&payload[2], offset);
    return payload;
  };
  const auto with_data = [&](std::uint16_t offset, ByteView data) {
    auto payload = head(offset);
    append(payload, data);
    return payload;
  };
  const auto clear = small(100);
  std::uint64_t sequence = 1;
  const auto dropped = [&](ByteView payload) { return b.receive(sealed(sequence++, payload)).dropped; };
  const std::vector bad{DropReason::kBadAggregation};
  const std::vector lost{DropReason::kAggregationLost};
  EXPECT_EQ(dropped(Bytes{7, 0, 0, 0}), bad) << "sub-type";
  EXPECT_EQ(dropped(Bytes{0, 0, 0}), bad) << "no header";
  EXPECT_EQ(dropped(Bytes(20, 1)), bad) << "sub-type 1 without a report";
  EXPECT_EQ(dropped(with_data(0, Bytes(10, 0x50))), bad) << "neither IPv4, IPv6 nor padding";
  EXPECT_EQ(dropped(with_data(0, Bytes{0x45, 0, 0, 19, 1, 2})), bad) << "a length below the header's";
  EXPECT_EQ(dropped(with_data(0, ByteView(clear).first(50))), std::vector<DropReason>{});
  EXPECT_EQ(dropped(with_data(49, ByteView(clear).subspan(51))), bad) << "50 are missing";
  EXPECT_EQ(dropped(with_data(0, ByteView(clear).first(50))), std::vector<DropReason>{});
  EXPECT_EQ(dropped(with_data(0, clear)), bad) << "another one begins; it is taken";
  EXPECT_EQ(dropped(with_data(20, Bytes(30))), lost) << "the end of nothing";
  EXPECT_EQ(dropped(with_data(65535, Bytes(30))), lost);
  EXPECT_EQ(dropped(clear).size(), 1U) << "a plain packet: sub-type 0x45";
  EXPECT_EQ(b.receive(sealed(sequence++, clear, wire::protocol::kIpv4)).dropped,
            std::vector{DropReason::kBadNextHeader})
      << "RFC 9347 section 2.3: nothing else on this SA";
  EXPECT_EQ(b.receive(sealed(sequence++, with_data(0, clear))).packets(), std::vector<Bytes>{clear});
  // And no AGGFRAG payload where nobody agreed to it.
  connect();
  EXPECT_EQ(b.receive(sealed(sequence++, with_data(0, clear))).dropped, std::vector{DropReason::kBadNextHeader});
}

TEST_F(IpTfs, WhatIsNotForItIsRefused) {
  const auto refused = [&](const std::function<void(model::SaSpec&)>& change) {
    auto s = spec(with({}), true, model::Direction::kOutbound);
    change(s);
    const auto result = a.engine.install_sa(s, a.now);
    return result ? std::string() : result.error().message;
  };
  EXPECT_NE(refused([](auto& s) { s.mode = model::Mode::kTransport; }).find("section 5.1"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.ipcomp_cpi = 1000; }).find("compress=no"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.tfc_octets = 1000; }).find("tfc=0"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.iptfs.congestion_control = true; }).find("iptfs-rate="), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.iptfs.reorder_window = 257; }).find("at most 256"), std::string::npos);
}

// Deadlines that come and go with each packet leave nothing behind.
TEST(TimerHeap, DoesNotGrowWithDeadlinesThatMoveAway) {
  SeededRandom random(1);
  EngineState state({}, random);
  OutboundSa sa;
  sa.installed = Instant{1h};
  sa.spec.lifetime.hard_age_s = 3600;
  for (int i = 0; i < 1000; ++i) {
    sa.learned_mtu = 1400;
    sa.learned_at = Instant{1h} + i * 1us;
    state.schedule(sa);
    sa.learned_mtu = 0;
    state.schedule(sa);
  }
  EXPECT_EQ(state.timers.size(), 1U);
}

// Nor with short ones that come up while a long one waits.
TEST(TimerHeap, KeepsOneEntryOfTheLongDeadline) {
  SeededRandom random(1);
  EngineState state({}, random);
  OutboundSa sa;
  sa.installed = Instant{1h};
  sa.spec.lifetime.hard_age_s = 36000;
  state.schedule(sa);
  for (int i = 0; i < 1000; ++i) {
    sa.learned_mtu = 1400;
    sa.learned_at = Instant{1h} + i * 1s;
    state.schedule(sa);
    // It comes up.
    EXPECT_EQ(state.timers.top().when, sa.timer_at);
    state.timers.pop();
    sa.timer_at = kNever;
    sa.learned_mtu = 0;
    state.schedule(sa);
    ASSERT_LE(state.timers.size(), 2U) << i;
  }
  EXPECT_EQ(sa.timer_at, Instant{11h});
}

TEST_F(IpTfs, AnSaInstalledAgainGoesOnWhereItWas) {
  const auto o = with({});
  connect(o);
  const auto clear = small(2000);
  const auto esp = a.send(clear).esp();
  ASSERT_EQ(esp.size(), 2U);
  EXPECT_TRUE(b.receive(esp[0]).packets().empty());
  ok(b.engine.install_sa(spec(o, true, model::Direction::kInbound), b.now));
  EXPECT_EQ(b.receive(esp[1]).packets(), std::vector<Bytes>{clear});
  auto slow = with({.init_delay_us = 1000});
  disconnect();
  connect(slow);
  EXPECT_TRUE(a.send(clear).esp().size() == 1U) << "a full payload";
  ok(a.engine.install_sa(spec(slow, true, model::Direction::kOutbound), a.now));
  EXPECT_EQ(a.tick(1ms).esp().size(), 1U) << "the rest of it was not forgotten";
}

// Any traffic through any order and some loss: what arrives was sent, in order, and all of it where nothing was lost.
TEST_F(IpTfs, RandomTrafficComesOutAsItWentIn) {
  SeededRandom random(9347);
  for (int round = 0; round < 30; ++round) {
    const bool lossy = round % 3 == 2;
    auto options = with({.fragment = round % 2 == 0, .reorder_window = 8});
    connect(options);
    std::vector<Bytes> clear;
    std::vector<Bytes> esp;
    for (int burst = 0; burst < 20; ++burst) {
      std::vector<Bytes> packets;
      for (std::uint64_t n = random.below(8); n > 0; --n) {
        packets.push_back(
            small(28 + random.below(1400), static_cast<std::uint16_t>(1024 + clear.size() + packets.size())));
      }
      clear.insert(clear.end(), packets.begin(), packets.end());
      for (auto& one : a.send_all(packets).esp()) esp.push_back(std::move(one));
    }
    for (std::size_t i = 0; i + 4 < esp.size(); i += 4) std::swap(esp[i + random.below(4)], esp[i + random.below(4)]);
    if (lossy) std::erase_if(esp, [&](const auto&) { return random.below(10) == 0; });
    std::vector<Bytes> got;
    for (auto& one : esp) {
      for (auto& packet : b.receive(std::move(one)).packets()) got.push_back(std::move(packet));
    }
    for (auto& packet : b.tick(2s).packets()) got.push_back(std::move(packet));
    if (!lossy) {
      EXPECT_EQ(got, clear) << round;
    } else {
      auto at = clear.begin();
      for (const auto& packet : got) {
        at = std::find(at, clear.end(), packet);
        ASSERT_NE(at, clear.end()) << "out of order or never sent";
        ++at;
      }
      EXPECT_LT(got.size(), clear.size());
    }
    disconnect();
  }
}

}  // namespace
}  // namespace cygnet::engine::test
