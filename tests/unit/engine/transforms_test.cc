// SPDX-License-Identifier: Apache-2.0
// BEET mode, traffic flow confidentiality padding, and bundles of ESP and AH.
#include <algorithm>

#include "unit/engine/support.h"
#include "wire/ah_header.h"

namespace cygnet::engine::test {
namespace {

using model::IntegrityId;
using model::Mode;

class Beet : public TwoGateways {
 protected:
  [[nodiscard]] static TunnelOptions beet(bool inner_v6 = false, bool outer_v6 = false) {
    TunnelOptions o{.mode = Mode::kBeet};
    o.outer_v6 = outer_v6;
    o.left = {inner_v6 ? "2001:db8:9::1" : "10.9.0.1"};
    o.right = {inner_v6 ? "2001:db8:9::2" : "10.9.0.2"};
    return o;
  }
};

TEST_F(Beet, InnerHeadersDoNotTravel) {
  for (const bool inner_v6 : {false, true}) {
    for (const bool outer_v6 : {false, true}) {
      SCOPED_TRACE(testing::Message() << inner_v6 << outer_v6);
      const auto o = beet(inner_v6, outer_v6);
      connect(o);
      const auto clear = udp_packet(o.left[0], o.right[0], 100, {.id = 0});
      const auto sent = a.send(clear);
      ASSERT_EQ(sent.esp().size(), 1U);
      // ESP header, IV, UDP header and data, trailer, ICV: no IP header inside.
      EXPECT_EQ(sent.esp()[0].size(), 8U + 8 + 108 + 2 + 2 + 16);
      EXPECT_EQ(sent.sent[0].way.remote.address, ip(outer_v6 ? "2001:db8::2" : "192.0.2.2"));
      const auto got = b.receive(sent.esp()[0]);
      EXPECT_EQ(got.packets(), std::vector<Bytes>{clear});
      EXPECT_TRUE(checksum_right(got.packets().at(0))) << "over the inner addresses";
      disconnect();
    }
  }
}

TEST_F(Beet, OtherAddressesAreNotTaken) {
  auto o = beet();
  connect(o);
  model::PolicySpec wide = policy(o, true);
  wide.remote = selectors({"10.9.0.0/24"});
  ok(a.engine.install_policy(wide));
  EXPECT_EQ(a.send(udp_packet("10.9.0.1", "10.9.0.3", 10)).dropped, std::vector{DropReason::kNoSa});
  auto bad = spec(o, true, model::Direction::kOutbound);
  bad.inner_remote = ip("2001:db8::9");
  EXPECT_NE(a.engine.install_sa(bad, a.now).error().message.find("inner addresses"), std::string::npos);
}

TEST_F(Beet, Ipv4OptionsTravelInAPseudoHeader) {
  const auto o = beet();
  connect(o);
  for (const std::size_t words : {1U, 2U, 10U}) {
    auto clear = udp_packet("10.9.0.1", "10.9.0.2", 21, {.id = 0});
    Bytes options(words * 4, 1);
    options[0] = 148;  // router alert
    options[1] = 4;
    options[2] = options[3] = 0;
    clear.insert(clear.begin() + 20, options.begin(), options.end());
    clear[0] = static_cast<std::uint8_t>(0x45 + words);
    store_be16(&clear[2], static_cast<std::uint16_t>(clear.size()));
    store_be16(&clear[10], 0);
    store_be16(&clear[10], wire::internet_checksum(ByteView(clear).first(20 + options.size())));
    const auto sent = a.send(clear);
    ASSERT_EQ(sent.esp().size(), 1U);
    EXPECT_EQ(b.receive(sent.esp()[0]).packets(), std::vector<Bytes>{clear}) << words;
  }
  // What contradicts itself: longer than the packet, more padding than header, an odd number of octets.
  const auto inbound = spec(o, true, model::Direction::kOutbound);
  std::uint64_t sequence = 100;
  for (const auto* text : {"1109000000000000", "1100090000000000", "1100030000000000", "11"}) {
    Bytes payload;
    ASSERT_TRUE(from_hex(text, payload));
    EXPECT_EQ(b.receive(seal_by_hand(inbound, ++sequence, payload, 94)).dropped,
              std::vector{DropReason::kInnerMalformed})
        << text;
  }
}

TEST_F(Beet, SuperPacketsAreCut) {
  connect(beet());
  TcpOptions tcp;
  tcp.payload = pattern(3000);
  const auto sent = a.send(tcp_packet("10.9.0.1", "10.9.0.2", tcp),
                           {.gso = Offload::Gso::kTcpV4, .header_octets = 40, .segment_octets = 1400});
  ASSERT_EQ(sent.esp().size(), 3U);
  std::size_t octets = 0;
  for (const auto& packet : b.receive_all(sent.esp()).packets()) octets += packet.size() - 40;
  EXPECT_EQ(octets, 3000U);
}

// ---- RFC 4303 section 2.7
class Tfc : public TwoGateways {};

TEST_F(Tfc, EveryPacketHasTheSameSize) {
  connect({.tfc_octets = 600});
  std::vector<Bytes> clear;
  for (const std::size_t octets : {0U, 1U, 100U, 571U, 572U})
    clear.push_back(udp_packet("10.1.0.5", "10.2.0.7", octets));
  const auto sent = a.send_all(clear);
  ASSERT_EQ(sent.esp().size(), clear.size());
  for (const auto& esp : sent.esp()) EXPECT_EQ(esp.size(), 8U + 8 + 600 + 2 + 2 + 16);
  EXPECT_EQ(b.receive_all(sent.esp()).packets(), clear);
  const auto large = udp_packet("10.1.0.5", "10.2.0.7", 600);
  EXPECT_EQ(b.receive(a.send(large).esp().at(0)).packets(), std::vector<Bytes>{large});
}

TEST_F(Tfc, PaddingIsZeros) {
  TunnelOptions o{.encryption = model::EncryptionId::kNull, .integrity = IntegrityId::kHmacSha2_256_128};
  o.encryption_bits = 0;
  o.tfc_octets = 100;
  connect(o);
  const auto clear = udp_packet("10.1.0.5", "10.2.0.7", 10);
  const auto esp = a.send(clear).esp().at(0);
  EXPECT_TRUE(std::equal(clear.begin(), clear.end(), esp.begin() + 8));
  EXPECT_TRUE(std::all_of(esp.begin() + 8 + static_cast<std::ptrdiff_t>(clear.size()), esp.begin() + 108,
                          [](std::uint8_t octet) { return octet == 0; }));
  EXPECT_EQ(to_hex(ByteView(esp).subspan(108, 4)), "01020204");
}

TEST_F(Tfc, ToThePathsSizeAndNoFurther) {
  connect({.tfc_octets = model::kTfcToMtu});
  const auto mtu = a.engine.dump(false).sas[1].inner_mtu;
  const auto esp = a.send(udp_packet("10.1.0.5", "10.2.0.7", 10)).esp().at(0);
  EXPECT_EQ(esp.size(), 8U + 8 + mtu + 2 + 16);
  EXPECT_LE(esp.size() + 20, 1500U);
  TcpOptions tcp;
  tcp.payload = pattern(3000);
  const auto sent = a.send(tcp_packet("10.1.0.5", "10.2.0.7", tcp),
                           {.gso = Offload::Gso::kTcpV4, .header_octets = 40, .segment_octets = 700});
  ASSERT_EQ(sent.esp().size(), 5U);
  for (const auto& segment : sent.esp()) EXPECT_EQ(segment.size(), esp.size());
  EXPECT_EQ(b.receive_all(sent.esp()).packets().at(0).size(), 3040U);
}

TEST_F(Tfc, OnlyWhereTheInnerPacketTellsItsLength) {
  TunnelOptions o{.mode = Mode::kTransport, .tfc_octets = 600};
  EXPECT_NE(a.engine.install_sa(spec(o, true, model::Direction::kOutbound), a.now).error().message.find("tunnel mode"),
            std::string::npos);
  o = {.ipcomp = true, .tfc_octets = 600};
  EXPECT_NE(a.engine.install_sa(spec(o, true, model::Direction::kOutbound), a.now).error().message.find("compress=no"),
            std::string::npos);
}

// ---- AH around ESP
class Bundles : public TwoGateways {
 protected:
  static constexpr model::PolicyId kAhGroup{70};
  static constexpr model::ChildId kAhChild{43};

