// SPDX-License-Identifier: Apache-2.0
// Addresses that change under a tunnel (RFC 4555).
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

const std::string kUpdate = "N(UPDATE_SA_ADDRESSES) " + std::string(kNatD);

// A roams, B is a gateway at one place.
class Mobike : public ::testing::Test {
 protected:
  void begin(model::Connection of_a = roaming()) {
    auto of_b = mirrored(of_a);
    of_b.remote.host = {};
    e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
    e.also_at[address("203.0.113.7")] = 0;
    e.also_at[address("2001:db8::7")] = 0;
    e.also_at[address("2001:db8::b")] = 1;
    here({"192.0.2.1"});
    e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_local_addresses(e.now(), of_gateway); });
    e.on_wire = [this](const Flight& f) {
      return !unreachable(f.path.remote.address) && !unreachable(f.path.local.address);
    };
    e.initiate(e.a());
  }
  static model::Connection roaming() {
    auto c = tunnel("tun");
    c.mobike = true;
    c.local.host = {};
    c.local.host.kind = model::HostSpec::Kind::kDefaultRoute;
    c.local.host.address = address("192.0.2.1");
    c.local.host.resolved = true;
    return c;
  }
  void here(std::initializer_list<std::string_view> texts) {
    std::vector<IpAddress> list;
    for (const auto text : texts) list.push_back(address(text));
    e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_local_addresses(e.now(), list); });
  }
  [[nodiscard]] bool unreachable(const IpAddress& a) const { return std::ranges::find(dead, a) != dead.end(); }
  // Both ends send to where the other is.
  void expect_paths(std::string_view of_a, std::string_view of_b) {
    for (const auto& spec : e.a().plane.specs()) {
      EXPECT_EQ(spec.local.address, address(of_a));
      EXPECT_EQ(spec.remote.address, address(of_b));
    }
    for (const auto& spec : e.b().plane.specs()) {
      EXPECT_EQ(spec.local.address, address(of_b));
      EXPECT_EQ(spec.remote.address, address(of_a));
    }
  }

  Exchange e;
  std::vector<IpAddress> of_gateway{address("198.51.100.1")};
  std::vector<IpAddress> dead;
};

TEST_F(Mobike, IsAgreedAndMovesToPort4500AtOnce) {
  begin();
  e.expect(kInitExchange +
           std::vector<std::string>{
               "A => B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH N(MOBIKE_SUPPORTED) SA TSi TSr",
               "A <= B IKE_AUTH response 1: IDr AUTH N(MOBIKE_SUPPORTED) SA TSi TSr"});
  e.expect_tunnel();
  for (const auto& spec : e.a().plane.specs()) EXPECT_FALSE(spec.udp_encapsulation);
}

TEST_F(Mobike, IsNotTakenWhereTheConfigurationForbidsIt) {
  begin();
  e.run();
  Exchange other;
  auto of_b = mirrored(roaming());
  of_b.mobike = false;
  of_b.remote.host = {};
  other.add("A", "192.0.2.1", {roaming()}, {secret("s3cret")});
  other.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
  other.initiate(other.a());
  const auto seen = other.run();
  EXPECT_EQ(seen.back(), "A <= B IKE_AUTH response 1: IDr AUTH SA TSi TSr");
}

TEST_F(Mobike, ANewAddressIsToldProvenAndFollowed) {
  begin();
  e.run();
  const auto spis = e.a().plane.specs();
  here({"203.0.113.7"});
  e.expect({"A => B INFORMATIONAL request 2: " + kUpdate + " N(NO_ADDITIONAL_ADDRESSES)",
            "A <= B INFORMATIONAL response 2: " + std::string(kNatD), "A <= B INFORMATIONAL request 0: N(COOKIE2)",
            "A => B INFORMATIONAL response 0: N(COOKIE2)"});
  expect_paths("203.0.113.7", "198.51.100.1");
  ASSERT_EQ(e.a().plane.specs().size(), spis.size());
  for (std::size_t i = 0; i < spis.size(); ++i) EXPECT_EQ(e.a().plane.specs()[i].spi, spis[i].spi);
  e.expect_tunnel();
}

