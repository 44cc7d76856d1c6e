// SPDX-License-Identifier: Apache-2.0
// Super-packets: cut on the way out, merged on the way in.
#include "engine/segment.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using wire::tcp_flag::kAck;
using wire::tcp_flag::kCwr;
using wire::tcp_flag::kFin;
using wire::tcp_flag::kPsh;

// As the kernel hands it over: the checksum field holds the pseudo-header's sum.
[[nodiscard]] Bytes with_partial_checksum(Bytes packet) {
  const auto info = wire::parse_ip_packet(packet).value();
  const std::size_t field = info.header_octets + (info.protocol == wire::protocol::kTcp ? 16U : 6U);
  store_be16(&packet[field],
             wire::checksum_fold(wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet),
                                                         info.protocol, info.payload_octets())));
  return packet;
}

[[nodiscard]] Offload tso(bool v6, std::uint16_t segment) {
  return {.needs_checksum = true,
          .gso = v6 ? Offload::Gso::kTcpV6 : Offload::Gso::kTcpV4,
          .header_octets = static_cast<std::uint16_t>(v6 ? 60 : 40),
          .segment_octets = segment,
          .checksum_start = static_cast<std::uint16_t>(v6 ? 40 : 20),
          .checksum_offset = 16};
}

class OffloadWork : public TwoGateways {
 protected:
  [[nodiscard]] static Bytes super(bool v6, std::size_t payload, std::uint8_t flags = kAck | kPsh) {
    return with_partial_checksum(tcp_packet(v6 ? "2001:db8:1::5" : "10.1.0.5", v6 ? "2001:db8:2::6" : "10.2.0.6",
                                            {.sequence = 0xfffffff0U, .flags = flags, .payload = pattern(payload)}));
  }
  // One by one, so that nothing is merged.
  std::vector<Bytes> arrive_alone(const Outcome& sent) {
    std::vector<Bytes> packets;
    for (const auto& esp : sent.esp()) {
      for (auto& packet : b.receive(esp).packets()) packets.push_back(packet);
    }
    return packets;
  }
};

TEST_F(OffloadWork, VnetHeaderThereAndBack) {
  const Offload o = tso(true, 1300);
  Bytes h(Offload::kVnetOctets);
  o.serialize(h.data());
  EXPECT_EQ(Offload::parse(h), o);
  h[1] |= 0x80;  // ECN
  EXPECT_EQ(Offload::parse(h), o);
  h[1] = 3;  // UFO
  EXPECT_EQ(Offload::parse(h), std::nullopt);
  EXPECT_EQ(Offload::parse(ByteView(h).first(9)), std::nullopt);
}

TEST_F(OffloadWork, PartialChecksumsAreCompleted) {
  connect();
  const auto right = udp_packet("10.1.0.5", "10.2.0.6", 33);
  const auto arrived = b.receive(
      a.send(with_partial_checksum(right), {.needs_checksum = true, .checksum_start = 20, .checksum_offset = 6})
          .esp()[0]);
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(arrived.delivered[0].packet, right);
}

TEST_F(OffloadWork, TcpIsCutIntoCorrectSegments) {
  for (const bool v6 : {false, true}) {
    connect();
    const std::size_t total = 20000;
    const auto sent = a.send(super(v6, total, kAck | kPsh | kFin | kCwr), tso(v6, 1300));
    ASSERT_EQ(sent.sent.size(), 1U) << "one send with one stride";
    const auto packets = arrive_alone(sent);
    ASSERT_EQ(packets.size(), 16U);  // 15 * 1300 + 500
    Bytes data;
    const std::size_t headers = v6 ? 60 : 40;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const auto& p = packets[i];
      EXPECT_TRUE(checksum_right(p)) << i;
      const auto* tcp = p.data() + headers - 20;
      EXPECT_EQ(wire::tcp_sequence(tcp), 0xfffffff0U + static_cast<std::uint32_t>(data.size()));
      EXPECT_EQ(wire::tcp_flags(tcp), i == 0 ? (kAck | kCwr) : i + 1 == packets.size() ? (kAck | kPsh | kFin) : kAck);
      if (!v6) {
        EXPECT_EQ(load_be16(&p[4]), 0x1234 + i);
      }
      append(data, ByteView(p).subspan(headers));
    }
    EXPECT_EQ(data, pattern(total));
    disconnect();
  }
}

