// SPDX-License-Identifier: Apache-2.0
// Rekeying without collisions (RFC 7296 sections 1.3.2, 1.3.3 and 2.8): make before break, nobody notices.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

const std::vector<std::string> kRekeyFromA = {"A -> B CREATE_CHILD_SA request 2: N(REKEY_SA) SA Ni TSi TSr",
                                              "A <- B CREATE_CHILD_SA response 2: SA Nr TSi TSr"};
const std::vector<std::string> kDeleteChildFromA = {"A -> B INFORMATIONAL request 3: D(ESP)",
                                                    "A <- B INFORMATIONAL response 3: D(ESP)"};

TEST(RekeyChild, OneExchangeAndADelete) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const Spi before = e.a().plane.outbound("tun", "tun")->spec.spi;
  e.rekey_child(e.a());
  e.expect(kRekeyFromA + kDeleteChildFromA);
  e.advance_and_run(60s);
  e.expect_tunnel(1);
  EXPECT_NE(e.a().plane.outbound("tun", "tun")->spec.spi, before);
  ASSERT_EQ(e.a().child_downs.size(), 1U);
  EXPECT_TRUE(e.a().child_downs[0].replaced);
  ASSERT_EQ(e.b().child_downs.size(), 1U);
  EXPECT_TRUE(e.b().child_downs[0].replaced);
  ASSERT_EQ(e.b().child_ups.size(), 2U);
  EXPECT_EQ(e.b().child_ups[1].replaces, e.b().child_ups[0].id);
}

TEST(RekeyChild, ByTheResponderOfTheIkeSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.b());
  // B's own message IDs start at 0 (RFC 7296 section 2.2: each side counts for itself).
  e.expect({"A <- B CREATE_CHILD_SA request 0: N(REKEY_SA) SA Ni TSi TSr",
            "A -> B CREATE_CHILD_SA response 0: SA Nr TSi TSr", "A <- B INFORMATIONAL request 1: D(ESP)",
            "A -> B INFORMATIONAL response 1: D(ESP)"});
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(RekeyChild, TheRekeySaNotifyNamesTheSpiItsSenderReceivesOn) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const Spi own = e.b().plane.outbound("tun", "tun")->spec.spi;  // A's inbound
  e.rekey_child(e.a());
  const Flight request = e.drop("CREATE_CHILD_SA request");
  const auto* notify = wire::ike::find_notify(request.decoded.payloads, wire::ike::NotifyType::kRekeySa);
  ASSERT_NE(notify, nullptr);
  // RFC 7296 section 1.3.3: "the SPI the exchange initiator would expect in inbound ESP or AH packets".
  EXPECT_EQ(notify->protocol, model::Protocol::kEsp);
  ASSERT_EQ(notify->spi.size(), 4U);
  EXPECT_EQ(load_be32(notify->spi.data()), own.value);
}

TEST(RekeyChild, WithItsOwnKeyExchange) {
  auto connection = tunnel("tun");
  connection.children[0].proposals = {esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                                   {model::KeGroup::kX25519}, {model::EsnChoice::kNo})};
  Exchange e(connection);
  e.bring_up();
  e.rekey_child(e.a());
  e.expect({"A -> B CREATE_CHILD_SA request 2: N(REKEY_SA) SA Ni KE TSi TSr",
            "A <- B CREATE_CHILD_SA response 2: SA Nr KE TSi TSr", kDeleteChildFromA[0], kDeleteChildFromA[1]});
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

// No moment of a rekey, whichever message is the last that arrived, leaves a packet without an SA that opens it.
TEST(RekeyChild, NoPacketIsLostAtAnyStep) {
  for (const bool from_a : {true, false}) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.rekey_child(from_a ? e.a() : e.b());
    for (int step = 0; step < 6; ++step) {
      EXPECT_TRUE(e.packet(e.a(), e.b())) << step;
      EXPECT_TRUE(e.packet(e.b(), e.a())) << step;
      // Packets sealed before, still on their way.
      if (!e.in_the_air().empty()) e.deliver();
    }
    e.advance_and_run(60s);
    e.expect_tunnel(1);
  }
}

