// SPDX-License-Identifier: Apache-2.0
// Several clients behind one NAT, and clients that claim the same inner addresses.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

model::Identity fqdn(std::string_view name) { return {model::IdType::kFqdn, to_bytes(name)}; }

model::Connection client(std::string name, std::string_view at, std::string_view inner) {
  auto out = tunnel(name);
  out.local.host.address = address(at);
  out.local.id = fqdn(name + ".test");
  out.children = {child(name, inner, "10.2.0.0/16")};
  return out;
}

model::Connection gateway() {
  auto out = mirrored(tunnel("gate"));
  out.remote.host = {};
  out.remote.id.reset();
  out.remote.id_any = true;
  out.children = {child("gate", "10.2.0.0/16", "10.0.0.0/8")};
  return out;
}

model::SharedSecret anybody() {
  auto out = secret("s3cret");
  out.ids.clear();
  return out;
}

// Two clients of a router that shows one address, each with ports of its own.
class OneNat : public testing::Test {
 protected:
  void begin(const model::Connection& first, const model::Connection& second, const model::Connection& gate) {
    nats = {Nat{first.local.host.address, address("203.0.113.9"), 20000, {}},
            Nat{second.local.host.address, address("203.0.113.9"), 30000, {}}};
    e.add("A", first.local.host.address.to_string(), {first}, {anybody()});
    e.add("B", "198.51.100.1", {gate}, {anybody()});
    e.add("C", second.local.host.address.to_string(), {second}, {anybody()});
    for (std::size_t i = 0; i < 3; ++i) {
      auto& side = e.side(i);
      side.on_send = [this, send = side.on_send](const ike::SendDatagram& datagram) {
        auto translated = datagram;
        if (pass(translated.path)) send(translated);
      };
    }
  }
  // A sender's path as it is on the other side of the NAT.
  bool pass(ike::Path& path) {
    for (auto& nat : nats) {
      if (path.local.address == nat.inside) {
        path.local = {nat.outside, nat.outer_port(path.local.port)};
        return true;
      }
      const auto inner = path.remote.address == nat.outside ? nat.inner_port(path.remote.port) : std::nullopt;
      if (inner) {
        path.remote = {nat.inside, *inner};
        return true;
      }
    }
    return path.remote.address != address("203.0.113.9");
  }
  void bring_up_both() {
    e.initiate(e.a(), "alice");
    e.run();
    e.initiate(e.side(2), "bob");
    e.run();
  }
  Exchange e;
  std::vector<Nat> nats;
};

TEST_F(OneNat, TwoClientsWithInnerAddressesOfTheirOwn) {
  begin(client("alice", "10.0.0.1", "10.9.0.1/32"), client("bob", "10.0.0.2", "10.9.0.2/32"), gateway());
  bring_up_both();
  EXPECT_TRUE(last_done(e.a()).ok);
  EXPECT_TRUE(last_done(e.side(2)).ok);
  ASSERT_EQ(e.b().endpoint().status().size(), 2U);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
  EXPECT_TRUE(e.packet(e.side(2), e.b(), "bob", "bob"));
  std::map<std::string, std::string> where;
  for (const auto& spec : e.b().plane.specs()) {
    EXPECT_TRUE(spec.udp_encapsulation);
    if (spec.direction == model::Direction::kOutbound)
      where[model::to_string(spec.remote_selectors)] = spec.remote.to_string();
  }
  EXPECT_EQ(where, (std::map<std::string, std::string>{{"10.9.0.1/32", "203.0.113.9:20001"},
                                                       {"10.9.0.2/32", "203.0.113.9:30001"}}));
}

TEST_F(OneNat, TheSameInnerAddressIsNotGivenTwice) {
  begin(client("alice", "10.0.0.1", "10.9.0.1/32"), client("bob", "10.0.0.2", "10.9.0.1/32"), gateway());
  bring_up_both();
  EXPECT_TRUE(last_done(e.a()).ok);
  EXPECT_FALSE(last_done(e.side(2)).ok);
  EXPECT_EQ(
      e.b().messages("address-claimed"),
      "203.0.113.9:30001 ('bob.test') claims 10.9.0.1/32, which 'alice.test' (203.0.113.9:20001, child gate) has: "
      "give each client an address of its own, for example with rightaddresspool=");
  // The first has noticed nothing.
  EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
  EXPECT_EQ(e.b().plane.count(model::Direction::kOutbound), 1U);
  // Once it is gone the address is free.
  e.terminate(e.a(), "alice");
  e.run();
  e.initiate(e.side(2), "bob");
  e.run();
  e.advance_and_run(5s);
  EXPECT_TRUE(e.packet(e.side(2), e.b(), "bob", "bob"));
}

