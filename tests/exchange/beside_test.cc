// SPDX-License-Identifier: Apache-2.0
// A new IKE SA beside the old one: to authenticate again (RFC 7296 section 2.8.3, RFC 4478), and when one half is dead.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

std::size_t count_of(const Exchange& e, std::string_view part) {
  return static_cast<std::size_t>(std::ranges::count_if(e.history, [&](const auto& s) { return contains(s, part); }));
}

class Beside : public ::testing::Test {
 protected:
  static model::Connection reauthenticating() {
    auto c = tunnel("tun");
    c.reauth = true;
    c.ike_lifetime_s = 100;
    c.rekey_margin_s = 20;
    c.rekey_fuzz_percent = 0;
    return c;
  }
  void begin(const model::Connection& of_a, const model::Connection& of_b) {
    e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
    e.initiate(e.a());
    e.run();
  }
  // Time passes under traffic; no packet may be lost, either way.
  void live(Duration duration, Duration step = 200ms) {
    for (Duration passed{}; passed < duration; passed += step) {
      e.advance_and_run(step);
      ASSERT_TRUE(e.packet(e.a(), e.b())) << "A to B, after " << passed.count();
      ASSERT_TRUE(e.packet(e.b(), e.a())) << "B to A, after " << passed.count();
    }
  }
  void expect_one_each() {
    EXPECT_EQ(e.a().endpoint().status().size(), 1U);
    EXPECT_EQ(e.b().endpoint().status().size(), 1U);
    EXPECT_EQ(e.a().endpoint().counters().established, 1U);
    EXPECT_EQ(e.b().endpoint().counters().established, 1U);
    e.expect_tunnel();
  }
  IkeSpi spi_of_a() { return e.a().endpoint().status().at(0).spi_i; }

  Exchange e;
};

TEST_F(Beside, ReauthenticationLosesNothing) {
  begin(reauthenticating(), mirrored(reauthenticating()));
  const auto before = spi_of_a();
  live(79s);
  EXPECT_EQ(spi_of_a(), before);
  e.history.clear();
  live(10s);
  EXPECT_NE(spi_of_a(), before);
  EXPECT_EQ(count_of(e, "IKE_AUTH response"), 1U);
  EXPECT_EQ(count_of(e, "INITIAL_CONTACT"), 0U);
  EXPECT_EQ(count_of(e, "D(IKE)"), 1U);
  EXPECT_TRUE(contains(e.a().ike_downs.back().reason, "replaced"));
  ASSERT_FALSE(e.a().child_downs.empty());
  for (const auto& down : e.a().child_downs) EXPECT_TRUE(down.replaced) << down.reason;
  for (const auto& down : e.b().child_downs) EXPECT_TRUE(down.replaced) << down.reason;
  expect_one_each();
  live(200s);  // again and again
  expect_one_each();
}

TEST_F(Beside, TheResponderMovesItsTrafficWhenTheInitiatorHas) {
  begin(reauthenticating(), mirrored(reauthenticating()));
  const Spi old_of_b = e.b().plane.outbound("tun", "tun")->spec.spi;
  for (int i = 0; i < 400 && e.b().plane.count(model::Direction::kOutbound) == 1; ++i) {
    e.advance(250ms);
    while (!e.in_the_air().empty() && e.b().plane.count(model::Direction::kOutbound) == 1) e.deliver();
  }
  ASSERT_EQ(e.b().plane.count(model::Direction::kOutbound), 2U);
  EXPECT_EQ(e.b().plane.outbound("tun", "tun")->spec.spi, old_of_b);
  e.run();
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_NE(e.b().plane.outbound("tun", "tun")->spec.spi, old_of_b);
  EXPECT_TRUE(e.packet(e.b(), e.a()));
}

TEST_F(Beside, WithoutTrafficTooTheResponderHasSomethingToSendOn) {
  begin(reauthenticating(), mirrored(reauthenticating()));
  const auto before = spi_of_a();
  while (spi_of_a() == before || e.a().endpoint().status().size() > 1) {
    e.advance_and_run(100ms);
    ASSERT_TRUE(e.packet(e.b(), e.a()));  // only ever this way
  }
  e.advance_and_run(10s);
  expect_one_each();
}

TEST_F(Beside, AllChildrenComeAlong) {
  auto a = reauthenticating();
  a.children.push_back(child("two", "10.3.0.0/16", "10.4.0.0/16"));
  begin(a, mirrored(a));
  const auto before = spi_of_a();
  for (int i = 0; i < 500; ++i) {
    e.advance_and_run(200ms);
    for (const char* name : {"tun", "two"}) {
      ASSERT_TRUE(e.packet(e.a(), e.b(), "tun", name));
      ASSERT_TRUE(e.packet(e.b(), e.a(), "tun", name));
    }
  }
  EXPECT_NE(spi_of_a(), before);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  e.expect_tunnel(2);
}