TEST_F(Mobike, ChildrenDoNotFollowBeforeThePeerHasAnsweredFromThere) {
  begin();
  e.run();
  here({"203.0.113.7"});
  e.deliver("INFORMATIONAL request");
  e.deliver("INFORMATIONAL response 2");
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote.address, address("192.0.2.1"));
  EXPECT_EQ(e.b().endpoint().status().at(0).path.remote.address, address("203.0.113.7"));
  e.run();
  expect_paths("203.0.113.7", "198.51.100.1");
}

// RFC 4555 section 3.7: nor do those that are made meanwhile.
TEST_F(Mobike, NewChildrenDoNotGoToAnUnprovenAddressEither) {
  begin();
  e.run();
  here({"203.0.113.7"});
  e.deliver("INFORMATIONAL request");
  e.deliver("INFORMATIONAL response 2");
  e.rekey_child(e.a());
  e.deliver("CREATE_CHILD_SA request");
  EXPECT_EQ(e.b().plane.count(model::Direction::kOutbound), 2U);
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote.address, address("192.0.2.1"));
  e.run();
  expect_paths("203.0.113.7", "198.51.100.1");
  e.advance_and_run(10s);  // the old child fades
  e.expect_tunnel();
}

TEST_F(Mobike, AWrongCookieEndsTheIkeSa) {
  begin();
  e.run();
  here({"203.0.113.7"});
  e.deliver("INFORMATIONAL request");
  e.deliver("INFORMATIONAL response 2");
  const auto asked = e.drop("N(COOKIE2)");
  auto header = asked.decoded.header;
  header.response = true;
  header.initiator = true;
  wire::ike::NotifyPayload wrong;
  wrong.type = wire::ike::NotifyType::kCookie2;
  wrong.data = Bytes(32, 0x55);
  const auto forged = e.a().keys().seal(header, {wrong});
  ASSERT_TRUE(forged);
  e.inject(e.b(), {{address("198.51.100.1"), 4500}, {address("203.0.113.7"), 4500}, true}, *forged);
  EXPECT_TRUE(e.b().reported("cookie2-wrong"));
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
  // What the handler has begun is not undone: one Delete, whose answer is awaited.
  EXPECT_EQ(e.b().endpoint().status().at(0).state, "DELETING");
  const auto end = e.drop("D(IKE)");
  EXPECT_TRUE(e.in_the_air().empty());
  header = end.decoded.header;
  header.response = true;
  header.initiator = true;
  const auto confirmed = e.a().keys().seal(header, {});
  ASSERT_TRUE(confirmed);
  e.inject(e.b(), {{address("198.51.100.1"), 4500}, {address("203.0.113.7"), 4500}, true}, *confirmed);
  EXPECT_TRUE(e.b().endpoint().status().empty());
  EXPECT_FALSE(e.b().reported("answer-unacceptable"));
}

// The engine has seen ESP come from elsewhere. RFC 4555 section 3.8: "the host not behind a NAT MUST NOT use these
// dynamic updates for IKEv2 packets, but MAY use the dynamic updates for IPsec packets".
TEST_F(Mobike, EspThatComesFromElsewhereMovesTheChildrenAndNotTheIkeSa) {
  e.nat = Nat{address("192.0.2.1"), address("203.0.113.99"), 30000, {}};
  begin();
  e.run();
  const auto before = e.b().endpoint().status().at(0).path.remote;
  const Endpoint elsewhere{address("203.0.113.99"), 40000};
  const auto expect_esp_at = [&](const Endpoint& at) {
    for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote, at);
    EXPECT_EQ(e.b().endpoint().status().at(0).path.remote, before);
  };
  const auto seen_at = [&](const Endpoint& at) {
    const auto id = e.b().child_ups.at(0).id;
    e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_peer_moved(e.now(), id, at, {address("198.51.100.1"), 4500}); });
  };
  seen_at(elsewhere);
  EXPECT_TRUE(e.b().reported("esp-moved"));
  expect_esp_at(elsewhere);
  // It comes back.
  seen_at(before);
  expect_esp_at(before);
  seen_at(elsewhere);
  // Whoever takes over, and the children made from now on, know it, too.
  e.b().crash();
  e.b().restart(e.now());
  e.rekey_child(e.b());
  e.advance_and_run(10s);
  EXPECT_EQ(e.b().plane.count(model::Direction::kOutbound), 1U);
  expect_esp_at(elsewhere);
  // The peer says itself where it is: that counts.
  e.nat->rebind();
  here({"203.0.113.7"});
  e.run();
  here({"192.0.2.1"});
  e.run();
  const Endpoint now{address("203.0.113.99"), e.nat->outer_port(4500)};
  EXPECT_EQ(e.b().endpoint().status().at(0).path.remote, now);
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote, now);
  e.expect_tunnel();
}