TEST_F(OneNat, WhoComesAgainHasItsAddressStill) {
  begin(client("alice", "10.0.0.1", "10.9.0.1/32"), client("bob", "10.0.0.2", "10.9.0.2/32"), gateway());
  bring_up_both();
  e.a().lose_power();
  e.a().restart(e.now());
  e.initiate(e.a(), "alice");
  e.run();
  EXPECT_TRUE(last_done(e.a()).ok);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
  EXPECT_EQ(e.b().messages("address-claimed"), "");
  EXPECT_TRUE(e.packet(e.side(2), e.b(), "bob", "bob"));
}

TEST_F(OneNat, ARekeyIsNoSecondClaim) {
  begin(client("alice", "10.0.0.1", "10.9.0.1/32"), client("bob", "10.0.0.2", "10.9.0.2/32"), gateway());
  bring_up_both();
  e.rekey_child(e.a(), "alice", "alice");
  e.run();
  e.rekey_ike(e.a(), "alice");
  e.run();
  e.rekey_child(e.a(), "alice", "alice");
  e.run();
  e.advance_and_run(10s);
  EXPECT_EQ(e.b().messages("address-claimed"), "");
  EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
}

TEST_F(OneNat, TransportModeInUdpHasRoomForAll) {
  auto alice = client("alice", "10.0.0.1", "10.0.0.1/32");
  auto bob = client("bob", "10.0.0.2", "10.0.0.2/32");
  auto gate = gateway();
  for (auto* each : {&alice, &bob, &gate}) {
    auto& only = each->children[0];
    only.mode = model::Mode::kTransport;
    only.local.clear();
    only.remote.clear();
  }
  begin(alice, bob, gate);
  bring_up_both();
  EXPECT_TRUE(last_done(e.a()).ok);
  EXPECT_TRUE(last_done(e.side(2)).ok);
  EXPECT_EQ(e.b().messages("address-claimed"), "");
  // RFC 3948 section 5.2: which of them a packet is for is the engine's to know.
  EXPECT_EQ(e.b().plane.entries().size(), 4U);
}

TEST_F(OneNat, KnownPeersMayShareWhatTheAdministratorWrote) {
  // Two connections with addresses: a network reached over two lines is meant so.
  auto first = tunnel("one");
  auto second = tunnel("two");
  second.local.host.address = address("192.0.2.2");
  second.local.id = fqdn("c.test");
  e.add("A", "192.0.2.1", {first}, {anybody()});
  e.add("B", "198.51.100.1", {mirrored(first), mirrored(second)}, {anybody()});
  e.add("C", "192.0.2.2", {second}, {anybody()});
  e.initiate(e.a(), "one");
  e.run();
  e.initiate(e.side(2), "two");
  e.run();
  EXPECT_TRUE(last_done(e.side(2)).ok);
  EXPECT_EQ(e.b().messages("address-claimed"), "");
}

// RFC 7619 section 2.1: two of whom nothing is proven are not one peer.
TEST_F(OneNat, NobodiesAreNotOnePeer) {
  auto first = client("alice", "10.0.0.1", "10.9.0.1/32");
  auto second = client("bob", "10.0.0.2", "10.9.0.1/32");
  auto gate = gateway();
  for (auto* c : {&first, &second, &gate}) {
    c->local.auth = c->remote.auth = model::AuthMethod::kNull;
    c->local.id.reset();
    c->remote.id.reset();
  }
  begin(first, second, gate);
  bring_up_both();
  EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
  EXPECT_FALSE(last_done(e.side(2)).ok);
  EXPECT_TRUE(contains(e.b().messages("address-claimed"), "claims 10.9.0.1/32"));
  EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
}

// Not the same range as somebody else has, but a part of it, or one around it.
struct Claim {
  const char* name;
  const char* range;
  bool may;
};
class OneNatClaims : public OneNat, public testing::WithParamInterface<Claim> {};

TEST_P(OneNatClaims, MeetWhatAnotherHasOrNot) {
  begin(client("alice", "10.0.0.1", "10.9.1.0/24"), client("bob", "10.0.0.2", GetParam().range), gateway());
  bring_up_both();
  EXPECT_EQ(last_done(e.side(2)).ok, GetParam().may) << last_done(e.side(2)).message;
  EXPECT_EQ(contains(e.b().messages("address-claimed"), "which 'alice.test'"), !GetParam().may)
      << e.b().messages("address-claimed");
  if (!GetParam().may) {
    EXPECT_TRUE(e.packet(e.a(), e.b(), "alice", "alice"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, OneNatClaims,
                         testing::Values(Claim{"FirstHalf", "10.9.1.0/25", false},
                                         Claim{"OneHost", "10.9.1.1/32", false},
                                         Claim{"LastHost", "10.9.1.255/32", false},
                                         Claim{"Around", "10.9.0.0/16", false}, Claim{"Before", "10.9.0.0/24", true},
                                         Claim{"Behind", "10.9.2.0/24", true},
                                         // What the configuration says is meant.
                                         Claim{"Written", "10.0.0.0/8", true}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace cygnet::test
