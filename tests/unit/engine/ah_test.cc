// SPDX-License-Identifier: Apache-2.0
// AH (RFC 4302): exact octets computed beside the engine (Python's hmac, cryptography), both families and modes, what
// may change on the way and what may not.
#include <algorithm>

#include "unit/engine/support.h"
#include "wire/ah_header.h"

namespace cygnet::engine::test {
namespace {

using model::IntegrityId;
using model::Mode;

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}

TunnelOptions ah(IntegrityId integrity = IntegrityId::kHmacSha2_256_128, Mode mode = Mode::kTunnel, bool v6 = false) {
  TunnelOptions o{.protocol = model::SaProtocol::kAh, .encryption = model::EncryptionId::kNone};
  o.encryption_bits = 0;
  o.integrity = integrity;
  o.mode = mode;
  o.outer_v6 = v6;
  if (mode == Mode::kTransport) {
    o.left = {v6 ? "2001:db8::1/128" : "192.0.2.1/32"};
    o.right = {v6 ? "2001:db8::2/128" : "192.0.2.2/32"};
  }
  return o;
}

class Ah : public TwoGateways {
 protected:
  // What a sends for one packet: a whole IP packet.
  Bytes send_one(const Bytes& clear) {
    auto sent = a.send(clear);
    EXPECT_EQ(sent.sent.size(), 1U);
    if (sent.sent.size() != 1) return {};
    EXPECT_TRUE(sent.sent[0].way.whole_packet);
    return sent.sent[0].esp.at(0);
  }
  void expect_refused(Bytes packet, DropReason reason) {
    const auto got = b.receive(std::move(packet));
    ASSERT_EQ(got.dropped.size(), 1U);
    EXPECT_EQ(info(got.dropped[0]).name, info(reason).name);
    EXPECT_TRUE(got.delivered.empty());
  }
};

void mend_checksum(Bytes& packet) {
  const std::size_t header = (packet[0] & 0x0fU) * 4U;
  store_be16(&packet[10], 0);
  store_be16(&packet[10], wire::internet_checksum(ByteView(packet).first(header)));
}

// ---- exact octets
constexpr std::string_view kInner = "45000021123400004011548a0a0100050a0200079c419c42000d000000070e151c";

TEST_F(Ah, TunnelOverIpv4) {
  connect(ah(IntegrityId::kHmacSha1_96));
  const auto packet = send_one(hex(kInner));
  EXPECT_EQ(to_hex(packet),
            "4500004d000100004033f679c0000201c00002020404000000001001000000016886070ba99278986ecedbf3"
            "45000021123400004011548a0a0100050a0200079c419c42000d000000070e151c");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{hex(kInner)});
}

TEST_F(Ah, TransportOverIpv4KeepsOptions) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport));
  const auto clear = hex("4828002d1234400040110551c0000201c00002020107070400000000940400009c419c42000d000000070e151c");
  const auto packet = send_one(clear);
  EXPECT_EQ(to_hex(packet),
            "482800491234400040330513c0000201c0000202010707040000000094040000"
            "110500000000100100000001fe8cde9cf2b923952101da9442e6f6619c419c42000d000000070e151c");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{clear});
}

TEST_F(Ah, TransportOverIpv6BehindHopByHopOptionsWithEsn) {
  auto o = ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport, true);
  o.esn = true;
  connect(o);
  const auto clear =
      hex("628abcde001d004020010db800000000000000000000000120010db8000000000000000000000002"
          "1101050200003e0601020304050601009c419c42000d111100070e151c");
  const auto packet = send_one(clear);
  EXPECT_EQ(to_hex(packet),
            "628abcde003d004020010db800000000000000000000000120010db8000000000000000000000002"
            "3301050200003e06010203040506010011060000000010010000000150b28118ccd6676252dc8474d74c9ea200000000"
            "9c419c42000d111100070e151c");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{clear});
}

// RFC 4543 section 4: IV, then tag. "No padding is required for IPv4" (its erratum 3643).
TEST_F(Ah, GmacTunnelOverIpv4) {
  connect(ah(IntegrityId::kAes128Gmac));
  const auto packet = send_one(hex(kInner));
  EXPECT_EQ(to_hex(packet),
            "45000059000100004033f66dc0000201c0000202040700000000100100000001"
            "0000000000000001b5b553a1c55765c0f2efea718692bc95"
            "45000021123400004011548a0a0100050a0200079c419c42000d000000070e151c");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{hex(kInner)});
}