TEST_F(Beside, TheRespondersAuthLifetimeIsKept) {
  auto of_b = mirrored(reauthenticating());
  auto of_a = tunnel("tun");
  of_a.rekey_margin_s = 20;
  of_a.rekey_fuzz_percent = 0;
  begin(of_a, of_b);
  EXPECT_EQ(count_of(e, "N(AUTH_LIFETIME)"), 1U);
  const auto before = spi_of_a();
  live(79s);
  EXPECT_EQ(spi_of_a(), before);
  live(10s);
  EXPECT_NE(spi_of_a(), before);
  expect_one_each();
}

TEST_F(Beside, WhoIsNotProvenAnewInTimeGoes) {
  auto of_b = mirrored(reauthenticating());
  auto of_a = tunnel("tun");
  begin(of_a, of_b);
  e.on_wire = [](const Flight& f) { return !contains(f.arrow, "IKE_SA_INIT"); };
  e.advance_and_run(99s);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.advance_and_run(10s);
  EXPECT_TRUE(e.b().reported("auth-expired"));
  EXPECT_EQ(e.b().endpoint().status().size(), 0U);
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
}

TEST_F(Beside, ARekeyByThePeerMakesNoProofYounger) {
  begin(reauthenticating(), mirrored(reauthenticating()));
  live(60s);
  e.rekey_ike(e.b());
  e.run();
  const auto rekeyed = spi_of_a();
  live(30s);
  EXPECT_NE(spi_of_a(), rekeyed);
  live(10s);
  expect_one_each();
}

TEST_F(Beside, AFailedAttemptIsMadeAgainWhileTheOldOneLives) {
  auto c = reauthenticating();
  c.retransmit_timeout_ms = 3000;
  begin(c, mirrored(c));
  const auto before = spi_of_a();
  e.on_wire = [](const Flight& f) { return !contains(f.arrow, "IKE_SA_INIT"); };
  live(86s);
  EXPECT_EQ(e.a().endpoint().counters().established, 1U);
  e.on_wire = nullptr;
  live(14s);
  EXPECT_NE(spi_of_a(), before);
  live(5s);
  expect_one_each();
}

TEST_F(Beside, ItOutlivesACrashInTheMiddle) {
  for (int after = 0; after < 40; ++after) {
    SCOPED_TRACE(after);
    Exchange f;
    auto c = reauthenticating();
    c.dpd_delay_s = 10;  // an IKE SA that A has forgotten is B's to find out
    c.retransmit_timeout_ms = 10000;
    f.add("A", "192.0.2.1", {c}, {secret("s3cret")});
    f.add("B", "198.51.100.1", {mirrored(c)}, {secret("s3cret")});
    f.initiate(f.a());
    f.run();
    f.advance_and_run(79s);
    f.a().crash_after_actions = after;
    f.advance_and_run(3s);
    f.a().crash_after_actions = -1;
    if (!f.a().alive()) f.a().restart(f.now());
    f.advance_and_run(70s);
    EXPECT_EQ(f.a().endpoint().status().size(), 1U);
    EXPECT_EQ(f.b().endpoint().status().size(), 1U);
    EXPECT_TRUE(f.packet(f.a(), f.b()));
    EXPECT_TRUE(f.packet(f.b(), f.a()));
    if (::testing::Test::HasFailure()) return;
  }
}

// ---- halves

class Halves : public Beside {
 protected:
  static model::Connection watched() {
    auto c = tunnel("tun");
    c.dpd_delay_s = 10;
    c.dpd_action = model::DeadPeerAction::kRestart;
    c.retransmit_timeout_ms = 20000;
    return c;
  }
};

TEST_F(Halves, IkeIsDeadAndEspIsNot) {
  begin(watched(), mirrored(watched()));
  const auto spi = e.a().plane.outbound("tun", "tun")->spec.spi;
  e.on_wire = [](const Flight&) { return false; };
  // Packets flow now and then; IKE has to be asked for.
  for (int i = 0; i < 60; ++i) {
    e.advance_and_run(4s);
    if (i == 0) e.rekey_child(e.a());
    ASSERT_TRUE(e.packet(e.a(), e.b())) << i;
    ASSERT_TRUE(e.packet(e.b(), e.a())) << i;
  }
  EXPECT_TRUE(e.a().reported("ike-unheard"));
  EXPECT_FALSE(e.a().reported("peer-dead"));
  EXPECT_EQ(e.a().plane.outbound("tun", "tun")->spec.spi, spi);
  e.on_wire = nullptr;
  live(90s, 1s);
  e.advance_and_run(10s);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
}

