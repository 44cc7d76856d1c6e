// SPDX-License-Identifier: Apache-2.0
// Packets through a tunnel and back, in every mixture.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::EncryptionId;
using model::IntegrityId;

struct Suite {
  const char* name;
  EncryptionId encryption;
  std::uint16_t bits;
  IntegrityId integrity;
};
constexpr Suite kSuites[] = {
    {"gcm128", EncryptionId::kAesGcm16, 128, IntegrityId::kNone},
    {"gcm256", EncryptionId::kAesGcm16, 256, IntegrityId::kNone},
    {"chacha", EncryptionId::kChaCha20Poly1305, 0, IntegrityId::kNone},
    {"cbc128sha256", EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128},
    {"cbc256sha384", EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_384_192},
    {"cbc256sha512", EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_512_256},
    {"nullsha256", EncryptionId::kNull, 0, IntegrityId::kHmacSha2_256_128},
};

class EverySuite : public TwoGateways, public ::testing::WithParamInterface<Suite> {};

TEST_P(EverySuite, CarriesBothFamiliesInBothFamiliesWithAndWithoutEsn) {
  for (const bool outer_v6 : {false, true}) {
    for (const bool esn : {false, true}) {
      for (const bool udp : {false, true}) {
        const auto& s = GetParam();
        connect({.encryption = s.encryption,
                 .encryption_bits = s.bits,
                 .integrity = s.integrity,
                 .esn = esn,
                 .udp = udp,
                 .outer_v6 = outer_v6});
        for (std::size_t size = 0; size < 40; ++size) {
          for (const bool inner_v6 : {false, true}) {
            const auto packet = inner_v6 ? udp_packet("2001:db8:1::5", "2001:db8:2::6", size)
                                         : udp_packet("10.1.0.5", "10.2.0.6", size);
            const auto sent = a.send(packet);
            ASSERT_EQ(sent.sent.size(), 1U);
            EXPECT_EQ(sent.sent[0].way.udp, udp);
            EXPECT_EQ(sent.sent[0].way.remote.address, ip(outer_v6 ? "2001:db8::2" : "192.0.2.2"));
            ASSERT_EQ(sent.sent[0].esp.size(), 1U);
            EXPECT_EQ(load_be32(sent.sent[0].esp[0].data()), 0x1001U);
            const auto arrived = b.receive(sent.sent[0].esp[0]);
            ASSERT_EQ(arrived.delivered.size(), 1U);
            EXPECT_EQ(arrived.delivered[0].packet, packet);
            EXPECT_EQ(arrived.delivered[0].device, b.device);
          }
        }
        disconnect();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, EverySuite, ::testing::ValuesIn(kSuites),
                         [](const auto& suite) { return suite.param.name; });

class Tunnel : public TwoGateways {};

TEST_F(Tunnel, PlainEspAndEncapsulatedEspAreBothAcceptedAtAnyTime) {
  connect({.udp = true});
  auto esp = a.send_all({udp_packet("10.1.0.5", "10.2.0.6", 10), udp_packet("10.1.0.5", "10.2.0.6", 10)}).esp();
  ASSERT_EQ(esp.size(), 2U);
  b.from_udp = true;
  EXPECT_EQ(b.receive(esp[0]).delivered.size(), 1U);
  b.from_udp = false;
  EXPECT_EQ(b.receive(esp[1]).delivered.size(), 1U);
}

TEST_F(Tunnel, SequenceNumbersBeginAtOneAndGoOn) {
  connect();
  for (std::uint32_t i = 1; i <= 3; ++i)
    EXPECT_EQ(load_be32(a.send(udp_packet("10.1.0.5", "10.2.0.6", 9)).esp()[0].data() + 4), i);
}

TEST_F(Tunnel, EqualNeighboursShareOneSendAndAShorterOneEndsIt) {
  connect();
  const auto full = udp_packet("10.1.0.5", "10.2.0.6", 100);
  const auto little = udp_packet("10.1.0.5", "10.2.0.6", 20);
  const auto sent = a.send_all({full, full, little, full}).sent;
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].esp.size(), 3U);
  EXPECT_EQ(sent[0].way.segment_octets, sent[0].esp[0].size());
  EXPECT_LT(sent[0].esp[2].size(), sent[0].esp[0].size());
  EXPECT_EQ(sent[1].esp.size(), 1U);
}

TEST_F(Tunnel, PacketsThatWantDifferentOuterHeadersDoNotShareASend) {
  connect();
  const auto sent = a.send_all({udp_packet("10.1.0.5", "10.2.0.6", 9, {.tos = 0}),
                                udp_packet("10.1.0.5", "10.2.0.6", 9, {.tos = 0xb8}),
                                udp_packet("10.1.0.5", "10.2.0.6", 9, {.tos = 0xb8, .dont_fragment = true})})
                        .sent;
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[1].way.tos, 0xb8);
  EXPECT_FALSE(sent[1].way.dont_fragment);
  EXPECT_TRUE(sent[2].way.dont_fragment);
}

TEST_F(Tunnel, AtMostSixtyFourSegmentsASend) {
  connect();
  const std::vector<Bytes> burst(130, udp_packet("10.1.0.5", "10.2.0.6", 8));
  const auto sent = a.send_all(burst).sent;
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent[0].esp.size(), 64U);
  EXPECT_EQ(sent[2].esp.size(), 2U);
}