// The responder may not send on the new SA before the initiator can open it (RFC 7296 section 2.8).
TEST(RekeyChild, ResponderWaitsWithItsNewOutboundSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const Spi old_out = e.b().plane.outbound("tun", "tun")->spec.spi;
  e.rekey_child(e.a());
  e.deliver("CREATE_CHILD_SA request");  // B has answered; A has not heard it yet
  EXPECT_EQ(e.b().plane.count(model::Direction::kOutbound), 2U);
  EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), 2U);
  EXPECT_EQ(e.b().plane.outbound("tun", "tun")->spec.spi, old_out);
  e.deliver("CREATE_CHILD_SA response");
  EXPECT_TRUE(e.packet(e.a(), e.b()));  // the first packet on the new SA ends the wait
  EXPECT_NE(e.b().plane.outbound("tun", "tun")->spec.spi, old_out);
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(RekeyChild, ByLifetime) {
  auto a = tunnel("tun");
  a.children[0].lifetime_s = 3600;
  a.rekey_margin_s = 540;
  a.rekey_fuzz_percent = 0;
  auto b = mirrored(a);
  b.children[0].lifetime_s = 36000;
  Exchange e(a, b);
  e.bring_up();
  EXPECT_EQ(e.advance_and_run(3059s), std::vector<std::string>{});
  EXPECT_EQ(e.advance_and_run(2s), kRekeyFromA + kDeleteChildFromA);
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(RekeyChild, BySoftLimitOfTheEngine) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto id = e.a().child_ups.at(0).id;
  e.a().act(e.now(), [&](ike::IkeEndpoint& endpoint) { endpoint.on_child_expiring(e.now(), id, false); });
  e.expect(kRekeyFromA + kDeleteChildFromA);
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(RekeyChild, ManyTimesWithoutLeak) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  for (int i = 0; i < 40; ++i) {
    e.rekey_child(i % 3 == 0 ? e.b() : e.a());
    e.run();
    EXPECT_TRUE(e.packet(e.a(), e.b()));
    e.advance_and_run(30s);
  }
  e.expect_tunnel(1);
  EXPECT_EQ(e.a().checkpoints.size(), 1U);
}

TEST(RekeyChild, NoProposalChosenKeepsTheOldOne) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.on_wire = [&](Flight& flight) { return !contains(flight.arrow, "CREATE_CHILD_SA response"); };
  e.rekey_child(e.a());
  e.deliver("CREATE_CHILD_SA request");
  // B's answer is lost, and what A hears instead says no.
  wire::ike::Header header;
  const auto status = e.b().endpoint().status().at(0);
  header.spi_i = status.spi_i;
  header.spi_r = status.spi_r;
  header.exchange = wire::ike::ExchangeType::kCreateChildSa;
  header.response = true;
  header.message_id = MessageId{2};
  wire::ike::NotifyPayload no;
  no.type = wire::ike::NotifyType::kNoAdditionalSas;
  const auto answer = e.b().keys().seal(header, {no});
  ASSERT_TRUE(answer) << answer.error().message;
  e.inject(e.a(), e.a().endpoint().status().at(0).path, *answer);
  EXPECT_EQ(e.a().plane.count(model::Direction::kOutbound), 1U);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

