// SPDX-License-Identifier: Apache-2.0
// Sizes: what fits, what is cut, who is told, and whom we believe.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::Direction;

class PathMtu : public TwoGateways {
 protected:
  [[nodiscard]] std::uint32_t inner_mtu() const {
    for (const auto& sa : a.engine.dump(false).sas) {
      if (sa.spec.direction == Direction::kOutbound) return sa.inner_mtu;
    }
    return 0;
  }
  // Octets of the outer IP packet.
  [[nodiscard]] static std::size_t outer(const Sent& sent, std::size_t index = 0) {
    return sent.esp[index].size() + (sent.way.udp ? 8 : 0) + (sent.way.remote.address.is_v4() ? 20 : 40);
  }
  [[nodiscard]] OuterTooBig too_big(ByteView esp, std::uint32_t mtu) const {
    return {.remote = {ip("192.0.2.2"), 0}, .udp = false, .quoted_esp = esp, .mtu = mtu};
  }
};

TEST_F(PathMtu, LargestInnerPacketFillsTheOuterOneExactly) {
  struct Row {
    TunnelOptions options;
    std::uint32_t expected;
  };
  using enum model::EncryptionId;
  const auto sha256 = model::IntegrityId::kHmacSha2_256_128;
  // 1500 - outer IP - UDP - ESP header - IV - ICV, down to whole blocks, less two octets of trailer.
  const Row rows[] = {
      {{.encryption = kAesGcm16, .udp = false}, 1446},
      {{.encryption = kAesGcm16, .udp = true}, 1438},
      {{.encryption = kAesGcm16, .udp = false, .outer_v6 = true}, 1426},
      {{.encryption = kAesGcm16, .udp = true, .outer_v6 = true}, 1418},
      {{.encryption = kAesCbc, .integrity = sha256, .udp = false}, 1438},
      {{.encryption = kNull, .encryption_bits = 0, .integrity = sha256, .udp = true}, 1446},
  };
  for (const auto& row : rows) {
    connect(row.options);
    EXPECT_EQ(inner_mtu(), row.expected);
    const auto fits = a.send(udp_packet("10.1.0.5", "10.2.0.6", row.expected - 28, {.dont_fragment = true}));
    ASSERT_EQ(fits.sent.size(), 1U) << row.expected;
    EXPECT_LE(outer(fits.sent[0]), 1500U);
    EXPECT_GT(outer(fits.sent[0]) + 16, 1500U);
    EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", row.expected - 27, {.dont_fragment = true})).dropped,
              std::vector{DropReason::kTooBig});
    disconnect();
  }
}

TEST_F(PathMtu, TransportModeCountsTheOuterHeaderOnce) {
  TunnelOptions o;
  o.mode = model::Mode::kTransport;
  o.left = {"192.0.2.1"};
  o.right = {"192.0.2.2"};
  connect(o);
  EXPECT_EQ(inner_mtu(), 1466U);
  const auto sent = a.send(udp_packet("192.0.2.1", "192.0.2.2", 1466 - 28, {.dont_fragment = true})).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(outer(sent[0]), 1500U);
}

TEST_F(PathMtu, TheSenderIsToldTheSizeThatFits) {
  connect();
  const auto big = udp_packet("10.1.0.5", "10.2.0.6", 1472, {.dont_fragment = true});
  const auto outcome = a.send(big);
  ASSERT_EQ(outcome.delivered.size(), 1U);
  const auto& error = outcome.delivered[0].packet;
  EXPECT_EQ(outcome.delivered[0].device, a.device);
  const auto info = wire::parse_ip_packet(error);
  ASSERT_TRUE(info);
  EXPECT_EQ(wire::source_address(error), ip("10.2.0.6"));
  EXPECT_EQ(wire::destination_address(error), ip("10.1.0.5"));
  EXPECT_EQ(info->protocol, wire::protocol::kIcmp);
  EXPECT_EQ(error[20], 3);
  EXPECT_EQ(error[21], 4);
  EXPECT_EQ(load_be16(&error[26]), 1446);
  EXPECT_EQ(wire::internet_checksum(ByteView(error).subspan(20)), 0);
  EXPECT_TRUE(std::ranges::equal(ByteView(error).subspan(28), ByteView(big).first(error.size() - 28)));
  EXPECT_EQ(error.size(), 576U);
}

TEST_F(PathMtu, TheSenderIsToldInIpv6Too) {
  connect();
  const auto big = udp_packet("2001:db8:1::5", "2001:db8:2::6", 1452);
  const auto outcome = a.send(big);
  ASSERT_EQ(outcome.delivered.size(), 1U);
  const auto& error = outcome.delivered[0].packet;
  EXPECT_EQ(error.size(), 1280U);
  EXPECT_EQ(error[40], 2);
  EXPECT_EQ(load_be32(&error[44]), 1446U);
  EXPECT_TRUE(checksum_right(error));
  EXPECT_EQ(wire::source_address(error), ip("2001:db8:2::6"));
}