TEST_F(Halves, BothAreDead) {
  begin(watched(), mirrored(watched()));
  live(20s, 1s);
  e.on_wire = [](const Flight&) { return false; };
  e.advance_and_run(90s);
  EXPECT_TRUE(e.a().reported("peer-dead"));
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
}

TEST_F(Halves, AChildThatHearsNothingIsReplacedThenItsIkeSaThenLeftAlone) {
  begin(watched(), mirrored(watched()));
  live(20s, 1s);
  e.history.clear();
  for (int i = 0; i < 600; ++i) {
    e.advance_and_run(1s);
    (void)e.packet(e.a(), e.b());  // only ever this way from now on
  }
  EXPECT_EQ(count_of(e, "A -> B CREATE_CHILD_SA request"), 1U);
  EXPECT_EQ(count_of(e, "IKE_SA_INIT request"), 1U);
  EXPECT_EQ(count_of(e, "IKE_AUTH request"), 1U);
  // What could be ESP that does not get through goes in UDP from here on.
  EXPECT_TRUE(e.a().plane.outbound("tun", "tun")->spec.udp_encapsulation);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

// RFC 7296 section 2.19: the client asks for its address; its gateway cannot make another IKE SA for it.
TEST_F(Halves, AGatewayDoesNotMakeAnotherIkeSaForAPeerThatHasAnAddressFromIt) {
  auto of_a = watched();
  auto of_b = mirrored(of_a);
  of_a.dpd_delay_s = 0;
  of_a.local.request_ip4 = true;
  of_a.children[0].local = {};
  const auto prefix = *IpPrefix::parse("10.9.0.0/29");
  of_b.remote.pools = {{model::usable_range(prefix), prefix.to_string()}};
  of_b.children[0].remote = {};
  begin(of_a, of_b);
  e.on_wire = [](const Flight&) { return false; };
  for (int i = 0; i < 60; ++i) {
    e.advance_and_run(4s);
    if (i == 0) e.rekey_child(e.b());
    ASSERT_TRUE(e.packet(e.a(), e.b())) << i;
    ASSERT_TRUE(e.packet(e.b(), e.a())) << i;
  }
  EXPECT_TRUE(e.b().reported("ike-unheard"));
  EXPECT_FALSE(e.b().reported("ike-beside"));
}

// The peer began an IKE SA too, which has no address for us: ours has one.
TEST_F(Halves, AnAddressIsNotWaitedForOnAnIkeSaOfThePeer) {
  auto of_a = watched();
  auto of_b = mirrored(of_a);
  of_a.local.request_ip4 = true;
  of_a.children[0].local = {};
  const auto prefix = *IpPrefix::parse("10.9.0.0/29");
  of_b.remote.pools = {{model::usable_range(prefix), prefix.to_string()}};
  of_b.children[0].remote = {};
  of_b.children.push_back(child("two", "10.3.0.0/16", "10.4.0.0/16"));
  of_a.children.push_back(child("two", "10.4.0.0/16", "10.3.0.0/16"));
  e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
  e.initiate(e.b(), "tun", "two");
  e.run();
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

// profile=windows: the peer rekeys its children itself and takes no rekeying from us.
TEST_F(Halves, WhereChildrenAreNotRekeyedFromHereTheIkeSaIsReplaced) {
  auto c = watched();
  c.rekey_children = false;
  begin(c, mirrored(c));
  live(20s, 1s);
  e.history.clear();
  for (int i = 0; i < 300; ++i) {
    e.advance_and_run(1s);
    (void)e.packet(e.a(), e.b());
  }
  EXPECT_EQ(count_of(e, "CREATE_CHILD_SA"), 0U);
  EXPECT_EQ(count_of(e, "A -> B IKE_SA_INIT request"), 1U);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

TEST_F(Halves, AChildThatNeverHeardAnythingIsLeftAlone) {
  begin(watched(), mirrored(watched()));
  e.history.clear();
  for (int i = 0; i < 300; ++i) {
    e.advance_and_run(1s);
    ASSERT_TRUE(e.packet(e.a(), e.b()));
  }
  EXPECT_EQ(count_of(e, "CREATE_CHILD_SA"), 0U);
  EXPECT_EQ(count_of(e, "IKE_SA_INIT"), 0U);
}

}  // namespace
}  // namespace cygnet::test
