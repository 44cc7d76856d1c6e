// SPDX-License-Identifier: Apache-2.0
// Which policy and SA a packet meets: SPD, SAD, selectors, ECN.
#include <map>

#include "engine/ecn.h"
#include "engine/fragment.h"
#include "engine/reassembly.h"
#include "engine/sad.h"
#include "engine/spd.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::PolicyAction;

[[nodiscard]] model::PolicySpec entry(std::uint32_t id, std::uint32_t order, const std::vector<std::string>& local,
                                      const std::vector<std::string>& remote,
                                      PolicyAction action = PolicyAction::kProtect) {
  model::PolicySpec p;
  p.id = model::PolicyId{id};
  p.order = order;
  p.local = selectors(local);
  p.remote = selectors(remote);
  p.action = action;
  return p;
}

[[nodiscard]] PacketSelectors flow(std::string_view local, std::string_view remote, std::uint8_t protocol = 17,
                                   std::uint16_t local_port = 1000, std::uint16_t remote_port = 53,
                                   bool has_ports = true) {
  return {ip(local), ip(remote), protocol, has_ports, local_port, remote_port};
}

[[nodiscard]] std::uint32_t hit(const Spd& spd, const PacketSelectors& packet, DeviceId device = 0) {
  const auto* policy = spd.find(packet, device);
  return policy == nullptr ? 0 : policy->spec.id.value;
}

TEST(SpdOrder, LowerOrderWinsThenLowerId) {
  Spd spd;
  spd.install(entry(5, 100, {"0.0.0.0/0"}, {"10.0.0.0/8"}), 0);
  spd.install(entry(4, 100, {"0.0.0.0/0"}, {"10.2.0.0/16"}), 0);
  spd.install(entry(9, 50, {"0.0.0.0/0"}, {"0.0.0.0/0[tcp]"}), 0);
  EXPECT_EQ(hit(spd, flow("10.1.0.1", "10.2.0.1")), 4U);
  EXPECT_EQ(hit(spd, flow("10.1.0.1", "10.3.0.1")), 5U);
  EXPECT_EQ(hit(spd, flow("10.1.0.1", "10.2.0.1", 6)), 9U);
  EXPECT_EQ(hit(spd, flow("10.1.0.1", "11.2.0.1")), 0U);
}

TEST(SpdOrder, ReplacingAndRemoving) {
  Spd spd;
  spd.install(entry(1, 10, {"0.0.0.0/0"}, {"10.0.0.0/8"}), 0);
  spd.install(entry(1, 10, {"0.0.0.0/0"}, {"172.16.0.0/12"}), 0);
  EXPECT_EQ(spd.size(), 1U);
  EXPECT_EQ(hit(spd, flow("1.1.1.1", "10.0.0.1")), 0U);
  EXPECT_EQ(hit(spd, flow("1.1.1.1", "172.16.0.1")), 1U);
  EXPECT_TRUE(spd.remove(model::PolicyId{1}));
  EXPECT_FALSE(spd.remove(model::PolicyId{1}));
  EXPECT_EQ(hit(spd, flow("1.1.1.1", "172.16.0.1")), 0U);
}

TEST(SpdSelectors, RangesPortsProtocolsAndDevices) {
  Spd spd;
  spd.install(entry(1, 1, {"10.0.0.1-10.0.0.9[udp/1000-2000]"}, {"10.1.0.3-10.1.0.17[udp/53]"}), 0);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 17, 2000, 53)), 1U);
  EXPECT_EQ(hit(spd, flow("10.0.0.10", "10.1.0.17", 17, 2000, 53)), 0U);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.18", 17, 2000, 53)), 0U);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 17, 2001, 53)), 0U);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 17, 2000, 54)), 0U);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 6, 2000, 53)), 0U);
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 17, 0, 0, false)), 0U) << "later fragments have no ports";
  EXPECT_EQ(hit(spd, flow("10.0.0.9", "10.1.0.17", 17, 2000, 53), 1), 0U) << "another device";
}

TEST(SpdSelectors, IcmpTypeAndCode) {
  Spd spd;
  spd.install(entry(1, 1, {"0.0.0.0/0[icmp/8]"}, {"0.0.0.0/0[icmp/8]"}), 0);
  EXPECT_EQ(hit(spd, flow("10.0.0.1", "10.1.0.1", 1, 0x0800, 0x0800)), 1U);
  EXPECT_EQ(hit(spd, flow("10.0.0.1", "10.1.0.1", 1, 0x0000, 0x0000)), 0U);
}