// The peer sends ESP all the time, so that it asks for no sign of life and does not see that its NAT has forgotten.
TEST_F(Mobike, ARequestWithoutAnAnswerIsTriedWhereEspComesFrom) {
  e.nat = Nat{address("192.0.2.1"), address("203.0.113.99"), 30000, {}};
  begin();
  e.run();
  const auto before = e.b().endpoint().status().at(0).path.remote;
  e.nat->rebind();
  const Endpoint seen{address("203.0.113.99"), e.nat->outer_port(4500)};
  ASSERT_NE(seen, before);
  e.b().act(e.now(), [&](ike::IkeEndpoint& x) {
    x.on_peer_moved(e.now(), e.b().child_ups.at(0).id, seen, {address("198.51.100.1"), 4500});
  });
  e.rekey_child(e.b());
  e.advance_and_run(20s);
  EXPECT_EQ(e.b().endpoint().status().at(0).children.at(0).rekeys, 1U);
  EXPECT_EQ(e.b().endpoint().status().at(0).path.remote, before);
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote, seen);
  e.expect_tunnel();
}

TEST_F(Mobike, FromIpv4ToIpv6AndBack) {
  of_gateway = {address("198.51.100.1"), address("2001:db8::b")};
  begin();
  const auto seen = e.run();
  EXPECT_EQ(seen.back(),
            "A <= B IKE_AUTH response 1: IDr AUTH N(MOBIKE_SUPPORTED) N(ADDITIONAL_IP6_ADDRESS) SA TSi TSr");
  here({"2001:db8::7"});
  e.run();
  expect_paths("2001:db8::7", "2001:db8::b");
  e.expect_tunnel();
  here({"192.0.2.1"});
  e.run();
  expect_paths("192.0.2.1", "198.51.100.1");
  e.expect_tunnel();
}

// What a gateway protects as a way to everywhere does not make its own addresses unreachable.
TEST_F(Mobike, AGatewayToEverywhereTellsItsOtherAddress) {
  of_gateway = {address("198.51.100.1"), address("2001:db8::b")};
  auto c = roaming();
  c.children[0].remote.clear();
  for (const auto* text : {"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"})
    c.children[0].remote.push_back(*model::TrafficSelector::parse(text));
  begin(c);
  EXPECT_NE(e.run().back().find("N(ADDITIONAL_IP6_ADDRESS)"), std::string::npos);
}

TEST_F(Mobike, ADeadPathIsLeftForOneThatAnswers) {
  auto c = roaming();
  c.dpd_delay_s = 10;
  begin(c);
  here({"192.0.2.1", "203.0.113.7"});
  e.run();
  e.advance_and_run(1s);
  dead = {address("192.0.2.1")};
  e.advance_and_run(20s);
  EXPECT_TRUE(e.a().reported("path-found"));
  expect_paths("203.0.113.7", "198.51.100.1");
  EXPECT_EQ(e.a().endpoint().counters().established, 1U);
  e.expect_tunnel();
}

TEST_F(Mobike, ARequestUnderWayFollowsToTheNewAddress) {
  begin();
  e.run();
  e.rekey_child(e.a());
  (void)e.drop("CREATE_CHILD_SA request");
  here({"203.0.113.7"});
  e.advance_and_run(1s);
  expect_paths("203.0.113.7", "198.51.100.1");
  e.advance_and_run(60s);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().at(0).children.at(0).rekeys, 1U);
}

TEST_F(Mobike, NowhereToGoIsWaitedFor) {
  begin();
  e.run();
  here({});
  e.advance_and_run(5s);
  EXPECT_EQ(e.a().plane.specs().size(), 2U);
  here({"203.0.113.7"});
  e.run();
  expect_paths("203.0.113.7", "198.51.100.1");
  e.expect_tunnel();
}

