// SPDX-License-Identifier: Apache-2.0
// Deleting (RFC 7296 section 1.4.1), and what a change of configuration touches.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

TEST(Delete, TheIkeSaTakesItsChildrenAlong) {
  for (const bool by_a : {true, false}) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.terminate(by_a ? e.a() : e.b());
    if (by_a) {
      e.expect({"A -> B INFORMATIONAL request 2: D(IKE)", "A <- B INFORMATIONAL response 2:"});
    } else {
      e.expect({"A <- B INFORMATIONAL request 0: D(IKE)", "A -> B INFORMATIONAL response 0:"});
    }
    e.expect_nothing_left();
    ASSERT_EQ(e.a().child_downs.size(), 1U);
    EXPECT_FALSE(e.a().child_downs[0].replaced);
    ASSERT_EQ(e.b().child_downs.size(), 1U);
    ASSERT_EQ(e.a().ike_downs.size(), 1U);
    ASSERT_EQ(e.b().ike_downs.size(), 1U);
  }
}

TEST(Delete, OneChildOfTwo) {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  Exchange e(connection);
  e.bring_up();
  e.terminate(e.a(), "tun", "lab");
  e.expect({"A -> B INFORMATIONAL request 3: D(ESP)", "A <- B INFORMATIONAL response 3: D(ESP)"});
  e.advance_and_run(60s);
  e.expect_tunnel(1);
  EXPECT_FALSE(e.packet(e.a(), e.b(), "tun", "lab"));
}

// The answer to IKE_AUTH must not be taken for another child's.
TEST(Delete, OfTheChildThatIkeAuthAsksFor) {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  Exchange e(connection);
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  e.expect_in_the_air({kAuthExchange[0]});
  e.terminate(e.a(), "tun", "tun");
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel(1, "tun", "lab");
  for (const auto& spec : e.a().plane.specs()) {
    EXPECT_EQ(spec.child_name, "lab");
    EXPECT_EQ(model::to_string(spec.remote_selectors), "10.7.0.0/16");
  }
}

TEST(Delete, NamesTheSpiTheSenderReceivesOnAndIsAnsweredWithTheOther) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto status = e.a().endpoint().status().at(0).children.at(0);
  auto connection = tunnel("tun");
  e.rekey_child(e.a());
  e.deliver();
  e.deliver();
  const Flight request = e.drop("INFORMATIONAL request");
  const auto* asked = wire::ike::find_payload<wire::ike::DeletePayload>(request.decoded.payloads);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->spis, std::vector{status.spi_in});
  e.inject(request);
  const Flight response = e.drop("INFORMATIONAL response");
  const auto* answered = wire::ike::find_payload<wire::ike::DeletePayload>(response.decoded.payloads);
  ASSERT_NE(answered, nullptr);
  EXPECT_EQ(answered->spis, std::vector{status.spi_out});
}

TEST(Delete, ShutDownTellsThePeer) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().act(e.now(), [&](ike::IkeEndpoint& endpoint) { endpoint.shut_down(e.now()); });
  e.run();
  EXPECT_EQ(e.b().endpoint().status().size(), 0U);
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
}

TEST(Delete, AKeptUpConnectionComesBackAfterThePeerDeletedIt) {
  auto connection = tunnel("tun");
  connection.children[0].start = model::StartAction::kStart;
  connection.keying_tries = 0;
  connection.dpd_action = model::DeadPeerAction::kRestart;
  auto b = mirrored(connection);
  b.children[0].start = model::StartAction::kAdd;
  Exchange e(connection, b);
  e.advance_and_run(5s);
  e.expect_tunnel();
  e.terminate(e.b());
  e.advance_and_run(300s);
  e.expect_tunnel();
}

// Found by the simulator (seed 18145): the lifetime ends while a request is unanswered, so the Delete must wait.
TEST(Delete, EndOfLifeWhileARequestIsUnanswered) {
  auto connection = tunnel("tun");
  connection.ike_lifetime_s = 100;
  connection.rekey = false;
  Exchange e(connection);
  e.bring_up();
  e.advance_and_run(95s);
  e.rekey_child(e.a());
  EXPECT_EQ(e.in_the_air().size(), 1U);
  const Flight late = e.drop();
  e.on_wire = [](Flight&) { return false; };
  e.advance(6s);
  EXPECT_EQ(std::ranges::count(e.a().reports, "ike-expired", &ike::Report::event), 1);
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
  e.advance(60s);
  e.expect_nothing_left();
}

TEST(Configure, NothingChangedNothingHappens) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto before = e.a().endpoint().status().at(0);
  e.a().configure(e.now(), {tunnel("tun")}, {secret("s3cret")});
  EXPECT_EQ(e.advance_and_run(60s), std::vector<std::string>{});
  EXPECT_EQ(e.a().endpoint().status().at(0).spi_i, before.spi_i);
  e.expect_tunnel();
}

TEST(Configure, AnotherLineOfTheFileIsNoOtherConnection) {
  auto connection = tunnel("tun");
  connection.source = "ipsec.conf:3";
  Exchange e(connection);
  e.bring_up();
  const auto before = e.a().endpoint().status().at(0);
  connection.source = "ipsec.conf:4";
  e.a().configure(e.now(), {connection}, {secret("s3cret")});
  EXPECT_EQ(e.advance_and_run(60s), std::vector<std::string>{});
  EXPECT_EQ(e.a().endpoint().status().at(0).spi_i, before.spi_i);
  e.expect_tunnel();
}

