// SPDX-License-Identifier: Apache-2.0
// right=a,b: several addresses of one peer.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

class Gateways : public ::testing::Test {
 protected:
  static model::HostSpec host(std::string_view text) {
    model::HostSpec out;
    out.kind = model::HostSpec::Kind::kAddress;
    out.address = address(text);
    return out;
  }
  void begin(std::uint32_t failback_s = 60) {
    auto of_a = tunnel("tun");
    of_a.remote.alternatives = {host("198.51.100.2"), host("198.51.100.3")};
    of_a.failback_interval_s = failback_s;
    of_a.keying_tries = 1;
    of_a.dpd_delay_s = 10;
    of_a.dpd_action = model::DeadPeerAction::kRestart;
    of_a.retransmit_timeout_ms = 20000;
    auto of_b = mirrored(of_a);
    of_b.local.alternatives.clear();
    of_b.local.host = {};
    of_b.dpd_action = model::DeadPeerAction::kClear;
    e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
    e.also_at[address("198.51.100.2")] = e.also_at[address("198.51.100.3")] = 1;
    e.on_wire = [this](const Flight& f) {
      return !dead.contains(f.path.remote.address) && !dead.contains(f.path.local.address);
    };
  }
  IpAddress peer() { return e.a().endpoint().status().at(0).path.remote.address; }

  Exchange e;
  std::set<IpAddress> dead;
};

TEST_F(Gateways, TheFirstThatAnswersIsUsed) {
  begin();
  e.initiate(e.a());
  e.run();
  EXPECT_EQ(peer(), address("198.51.100.1"));
  e.expect_tunnel();
}

TEST_F(Gateways, EachIsTriedBeforeTheWantFails) {
  begin();
  dead = {address("198.51.100.1"), address("198.51.100.2")};
  e.initiate(e.a());
  e.advance_and_run(7s);
  EXPECT_TRUE(e.a().done.empty());
  e.advance_and_run(13s);
  EXPECT_TRUE(last_done(e.a()).ok);
  EXPECT_EQ(e.a().done.size(), 1U);
  EXPECT_EQ(peer(), address("198.51.100.3"));
  e.expect_tunnel();
}

TEST_F(Gateways, NoneAnswers) {
  begin();
  dead = {address("198.51.100.1"), address("198.51.100.2"), address("198.51.100.3")};
  e.initiate(e.a());
  e.advance_and_run(60s);
  ASSERT_EQ(e.a().done.size(), 1U);
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_TRUE(contains(e.a().messages("gateway-failed"), "none of the addresses of right= answers"));
  EXPECT_EQ(e.a().endpoint().status().size(), 0U);
  // The next wish begins at the first again.
  dead.clear();
  e.initiate(e.a());
  e.run();
  EXPECT_EQ(peer(), address("198.51.100.1"));
}