// Erratum 3643: "In IPv6, padding of 4 octets is required".
TEST_F(Ah, GmacTransportOverIpv6WithEsn) {
  auto o = ah(IntegrityId::kAes256Gmac, Mode::kTransport, true);
  o.esn = true;
  connect(o);
  const auto clear =
      hex("628abcde001d004020010db800000000000000000000000120010db8000000000000000000000002"
          "1101050200003e0601020304050601009c419c42000d111100070e151c");
  const auto packet = send_one(clear);
  EXPECT_EQ(to_hex(packet),
            "628abcde0045004020010db800000000000000000000000120010db8000000000000000000000002"
            "3301050200003e06010203040506010011080000000010010000000100000000"
            "0000000186b74ec7a56c575ec39d1126cb5a7e8800000000"
            "9c419c42000d111100070e151c");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{clear});
}

// Under one key no IV twice, and each of them counts: it is what the sequence number and the mask make of it.
TEST_F(Ah, GmacHasAnIvOfItsOwnForEachPacket) {
  const auto o = ah(IntegrityId::kAes192Gmac);
  connect(o);
  const auto iv_of = [](const Bytes& packet) { return to_hex(ByteView(packet).subspan(32, 8)); };
  EXPECT_EQ(iv_of(send_one(hex(kInner))), "0000000000000001");
  const auto second = send_one(hex(kInner));
  EXPECT_EQ(iv_of(second), "0000000000000002");
  auto changed = second;
  changed[39] ^= 1;
  expect_refused(changed, DropReason::kIntegrityFailed);
  EXPECT_EQ(b.receive(second).delivered.size(), 1U);
  auto masked = spec(o, true, model::Direction::kOutbound);
  masked.sequence = 2;
  masked.iv_mask = 0xfedcba9876543210;
  ok(a.engine.install_sa(masked, a.now));
  const auto third = send_one(hex(kInner));
  EXPECT_EQ(iv_of(third), "fedcba9876543213");
  EXPECT_EQ(b.receive(third).delivered.size(), 1U) << "whoever opens takes the IV as it stands in the packet";
}

TEST_F(Ah, GmacIsNoIntegrityOfEsp) {
  TunnelOptions o{.encryption = model::EncryptionId::kAesCbc, .integrity = IntegrityId::kAes128Gmac};
  const auto refused = a.engine.install_sa(spec(o, true, model::Direction::kOutbound), a.now);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("ESP has it as the cipher null_auth_aes_gmac"), std::string::npos);
}

// ---- everything with everything
TEST_F(Ah, EveryMacModeFamilyAndEsn) {
  for (const auto mac :
       {IntegrityId::kHmacMd5_96, IntegrityId::kHmacSha1_96, IntegrityId::kAesXcbc96, IntegrityId::kAesCmac96,
        IntegrityId::kHmacSha2_256_128, IntegrityId::kHmacSha2_384_192, IntegrityId::kHmacSha2_512_256,
        IntegrityId::kHmacSha2_256_96, IntegrityId::kAes128Gmac, IntegrityId::kAes192Gmac, IntegrityId::kAes256Gmac}) {
    for (const bool v6 : {false, true}) {
      for (const bool esn : {false, true}) {
        for (const auto mode : {Mode::kTunnel, Mode::kTransport}) {
          SCOPED_TRACE(testing::Message() << static_cast<int>(mac) << " v6 " << v6 << " esn " << esn << " mode "
                                          << static_cast<int>(mode));
          auto o = ah(mac, mode, v6);
          o.esn = esn;
          connect(o);
          const auto clear = mode == Mode::kTunnel ? udp_packet("2001:db8:1::5", "2001:db8:2::7", 77)
                             : v6                  ? udp_packet("2001:db8::1", "2001:db8::2", 77)
                                                   : udp_packet("192.0.2.1", "192.0.2.2", 77);
          auto packet = send_one(clear);
          const std::size_t header = v6 ? 40 : 20;
          const std::size_t whole =
              wire::ah_octets(model::iv_octets(mac) + model::icv_octets(mac), v6 ? Family::kV6 : Family::kV4);
          EXPECT_EQ(packet[header + 1], whole / 4 - 2);
          EXPECT_EQ(packet.size(), (mode == Mode::kTunnel ? header : 0) + whole + clear.size());
          auto damaged = packet;
          damaged.at(damaged.size() - 1) ^= 1;
          expect_refused(damaged, DropReason::kIntegrityFailed);
          EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{clear});
          expect_refused(packet, DropReason::kReplaySeen);
          disconnect();
        }
      }
    }
  }
}

// ---- RFC 4302 appendix A
TEST_F(Ah, RoutersMayChangeWhatIsMutableInIpv4) {
  connect(ah());
  const auto good = send_one(hex(kInner));
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    auto packet = good;
    packet[at] = value;
    mend_checksum(packet);
    return packet;
  };
  expect_refused(changed(4, 9), DropReason::kIntegrityFailed);     // identification
  expect_refused(changed(12, 193), DropReason::kIntegrityFailed);  // source
  expect_refused(changed(19, 9), DropReason::kIntegrityFailed);    // destination
  auto passed = changed(8, 3);                                     // TTL
  passed[1] = 0x28;                                                // DSCP
  passed[6] = 0x40;                                                // DF
  mend_checksum(passed);
  EXPECT_EQ(b.receive(passed).packets(), std::vector<Bytes>{hex(kInner)});
}