TEST_F(PathMtu, NoErrorIsSentAboutAnError) {
  connect();
  Bytes icmp = pattern(1472);
  icmp[0] = 3;
  icmp[1] = 1;
  const auto outcome = a.send(ip_packet("10.1.0.5", "10.2.0.6", wire::protocol::kIcmp, icmp, {.dont_fragment = true}));
  EXPECT_EQ(outcome.dropped, std::vector{DropReason::kTooBig});
  EXPECT_TRUE(outcome.delivered.empty());
}

TEST_F(PathMtu, WithoutDfThePacketIsCutBeforeItIsSealed) {
  connect();
  const auto big = udp_packet("10.1.0.5", "10.2.0.6", 3972);
  const auto sent = a.send(big);
  Bytes payload;
  std::size_t fragments = 0;
  for (const auto& esp : sent.esp()) {
    const auto arrived = b.receive(esp);
    ASSERT_EQ(arrived.delivered.size(), 1U);
    const auto& fragment = arrived.delivered[0].packet;
    const auto info = wire::parse_ip_packet(fragment);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->fragment_offset, payload.size());
    EXPECT_LE(fragment.size(), 1446U);
    EXPECT_EQ(info->identification, 0x1234U);
    append(payload, ByteView(fragment).subspan(20));
    EXPECT_EQ(info->more_fragments, payload.size() < big.size() - 20);
    ++fragments;
  }
  EXPECT_EQ(fragments, 3U);
  EXPECT_TRUE(std::ranges::equal(payload, ByteView(big).subspan(20)));
}

TEST_F(PathMtu, DfPolicyClearLetsTheOuterPacketBeFragmented) {
  auto s = spec({}, true, Direction::kOutbound);
  s.df = model::DfPolicy::kClear;
  connect();
  ok(a.engine.install_sa(s, a.now));
  const auto sent = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1472, {.dont_fragment = true})).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].way.dont_fragment);
  EXPECT_GT(outer(sent[0]), 1500U);
}

TEST_F(PathMtu, DfPolicySetMarksEveryOuterPacket) {
  auto s = spec({}, true, Direction::kOutbound);
  s.df = model::DfPolicy::kSet;
  connect();
  ok(a.engine.install_sa(s, a.now));
  EXPECT_TRUE(a.send(udp_packet("10.1.0.5", "10.2.0.6", 10)).sent[0].way.dont_fragment);
}

TEST_F(PathMtu, ConfiguredMtuIsALimitOfItsOwn) {
  auto s = spec({}, true, Direction::kOutbound);
  s.mtu = 1300;
  connect();
  ok(a.engine.install_sa(s, a.now));
  EXPECT_EQ(inner_mtu(), 1300U);
}

TEST_F(PathMtu, IcmpAboutOurPacketLowersThePathAndAgesAway) {
  connect();
  const auto esp = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1400)).esp()[0];
  EXPECT_TRUE(a.engine.on_outer_too_big(too_big(ByteView(esp).first(8), 1400), a.now));
  EXPECT_EQ(inner_mtu(), 1346U);
  (void)a.tick(599s);
  EXPECT_EQ(inner_mtu(), 1346U);
  EXPECT_EQ(a.engine.next_deadline(), a.now + 1s);
  (void)a.tick(1s);
  EXPECT_EQ(inner_mtu(), 1446U);
}

TEST_F(PathMtu, IcmpThatCannotBeOursIsNotBelieved) {
  connect();
  const auto esp = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1400)).esp()[0];
  auto other_spi = esp;
  store_be32(other_spi.data(), 0x9999);
  auto unsent = esp;
  store_be32(unsent.data() + 4, 77);
  auto elsewhere = too_big(ByteView(esp).first(8), 1400);
  elsewhere.remote.address = ip("192.0.2.77");
  auto encapsulated = too_big(ByteView(esp).first(8), 1400);
  encapsulated.udp = true;
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big(ByteView(other_spi).first(8), 1400), a.now));
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big(ByteView(unsent).first(8), 1400), a.now));
  EXPECT_FALSE(a.engine.on_outer_too_big(elsewhere, a.now));
  EXPECT_FALSE(a.engine.on_outer_too_big(encapsulated, a.now));
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big({}, 1400), a.now)) << "plain ESP without an SPI names no SA";
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big(ByteView(esp).first(7), 1400), a.now)) << "half a sequence number";
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big(ByteView(esp).first(8), 575), a.now)) << "too small to be true";
  EXPECT_FALSE(a.engine.on_outer_too_big(too_big(ByteView(esp).first(8), 1500), a.now)) << "no news";
  EXPECT_EQ(inner_mtu(), 1446U);
}

TEST_F(PathMtu, IcmpAboutAUdpHeaderAloneIsNotBelieved) {
  connect({.udp = true});
  const auto esp = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1300)).esp()[0];
  const auto before = inner_mtu();
  auto forged = too_big({}, 576);
  forged.udp = true;
  forged.remote = {ip("192.0.2.2"), 4500};
  EXPECT_FALSE(a.engine.on_outer_too_big(forged, a.now)) << "whoever knows the addresses can send that";
  EXPECT_EQ(inner_mtu(), before);
  forged.quoted_esp = ByteView(esp).first(8);
  EXPECT_TRUE(a.engine.on_outer_too_big(forged, a.now));
  EXPECT_LT(inner_mtu(), before);
}