  [[nodiscard]] static model::SaSpec ah_spec(bool from_a, model::Direction direction, bool v6) {
    TunnelOptions o{.protocol = model::SaProtocol::kAh, .encryption = model::EncryptionId::kNone};
    o.encryption_bits = 0;
    o.integrity = IntegrityId::kHmacSha2_256_128;
    o.mode = Mode::kTransport;
    o.outer_v6 = v6;
    o.left = {v6 ? "2001:db8::1" : "192.0.2.1"};
    o.right = {v6 ? "2001:db8::2" : "192.0.2.2"};
    auto s = spec(o, from_a, direction);
    s.spi = Spi{from_a ? 0x3003U : 0x4004U};
    s.child = kAhChild;
    s.policy = kAhGroup;
    return s;
  }
  void bundle(const TunnelOptions& o) {
    using enum model::Direction;
    connect(o);
    for (auto* g : {&a, &b}) {
      auto p = policy(o, g == &a);
      p.ah_group = kAhGroup;
      ok(g->engine.install_policy(p));
      ok(g->engine.install_sa(ah_spec(g == &a, kOutbound, o.outer_v6), g->now));
      ok(g->engine.install_sa(ah_spec(g != &a, kInbound, o.outer_v6), g->now));
      auto in = spec(o, g != &a, kInbound);
      in.inside_ah = true;
      ok(g->engine.install_sa(in, g->now));
    }
    a.from_ah = b.from_ah = true;
  }
};

TEST_F(Bundles, EspInsideAh) {
  for (const auto mode : {Mode::kTunnel, Mode::kTransport, Mode::kBeet}) {
    for (const bool v6 : {false, true}) {
      for (const bool ipcomp : {false, true}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(mode) << v6 << ipcomp);
        TunnelOptions o{.mode = mode, .outer_v6 = v6, .ipcomp = ipcomp};
        const std::string left = mode == Mode::kTunnel ? "10.1.0.5"
                                 : mode == Mode::kBeet ? "10.9.0.1"
                                 : v6                  ? "2001:db8::1"
                                                       : "192.0.2.1";
        const std::string right = mode == Mode::kTunnel ? "10.2.0.7"
                                  : mode == Mode::kBeet ? "10.9.0.2"
                                  : v6                  ? "2001:db8::2"
                                                        : "192.0.2.2";
        if (mode != Mode::kTunnel) {
          o.left = {left};
          o.right = {right};
        }
        bundle(o);
        auto clear = udp_packet(left, right, 400, {.id = 0});
        std::fill(clear.end() - 300, clear.end(), std::uint8_t{7});
        fill_checksum(clear);
        const auto sent = a.send(clear);
        ASSERT_EQ(sent.sent.size(), 1U);
        EXPECT_TRUE(sent.sent[0].way.whole_packet);
        const auto wire = sent.esp().at(0);
        const std::size_t header = v6 ? 40 : 20;
        EXPECT_EQ(wire[v6 ? 6 : 9], 51);
        EXPECT_EQ(wire[header], 50) << "ESP inside";
        EXPECT_EQ(b.receive(wire).packets(), std::vector<Bytes>{clear});
        disconnect();
        for (auto* g : {&a, &b}) {
          ok(g->engine.remove_sa(model::Direction::kOutbound, Spi{g == &a ? 0x3003U : 0x4004U}, kAhChild));
          ok(g->engine.remove_sa(model::Direction::kInbound, Spi{g == &a ? 0x4004U : 0x3003U}, kAhChild));
        }
      }
    }
  }
}

TEST_F(Bundles, EspAloneIsNotEnough) {
  bundle({});
  const auto wire = a.send(udp_packet("10.1.0.5", "10.2.0.7", 40)).esp().at(0);
  const Bytes esp(wire.begin() + 20 + 28, wire.end());
  b.from_ah = false;
  EXPECT_EQ(b.receive(esp).dropped, std::vector{DropReason::kNotBundled});
  b.from_ah = true;
  EXPECT_EQ(b.receive(wire).delivered.size(), 1U);
}

TEST_F(Bundles, AhAloneIsNotEnoughEither) {
  bundle({});
  // As PF_KEY has it for the AH of a bundle: pairs of selectors, and none of them.
  auto in = ah_spec(true, model::Direction::kInbound, false);
  in.local_selectors.clear();
  in.remote_selectors.clear();
  in.paired_selectors = true;
  ok(b.engine.install_sa(in, b.now));
  auto host = policy({.left = {"192.0.2.1"}, .right = {"192.0.2.2"}}, true);
  host.id = model::PolicyId{8};
  host.group = kAhGroup;
  ok(a.engine.install_policy(host));
  const auto plain = a.send(udp_packet("192.0.2.1", "192.0.2.2", 40)).esp().at(0);
  EXPECT_EQ(b.receive(plain).dropped, std::vector{DropReason::kSelectorMismatch});
  EXPECT_EQ(b.receive(a.send(udp_packet("10.1.0.5", "10.2.0.7", 40)).esp().at(0)).delivered.size(), 1U);
}

TEST_F(Bundles, WithoutAhNothingLeaves) {
  bundle({});
  ok(a.engine.remove_sa(model::Direction::kOutbound, Spi{0x3003}, kAhChild));
  const auto sent = a.send(udp_packet("10.1.0.5", "10.2.0.7", 40));
  EXPECT_EQ(sent.dropped, std::vector{DropReason::kNoSa});
  EXPECT_TRUE(sent.sent.empty());
}

TEST_F(Bundles, LargePacketsFitThePath) {
  bundle({});
  for (const std::size_t octets : {1300U, 1400U, 1472U}) {
    const auto sent = a.send(udp_packet("10.1.0.5", "10.2.0.7", octets));
    ASSERT_FALSE(sent.sent.empty());
    for (const auto& piece : sent.esp()) {
      EXPECT_LE(piece.size(), 1500U);
      EXPECT_EQ(b.receive(piece).delivered.size(), 1U);
    }
  }
  TcpOptions tcp;
  tcp.payload = pattern(3000);
  const auto sent = a.send(tcp_packet("10.1.0.5", "10.2.0.7", tcp),
                           {.gso = Offload::Gso::kTcpV4, .header_octets = 40, .segment_octets = 1400});
  EXPECT_EQ(sent.sent.size(), 3U);
  const auto refused = a.send(udp_packet("10.1.0.5", "10.2.0.7", 1472, {.dont_fragment = true}));
  EXPECT_EQ(refused.dropped, std::vector{DropReason::kTooBig});
}

}  // namespace
}  // namespace cygnet::engine::test