TEST(SpdSelectors, OpaquePortsMeanPacketsWithoutPorts) {
  Spd spd;
  spd.install(entry(1, 1, {"0.0.0.0/0[udp/opaque]"}, {"0.0.0.0/0[udp/opaque]"}), 0);
  EXPECT_EQ(hit(spd, flow("10.0.0.1", "10.1.0.1", 17, 0, 0, false)), 1U);
  EXPECT_EQ(hit(spd, flow("10.0.0.1", "10.1.0.1", 17, 53, 53)), 0U);
}

TEST(SpdSelectors, LinkScopedTrafficNeedsAPolicyThatNamesIt) {
  Spd spd;
  spd.install(entry(1, 10, {"::/0"}, {"::/0"}), 0);
  EXPECT_EQ(hit(spd, flow("fe80::1", "fe80::2")), 0U);
  EXPECT_EQ(hit(spd, flow("2001:db8::1", "ff02::1")), 0U);
  spd.install(entry(2, 20, {"fe80::/64"}, {"fe80::2"}), 0);
  EXPECT_EQ(hit(spd, flow("fe80::1", "fe80::2")), 2U);
  spd.install(entry(3, 5, {"::/0"}, {"::/0"}, PolicyAction::kBypass), 0);
  EXPECT_EQ(hit(spd, flow("fe80::1", "ff02::1")), 3U) << "a wide BYPASS is meant for everything";
}

// Against a scan in order.
TEST(SpdClassifier, AgreesWithALinearScan) {
  SeededRandom random(7);
  Spd spd;
  std::map<std::pair<std::uint32_t, std::uint32_t>, model::PolicySpec> by_rank;
  const auto some_address = [&] { return IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(random.below(64))); };
  const auto some_range = [&] {
    auto x = some_address();
    auto y = some_address();
    return model::TrafficSelector::of(x < y ? IpRange{x, y} : IpRange{y, x});
  };
  for (std::uint32_t id = 1; id <= 200; ++id) {
    model::PolicySpec p = entry(id, static_cast<std::uint32_t>(random.below(50)), {}, {});
    p.local = {some_range()};
    p.remote = {some_range(), some_range()};
    if (random.below(2) == 0) p.remote[0].protocol = 6;
    spd.install(p, 0);
    by_rank[{p.order, id}] = p;
    if (id % 7 == 0) {
      const auto gone = static_cast<std::uint32_t>(1 + random.below(id));
      if (spd.remove(model::PolicyId{gone}))
        std::erase_if(by_rank, [&](const auto& e) { return e.first.second == gone; });
    }
  }
  for (int i = 0; i < 5000; ++i) {
    PacketSelectors packet{
        some_address(), some_address(), static_cast<std::uint8_t>(random.below(2) == 0 ? 6 : 17), true, 1, 2};
    std::uint32_t expected = 0;
    for (const auto& [rank, p] : by_rank) {
      if (!within(packet, p.local, p.remote)) continue;
      expected = rank.second;
      break;
    }
    ASSERT_EQ(hit(spd, packet), expected);
  }
}

// ---- SAD

TEST(SadTable, FindsWhatWasPutInWhateverWasTakenOut) {
  Sad sad(12345);
  SeededRandom random(3);
  std::map<std::uint32_t, std::uint64_t> present;
  for (int i = 0; i < 20000; ++i) {
    const auto spi = static_cast<std::uint32_t>(256 + random.below(3000));
    if (random.below(2) == 0) {
      auto sa = std::make_unique<InboundSa>(0, false);
      sa->spec.spi = Spi{spi};
      sa->spec.child = model::ChildId{spi};
      sa->serial = static_cast<std::uint64_t>(i);
      sad.insert(std::move(sa));
      present[spi] = static_cast<std::uint64_t>(i);
    } else if (auto* sa = sad.find_inbound(Spi{spi})) {
      sad.erase(*sa);
      present.erase(spi);
    }
    if (i % 1000 == 0) {
      ASSERT_EQ(sad.size(), present.size());
      for (std::uint32_t s = 256; s < 3256; ++s) {
        const auto* found = sad.find_inbound(Spi{s});
        const auto expected = present.find(s);
        ASSERT_EQ(found != nullptr, expected != present.end()) << s;
        if (found != nullptr) {
          ASSERT_EQ(found->serial, expected->second);
        }
      }
    }
  }
}