TEST_F(OffloadWork, SegmentsThatDoNotFitThePathAreMadeSmaller) {
  connect();
  ok(a.engine.set_link_mtu(kChild, 1000));
  const auto packets = arrive_alone(a.send(super(false, 5000), tso(false, 1400)));
  Bytes data;
  for (const auto& p : packets) {
    EXPECT_LE(p.size(), 946U);
    EXPECT_TRUE(checksum_right(p));
    append(data, ByteView(p).subspan(40));
  }
  EXPECT_EQ(data, pattern(5000));
}

TEST_F(OffloadWork, UdpIsCutIntoDatagrams) {
  connect();
  const auto big = with_partial_checksum(udp_packet("10.1.0.5", "10.2.0.6", 2500));
  const auto packets = arrive_alone(a.send(big, {.needs_checksum = true,
                                                 .gso = Offload::Gso::kUdp,
                                                 .segment_octets = 1000,
                                                 .checksum_start = 20,
                                                 .checksum_offset = 6}));
  ASSERT_EQ(packets.size(), 3U);
  EXPECT_EQ(packets[0].size(), 1028U);
  EXPECT_EQ(packets[2].size(), 528U);
  Bytes data;
  for (const auto& p : packets) {
    EXPECT_TRUE(checksum_right(p));
    EXPECT_EQ(load_be16(&p[24]), p.size() - 20);
    append(data, ByteView(p).subspan(28));
  }
  EXPECT_EQ(data, pattern(2500));
}

TEST_F(OffloadWork, DatagramsThatDoNotFitAreRefusedNotShrunk) {
  connect();
  const auto big = with_partial_checksum(udp_packet("10.1.0.5", "10.2.0.6", 4500, {.dont_fragment = true}));
  const auto outcome = a.send(big, {.needs_checksum = true,
                                    .gso = Offload::Gso::kUdp,
                                    .segment_octets = 1450,
                                    .checksum_start = 20,
                                    .checksum_offset = 6});
  EXPECT_EQ(outcome.dropped, std::vector{DropReason::kTooBig});
  EXPECT_EQ(outcome.delivered.size(), 1U);
}

TEST_F(OffloadWork, TransportModeSegmentsLoseTheirIpHeader) {
  TunnelOptions o;
  o.mode = model::Mode::kTransport;
  o.left = {"192.0.2.1"};
  o.right = {"192.0.2.2"};
  connect(o);
  const auto big = with_partial_checksum(tcp_packet("192.0.2.1", "192.0.2.2", {.payload = pattern(4000)}));
  const auto packets = arrive_alone(a.send(big, tso(false, 1200)));
  ASSERT_EQ(packets.size(), 4U);
  Bytes data;
  for (const auto& p : packets) {
    EXPECT_TRUE(checksum_right(p));
    EXPECT_EQ(wire::source_address(p), ip("192.0.2.1"));
    append(data, ByteView(p).subspan(40));
  }
  EXPECT_EQ(data, pattern(4000));
}

// ---- merging

TEST_F(OffloadWork, ABurstOfSegmentsComesOutAsTheSuperPacketItWas) {
  for (const bool v6 : {false, true}) {
    connect();
    const auto original = super(v6, 20000);
    const auto arrived = b.receive_all(a.send(original, tso(v6, 1300)).esp());
    ASSERT_EQ(arrived.delivered.size(), 1U);
    EXPECT_EQ(arrived.delivered[0].packet, original);
    EXPECT_EQ(arrived.delivered[0].offload, tso(v6, 1300));
    EXPECT_EQ(b.engine.statistics().packets_in % 16, 0U) << "counted as the packets they were";
    disconnect();
  }
}

