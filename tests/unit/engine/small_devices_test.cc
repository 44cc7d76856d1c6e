// SPDX-License-Identifier: Apache-2.0
// Devices with minimal ESP (RFC 9333): what they are allowed to send, and what they need not understand.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

// b is the gateway; what arrives there is written by hand.
class SmallDevices : public TwoGateways {
 protected:
  void begin(bool esn, std::uint32_t window = 64) {
    options_.esn = esn;
    options_.replay_window = window;
    options_.encryption = model::EncryptionId::kAesCcm8ImplicitIv;  // section 7: what such devices like best
    connect(options_);
  }
  [[nodiscard]] Bytes packet(std::uint64_t sequence) const {
    return seal_by_hand(spec(options_, true, model::Direction::kOutbound), sequence, clear_, wire::protocol::kIpv4);
  }
  // "delivered", or why not.
  std::string arrives(std::uint64_t sequence) {
    const auto got = b.receive(packet(sequence));
    if (got.delivered.size() == 1 && got.delivered[0].packet == clear_) return "delivered";
    return got.dropped.size() == 1 ? std::string(info(got.dropped[0]).name) : "nothing";
  }

  TunnelOptions options_;
  Bytes clear_ = udp_packet("10.1.0.5", "10.2.0.7", 3);
};

// Section 3: the sequence number "MUST" only increase; a clock may be where it comes from.
TEST_F(SmallDevices, SequenceNumbersFromAClockOfSeconds) {
  begin(false);
  EXPECT_EQ(arrives(1'795'000'000), "delivered") << "the first packet of the SA";
  EXPECT_EQ(arrives(1'795'000'001), "delivered");
  EXPECT_EQ(arrives(1'795'000'001), "replay-seen");
  EXPECT_EQ(arrives(1'795'086'401), "delivered") << "it slept for a day";
  EXPECT_EQ(arrives(1'795'086'400), "delivered") << "overtaken on the way, within the window";
  EXPECT_EQ(arrives(1'795'086'337), "replay-old");
  EXPECT_EQ(arrives(1'795'000'002), "replay-old");
  EXPECT_EQ(arrives(0xffffffff), "delivered");
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).packets, 5U);
}

TEST_F(SmallDevices, StepsOfAnySizeWithEveryWindow) {
  for (const std::uint32_t window : {0U, 32U, 65536U}) {
    begin(false, window);
    std::uint64_t sequence = 1;
    for (unsigned power = 0; power < 31; ++power) {
      EXPECT_EQ(arrives(sequence), "delivered") << "window " << window << " number " << sequence;
      sequence += std::uint64_t{1} << power;
    }
    disconnect();
  }
}

// RFC 4303 appendix A: the high half is inferred, so a step has to be less than 2^32, the first one too.
TEST_F(SmallDevices, WithExtendedNumbersAClockOfMicroseconds) {
  begin(true);
  EXPECT_EQ(arrives(0xf0000000), "delivered");
  EXPECT_EQ(arrives(0x1'70000000), "delivered") << "36 minutes later";
  EXPECT_EQ(arrives(0x2'6fffff00), "delivered") << "71 minutes later";
  EXPECT_EQ(arrives(0x3'7fffff00), "integrity-failed") << "more than 2^32 later: it looks like another number";
  EXPECT_EQ(arrives(0x3'0fffff00), "delivered") << "and nothing is lost by that";
}

// Section 5: a device need not make dummy packets, and has to drop ours; section 4: nor pad more than it must.
TEST_F(SmallDevices, ItsDummiesAreDroppedWithoutAnError) {
  begin(false);
  const auto dummy = seal_by_hand(spec(options_, true, model::Direction::kOutbound), 7, Bytes(5), 59);
  EXPECT_EQ(b.receive(dummy).dropped, std::vector{DropReason::kDummy});
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).errors, 0U);
  // Padding of zeros, whose content nobody looks at: the ICV covers it.
  Bytes trailer(wire::esp_pad_octets(clear_.size(), 4) + 2, 0);
  trailer[trailer.size() - 2] = static_cast<std::uint8_t>(trailer.size() - 2);
  trailer.back() = wire::protocol::kIpv4;
  const auto sealed = seal_by_hand(spec(options_, true, model::Direction::kOutbound), 8, clear_, 4, trailer);
  EXPECT_EQ(b.receive(sealed).packets(), std::vector<Bytes>{clear_});
}

// Section 2.1: an SPI that is not random, and the same one in a thousand devices that were made alike.
TEST_F(SmallDevices, ManyMayHaveTheSameFixedSpi) {
  options_.encryption = model::EncryptionId::kAesGcm16;
  for (std::uint8_t device = 1; device <= 3; ++device) {
    auto o = options_;
    o.left = {"10.1." + std::to_string(device) + ".0/24"};
    auto out = spec(o, false, model::Direction::kOutbound);
    out.spi = Spi{256};
    out.child = model::ChildId{device};
    out.policy = model::PolicyId{device};
    out.remote.address = ip("198.51.100." + std::to_string(device));
    ok(b.engine.install_sa(out, b.now));
    auto way = policy(o, false);
    way.id = out.policy;
    ok(b.engine.install_policy(way));
  }
  for (std::uint8_t device = 1; device <= 3; ++device) {
    const auto sent = b.send(udp_packet("10.2.0.7", "10.1." + std::to_string(device) + ".5", 3));
    ASSERT_EQ(sent.sent.size(), 1U);
    EXPECT_EQ(sent.sent[0].way.remote.address, ip("198.51.100." + std::to_string(device)));
    EXPECT_EQ(load_be32(sent.sent[0].esp[0].data()), 256U);
  }
}

}  // namespace
}  // namespace cygnet::engine::test
