// SPDX-License-Identifier: Apache-2.0
// UDP datagrams of one flow and size are merged for a device that takes UDP super-packets.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

constexpr IpOptions kDf{.dont_fragment = true};

[[nodiscard]] Bytes datagram(std::size_t payload, const IpOptions& options = kDf, std::uint16_t from = 4000) {
  return udp_packet("10.1.0.5", "10.2.0.6", payload, options, from, 5000);
}

[[nodiscard]] Bytes v6_datagram(std::size_t payload) {
  return udp_packet("2001:db8:1::5", "2001:db8:2::6", payload, {}, 4000, 5000);
}

class UdpTrains : public TwoGateways {
 protected:
  void SetUp() override { b.engine.devices_take_udp_trains(true); }
  [[nodiscard]] Outcome arrive(const std::vector<Bytes>& packets) {
    connect();
    auto outcome = b.receive_all(a.send_all(packets).esp());
    disconnect();
    return outcome;
  }
  // The sizes in which these packets leave the other end.
  [[nodiscard]] std::vector<std::size_t> sizes(const std::vector<Bytes>& packets) {
    std::vector<std::size_t> found;
    for (const auto& d : arrive(packets).delivered) found.push_back(d.packet.size());
    return found;
  }
};

using Sizes = std::vector<std::size_t>;

TEST_F(UdpTrains, BecomeOnePacketThatTheKernelCanCutAgain) {
  for (const bool v6 : {false, true}) {
    const auto one = v6 ? v6_datagram(64) : datagram(64);
    const std::size_t ip = v6 ? 40 : 20;
    const auto outcome = arrive({one, one, one});
    ASSERT_EQ(outcome.delivered.size(), 1U);
    const auto& packet = outcome.delivered[0].packet;
    EXPECT_EQ(outcome.delivered[0].offload, (Offload{.needs_checksum = true,
                                                     .gso = Offload::Gso::kUdp,
                                                     .header_octets = static_cast<std::uint16_t>(ip + 8),
                                                     .segment_octets = 64,
                                                     .checksum_start = static_cast<std::uint16_t>(ip),
                                                     .checksum_offset = 6}));
    ASSERT_EQ(packet.size(), ip + 8 + 3 * 64);
    EXPECT_EQ(load_be16(&packet[ip + 4]), 8 + 3 * 64) << "UDP length";
    EXPECT_EQ(wire::parse_ip_packet(packet).value().total_octets, packet.size());
    EXPECT_EQ(load_be16(&packet[ip + 6]),
              wire::checksum_fold(wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet),
                                                          17, 8 + 3 * 64)));
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(std::ranges::equal(ByteView(packet).subspan(ip + 8 + i * 64, 64), pattern(64))) << i;
    }
  }
}

TEST_F(UdpTrains, NotForADeviceThatDoesNotTakeThem) {
  b.engine.devices_take_udp_trains(false);
  EXPECT_EQ(sizes({datagram(64), datagram(64)}), (Sizes{92, 92}));
}

TEST_F(UdpTrains, ASingleOneStaysAsItWas) {
  const auto one = datagram(64);
  const auto outcome = arrive({one});
  ASSERT_EQ(outcome.delivered.size(), 1U);
  EXPECT_EQ(outcome.delivered[0].offload, Offload{});
  EXPECT_EQ(outcome.delivered[0].packet, one);
}

TEST_F(UdpTrains, AShorterOneIsTheLast) {
  EXPECT_EQ(sizes({datagram(64), datagram(10), datagram(10)}), (Sizes{102, 38}));
  EXPECT_EQ(sizes({datagram(10), datagram(64)}), (Sizes{38, 92}));
}

TEST_F(UdpTrains, EmptyDatagramsPassAlone) {
  EXPECT_EQ(sizes({datagram(64), datagram(0), datagram(64)}), (Sizes{92, 28, 92}));
}

TEST_F(UdpTrains, OtherFlowsTosAndTtlStartAnew) {
  EXPECT_EQ(sizes({datagram(64), datagram(64, kDf, 4001), datagram(64)}), (Sizes{92, 92, 92}));
  EXPECT_EQ(sizes({datagram(64), datagram(64, {.tos = 8, .dont_fragment = true})}), (Sizes{92, 92}));
  EXPECT_EQ(sizes({datagram(64), datagram(64, {.ttl = 9, .dont_fragment = true})}), (Sizes{92, 92}));
}

// RFC 6864 section 4.1.
TEST_F(UdpTrains, WithoutDfTheIdsMustCount) {
  EXPECT_EQ(sizes({datagram(64, {.id = 7}), datagram(64, {.id = 8})}), (Sizes{156}));
  EXPECT_EQ(sizes({datagram(64, {.id = 7}), datagram(64, {.id = 7})}), (Sizes{92, 92}));
}

TEST_F(UdpTrains, AWrongOrMissingChecksumStaysAsItWas) {
  auto bad = datagram(64);
  bad.back() ^= 1;
  EXPECT_EQ(sizes({datagram(64), bad, datagram(64)}), (Sizes{92, 92, 92}));
  auto none = datagram(64);
  store_be16(&none[26], 0);
  EXPECT_EQ(sizes({none, none}), (Sizes{92, 92}));
}

// What a hostile peer may send inside the tunnel: the lengths of UDP and IP disagree.
TEST_F(UdpTrains, ALengthThatIsNotThePacketsPassesAlone) {
  auto odd = datagram(64);
  store_be16(&odd[24], 60);
  EXPECT_EQ(sizes({odd, odd}), (Sizes{92, 92}));
}

TEST_F(UdpTrains, AtMostSixtyFourAndNotBeyondAnIpPacket) {
  EXPECT_EQ(sizes(std::vector<Bytes>(70, datagram(64))), (Sizes{28 + 64 * 64, 28 + 6 * 64}));
  EXPECT_EQ(sizes(std::vector<Bytes>(60, datagram(1300))), (Sizes{28 + 50 * 1300, 28 + 10 * 1300}));
}

}  // namespace
}  // namespace cygnet::engine::test