TEST_F(PathMtu, QuotedPacketsAreRead) {
  const auto esp = pattern(16, 1);
  auto quoted = ip_packet("192.0.2.1", "192.0.2.2", wire::protocol::kEsp, esp);
  store_be16(&quoted[2], 1500);  // a router quotes the beginning of a longer packet
  const auto plain = OuterTooBig::parse(quoted, 1400);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->remote.address, ip("192.0.2.2"));
  EXPECT_FALSE(plain->udp);
  EXPECT_TRUE(std::ranges::equal(plain->quoted_esp, esp));
  const auto encapsulated = OuterTooBig::parse(udp_packet("2001:db8::1", "2001:db8::2", 8, {}, 4500, 4501), 1400);
  ASSERT_TRUE(encapsulated);
  EXPECT_TRUE(encapsulated->udp);
  EXPECT_EQ(encapsulated->remote, (Endpoint{ip("2001:db8::2"), 4501}));
  EXPECT_EQ(encapsulated->quoted_esp.size(), 8U);
  EXPECT_FALSE(OuterTooBig::parse(Bytes(19), 1400));
  EXPECT_FALSE(OuterTooBig::parse(ip_packet("192.0.2.1", "192.0.2.2", wire::protocol::kTcp, esp), 1400));
}

TEST_F(PathMtu, MovingThePeerForgetsWhatWasLearned) {
  connect();
  const auto esp = a.send(udp_packet("10.1.0.5", "10.2.0.6", 1400)).esp()[0];
  EXPECT_TRUE(a.engine.on_outer_too_big(too_big(ByteView(esp).first(8), 1400), a.now));
  ok(a.engine.update_endpoints(kChild, {ip("192.0.2.1"), 4500}, {ip("192.0.2.9"), 4501}, true));
  EXPECT_EQ(inner_mtu(), 1438U);
  const auto sent = a.send(udp_packet("10.1.0.5", "10.2.0.6", 14)).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].way.remote, (Endpoint{ip("192.0.2.9"), 4501}));
  EXPECT_TRUE(sent[0].way.udp);
}

TEST_F(PathMtu, Ipv6PacketsOfTheLeastMtuAlwaysPass) {
  connect();
  ok(a.engine.set_link_mtu(kChild, 1280));
  EXPECT_EQ(inner_mtu(), 1226U);
  const auto sent = a.send(udp_packet("2001:db8:1::5", "2001:db8:2::6", 1280 - 48)).sent;
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].way.dont_fragment) << "by outer fragments";
}

// ---- MSS

[[nodiscard]] Bytes syn(std::string_view from, std::string_view to, std::uint16_t mss) {
  return tcp_packet(
      from, to,
      {.flags = wire::tcp_flag::kSyn,
       .options = {1, 1, 4, 2, 2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)}});
}

TEST_F(PathMtu, MssOfSynsIsClampedBothWays) {
  connect();
  const auto out = b.receive(a.send(syn("10.1.0.5", "10.2.0.6", 1460)).esp()[0]);
  ASSERT_EQ(out.delivered.size(), 1U);
  EXPECT_EQ(load_be16(&out.delivered[0].packet[46]), 1406);  // 1446 - 40
  EXPECT_TRUE(checksum_right(out.delivered[0].packet));
  auto raw = spec({}, true, Direction::kOutbound);
  const auto in = b.receive(seal_by_hand(raw, 9, syn("10.1.0.5", "10.2.0.6", 9000), wire::protocol::kIpv4));
  ASSERT_EQ(in.delivered.size(), 1U);
  EXPECT_EQ(load_be16(&in.delivered[0].packet[46]), 1406);
  EXPECT_TRUE(checksum_right(in.delivered[0].packet));
}

TEST_F(PathMtu, MssOfIpv6SynsLeavesRoomForTheLongerHeader) {
  connect();
  const auto out = b.receive(a.send(syn("2001:db8:1::5", "2001:db8:2::6", 1440)).esp()[0]);
  ASSERT_EQ(out.delivered.size(), 1U);
  EXPECT_EQ(load_be16(&out.delivered[0].packet[66]), 1386);
  EXPECT_TRUE(checksum_right(out.delivered[0].packet));
}

TEST_F(PathMtu, SmallMssAndSwitchedOffClampingAreLeftAlone) {
  connect();
  auto out = b.receive(a.send(syn("10.1.0.5", "10.2.0.6", 536)).esp()[0]);
  EXPECT_EQ(load_be16(&out.delivered[0].packet[46]), 536);
  auto s = spec({}, true, Direction::kOutbound);
  s.clamp_mss = false;
  ok(a.engine.install_sa(s, a.now));
  auto in = spec({}, true, Direction::kInbound);
  in.clamp_mss = false;
  ok(b.engine.install_sa(in, b.now));
  out = b.receive(a.send(syn("10.1.0.5", "10.2.0.6", 1460)).esp()[0]);
  EXPECT_EQ(load_be16(&out.delivered[0].packet[46]), 1460);
}

}  // namespace
}  // namespace cygnet::engine::test