class Merging : public OffloadWork {
 protected:
  [[nodiscard]] static Bytes segment(std::uint32_t sequence, std::size_t payload = 100, std::uint8_t flags = kAck,
                                     const IpOptions& options = {.dont_fragment = true}) {
    return tcp_packet(
        "10.1.0.5", "10.2.0.6",
        {.sequence = sequence, .flags = flags, .payload = pattern(payload, static_cast<std::uint8_t>(sequence))},
        options);
  }
  // The sizes in which these packets leave the other end.
  std::vector<std::size_t> sizes(const std::vector<Bytes>& packets) {
    connect();
    auto outcome = b.receive_all(a.send_all(packets).esp());
    std::vector<std::size_t> found;
    for (const auto& d : outcome.delivered) found.push_back(d.packet.size());
    disconnect();
    return found;
  }
};

TEST_F(Merging, InOrderSegmentsMerge) {
  EXPECT_EQ(sizes({segment(0), segment(100), segment(200)}), (std::vector<std::size_t>{340}));
}
TEST_F(Merging, AGapStartsAnew) { EXPECT_EQ(sizes({segment(0), segment(200)}), (std::vector<std::size_t>{140, 140})); }
TEST_F(Merging, AShortSegmentEnds) {
  EXPECT_EQ(sizes({segment(0), segment(100, 50), segment(150)}), (std::vector<std::size_t>{190, 140}));
}
TEST_F(Merging, ALongerSegmentStartsAnew) {
  EXPECT_EQ(sizes({segment(0, 50), segment(50, 100)}), (std::vector<std::size_t>{90, 140}));
}
TEST_F(Merging, PushEnds) {
  EXPECT_EQ(sizes({segment(0), segment(100, 100, kAck | kPsh), segment(200)}), (std::vector<std::size_t>{240, 140}));
}
TEST_F(Merging, SynFinAndPureAcksPassAlone) {
  EXPECT_EQ(sizes({segment(0), segment(100, 100, kAck | kFin), segment(200, 0)}),
            (std::vector<std::size_t>{140, 140, 40}));
}
TEST_F(Merging, OtherTosOrTtlStartsAnew) {
  EXPECT_EQ(sizes({segment(0), segment(100, 100, kAck, {.tos = 8, .dont_fragment = true})}),
            (std::vector<std::size_t>{140, 140}));
  EXPECT_EQ(sizes({segment(0), segment(100, 100, kAck, {.ttl = 9, .dont_fragment = true})}),
            (std::vector<std::size_t>{140, 140}));
}
TEST_F(Merging, WithoutDfTheIdsMustCount) {
  EXPECT_EQ(sizes({segment(0, 100, kAck, {.id = 7}), segment(100, 100, kAck, {.id = 8})}),
            (std::vector<std::size_t>{240}));
  EXPECT_EQ(sizes({segment(0, 100, kAck, {.id = 7}), segment(100, 100, kAck, {.id = 7})}),
            (std::vector<std::size_t>{140, 140}));
}
TEST_F(Merging, OtherFlowsAreNotMixedUpAndOrderStays) {
  const auto other = udp_packet("10.1.0.5", "10.2.0.6", 30);
  EXPECT_EQ(sizes({segment(0), other, segment(100)}), (std::vector<std::size_t>{140, 58, 140}));
}
TEST_F(Merging, AWrongChecksumStaysVisible) {
  auto bad = segment(100);
  bad.back() ^= 1;
  EXPECT_EQ(sizes({segment(0), bad, segment(200)}), (std::vector<std::size_t>{140, 140, 140}));
}
TEST_F(Merging, OtherOptionsStartAnew) {
  const auto stamped = [](std::uint32_t sequence, std::uint8_t stamp) {
    return tcp_packet(
        "10.1.0.5", "10.2.0.6",
        {.sequence = sequence, .options = {1, 1, 8, 10, 0, 0, 0, stamp, 0, 0, 0, 9}, .payload = pattern(100)});
  };
  EXPECT_EQ(sizes({stamped(0, 1), stamped(100, 1)}), (std::vector<std::size_t>{252}));
  EXPECT_EQ(sizes({stamped(0, 1), stamped(100, 2)}), (std::vector<std::size_t>{152, 152}));
}
TEST_F(Merging, NothingGrowsBeyondAnIpPacket) {
  std::vector<Bytes> packets;
  for (std::uint32_t i = 0; i < 100; ++i) packets.push_back(segment(i * 1300, 1300));
  const auto found = sizes(packets);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], 40U + 1300U * 50U);
}

}  // namespace
}  // namespace cygnet::engine::test
