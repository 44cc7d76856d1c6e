// SPDX-License-Identifier: Apache-2.0
// Diet-ESP (draft-ietf-ipsecme-diet-esp-04): exact octets computed beside the engine (Python's cryptography), loss and
// disorder, what does not go with it.
#include "engine/replay_window.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}

class Diet : public TwoGateways {
 protected:
  static TunnelOptions options(std::uint8_t sn_octets = 2) {
    TunnelOptions o;
    o.diet = {.enabled = true, .sn_octets = sn_octets};
    o.left = {"10.1.0.0/16"};
    o.right = {"10.2.0.0/16"};
    return o;
  }
  Bytes send_one(const Bytes& clear) {
    const auto sent = a.send(clear);
    EXPECT_EQ(sent.sent.size(), 1U);
    return sent.sent.size() == 1 ? sent.sent[0].esp.at(0) : Bytes{};
  }
  void refuses(const TunnelOptions& o, std::string_view why) {
    const auto refused = a.engine.install_sa(spec(o, true, model::Direction::kOutbound), a.now);
    ASSERT_FALSE(refused) << why;
    EXPECT_NE(refused.error().message.find(why), std::string::npos) << refused.error().message;
  }
};

constexpr std::string_view kInner = "45000021123400004011548a0a0100050a0200079c419c42000d000000070e151c";

TEST_F(Diet, TwoOctetsOfTheSequenceNumberAndNoTrailer) {
  connect(options());
  const auto packet = send_one(hex(kInner));
  EXPECT_EQ(to_hex(packet),
            "000010010001"
            "0000000000000001"
            "3e17471d9b604dac67dba577a54d775731939f6e26bdc51180a8420900ffbb913e11e8c202be83293b5f25fe9e51c9fbf1");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{hex(kInner)});
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).packets, 1U);
}

TEST_F(Diet, OneOctetWithExtendedSequenceNumbers) {
  auto o = options(1);
  o.esn = true;
  o.replay_window = 128;
  connect(o);
  const auto packet = send_one(hex(kInner));
  EXPECT_EQ(to_hex(packet),
            "0000100101"
            "0000000000000001"
            "3e17471d9b604dac67dba577a54d775731939f6e26bdc51180a8420900ffbb913efabebc9d67a4d98eb0f43dd2a996ad96");
  EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{hex(kInner)});
}

// With the IV in the sequence number (RFC 8750) a packet costs 6 octets and the ICV.
TEST_F(Diet, EveryCipherFamilyAndSize) {
  using E = model::EncryptionId;
  for (const auto cipher : {E::kAesGcm16, E::kAesGcm16ImplicitIv, E::kChaCha20Poly1305, E::kAesCcm8ImplicitIv}) {
    for (std::uint8_t octets = 1; octets <= 4; ++octets) {
      for (const bool udp : {false, true}) {
        for (const bool v6 : {false, true}) {
          SCOPED_TRACE(testing::Message() << static_cast<int>(cipher) << " octets " << int{octets} << " udp " << udp);
          auto o = options(octets);
          o.encryption = cipher;
          o.encryption_bits = cipher == E::kChaCha20Poly1305 ? 0 : 128;
          o.udp = udp;
          o.outer_v6 = v6;
          o.replay_window = 64;
          if (v6) {
            o.left = {"2001:db8:1::/48"};
            o.right = {"2001:db8:2::/48"};
          }
          connect(o);
          for (std::size_t size = 0; size < 9; ++size) {
            const auto clear =
                v6 ? udp_packet("2001:db8:1::5", "2001:db8:2::7", size) : udp_packet("10.1.0.5", "10.2.0.7", size);
            const auto packet = send_one(clear);
            EXPECT_EQ(packet.size(), 4U + octets + model::iv_octets(cipher) + clear.size() + model::icv_octets(cipher));
            auto damaged = packet;
            damaged.back() ^= 1;
            EXPECT_EQ(b.receive(damaged).dropped, std::vector{DropReason::kIntegrityFailed});
            EXPECT_EQ(b.receive(packet).packets(), std::vector<Bytes>{clear});
            EXPECT_EQ(b.receive(packet).dropped, std::vector{DropReason::kReplaySeen});
          }
          disconnect();
        }
      }
    }
  }
}

TEST_F(Diet, LossAndDisorderAcrossTheEndOfAnOctet) {
  auto o = options(1);
  o.replay_window = 128;
  connect(o);
  std::vector<Bytes> packets;
  for (int i = 0; i < 600; ++i) packets.push_back(send_one(udp_packet("10.1.0.5", "10.2.0.7", 20)));
  const auto arrives = [&](int number) {
    return b.receive(packets.at(static_cast<std::size_t>(number - 1))).delivered.size();
  };
  EXPECT_EQ(arrives(1), 1U);
  EXPECT_EQ(arrives(128), 1U);
  EXPECT_EQ(arrives(256), 1U);
  EXPECT_EQ(arrives(255), 1U) << "late, beyond the end of the octet";
  EXPECT_EQ(arrives(129), 1U) << "as late as may be";
  EXPECT_EQ(arrives(384), 1U) << "128 lost";
  EXPECT_EQ(arrives(512), 1U);
  EXPECT_EQ(arrives(383), 0U) << "too late: taken for a later one, and its ICV does not fit";
  EXPECT_EQ(b.drops(DropReason::kIntegrityFailed), 1U);
  EXPECT_EQ(arrives(600), 1U);
}

