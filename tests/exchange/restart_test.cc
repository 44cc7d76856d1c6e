// SPDX-License-Identifier: Apache-2.0
// The ike process dies and another one adopts what the data plane still holds.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

TEST(Restart, TheNextProcessGoesOnWhereTheFirstStopped) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto before = e.a().endpoint().status().at(0);
  e.a().crash();
  EXPECT_TRUE(e.packet(e.a(), e.b()));  // the data plane lives on
  e.advance(5s);
  e.a().restart(e.now());
  e.run();
  const auto after = e.a().endpoint().status();
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].spi_i, before.spi_i);
  EXPECT_EQ(after[0].connection, "tun");
  EXPECT_EQ(after[0].remote_id, "b.test");
  ASSERT_EQ(after[0].children.size(), 1U);
  EXPECT_EQ(after[0].children[0].spi_in, before.children.at(0).spi_in);
  e.expect_tunnel();
  // It can do all that the first one could.
  e.rekey_child(e.a());
  e.run();
  e.rekey_ike(e.a());
  e.run();
  e.rekey_child(e.b());
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
  e.terminate(e.a());
  e.run();
  e.advance_and_run(60s);
  e.expect_nothing_left();
}

TEST(Restart, TheResponderToo) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.b().crash();
  e.b().restart(e.now());
  e.run();
  e.rekey_child(e.a());
  e.run();
  e.rekey_child(e.b());
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
}

TEST(Restart, BothAtOnce) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().crash();
  e.b().crash();
  e.a().restart(e.now());
  e.b().restart(e.now());
  e.run();
  e.rekey_child(e.b());
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

TEST(Restart, ADuplicateRequestIsAnsweredFromTheAdoptedCache) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight request = e.drop("CREATE_CHILD_SA request");
  e.inject(request);
  const Flight answer = e.drop("CREATE_CHILD_SA response");
  e.b().crash();
  e.b().restart(e.now());
  (void)e.run();
  e.inject(request);
  const Flight again = e.drop("CREATE_CHILD_SA response");
  EXPECT_EQ(again.bytes, answer.bytes);
  e.inject(again);
  e.run();
  e.advance_and_run(120s);
  e.expect_tunnel();
}

// The process dies between any two actions of a whole life; whatever stage the exchange was in, the two sides end up
// with one working tunnel, without anybody's help but retransmission, liveness checks and the wish to keep it up.
TEST(Restart, AtAnyMoment) {
  auto a = tunnel("tun");
  a.children[0].start = model::StartAction::kStart;
  a.dpd_delay_s = 20;
  a.dpd_action = model::DeadPeerAction::kRestart;
  a.keying_tries = 0;
  a.retransmit_timeout_ms = 15000;
  auto b = mirrored(a);
  b.children[0].start = model::StartAction::kAdd;
  b.dpd_action = model::DeadPeerAction::kClear;
  for (const bool crash_a : {true, false}) {
    for (int after = 0; after < 60; ++after) {
      SCOPED_TRACE((crash_a ? "A dies after " : "B dies after ") + std::to_string(after) + " actions");
      Exchange e(a, b);
      Side& victim = crash_a ? e.a() : e.b();
      victim.crash_after_actions = after;
      e.advance_and_run(2s);
      e.rekey_child(e.a());
      e.advance_and_run(2s);
      e.rekey_ike(e.b());
      e.advance_and_run(2s);
      e.rekey_child(e.b());
      e.advance_and_run(2s);
      if (!victim.alive()) victim.restart(e.now());
      victim.crash_after_actions = -1;
      for (int i = 0; i < 40; ++i) {
        e.packet(e.a(), e.b());
        e.packet(e.b(), e.a());
        e.advance_and_run(10s);
      }
      EXPECT_TRUE(e.packet(e.a(), e.b()));
      EXPECT_TRUE(e.packet(e.b(), e.a()));
      EXPECT_EQ(e.a().endpoint().status().size(), 1U);
      EXPECT_EQ(e.b().endpoint().status().size(), 1U);
      EXPECT_EQ(e.a().plane.count(model::Direction::kInbound), 1U);
      EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), 1U);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(Restart, SasWithoutTheirIkeSaAreRemoved) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().crash();
  e.a().checkpoints.clear();
  e.a().restart(e.now());
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
  EXPECT_EQ(e.a().endpoint().status().size(), 0U);
}

TEST(Restart, ChildrenWithoutTheirSasAreForgotten) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().crash();
  e.a().plane.clear();
  e.a().restart(e.now());
  e.run();
  e.advance_and_run(60s);
  // B learns of it one way or the other: no side believes in a child the other does not have.
  EXPECT_EQ(e.a().plane.count(model::Direction::kInbound), e.b().plane.count(model::Direction::kOutbound));
}

TEST(Restart, ADamagedCheckpointIsRefused) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  ASSERT_EQ(e.a().checkpoints.size(), 1U);
  const auto good = e.a().checkpoints;
  const auto sas = e.a().plane;
  const Bytes& value = good.begin()->second;
  for (std::size_t n = 0; n < value.size(); n += 1 + value.size() / 200) {
    e.a().crash();
    e.a().plane = sas;
    e.a().checkpoints = good;
    e.a().checkpoints.begin()->second.resize(n);
    e.a().restart(e.now());
    e.run();
    EXPECT_EQ(e.a().endpoint().status().size(), 0U) << n;
    EXPECT_EQ(e.a().plane.entries().size(), 0U) << n;
  }
  // A damaged address may lead anywhere.
  e.a().on_send = nullptr;
  SeededRandom random(5);
  for (int i = 0; i < 300; ++i) {
    e.a().crash();
    e.a().plane = sas;
    e.a().checkpoints = good;
    auto& bytes = e.a().checkpoints.begin()->second;
    for (int k = 0; k < 3; ++k) bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.u32());
    e.a().restart(e.now());  // whatever it makes of it, it does not fall over
    e.run();
  }
}

}  // namespace
}  // namespace cygnet::test