// ---- ECN, RFC 6040 figures 3 and 4

TEST(EcnDecapsulation, EveryCellOfFigure4) {
  using enum Ecn;
  const std::optional<Ecn> drop;
  const struct {
    Ecn inner;
    std::optional<Ecn> by_outer[4];  // Not-ECT, ECT(0), ECT(1), CE
  } rows[] = {
      {kNotEct, {kNotEct, kNotEct, kNotEct, drop}},
      {kEct0, {kEct0, kEct0, kEct1, kCe}},
      {kEct1, {kEct1, kEct1, kEct1, kCe}},
      {kCe, {kCe, kCe, kCe, kCe}},
  };
  const Ecn columns[] = {kNotEct, kEct0, kEct1, kCe};
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < 4; ++c) EXPECT_EQ(decapsulate_ecn(row.inner, columns[c]), row.by_outer[c]) << c;
  }
}

class OuterHeader : public TwoGateways {};

TEST_F(OuterHeader, DscpAndEcnAreCopiedOut) {
  connect();
  for (const int value : {0x00, 0x01, 0x02, 0x03, 0xb8, 0xbb}) {
    const auto tos = static_cast<std::uint8_t>(value);
    EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5, {.tos = tos})).sent[0].way.tos, tos);
    EXPECT_EQ(a.send(udp_packet("2001:db8:1::5", "2001:db8:2::6", 5, {.tos = tos})).sent[0].way.tos, tos);
  }
}

TEST_F(OuterHeader, EachCopyCanBeSwitchedOff) {
  connect();
  auto s = spec({}, true, model::Direction::kOutbound);
  s.copy_dscp = false;
  ok(a.engine.install_sa(s, a.now));
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5, {.tos = 0xba})).sent[0].way.tos, 2);
  s.copy_dscp = true;
  s.ecn = false;
  ok(a.engine.install_sa(s, a.now));
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5, {.tos = 0xba})).sent[0].way.tos, 0xb8);
}

TEST_F(OuterHeader, CongestionOutsideIsMarkedInside) {
  connect();
  b.outer_tos = 3;
  const auto v4 = b.receive(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5, {.tos = 0xb8 | 2})).esp()[0]);
  ASSERT_EQ(v4.delivered.size(), 1U);
  EXPECT_EQ(v4.delivered[0].packet[1], 0xb8 | 3);
  EXPECT_TRUE(wire::parse_ip_packet(v4.delivered[0].packet)) << "the header checksum followed";
  const auto v6 = b.receive(a.send(udp_packet("2001:db8:1::5", "2001:db8:2::6", 5, {.tos = 0xb8 | 2})).esp()[0]);
  ASSERT_EQ(v6.delivered.size(), 1U);
  EXPECT_EQ(wire::parse_ip_packet(v6.delivered[0].packet)->tos, 0xb8 | 3);
}

// ---- bypass, fragments, explain

TEST_F(OuterHeader, BypassPassesThePacketUnchanged) {
  auto p = policy({}, true);
  p.action = PolicyAction::kBypass;
  ok(a.engine.install_policy(p));
  const auto packet = udp_packet("10.1.0.5", "10.2.0.6", 5);
  EXPECT_EQ(a.send(packet).bypassed, (std::vector<Bytes>{packet}));
  EXPECT_EQ(a.engine.statistics().bypassed, 1U);
}

TEST_F(OuterHeader, LaterFragmentsPassWhereNoPortIsAskedFor) {
  connect();
  const auto later = ip_packet("10.1.0.5", "10.2.0.6", 17, pattern(64), {.fragment_offset = 1480});
  const auto arrived = b.receive(a.send(later).esp()[0]);
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(arrived.delivered[0].packet, later);
}