TEST_F(Mobike, ANatThatAppearsOnTheNewPathBringsEncapsulation) {
  begin();
  e.run();
  e.nat = Nat{address("203.0.113.7"), address("203.0.113.99"), 30000, {}};
  here({"203.0.113.7"});
  e.run();
  for (const auto& spec : e.a().plane.specs()) {
    EXPECT_TRUE(spec.udp_encapsulation);
    if (spec.direction == model::Direction::kOutbound) {
      EXPECT_EQ(spec.keepalive_s, 20U);
    }
  }
  for (const auto& spec : e.b().plane.specs()) {
    EXPECT_TRUE(spec.udp_encapsulation);
    EXPECT_EQ(spec.remote.to_string(), "203.0.113.99:30000");
  }
  e.nat.reset();
  here({"192.0.2.1"});
  e.run();
  expect_paths("192.0.2.1", "198.51.100.1");
  for (const auto& spec : e.b().plane.specs()) EXPECT_FALSE(spec.udp_encapsulation);
  e.expect_tunnel();
}

TEST_F(Mobike, ANatThatForgetsIsSeenByASignOfLife) {
  auto c = roaming();
  c.dpd_delay_s = 10;
  e.nat = Nat{address("192.0.2.1"), address("203.0.113.99"), 30000, {}};
  begin(c);
  e.run();
  e.advance_and_run(15s);
  e.nat->rebind();
  e.advance_and_run(15s);
  EXPECT_TRUE(e.a().reported("nat-changed"));
  for (const auto& spec : e.b().plane.specs())
    EXPECT_EQ(spec.remote, (Endpoint{address("203.0.113.99"), e.nat->outer_port(4500)}));
  e.expect_tunnel();
}

TEST_F(Mobike, ASignOfLifeFromElsewhereMovesNobody) {
  begin();
  e.run();
  e.rekey_child(e.a());
  auto elsewhere = e.drop("CREATE_CHILD_SA request");
  elsewhere.path.remote.address = address("203.0.113.7");
  e.inject(elsewhere);
  EXPECT_EQ(e.b().endpoint().status().at(0).path.remote.address, address("192.0.2.1"));
}

TEST_F(Mobike, AnUpdateThatIsPlayedBackMovesNobody) {
  begin();
  e.run();
  Flight update;
  e.on_wire = [&](const Flight& f) {
    if (contains(f.arrow, "UPDATE_SA_ADDRESSES") && update.bytes.empty()) update = f;
    return true;
  };
  here({"203.0.113.7"});
  e.run();
  here({"192.0.2.1"});
  e.run();
  e.inject(update);
  e.run();
  expect_paths("192.0.2.1", "198.51.100.1");
}

TEST_F(Mobike, NatsCanBeForbidden) {
  auto c = roaming();
  c.encapsulation = model::Encapsulation::kNever;
  begin(c);
  e.run();
  e.nat = Nat{address("203.0.113.7"), address("203.0.113.99"), 30000, {}};
  here({"203.0.113.7"});
  e.run();
  EXPECT_TRUE(e.b().reported("move-refused"));
  EXPECT_TRUE(e.a().reported("unexpected-nat"));
  for (const auto& spec : e.b().plane.specs()) EXPECT_EQ(spec.remote.address, address("192.0.2.1"));
}

TEST_F(Mobike, OutlivesARekeyOfTheIkeSaAndACrash) {
  begin();
  e.run();
  e.rekey_ike(e.a());
  e.run();
  here({"203.0.113.7"});
  e.run();
  expect_paths("203.0.113.7", "198.51.100.1");
  e.a().crash();
  e.a().restart(e.now());
  here({"203.0.113.7"});
  e.run();
  here({"192.0.2.1"});
  e.run();
  expect_paths("192.0.2.1", "198.51.100.1");
  e.expect_tunnel();
}

// RFC 4555 section 1.3: the initiator is "the party who originally initiated the first IKE_SA (in a series of possibly
// several rekeyed IKE_SAs)".
TEST_F(Mobike, WhoWandersStillTellsAfterTheGatewayHasRekeyed) {
  begin();
  e.run();
  e.rekey_ike(e.b());
  e.run();
  const auto spi = e.a().endpoint().status().at(0).spi_i;
  for (int round = 0; round < 2; ++round) {
    here({"203.0.113.7"});
    e.run();
    expect_paths("203.0.113.7", "198.51.100.1");
    e.a().crash();  // the next process knows, too, who began
    e.a().restart(e.now());
    here({"203.0.113.7"});
    e.run();
    here({"192.0.2.1"});
    e.run();
    expect_paths("192.0.2.1", "198.51.100.1");
  }
  EXPECT_EQ(e.a().endpoint().status().at(0).spi_i, spi);
  // The gateway does not claim to have moved.
  EXPECT_EQ(
      std::ranges::count_if(e.history, [](const auto& s) { return contains(s, "A <= B") && contains(s, kUpdate); }), 0);
  e.expect_tunnel();
}