TEST_F(Ah, RoutersMayRecordTheRouteButTakeNoRouterAlert) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport));
  const auto good =
      send_one(hex("4828002d1234400040110551c0000201c00002020107070400000000940400009c419c42000d000000070e151c"));
  auto alert = good;
  alert[30] = 1;
  mend_checksum(alert);
  expect_refused(alert, DropReason::kIntegrityFailed);
  auto recorded = good;
  recorded[23] = 8;
  std::ranges::copy(hex("0a000001"), recorded.begin() + 24);
  mend_checksum(recorded);
  EXPECT_EQ(b.receive(recorded).delivered.size(), 1U);
}

TEST_F(Ah, RoutersMayChangeWhatIsMutableInIpv6) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport, true));
  const auto clear =
      hex("628abcde001d004020010db800000000000000000000000120010db8000000000000000000000002"
          "1101050200003e0601020304050601009c419c42000d111100070e151c");
  const auto good = send_one(clear);
  auto alert = good;
  alert[44] = 7;
  expect_refused(alert, DropReason::kIntegrityFailed);
  auto length = good;
  length[47] ^= 2;  // of the mutable option: not its data
  expect_refused(length, DropReason::kUnknownOption);
  auto passed = good;
  store_be32(passed.data(), 0x6ff00001U);  // traffic class and flow label
  passed[7] = 1;
  passed[50] = 99;
  EXPECT_EQ(b.receive(passed).delivered.size(), 1U);
}

TEST_F(Ah, ASourceRouteIsSeenFromItsEnd) {
  auto o = ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport);
  o.right = {"192.0.2.2/32", "192.0.2.9/32"};
  connect(o);
  // Loose source route through the second gateway itself: 131, 7 octets, pointer 4, last address 192.0.2.2.
  Bytes header = hex("470000241234000040110000c0000201c0000202830704c000020200");
  append(header, hex("9c419c4200080000"));
  mend_checksum(header);
  auto packet = send_one(header);
  // It arrives with the pointer behind the last address and another one recorded.
  packet[22] = 8;
  std::ranges::copy(hex("c0000201"), packet.begin() + 23);
  mend_checksum(packet);
  EXPECT_EQ(b.receive(packet).delivered.size(), 1U);
}

TEST_F(Ah, ARoutingHeaderIsSeenFromItsEnd) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport, true));
  const auto udp = hex("9c419c42000d111100070e151c");
  // Type 2 (RFC 6275), one address left: the destination and that address change places on the way.
  Bytes routing = hex("1102020100000000");
  append(routing, IpAddress::parse("2001:db8::2")->bytes());
  append(routing, udp);
  auto packet = send_one(ip_packet("2001:db8::1", "2001:db8::2", 43, routing));
  ASSERT_EQ(packet[40], 51) << "AH stands behind the routing header";
  packet[43] = 0;
  EXPECT_EQ(b.receive(packet).delivered.size(), 1U);
  Bytes strange = hex("1102040100000000");
  append(strange, IpAddress::parse("2001:db8::2")->bytes());
  append(strange, udp);
  const auto sent = a.send(ip_packet("2001:db8::1", "2001:db8::2", 43, strange));
  EXPECT_EQ(sent.dropped, std::vector{DropReason::kUnknownOption});
}

// ---- sizes
TEST_F(Ah, TransportPacketsAreCutBehindAh) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport));
  const auto clear = udp_packet("192.0.2.1", "192.0.2.2", 1460);
  const auto sent = a.send(clear);
  ASSERT_EQ(sent.sent.size(), 2U);
  Bytes whole;
  for (const auto& piece : sent.sent) {
    EXPECT_LE(piece.esp[0].size(), 1500U);
    EXPECT_EQ(load_be16(&piece.esp[0][4]), 0x1234);
    append(whole, ByteView(piece.esp[0]).subspan(whole.empty() ? 0 : 20));
  }
  store_be16(&whole[2], static_cast<std::uint16_t>(whole.size()));
  store_be16(&whole[6], 0);
  mend_checksum(whole);
  EXPECT_EQ(b.receive(whole).packets(), std::vector<Bytes>{clear});
  const auto refused = a.send(udp_packet("192.0.2.1", "192.0.2.2", 1460, {.dont_fragment = true}));
  EXPECT_EQ(refused.dropped, std::vector{DropReason::kTooBig});
  EXPECT_EQ(refused.delivered.size(), 1U) << "ICMP tells what fits";
  EXPECT_EQ(load_be16(&refused.delivered[0].packet[26]), 1500 - 28);
}

