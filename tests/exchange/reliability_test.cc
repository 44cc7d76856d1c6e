// SPDX-License-Identifier: Apache-2.0
// Loss, duplicates, windows, silence (RFC 7296 sections 2.1 to 2.4).
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

TEST(Retransmission, BacksOffAndGivesUp) {
  auto connection = tunnel("tun");
  connection.retransmit_first_ms = 500;
  connection.retransmit_timeout_ms = 60000;
  Exchange e(connection);
  std::vector<Instant> sent;
  Bytes first;
  e.on_wire = [&](Flight& flight) {
    if (sent.empty()) first = flight.bytes;
    // RFC 7296 section 2.1: "A retransmission from the initiator MUST be bitwise identical to the original request."
    EXPECT_EQ(flight.bytes, first);
    sent.push_back(e.now());
    return false;
  };
  e.initiate(e.a());
  const Instant start = e.now();
  e.advance(120s);
  ASSERT_GE(sent.size(), 5U);
  ASSERT_LE(sent.size(), 20U);
  Duration previous{};
  for (std::size_t i = 1; i < sent.size(); ++i) {
    const Duration gap = sent[i] - sent[i - 1];
    EXPECT_GE(gap, 300ms) << i;
    // Section 2.4: "the retransmission times MUST increase exponentially"; the last gaps may be cut by the time-out.
    if (i > 1 && i < 5) {
      EXPECT_GT(gap, previous) << i;
    }
    previous = gap;
  }
  EXPECT_LE(sent.back() - start, 61s);
  EXPECT_FALSE(last_done(e.a()).ok);
  e.expect_nothing_left();
}

TEST(Retransmission, EveryMessageMayBeLostOnce) {
  // In any of the exchanges of a life, losing any one message once changes nothing in the end.
  for (int lost = 0; lost < 14; ++lost) {
    Exchange e(tunnel("tun"));
    int count = 0;
    e.on_wire = [&](Flight&) { return count++ != lost; };
    e.initiate(e.a());
    e.advance_and_run(20s);
    e.rekey_child(e.a());
    e.advance_and_run(20s);
    e.rekey_ike(e.b());
    e.advance_and_run(60s);
    e.expect_tunnel(1);
    EXPECT_EQ(e.a().endpoint().status().size(), 1U) << lost;
    EXPECT_EQ(e.b().endpoint().status().size(), 1U) << lost;
  }
}

TEST(Retransmission, EveryMessageMayComeTwice) {
  Exchange e(tunnel("tun"));
  std::vector<Flight> copies;
  e.on_wire = [&](Flight& flight) {
    copies.push_back(flight);
    return true;
  };
  const auto replay_all = [&] {
    const auto now_known = copies;
    for (const auto& copy : now_known) e.inject(copy);
  };
  e.initiate(e.a());
  for (int i = 0; i < 40 && !e.in_the_air().empty(); ++i) {
    e.deliver();
    replay_all();
    copies.resize(std::min<std::size_t>(copies.size(), 8));
  }
  // The repeated IKE_SA_INIT request made a half-open SA, which nobody finishes.
  EXPECT_EQ(e.b().endpoint().counters().established, 1U);
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.expect_tunnel(1);
}

TEST(Duplicates, AreAnsweredFromTheCacheBitByBit) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight request = e.drop("CREATE_CHILD_SA request");
  e.inject(request);
  const Flight answer = e.drop("CREATE_CHILD_SA response");
  e.inject(request);
  const Flight again = e.drop("CREATE_CHILD_SA response");
  EXPECT_EQ(answer.bytes, again.bytes);
  EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), 2U);  // processed once
  EXPECT_GE(e.b().endpoint().counters().retransmits_answered, 1U);
  e.inject(again);
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(Duplicates, OldOnesAreDropped) {
  Exchange e(tunnel("tun"));
  std::vector<Flight> all;
  e.on_wire = [&](Flight& flight) {
    all.push_back(flight);
    return true;
  };
  e.bring_up();
  e.rekey_child(e.a());
  e.run();
  e.advance_and_run(60s);
  const auto before = e.a().plane.specs().size();
  const auto copies = all;
  for (const auto& flight : copies) e.inject(flight);
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().plane.specs().size(), before);
  e.expect_tunnel(1);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
}