TEST_F(Gateways, ADeadOneMakesRoomForTheNext) {
  begin();
  e.initiate(e.a());
  e.run();
  dead = {address("198.51.100.1")};
  e.advance_and_run(60s);
  EXPECT_EQ(peer(), address("198.51.100.2"));
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

TEST_F(Gateways, TheWayLeadsBackWithoutALostPacket) {
  begin();
  dead = {address("198.51.100.1")};
  e.initiate(e.a());
  e.advance_and_run(20s);
  EXPECT_EQ(peer(), address("198.51.100.2"));
  const auto live = [&](Duration duration) {
    for (Duration passed{}; passed < duration; passed += 500ms) {
      e.advance_and_run(500ms);
      ASSERT_TRUE(e.packet(e.a(), e.b()));
      ASSERT_TRUE(e.packet(e.b(), e.a()));
    }
  };
  live(100s);  // tried in vain
  EXPECT_EQ(peer(), address("198.51.100.2"));
  dead.clear();
  live(70s);
  EXPECT_EQ(peer(), address("198.51.100.1"));
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  e.expect_tunnel();
  for (const auto& down : e.a().child_downs) EXPECT_TRUE(down.replaced) << down.reason;
}

TEST_F(Gateways, TheNextProcessKnowsWhichIsInUse) {
  begin();
  dead = {address("198.51.100.1")};
  e.initiate(e.a());
  e.advance_and_run(20s);
  ASSERT_EQ(peer(), address("198.51.100.2"));
  e.a().crash();
  e.a().restart(e.now());
  e.advance_and_run(1s);
  e.history.clear();
  e.terminate(e.b());
  e.run();
  e.initiate(e.a());
  e.run();  // no time passes: the first one is not asked
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(peer(), address("198.51.100.2"));
  e.expect_tunnel();
}

TEST_F(Gateways, AfterARekeyByThePeerADeadOneStillMakesRoom) {
  begin();
  e.initiate(e.a());
  e.run();
  e.rekey_ike(e.b());
  e.run();
  dead = {address("198.51.100.1")};
  e.history.clear();
  e.advance_and_run(60s);
  EXPECT_EQ(peer(), address("198.51.100.2"));
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(contains(e.a().messages("gateway-failed"), "next is 198.51.100.2"));
  EXPECT_FALSE(contains(e.a().messages("gateway-failed"), "none of")) << e.a().messages("gateway-failed");
}

TEST_F(Gateways, NobodyGoesBackWhereItIsForbidden) {
  begin(0);
  dead = {address("198.51.100.1")};
  e.initiate(e.a());
  e.advance_and_run(20s);
  dead.clear();
  e.advance_and_run(3600s);
  EXPECT_EQ(peer(), address("198.51.100.2"));
}

// right=NAME, and the name has several addresses.
class NamedGateways : public Gateways {
 protected:
  static model::HostSpec found(std::string_view text) {
    auto out = host(text);
    out.kind = model::HostSpec::Kind::kName;
    out.name = "hub.test";
    out.resolved = true;
    return out;
  }
  void begin_named() {
    begin();
    of_a_ = tunnel("tun");
    of_a_.failback_interval_s = 60;
    of_a_.dpd_delay_s = 10;
    of_a_.dpd_action = model::DeadPeerAction::kRestart;
    of_a_.retransmit_timeout_ms = 20000;
    leads_to({"198.51.100.1", "198.51.100.2"});
  }
  void leads_to(const std::vector<std::string_view>& addresses) {
    of_a_.remote.host = found(addresses.front());
    of_a_.remote.alternatives.clear();
    for (const auto& other : std::span(addresses).subspan(1)) of_a_.remote.alternatives.push_back(found(other));
    e.a().configure(e.now(), {of_a_}, {secret("s3cret")});
    e.run();
  }
  model::Connection of_a_;
};

TEST_F(NamedGateways, TheNextAddressIsTriedAndKept) {
  begin_named();
  dead = {address("198.51.100.1")};
  e.initiate(e.a());
  e.advance_and_run(15s);
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(peer(), address("198.51.100.2"));
  dead.clear();
  e.advance_and_run(600s);
  EXPECT_EQ(peer(), address("198.51.100.2")) << "nobody prefers one of them";
  dead = {address("198.51.100.2")};
  e.advance_and_run(60s);
  EXPECT_EQ(peer(), address("198.51.100.1"));
  e.expect_tunnel();
}

TEST_F(NamedGateways, AnotherAnswerTakesNoTunnelDown) {
  begin_named();
  e.initiate(e.a());
  e.run();
  e.expect_tunnel();
  leads_to({"198.51.100.1"});
  leads_to({"198.51.100.1", "198.51.100.3", "198.51.100.2"});
  EXPECT_TRUE(e.a().child_downs.empty());
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  dead = {address("198.51.100.1")};
  e.advance_and_run(60s);
  EXPECT_EQ(peer(), address("198.51.100.3"));
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

TEST_F(NamedGateways, FromAnotherPlaceTheWayLeadsBackToTheName) {
  begin_named();
  of_a_.remote.alternatives.push_back(host("198.51.100.3"));
  e.a().configure(e.now(), {of_a_}, {secret("s3cret")});
  dead = {address("198.51.100.1"), address("198.51.100.2")};
  e.initiate(e.a());
  e.advance_and_run(30s);
  EXPECT_EQ(peer(), address("198.51.100.3"));
  dead.clear();
  e.advance_and_run(120s);
  EXPECT_EQ(peer(), address("198.51.100.1"));
  e.expect_tunnel();
}

}  // namespace
}  // namespace cygnet::test