TEST_F(Mobike, ADefaultRouteThatMovesIsFollowed) {
  begin();
  here({"192.0.2.1", "203.0.113.7"});
  e.run();
  auto moved = roaming();
  moved.local.host.address = address("203.0.113.7");
  e.a().configure(e.now(), {moved}, {secret("s3cret")});
  e.run();
  EXPECT_TRUE(e.a().reported("address-preferred"));
  expect_paths("203.0.113.7", "198.51.100.1");
  EXPECT_TRUE(e.a().ike_downs.empty());
}

TEST(WithoutMobike, ALostAddressBringsANewIkeSa) {
  auto of_a = tunnel("tun");
  auto of_b = mirrored(of_a);
  of_b.remote.host = {};
  of_a.local.host = {.kind = model::HostSpec::Kind::kDefaultRoute, .address = address("192.0.2.1"), .resolved = true};
  of_a.dpd_action = model::DeadPeerAction::kRestart;
  Exchange e;
  e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
  e.also_at[address("203.0.113.7")] = 0;
  e.initiate(e.a());
  e.run();
  of_a.local.host.address = address("203.0.113.7");
  e.a().configure(e.now(), {of_a}, {secret("s3cret")});
  e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_local_addresses(e.now(), {address("203.0.113.7")}); });
  e.advance_and_run(10s);
  EXPECT_TRUE(e.a().reported("address-lost"));
  e.expect_tunnel();
}

// Addresses come and go on a host of containers: a dead peer is given up all the same, and nobody is told of an address
// that no peer could reach.
TEST_F(Mobike, OtherAddressesThatComeAndGoDoNotKeepADeadPeerAlive) {
  for (const auto* other : {"fe80::77", "10.9.9.9"}) {
    e = Exchange();
    auto of_a = roaming();
    of_a.dpd_delay_s = 30;
    of_a.dpd_action = model::DeadPeerAction::kClear;
    begin(of_a);
    e.advance_and_run(10s);
    if (other == std::string("fe80::77")) {
      here({"192.0.2.1", other});
      EXPECT_TRUE(e.in_the_air().empty());
      here({"192.0.2.1"});
      e.run();
    }
    e.on_wire = [](const Flight&) { return false; };
    for (int i = 0; i < 30 && !e.a().plane.entries().empty(); ++i) {
      here({"192.0.2.1", other});
      e.advance_and_run(5s);
      here({"192.0.2.1"});
      e.advance_and_run(5s);
    }
    EXPECT_TRUE(e.a().plane.entries().empty()) << other;
  }
}

// No leftsubnet=: the child is for our address. After a move a packet with the new address asks for one of its own.
TEST_F(Mobike, AHostThatMovesGetsAChildForItsNewAddress) {
  auto of_a = roaming();
  of_a.children[0].local.clear();
  begin(of_a);
  e.run();
  ASSERT_EQ(e.a().plane.specs().size(), 2U);
  EXPECT_EQ(model::to_string(e.a().plane.specs().front().local_selectors), "192.0.2.1/32");
  of_a.local.host.address = address("203.0.113.7");
  here({"203.0.113.7"});
  e.a().configure(e.now(), {of_a}, {secret("s3cret")});
  e.advance_and_run(10s);
  const auto packet =
      std::pair{*model::TrafficSelector::parse("203.0.113.7/32"), *model::TrafficSelector::parse("10.2.0.5/32")};
  e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.initiate(e.now(), "tun", "tun", packet); });
  e.advance_and_run(60s);
  for (auto* side : {&e.a(), &e.b()}) EXPECT_EQ(side->plane.specs().size(), 2U);
  EXPECT_EQ(model::to_string(e.a().plane.specs().front().local_selectors), "203.0.113.7/32");
}

}  // namespace
}  // namespace cygnet::test