TEST(Window, OneRequestAtATime) {
  // RFC 7296 section 2.3: the window is 1 unless SET_WINDOW_SIZE says more.
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  e.rekey_ike(e.a());
  e.terminate(e.a(), "tun", "tun");
  EXPECT_EQ(e.in_the_air().size(), 1U);
  (void)e.drop();
  e.advance_and_run(300s);
  EXPECT_EQ(e.a().endpoint().status().size(), e.b().endpoint().status().size());
  e.expect_no_faults();
}

TEST(Window, MessageIdsOutsideItAreIgnored) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto status = e.a().endpoint().status().at(0);
  for (const std::uint32_t id : {3U, 5U, 1000U, 0xffffffffU}) {
    wire::ike::Header header;
    header.spi_i = status.spi_i;
    header.spi_r = status.spi_r;
    header.exchange = wire::ike::ExchangeType::kInformational;
    header.initiator = true;
    header.message_id = MessageId{id};
    const auto request = e.a().keys().seal(header, {wire::ike::DeletePayload{model::Protocol::kIke, {}}});
    ASSERT_TRUE(request);
    e.inject(e.b(), e.b().endpoint().status().at(0).path, *request);
    EXPECT_EQ(e.b().endpoint().status().size(), 1U) << id;
    // INVALID_MESSAGE_ID may be told in a request of its own (RFC 7296 section 2.3), never in a response.
    for (const auto& arrow : e.in_the_air()) EXPECT_FALSE(contains(arrow, "response")) << arrow;
    e.run();
  }
  e.expect_tunnel(1);
}

TEST(Liveness, AQuietPeerIsAskedAndAnswers) {
  auto connection = tunnel("tun");
  connection.dpd_delay_s = 30;
  Exchange e(connection, mirrored(tunnel("tun")));
  e.bring_up();
  e.expect_tunnel();  // packets both ways: no need to ask for a while
  EXPECT_EQ(e.advance_and_run(29s), std::vector<std::string>{});
  const auto asked = e.advance_and_run(10s);
  EXPECT_EQ(asked, (std::vector<std::string>{"A -> B INFORMATIONAL request 2:", "A <- B INFORMATIONAL response 2:"}));
}

TEST(Liveness, TrafficIsAnswerEnough) {
  auto connection = tunnel("tun");
  connection.dpd_delay_s = 30;
  Exchange e(connection, mirrored(tunnel("tun")));
  e.bring_up();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(e.packet(e.b(), e.a()));
    EXPECT_EQ(e.advance_and_run(10s), std::vector<std::string>{});
  }
}

TEST(Liveness, ADeadPeerIsForgotten) {
  auto connection = tunnel("tun");
  connection.dpd_delay_s = 30;
  connection.dpd_action = model::DeadPeerAction::kClear;
  connection.retransmit_timeout_ms = 20000;
  Exchange e(connection, mirrored(tunnel("tun")));
  e.bring_up();
  e.on_wire = [](Flight&) { return false; };
  e.advance_and_run(120s);
  EXPECT_EQ(e.a().endpoint().status().size(), 0U);
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
  ASSERT_FALSE(e.a().child_downs.empty());
  EXPECT_FALSE(e.a().child_downs.back().replaced);
  EXPECT_FALSE(e.a().child_downs.back().reason.empty());
}

// dpdaction=hold: what the child protects is held before its SAs go, so nothing of it leaves in between.
TEST(Liveness, OfADeadPeerWhatWasProtectedIsHeld) {
  using model::DeadPeerAction;
  const auto holds = [](DeadPeerAction action, bool killed = true, bool from_anywhere = false) {
    auto connection = tunnel("tun");
    if (from_anywhere) {
      connection.remote.host = {};
      connection.remote.host.kind = model::HostSpec::Kind::kAny;
    }
    connection.dpd_delay_s = 30;
    connection.dpd_action = action;
    connection.retransmit_timeout_ms = 20000;
    Exchange e(connection, mirrored(tunnel("tun")));
    e.initiate(from_anywhere ? e.b() : e.a());
    e.run();
    EXPECT_EQ(e.a().plane.entries().size(), 2U);
    if (killed) {
      e.on_wire = [](Flight&) { return false; };
      e.advance_and_run(120s);
      EXPECT_EQ(e.a().plane.entries().size(), 0U);
    } else {
      e.b().endpoint().terminate(e.now(), "tun", "");
      e.run();
    }
    return e.a().holds;
  };
  const std::vector<std::pair<std::string, std::size_t>> none, once{{"tun", 2}};
  EXPECT_EQ(holds(DeadPeerAction::kHold), once);
  EXPECT_EQ(holds(DeadPeerAction::kRestart), once);
  EXPECT_EQ(holds(DeadPeerAction::kClear), none);
  EXPECT_EQ(holds(DeadPeerAction::kHold, false), none) << "the peer took it down";
  EXPECT_EQ(holds(DeadPeerAction::kHold, true, true), once) << "and can bring it up again";
}