TEST_F(Tunnel, AnUnbrokenDatagramOfUdpGroIsCutIntoItsPackets) {
  connect();
  const std::vector<Bytes> burst(5, udp_packet("10.1.0.5", "10.2.0.6", 64));
  auto sent = a.send_all(burst).sent;
  ASSERT_EQ(sent.size(), 1U);
  Bytes datagram;
  for (const auto& esp : sent[0].esp) append(datagram, esp);
  InPacket in{datagram, sent[0].way.segment_octets, b.from_local, b.from_remote, true, 0};
  Verdicts verdicts;
  b.engine.process_inbound({&in, 1}, b.now, verdicts);
  const auto arrived = outcome_of(verdicts).packets();
  ASSERT_EQ(arrived.size(), 5U);
  for (const auto& packet : arrived) EXPECT_EQ(packet, burst[0]);
}

TEST_F(Tunnel, CountersCountClearTextOnBothSides) {
  connect();
  const auto packet = udp_packet("10.1.0.5", "10.2.0.6", 72);  // 100 octets
  for (auto& esp : a.send_all({packet, packet}).esp()) (void)b.receive(esp);
  const auto out = counters(a.engine, model::Direction::kOutbound);
  const auto in = counters(b.engine, model::Direction::kInbound);
  EXPECT_EQ(out.packets, 2U);
  EXPECT_EQ(out.bytes, 200U);
  EXPECT_EQ(out.sequence, 2U);
  EXPECT_EQ(in.packets, 2U);
  EXPECT_EQ(in.bytes, 200U);
  EXPECT_EQ(in.sequence, 2U);
  EXPECT_EQ(a.engine.statistics().bytes_out, 200U);
  EXPECT_EQ(b.engine.statistics().bytes_in, 200U);
}

TEST_F(Tunnel, TheSecondPacketOfAFlowIsAnsweredByTheCacheAndPolicyChangesMakeItForget) {
  connect();
  const auto packet = udp_packet("10.1.0.5", "10.2.0.6", 5);
  (void)a.send(packet);
  (void)a.send(packet);
  EXPECT_EQ(a.engine.statistics().flow_cache_misses, 1U);
  EXPECT_EQ(a.engine.statistics().flow_cache_hits, 1U);
  auto block = policy({}, true);
  block.id = model::PolicyId{1};
  block.order = 1;
  block.action = model::PolicyAction::kDiscard;
  ok(a.engine.install_policy(block));
  EXPECT_EQ(a.send(packet).dropped, std::vector{DropReason::kPolicyDiscard});
  ok(a.engine.remove_policy(block.id));
  EXPECT_EQ(a.send(packet).sent.size(), 1U);
}

TEST_F(Tunnel, AReinstalledSaNeverRepeatsASequenceNumber) {
  connect();
  const auto packet = udp_packet("10.1.0.5", "10.2.0.6", 5);
  const auto first = a.send(packet).esp()[0];
  EXPECT_EQ(b.receive(first).delivered.size(), 1U);
  ok(a.engine.install_sa(spec({}, true, model::Direction::kOutbound), a.now));
  ok(b.engine.install_sa(spec({}, true, model::Direction::kInbound), b.now));
  EXPECT_EQ(load_be32(a.send(packet).esp()[0].data() + 4), 2U);
  EXPECT_EQ(b.receive(first).dropped, std::vector{DropReason::kReplaySeen});
}

TEST_F(Tunnel, TrafficFlowPaddingBehindTheInnerPacketIsCutOff) {
  connect();
  const auto packet = udp_packet("10.1.0.5", "10.2.0.6", 5);
  auto padded = packet;
  padded.resize(packet.size() + 50);
  const auto arrived =
      b.receive(seal_by_hand(spec({}, true, model::Direction::kOutbound), 1, padded, wire::protocol::kIpv4));
  ASSERT_EQ(arrived.delivered.size(), 1U);
  EXPECT_EQ(arrived.delivered[0].packet, packet);
}

TEST_F(Tunnel, DumpHasKeysOnlyWhenAsked) {
  connect();
  for (const auto& sa : a.engine.dump(false).sas) EXPECT_TRUE(sa.spec.encryption_key.empty());
  const auto dump = a.engine.dump(true);
  ASSERT_EQ(dump.sas.size(), 2U);
  for (const auto& sa : dump.sas) EXPECT_EQ(sa.spec.encryption_key.size(), 20U);
  ASSERT_EQ(dump.policies.size(), 1U);
  EXPECT_EQ(dump.policies[0], policy({}, true));
}

TEST_F(Tunnel, ADumpedSaInstalledElsewhereStillOpensWhatThePeerSeals) {
  connect();
  Gateway adopted{3};
  for (const auto& sa : b.engine.dump(true).sas) ok(adopted.engine.install_sa(sa.spec, adopted.now));
  EXPECT_EQ(adopted.receive(a.send(udp_packet("10.1.0.5", "10.2.0.6", 5)).esp()[0]).delivered.size(), 1U);
}

}  // namespace
}  // namespace cygnet::engine::test