TEST(RekeyIke, OneExchangeAndADelete) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto before = e.a().endpoint().status().at(0);
  const auto spis = e.a().plane.specs();
  e.rekey_ike(e.a());
  e.expect({"A -> B CREATE_CHILD_SA request 2: SA Ni KE", "A <- B CREATE_CHILD_SA response 2: SA Nr KE",
            "A -> B INFORMATIONAL request 3: D(IKE)", "A <- B INFORMATIONAL response 3:"});
  e.advance_and_run(60s);
  const auto after = e.a().endpoint().status();
  ASSERT_EQ(after.size(), 1U);
  EXPECT_NE(after[0].spi_i, before.spi_i);
  EXPECT_NE(after[0].spi_r, before.spi_r);
  ASSERT_EQ(after[0].children.size(), 1U);
  // The children move over untouched (RFC 7296 section 1.3.2).
  EXPECT_EQ(after[0].children[0].spi_in, before.children.at(0).spi_in);
  EXPECT_EQ(e.a().plane.specs().size(), spis.size());
  EXPECT_TRUE(e.a().child_downs.empty());
  ASSERT_EQ(e.a().ike_downs.size(), 1U);
  EXPECT_TRUE(e.a().ike_downs[0].replaced);
  e.expect_tunnel(1);
}

TEST(RekeyIke, MessageIdsStartAgainAndTheNewInitiatorIsWhoRekeyed) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.b());
  e.expect({"A <- B CREATE_CHILD_SA request 0: SA Ni KE", "A -> B CREATE_CHILD_SA response 0: SA Nr KE",
            "A <- B INFORMATIONAL request 1: D(IKE)", "A -> B INFORMATIONAL response 1:"});
  EXPECT_TRUE(e.b().endpoint().status().at(0).initiator);
  EXPECT_FALSE(e.a().endpoint().status().at(0).initiator);
  // RFC 7296 section 2.2: "The Message ID is reset to zero in the new IKE SA after the IKE SA is rekeyed."
  e.rekey_child(e.a());
  e.expect({"A -> B CREATE_CHILD_SA request 0: N(REKEY_SA) SA Ni TSi TSr",
            "A <- B CREATE_CHILD_SA response 0: SA Nr TSi TSr", "A -> B INFORMATIONAL request 1: D(ESP)",
            "A <- B INFORMATIONAL response 1: D(ESP)"});
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

TEST(RekeyIke, ByLifetime) {
  auto a = tunnel("tun");
  a.ike_lifetime_s = 7200;
  a.rekey_margin_s = 600;
  a.rekey_fuzz_percent = 0;
  auto b = mirrored(a);
  b.ike_lifetime_s = 86400;
  Exchange e(a, b);
  e.bring_up();
  const auto before = e.a().endpoint().status().at(0).spi_i;
  e.advance_and_run(6599s);
  EXPECT_EQ(e.a().endpoint().status().at(0).spi_i, before);
  e.advance_and_run(20s);
  EXPECT_NE(e.a().endpoint().status().at(0).spi_i, before);
  e.expect_tunnel(1);
}

TEST(RekeyIke, ChildrenOfSeveralGenerations) {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  Exchange e(connection);
  e.bring_up();
  for (int i = 0; i < 10; ++i) {
    e.rekey_ike(i % 2 == 0 ? e.a() : e.b());
    e.run();
    e.rekey_child(i % 3 == 0 ? e.a() : e.b(), "tun", "lab");
    e.run();
    e.advance_and_run(30s);
  }
  e.expect_tunnel(2);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "lab"));
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
}

// A peer that rekeys the IKE SA again and again and never deletes what it replaced.
TEST(RekeyIke, WithoutDeletesThereIsAnEndToIt) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.on_wire = [](const Flight& f) { return !contains(f.arrow, "D(IKE)"); };
  for (int i = 0; i < 12; ++i) {
    e.rekey_ike(e.a());
    e.run();
  }
  EXPECT_EQ(e.b().endpoint().status().size(), 5U);  // four that wait for their Delete, and the newest
  EXPECT_TRUE(std::ranges::any_of(e.history, [](const auto& s) { return contains(s, "N(TEMPORARY_FAILURE)"); }));
  e.on_wire = nullptr;
  e.advance_and_run(300s);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.expect_tunnel();
}

}  // namespace
}  // namespace cygnet::test