TEST(Liveness, ADeadPeerThatComesBackIsCalledAgain) {
  auto connection = tunnel("tun");
  connection.dpd_delay_s = 10;
  connection.dpd_action = model::DeadPeerAction::kRestart;
  connection.retransmit_timeout_ms = 10000;
  connection.keying_tries = 0;
  connection.children[0].start = model::StartAction::kStart;
  auto b = mirrored(connection);
  b.children[0].start = model::StartAction::kAdd;
  Exchange e(connection, b);
  e.advance_and_run(5s);
  e.expect_tunnel();
  e.b().lose_power();
  e.advance_and_run(100s);
  e.b().restart(e.now());
  e.advance_and_run(300s);
  e.expect_tunnel();
}

// A packet that is held meanwhile asks for the tunnel, too, and is told soon that there is none: the calls go on.
TEST(Liveness, APacketThatAsksDoesNotEndTheCalls) {
  auto connection = tunnel("tun");
  connection.dpd_delay_s = 10;
  connection.dpd_action = model::DeadPeerAction::kRestart;
  connection.retransmit_timeout_ms = 10000;
  connection.keying_tries = 0;
  connection.children[0].start = model::StartAction::kAdd;
  auto b = mirrored(connection);
  b.dpd_action = model::DeadPeerAction::kClear;
  const std::pair packet{*model::TrafficSelector::parse("10.1.0.5/32"), *model::TrafficSelector::parse("10.2.0.5/32")};
  // Between two calls, and during one.
  for (const auto until_it : {59s, 64s, 70s, 75s}) {
    Exchange e(connection, b);
    e.initiate(e.a());
    e.advance_and_run(5s);
    e.expect_tunnel();
    e.b().lose_power();
    e.advance_and_run(until_it);
    e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.initiate(e.now(), "tun", "tun", packet); });
    e.advance_and_run(600s);
    e.b().restart(e.now());
    e.advance_and_run(300s);
    e.expect_tunnel();
  }
}

TEST(InitialContact, TheNewSaReplacesTheOldOne) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().lose_power();
  e.a().restart(e.now());
  e.initiate(e.a());
  const auto arrows = e.run();
  // B closes the SA that the old A had; the new A does not know it.
  EXPECT_TRUE(
      std::ranges::any_of(arrows, [](const auto& s) { return contains(s, "A <- B INFORMATIONAL request 0: D(IKE)"); }));
  e.advance_and_run(60s);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.expect_tunnel(1);
  EXPECT_EQ(e.b().child_downs.size(), 1U);
}

// Its IKE process and the machine's other state are gone, its data plane (a kernel's, say) is not.
TEST(InitialContact, ThePeersDataPlaneMayGoOnUntilItHasTheNewSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  auto kept = e.a().plane;
  const auto theirs = kept.outbound("tun", "tun")->spec;
  std::optional<model::ChildId> activated;
  e.a().lose_power();
  e.a().restart(e.now());
  e.initiate(e.a());
  for (const auto* part : {"IKE_SA_INIT request", "IKE_SA_INIT response", "IKE_AUTH request"}) e.deliver(part);
  const auto answer = e.drop("IKE_AUTH response");
  // A does not know yet: what it sends is read.
  EXPECT_TRUE(e.b().plane.receive(theirs, e.now(), activated));
  EXPECT_FALSE(activated);
  e.inject(answer);
  e.run();
  // Packets sent before that arrive still.
  EXPECT_TRUE(e.b().plane.receive(theirs, e.now(), activated));
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  e.advance_and_run(6s);
  EXPECT_FALSE(e.b().plane.receive(theirs, e.now(), activated));
  e.expect_tunnel(1);
  EXPECT_EQ(e.b().child_downs.size(), 1U);
}

}  // namespace
}  // namespace cygnet::test