// A has a tunnel to B ("tun") and one to C ("two").
struct TwoTunnels {
  model::Connection first = tunnel("tun");
  model::Connection second = tunnel("two");
  model::SharedSecret psk = secret("s3cret");
  Exchange e;

  TwoTunnels() {
    second.remote.host.address = address("203.0.113.1");
    second.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("c.test")};
    second.children = {child("two", "10.1.0.0/16", "10.3.0.0/16")};
    psk.ids = {};
    psk.any_peer = true;
    e.add("A", "192.0.2.1", {first, second}, {psk});
    e.add("B", "198.51.100.1", {mirrored(first)}, {psk});
    e.add("C", "203.0.113.1", {mirrored(second)}, {psk});
    e.initiate(e.a(), "tun");
    e.run();
    e.initiate(e.a(), "two");
    e.run();
  }
};

// As a reload of a large configuration does it: only what changed is told.
TEST(Configure, APartOfItTouchesNothingElse) {
  TwoTunnels world;
  auto& [first, second, psk, e] = world;
  const auto kept = e.b().endpoint().status().at(0).spi_i;
  const auto reconfigure = [&](std::vector<model::Connection> changed, const std::vector<std::string>& order) {
    e.a().act(e.now(), [&](ike::IkeEndpoint& endpoint) { endpoint.reconfigure(e.now(), std::move(changed), order); });
    e.run();
  };
  // Nothing new, then another line of the file: nothing happens.
  reconfigure({}, {"tun", "two"});
  second.source = "ipsec.conf:77";
  reconfigure({second}, {"two", "tun"});
  EXPECT_EQ(e.a().endpoint().status().size(), 2U);
  // A change ends what was made under the old rules, and auto=start begins again.
  second.children[0].lifetime_s = 1234;
  second.children[0].start = model::StartAction::kStart;
  reconfigure({second}, {"tun", "two"});
  EXPECT_TRUE(e.a().reported("ike-delete-sent")) << "of 'two'";
  e.advance(1s);
  e.run();
  EXPECT_EQ(e.side(2).endpoint().status().size(), 1U);
  // One that is gone takes its tunnel with it; one that comes is known.
  auto third = second;
  third.name = "three";
  third.children[0].name = "three";
  reconfigure({third}, {"tun", "three"});
  e.advance(1s);
  e.run();
  EXPECT_TRUE(e.a().endpoint().status("two").empty());
  EXPECT_EQ(e.a().endpoint().status("three").size(), 1U);
  reconfigure({}, {"tun"});
  EXPECT_EQ(e.side(2).endpoint().status().size(), 0U);
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status()[0].spi_i, kept);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  e.expect_no_faults();
}

TEST(Configure, OnlyTheChangedConnectionGoes) {
  TwoTunnels world;
  auto& [first, second, psk, e] = world;
  EXPECT_EQ(e.a().endpoint().status().size(), 2U);
  const auto kept = e.b().endpoint().status().at(0).spi_i;
  second.children[0].lifetime_s = 1234;
  e.a().configure(e.now(), {first, second}, {psk});
  e.run();
  EXPECT_EQ(e.side(2).endpoint().status().size(), 0U);
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status()[0].spi_i, kept);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  e.expect_no_faults();
}

// The daemon has said why. That it reached a limit would be another story.
TEST(Delete, OfWhatTheDataPlaneDoesNotTake) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto id = e.a().child_ups.at(0).id;
  e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_child_refused(e.now(), id, "the kernel does not know it"); });
  e.expect({"A -> B INFORMATIONAL request 2: D(ESP)", "A <- B INFORMATIONAL response 2: D(ESP)"});
  EXPECT_FALSE(e.a().reported("child-expired"));
  ASSERT_EQ(e.a().child_downs.size(), 1U);
  EXPECT_EQ(e.a().child_downs[0].reason, "the kernel does not know it");
  EXPECT_TRUE(e.a().plane.entries().empty());
}

TEST(Configure, ARemovedConnectionIsDeleted) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.a().configure(e.now(), {}, {});
  e.run();
  e.advance_and_run(60s);
  e.expect_nothing_left();
}

// Found by the simulator (seed 1766): the Delete waits for a request that nobody answers, and the time to rekey comes.
TEST(Delete, TimeToRekeyComesWhileTheDeleteWaits) {
  auto connection = tunnel("tun");
  connection.ike_lifetime_s = 100;
  connection.rekey_margin_s = 20;
  connection.rekey_fuzz_percent = 0;
  Exchange e(connection);
  e.bring_up();
  e.advance_and_run(78s);
  e.rekey_child(e.a());
  (void)e.drop("A -> B CREATE_CHILD_SA request 2");
  e.terminate(e.a());
  // Past the time to rekey: retransmissions, and no timer that fires without end.
  e.on_wire = [](Flight&) { return false; };
  e.advance(4s);
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_GT(e.a().next_deadline(), e.now());
  e.on_wire = nullptr;
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().endpoint().status().size(), 0U);
  e.expect_no_faults();
}

}  // namespace
}  // namespace cygnet::test