// Datagrams of 3000 octets in three fragments; `port` is the destination's.
[[nodiscard]] std::vector<Bytes> fragments_of(const Bytes& packet, std::uint32_t mtu) {
  std::vector<Bytes> out;
  const auto info = wire::parse_ip_packet(packet).value();
  const auto cut = [&](const auto& plan) {
    for (std::size_t i = 0; i < plan->count(); ++i) {
      out.emplace_back(plan->packet_octets(i));
      plan->write(i, out.back().data());
    }
  };
  if (info.is_v4()) {
    cut(Ipv4Fragmentation::plan(packet, info, mtu));
  } else {
    cut(Ipv6Fragmentation::plan(packet, mtu, 77));
  }
  return out;
}

// RFC 8200 section 4.5: what routers on the way look at stands in each fragment, in front of its header.
TEST(Ipv6Fragments, BeginBehindWhatEachHopReads) {
  struct Case {
    std::vector<std::pair<std::uint8_t, std::size_t>> headers;  // type, octets
    std::size_t front, field;  // octets that each fragment has; where they name what follows
  };
  for (const auto& c :
       {Case{{}, 40, 6}, Case{{{0, 8}}, 48, 40}, Case{{{60, 16}}, 40, 6}, Case{{{0, 16}, {60, 8}, {43, 24}}, 88, 64},
        Case{{{0, 8}, {60, 8}}, 48, 40}, Case{{{43, 8}, {60, 8}}, 48, 40}}) {
    Bytes packet(40);
    packet[0] = 0x60;
    std::size_t next_at = 6;
    for (const auto& [type, octets] : c.headers) {
      packet[next_at] = type;
      next_at = packet.size();
      packet.resize(packet.size() + octets);
      packet[next_at + 1] = static_cast<std::uint8_t>(octets / 8 - 1);
    }
    packet[next_at] = 51;
    const auto payload = pattern(3000);
    packet.insert(packet.end(), payload.begin(), payload.end());
    const auto plan = Ipv6Fragmentation::plan(packet, 1280, 77);
    ASSERT_TRUE(plan);
    Bytes whole(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(c.front));
    for (std::size_t i = 0; i < plan->count(); ++i) {
      Bytes piece(plan->packet_octets(i));
      ASSERT_LE(piece.size(), 1280U);
      plan->write(i, piece.data());
      EXPECT_EQ(load_be16(piece.data() + 4), piece.size() - 40);
      EXPECT_EQ(load_be16(piece.data() + c.front + 2), (whole.size() - c.front) | (i + 1 < plan->count() ? 1U : 0U));
      EXPECT_EQ(piece[c.field], 44);
      EXPECT_EQ(piece[c.front], packet[c.field]);
      whole.insert(whole.end(), piece.begin() + static_cast<std::ptrdiff_t>(c.front) + 8, piece.end());
    }
    EXPECT_EQ(whole, packet);
    EXPECT_FALSE(Ipv6Fragmentation::plan(packet, static_cast<std::uint32_t>(c.front + 15), 77));
  }
}

// RFC 4301 section 7. Ports are protected, and what is left of the networks goes in the clear: a later fragment shows
// no ports, but belongs to its first.
class PortsAlone : public OuterHeader {
 protected:
  void protect_port(const std::string& left, const std::string& right) {
    TunnelOptions o;
    o.left = {left + "[udp]"};
    o.right = {right + "[udp/40002]"};
    connect(o);
    auto rest = policy({.left = {left}, .right = {right}}, true);
    rest.id = model::PolicyId(kPolicy.value + 1);
    rest.order = 5000;
    rest.action = PolicyAction::kBypass;
    ok(a.engine.install_policy(rest));
  }
};

