// SPDX-License-Identifier: Apache-2.0
// The end of the sequence number space, which no test reaches by sending.
#include "engine/state.h"
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

class SequenceEnd : public TwoGateways {
 protected:
  // One outbound SA that has sent `sent` packets.
  void begin(bool esn, std::uint64_t sent) {
    TunnelOptions o;
    o.esn = esn;
    state_.devices = {"ipsec0"};
    state_.spd.install(policy(o, true), 0);
    auto sa = std::make_unique<OutboundSa>();
    sa->spec = spec(o, true, model::Direction::kOutbound);
    sa->cipher = crypto::create_esp_cipher(sa->spec).value();
    sa->iv_octets = static_cast<std::uint8_t>(sa->cipher->iv_octets());
    sa->icv_octets = static_cast<std::uint8_t>(sa->cipher->icv_octets());
    sa->limits = SaLimits::of(sa->spec);
    sa->inner_mtu = 1400;
    sa->sequence = sent;
    sa->packets = sent;
    sa->refresh();
    state_.sad.insert(std::move(sa));
  }
  Outcome send(std::size_t packets) {
    std::vector<Bytes> bytes(packets, udp_packet("10.1.0.5", "10.2.0.6", 5));
    std::vector<OutPacket> burst;
    for (auto& p : bytes) burst.push_back({p, {}, 0});
    Verdicts verdicts;
    run_outbound(state_, burst, false, Instant{1h}, verdicts);
    return outcome_of(verdicts);
  }

  SeededRandom random_{1};
  EngineState state_{EngineSettings{}, random_};
};

TEST_F(SequenceEnd, WithoutEsnTheLastNumberIsUsedAndNoneAfterIt) {
  begin(false, 0xfffffffeU);
  const auto outcome = send(3);
  ASSERT_EQ(outcome.esp().size(), 1U);
  EXPECT_EQ(load_be32(outcome.esp()[0].data() + 4), 0xffffffffU);
  EXPECT_EQ(outcome.dropped, (std::vector{DropReason::kSequenceExhausted, DropReason::kSequenceExhausted}));
  ASSERT_EQ(state_.events.size(), 1U);
  EXPECT_FALSE(std::get<SaExpiringEvent>(state_.events[0]).hard);
}

TEST_F(SequenceEnd, ANewSaIsAskedForLongBefore) {
  begin(false, 0xefffffffU);
  EXPECT_EQ(send(1).esp().size(), 1U);
  EXPECT_EQ(state_.events.size(), 1U);
}

TEST_F(SequenceEnd, WithEsnTheLowHalfWrapsAndThePeerFollows) {
  begin(true, 0xfffffffeU);
  TunnelOptions o;
  o.esn = true;
  ok(b.engine.install_sa(spec(o, true, model::Direction::kInbound), b.now));
  // Bring the peer's window near the boundary.
  auto near =
      seal_by_hand(spec(o, true, model::Direction::kOutbound), 0xfffffff0U, udp_packet("10.1.0.5", "10.2.0.6", 5), 4);
  ASSERT_EQ(b.receive(near).dropped, std::vector{DropReason::kReplayOld})
      << "RFC 4303 A2.1: looks like the subspace below";
  auto half =
      seal_by_hand(spec(o, true, model::Direction::kOutbound), 0x80000000U, udp_packet("10.1.0.5", "10.2.0.6", 5), 4);
  ASSERT_EQ(b.receive(half).delivered.size(), 1U);
  ASSERT_EQ(b.receive(near).delivered.size(), 1U);
  const auto esp = send(3).esp();
  ASSERT_EQ(esp.size(), 3U);
  EXPECT_EQ(load_be32(esp[0].data() + 4), 0xffffffffU);
  EXPECT_EQ(load_be32(esp[1].data() + 4), 0U);
  EXPECT_EQ(load_be32(esp[2].data() + 4), 1U);
  EXPECT_EQ(b.receive_all(esp).delivered.size(), 3U);
  EXPECT_EQ(counters(b.engine, model::Direction::kInbound).sequence, 0x100000001U);
}

}  // namespace
}  // namespace cygnet::engine::test