TEST_F(Ah, TunnelPacketsThatFitExactlyGoWhole) {
  connect(ah());
  const auto mtu = a.engine.dump(false).sas[1].inner_mtu;
  EXPECT_EQ(mtu, 1500U - 20 - 28);
  EXPECT_EQ(send_one(udp_packet("10.1.0.5", "10.2.0.7", mtu - 28)).size(), 1500U);
  EXPECT_EQ(a.send(udp_packet("10.1.0.5", "10.2.0.7", mtu - 27)).sent.size(), 2U) << "cut before the tunnel";
}

TEST_F(Ah, SuperPacketsOfTheDeviceAreCut) {
  connect(ah());
  TcpOptions tcp;
  tcp.payload = pattern(4000);
  const auto sent = a.send(tcp_packet("10.1.0.5", "10.2.0.7", tcp),
                           {.gso = Offload::Gso::kTcpV4, .header_octets = 40, .segment_octets = 1412});
  ASSERT_EQ(sent.sent.size(), 3U);
  std::size_t octets = 0;
  for (const auto& piece : sent.sent) {
    const auto got = b.receive(piece.esp[0]);
    ASSERT_EQ(got.delivered.size(), 1U);
    EXPECT_TRUE(checksum_right(got.delivered[0].packet));
    octets += got.delivered[0].packet.size() - 40;
  }
  EXPECT_EQ(octets, 4000U);
}

// ---- what is refused
TEST_F(Ah, EspAndAhAreNotTakenForEachOther) {
  connect(ah());
  const auto good = send_one(hex(kInner));
  b.from_ah = false;
  Bytes esp(good.begin() + 24, good.end());  // SPI and sequence number in front, as in ESP
  expect_refused(esp, DropReason::kWrongProtocol);
  b.from_ah = true;
  expect_refused(hex(kInner), DropReason::kTruncated);  // no AH in it
  auto shorter = good;
  shorter[21] = 200;  // AH longer than the packet
  expect_refused(shorter, DropReason::kTruncated);
  auto other = good;
  other[25] = 9;
  expect_refused(other, DropReason::kUnknownSpi);
  auto padded = good;
  padded[21] = 2;
  expect_refused(padded, DropReason::kBadPadding);
  EXPECT_EQ(b.receive(good).delivered.size(), 1U);
}

TEST_F(Ah, NoNatNoCompressionNoCipher) {
  using enum model::Direction;
  auto o = ah();
  o.udp = true;
  EXPECT_NE(a.engine.install_sa(spec(o, true, kOutbound), a.now).error().message.find("cannot pass a NAT"),
            std::string::npos);
  o = ah();
  o.ipcomp = true;
  EXPECT_FALSE(a.engine.install_sa(spec(o, true, kOutbound), a.now));
  o = ah();
  o.encryption = model::EncryptionId::kAesCbc;
  o.encryption_bits = 128;
  EXPECT_NE(a.engine.install_sa(spec(o, true, kOutbound), a.now).error().message.find("encrypts nothing"),
            std::string::npos);
  o = ah(IntegrityId::kNone);
  EXPECT_FALSE(a.engine.install_sa(spec(o, true, kOutbound), a.now));
  connect(ah());
  EXPECT_FALSE(a.engine.update_endpoints(kChild, {ip("192.0.2.1"), 4500}, {ip("192.0.2.2"), 4500}, true));
  EXPECT_TRUE(a.engine.update_endpoints(kChild, {ip("192.0.2.1"), 0}, {ip("192.0.2.3"), 0}, false));
  Verdicts verdicts;
  EXPECT_FALSE(a.engine.send_dummy(kChild, 100, a.now, verdicts));
}

TEST_F(Ah, SelectorsHold) {
  auto o = ah();
  connect(o);
  const auto sneaked = send_one(hex(kInner));
  ok(b.engine.set_selectors(kChild, selectors({"10.2.0.0/16"}), selectors({"10.9.0.0/16"}), false));
  expect_refused(sneaked, DropReason::kSelectorMismatch);
}

TEST_F(Ah, RandomOctetsDoNoHarm) {
  connect(ah(IntegrityId::kHmacSha2_256_128, Mode::kTransport, true));
  const auto good = send_one(udp_packet("2001:db8::1", "2001:db8::2", 40));
  SeededRandom random(7);
  for (int i = 0; i < 20000; ++i) {
    auto packet = good;
    for (int n = 0; n < 3; ++n) packet[random.below(packet.size())] = static_cast<std::uint8_t>(random.below(256));
    packet.resize(random.below(packet.size()) + 1);
    (void)b.receive(packet);
  }
}

}  // namespace
}  // namespace cygnet::engine::test
