// SPDX-License-Identifier: Apache-2.0
// NAT between the sides (RFC 7296 section 2.23, RFC 3948).
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

// A sits behind a NAT and B takes whoever proves to be a.test.
void behind_nat(Exchange& e, model::Connection of_a) {
  auto of_b = mirrored(of_a);
  of_b.remote.host = {};
  of_a.local.host.address = address("10.0.0.1");
  e.nat = Nat{address("10.0.0.1"), address("203.0.113.9"), 20000, {}};
  e.add("A", "10.0.0.1", {of_a}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
}

TEST(NatDetection, MovesToPort4500AndEncapsulates) {
  Exchange e;
  behind_nat(e, tunnel("tun"));
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{"A => B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH SA TSi TSr",
                                    "A <= B IKE_AUTH response 1: IDr AUTH SA TSi TSr"});
  e.expect_tunnel();
  const auto a = e.a().endpoint().status().at(0);
  const auto b = e.b().endpoint().status().at(0);
  EXPECT_TRUE(a.nat_local);
  EXPECT_FALSE(a.nat_remote);
  EXPECT_FALSE(b.nat_local);
  EXPECT_TRUE(b.nat_remote);
  for (const auto& spec : e.a().plane.specs()) {
    EXPECT_TRUE(spec.udp_encapsulation);
    EXPECT_EQ(spec.local.port, 4500);
    EXPECT_EQ(spec.remote.port, 4500);
    // RFC 3948 section 4: the side behind the NAT keeps the mapping alive.
    if (spec.direction == model::Direction::kOutbound) {
      EXPECT_EQ(spec.keepalive_s, 20U);
    }
  }
  for (const auto& spec : e.b().plane.specs()) {
    EXPECT_TRUE(spec.udp_encapsulation);
    EXPECT_EQ(spec.remote.to_string(), "203.0.113.9:20001");
    EXPECT_EQ(spec.keepalive_s, 0U);
  }
}

TEST(NatDetection, NoNatNoEncapsulation) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  for (const auto& spec : e.a().plane.specs()) EXPECT_FALSE(spec.udp_encapsulation);
  for (const auto& spec : e.b().plane.specs()) EXPECT_FALSE(spec.udp_encapsulation);
  EXPECT_FALSE(e.a().endpoint().status().at(0).nat_local);
}

TEST(NatDetection, EncapsulationCanBeForced) {
  auto connection = tunnel("tun");
  connection.encapsulation = model::Encapsulation::kForce;
  Exchange e(connection, mirrored(tunnel("tun")));
  e.initiate(e.a());
  e.run();
  e.expect_tunnel();
  for (const auto& spec : e.a().plane.specs()) EXPECT_TRUE(spec.udp_encapsulation);
  for (const auto& spec : e.b().plane.specs()) EXPECT_TRUE(spec.udp_encapsulation);
  EXPECT_TRUE(contains(e.history.back(), "<=")) << e.history.back();
}

TEST(NatRebinding, TheNextAuthenticMessageMovesThePeer) {
  Exchange e;
  behind_nat(e, tunnel("tun"));
  e.initiate(e.a());
  e.run();
  e.nat->rebind();
  e.rekey_child(e.a());
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
  // RFC 7296 section 2.23: the side not behind the NAT "SHOULD send all packets (including retransmission packets) to
  // the IP address and port from the last valid authenticated packet from the other end".
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote.port, e.nat->ports.at(0).second);
  e.rekey_child(e.b());
  e.advance_and_run(60s);
  e.expect_tunnel();
}

TEST(NatRebinding, TheEngineSeesItFirst) {
  Exchange e;
  behind_nat(e, tunnel("tun"));
  e.initiate(e.a());
  e.run();
  const auto id = e.b().child_ups.at(0).id;
  const Endpoint moved{address("203.0.113.9"), 30000};
  const Endpoint own{address("198.51.100.1"), 4500};
  e.nat->ports = {{4500, 30000}};
  e.b().act(e.now(), [&](ike::IkeEndpoint& endpoint) { endpoint.on_peer_moved(e.now(), id, moved, own); });
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote, moved);
  e.rekey_child(e.b());
  e.advance_and_run(60s);
  e.expect_tunnel();
}

TEST(NatRebinding, AForgedMessageMovesNobody) {
  Exchange e;
  behind_nat(e, tunnel("tun"));
  e.initiate(e.a());
  e.run();
  e.rekey_child(e.a());
  Flight forged = e.drop("CREATE_CHILD_SA request");
  const Flight honest = forged;
  forged.bytes.back() = static_cast<std::uint8_t>(forged.bytes.back() ^ 1U);
  forged.path.remote = {address("192.0.2.66"), 4500};
  const auto before = e.b().endpoint().status().at(0).path.remote;
  e.inject(forged);
  EXPECT_EQ(e.b().endpoint().status().at(0).path.remote, before);
  EXPECT_EQ(e.b().endpoint().counters().integrity_failed, 1U);
  e.inject(honest);
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
}

TEST(NatRebinding, WithoutANatNobodyMoves) {
  // Only a peer behind a NAT is followed: a message caught and sent again from elsewhere is answered there at most
  // (RFC 7296 section 2.11).
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  Flight elsewhere = e.drop("CREATE_CHILD_SA request");
  elsewhere.path.remote.address = address("192.0.2.66");
  e.inject(elsewhere);
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote.address, address("192.0.2.1"));
}

}  // namespace
}  // namespace cygnet::test