TEST_F(PortsAlone, FragmentsOfOnePacketGoTheSameWay) {
  for (const bool v6 : {false, true}) {
    const auto left = v6 ? "2001:db8:1::/48" : "10.1.0.0/16";
    const auto right = v6 ? "2001:db8:2::/48" : "10.2.0.0/16";
    protect_port(left, right);
    const auto packet_to = [&](std::uint16_t port) {
      return udp_packet(v6 ? "2001:db8:1::5" : "10.1.0.5", v6 ? "2001:db8:2::6" : "10.2.0.6", 3000, {}, 40001, port);
    };
    const auto secret = packet_to(40002);
    auto pieces = fragments_of(secret, 1400);
    ASSERT_EQ(pieces.size(), 3U);
    std::swap(pieces[0], pieces[2]);
    const auto sent = a.send_all(pieces);
    EXPECT_EQ(sent.bypassed.size(), 0U);
    ASSERT_EQ(sent.esp().size(), 1U);
    const auto arrived = b.receive(sent.esp()[0]);
    ASSERT_EQ(arrived.delivered.size(), 1U);
    EXPECT_EQ(Bytes(arrived.delivered[0].packet.begin() + (v6 ? 40 : 20), arrived.delivered[0].packet.end()),
              Bytes(secret.begin() + (v6 ? 40 : 20), secret.end()));

    const auto open = packet_to(40003);
    const auto passed = a.send_all(fragments_of(open, 1400));
    EXPECT_TRUE(passed.sent.empty());
    ASSERT_EQ(passed.bypassed.size(), 3U);
    Reassembly together(1U << 20U, 30s);
    Bytes whole;
    for (const auto& piece : passed.bypassed) {
      EXPECT_LE(piece.size(), 1500U);
      whole = together.add(piece, wire::parse_ip_packet(piece).value(), a.now).whole;
    }
    EXPECT_EQ(Bytes(whole.begin() + (v6 ? 40 : 20), whole.end()), Bytes(open.begin() + (v6 ? 40 : 20), open.end()));
    disconnect();
    ok(a.engine.remove_policy(model::PolicyId(kPolicy.value + 1)));
  }
}

TEST_F(PortsAlone, AFragmentAloneGoesNowhere) {
  protect_port("10.1.0.0/16", "10.2.0.0/16");
  const auto later = ip_packet("10.1.0.5", "10.2.0.6", 17, pattern(64), {.fragment_offset = 1480});
  const auto sent = a.send(later);
  EXPECT_TRUE(sent.sent.empty());
  EXPECT_TRUE(sent.bypassed.empty());
  (void)a.tick(31s);
  EXPECT_EQ(a.drops(DropReason::kFragmentTimeout), 1U);
}

TEST_F(PortsAlone, WithoutPolicesForPortsFragmentsPassAsTheyAre) {
  connect({});
  const auto later = ip_packet("10.1.0.5", "10.2.0.6", 17, pattern(64), {.fragment_offset = 1480});
  EXPECT_EQ(a.send(later).sent.size(), 1U);
}

TEST_F(OuterHeader, ExplainSaysWhatWouldHappen) {
  const auto ask = [&](const char* local, const char* remote) {
    return a.engine.explain(model::TrafficSelector::parse(local).value(),
                            model::TrafficSelector::parse(remote).value());
  };
  EXPECT_EQ(ask("10.1.0.5", "10.2.0.6").verdict, "policy-discard");
  EXPECT_FALSE(ask("10.1.0.5", "10.2.0.6").found);
  auto p = policy({}, true);
  ok(a.engine.install_policy(p));
  EXPECT_EQ(ask("10.1.0.5", "10.2.0.6").verdict, "no-sa");
  p.acquire = true;
  ok(a.engine.install_policy(p));
  EXPECT_EQ(ask("10.1.0.5", "10.2.0.6[tcp/80]").verdict, "acquire");
  ok(a.engine.install_sa(spec({}, true, model::Direction::kOutbound), a.now));
  const auto answer = ask("10.1.0.5", "10.2.0.6");
  EXPECT_EQ(answer.verdict, "protect");
  EXPECT_EQ(answer.policy.id, kPolicy);
  ASSERT_EQ(answer.outbound.size(), 1U);
  EXPECT_EQ(answer.outbound[0].spec.spi, kSpiToB);
  EXPECT_TRUE(answer.outbound[0].spec.encryption_key.empty());
  p.action = PolicyAction::kDiscard;
  ok(a.engine.install_policy(p));
  EXPECT_EQ(ask("10.1.0.5", "10.2.0.6").verdict, "discard");
}

TEST_F(OuterHeader, DevicesHaveTheirOwnPolicies) {
  auto p = policy({}, true);
  p.device = "ipsec1";
  ok(a.engine.install_policy(p));
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5)).dropped, std::vector{DropReason::kPolicyDiscard});
  a.device = a.engine.device_id("ipsec1");
  EXPECT_EQ(a.engine.device_name(a.device), "ipsec1");
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5)).dropped, std::vector{DropReason::kNoSa});
}

}  // namespace
}  // namespace cygnet::engine::test