// RFC 4303 appendix A3: one gap that is longer than the octets tell, and it hears again after some packets.
TEST_F(Diet, AfterALongGapItHearsAgain) {
  auto o = options(1);
  o.replay_window = 64;
  connect(o);
  const auto next = [&] { return send_one(udp_packet("10.1.0.5", "10.2.0.7", 20)); };
  const auto first = next();
  EXPECT_EQ(b.receive(first).delivered.size(), 1U);
  for (int lost = 0; lost < 5000; ++lost) (void)next();
  std::size_t failed = 0;
  Bytes heard;
  while (failed < 20 && b.receive(heard = next()).delivered.empty()) ++failed;
  EXPECT_EQ(failed, 7U) << "every eighth is tried";
  EXPECT_EQ(b.receive(next()).delivered.size(), 1U) << "and from there on each";
  EXPECT_EQ(b.receive(heard).delivered.size(), 0U);
  EXPECT_EQ(b.receive(first).delivered.size(), 0U);
}

TEST_F(Diet, RoutersMayQuoteItsPackets) {
  auto o = options();
  connect(o);
  Bytes sent;
  for (int i = 0; i < 300; ++i) sent = send_one(udp_packet("10.1.0.5", "10.2.0.7", 20));
  OuterTooBig told{.remote = {ip("192.0.2.2"), 0}, .quoted_esp = sent, .mtu = 1300};
  auto never_sent = sent;
  store_be16(&never_sent[4], 301);
  told.quoted_esp = never_sent;
  EXPECT_FALSE(a.engine.on_outer_too_big(told, a.now));
  told.quoted_esp = sent;
  EXPECT_TRUE(a.engine.on_outer_too_big(told, a.now));
}

TEST_F(Diet, TooShortIsToldApart) {
  connect(options());
  const auto packet = send_one(hex(kInner));
  for (std::size_t size = 8; size < 6 + 8 + 16 + 1; ++size) {
    EXPECT_EQ(b.receive(Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size))).dropped,
              std::vector{DropReason::kTruncated})
        << size;
  }
}

TEST_F(Diet, TheInnerMtuCountsWhatIsSaved) {
  auto o = options();
  connect(o);
  EXPECT_EQ(a.engine.dump(false).sas.front().spec.diet.sn_octets, 2);
  // 1500 - 20 - (4 + 2) - 8 - 16.
  const auto largest = send_one(udp_packet("10.1.0.5", "10.2.0.7", 1450 - 28, {.dont_fragment = true}));
  EXPECT_EQ(largest.size(), 1480U);
  const auto larger = a.send(udp_packet("10.1.0.5", "10.2.0.7", 1451 - 28, {.dont_fragment = true}));
  EXPECT_EQ(larger.sent.size(), 0U);
  EXPECT_EQ(larger.dropped, std::vector{DropReason::kTooBig});
}

TEST_F(Diet, WhatDoesNotGoWithItIsRefused) {
  auto o = options();
  o.encryption = model::EncryptionId::kAesCbc;
  o.integrity = model::IntegrityId::kHmacSha2_256_128;
  refuses(o, "ciphers without blocks");
  o = options();
  o.tfc_octets = 1000;
  refuses(o, "takes no compression, padding or IP-TFS");
  o = options();
  o.left = {"10.1.0.0/16", "2001:db8:1::/48"};
  refuses(o, "or all IPv6");
  o = options();
  o.mode = model::Mode::kTransport;
  refuses(o, "tunnel mode");
  refuses(options(0), "1 to 4 octets");
  refuses(options(5), "1 to 4 octets");
}

// What stands for what, against the whole numbers.
TEST(DietSequence, IsTheNumberNearestToTheWindow) {
  for (const bool esn : {false, true}) {
    ReplayWindow window(64, esn);
    EXPECT_EQ(window.infer_of(1, 8), 1U);
    EXPECT_EQ(window.infer_of(0, 8), 0U) << "refused by check()";
    ASSERT_EQ(window.commit(1000), ReplayWindow::Verdict::kFresh);
    for (std::uint64_t number = 1000 - 63; number < 1000 - 63 + 256; ++number) {
      EXPECT_EQ(window.infer_of(number & 0xffU, 8), number);
    }
    for (const unsigned bits : {16U, 24U}) EXPECT_EQ(window.infer_of(1001, bits), 1001U);
    EXPECT_EQ(window.infer_of(1001, 32), 1001U);
  }
  ReplayWindow near_end(64, false);
  ASSERT_EQ(near_end.commit(0xfffffff0), ReplayWindow::Verdict::kFresh);
  EXPECT_EQ(near_end.infer_of(0xff, 8), 0xffffffffU);
  EXPECT_EQ(near_end.infer_of(0x01, 8), 0U) << "there is none behind the last";
  ReplayWindow none(0, true);
  EXPECT_EQ(none.infer_of(0x85, 8), 0x85U);
}

}  // namespace
}  // namespace cygnet::engine::test
