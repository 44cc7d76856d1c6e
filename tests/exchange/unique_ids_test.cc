// SPDX-License-Identifier: Apache-2.0
// uniqueids=: one identity connects from two places. The second client has met another gateway of the same name before,
// and therefore does not say INITIAL_CONTACT.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

class TwoPlaces : public ::testing::Test {
 protected:
  void start(model::UniqueIds rule) {
    ike::EndpointSettings settings;
    settings.setup.unique_ids = rule;
    auto client = tunnel("tun");
    auto gateway = mirrored(client);
    gateway.remote.host = {};
    e.add("A", "192.0.2.1", {client}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {gateway}, {secret("s3cret")}, settings);
    gateway.local.host.address = address("198.51.100.2");
    e.add("D", "198.51.100.2", {gateway}, {secret("s3cret")}, settings);
    auto elsewhere = client;
    elsewhere.local.host.address = address("203.0.113.9");
    auto other = elsewhere;
    other.name = other.children[0].name = "other";
    other.remote.host.address = address("198.51.100.2");
    e.add("C", "203.0.113.9", {elsewhere, other}, {secret("s3cret")});
    e.initiate(c(), "other");
    e.run();
    e.initiate(e.a());
    e.run();
    ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  }
  Side& c() { return e.side(3); }
  [[nodiscard]] std::vector<std::string> peers() {
    std::vector<std::string> out;
    for (const auto& sa : e.b().endpoint().status()) {
      if (sa.state == "ESTABLISHED") out.push_back(sa.path.remote.address.to_string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  Exchange e;
};

TEST_F(TwoPlaces, ReplaceEndsTheOlder) {
  start(model::UniqueIds::kReplace);
  e.initiate(c());
  e.run();
  EXPECT_EQ(peers(), std::vector<std::string>{"203.0.113.9"});
  EXPECT_TRUE(contains(e.b().messages("replaced-by-newer"), "has connected from 203.0.113.9"))
      << e.b().messages("replaced-by-newer");
  EXPECT_TRUE(e.a().endpoint().status().empty());
}

TEST_F(TwoPlaces, KeepRefusesTheNewer) {
  start(model::UniqueIds::kKeep);
  e.initiate(c());
  e.run();
  EXPECT_EQ(peers(), std::vector<std::string>{"192.0.2.1"});
  EXPECT_TRUE(contains(e.b().messages("identity-in-use"), "is connected from 192.0.2.1"))
      << e.b().messages("identity-in-use");
  EXPECT_FALSE(last_done(c()).ok);
  // Once the older one is gone there is room.
  e.advance_and_run(30s);
  e.terminate(e.a());
  e.run();
  e.initiate(c());
  e.run();
  EXPECT_EQ(peers(), std::vector<std::string>{"203.0.113.9"});
}

TEST_F(TwoPlaces, NoAndNeverLetBothLive) {
  start(model::UniqueIds::kInitialContact);
  e.initiate(c());
  e.run();
  EXPECT_EQ(peers(), (std::vector<std::string>{"192.0.2.1", "203.0.113.9"}));
}

// Two devices of one person. The gateway rekeyed the IKE SA of the first; it still belongs to that device, and the
// second one's children are other children.
TEST_F(TwoPlaces, ARekeyByTheGatewayDoesNotMakeOneOfThemRedundant) {
  start(model::UniqueIds::kNever);
  e.rekey_ike(e.b());
  e.run();
  e.initiate(c());
  e.advance_and_run(1s);
  EXPECT_EQ(peers(), (std::vector<std::string>{"192.0.2.1", "203.0.113.9"}));
  e.rekey_ike(e.b());
  e.advance_and_run(1s);
  EXPECT_EQ(peers(), (std::vector<std::string>{"192.0.2.1", "203.0.113.9"}));
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

// One identity may have so many, wherever they are from; what it has stays as it is.
TEST(IkeSasPerIdentity, TheNextOneIsRefusedAndCounted) {
  ike::EndpointSettings settings;
  settings.setup.unique_ids = model::UniqueIds::kNever;
  settings.setup.ike_sas_per_identity = 2;
  auto gateway = mirrored(tunnel("tun"));
  gateway.remote.host = {};
  Exchange e;
  e.add("A", "192.0.2.1", {tunnel("tun")}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {gateway}, {secret("s3cret")}, settings);
  for (const auto* place : {"203.0.113.8", "203.0.113.9"}) {
    auto elsewhere = tunnel("tun");
    elsewhere.local.host.address = address(place);
    e.add(place, place, {elsewhere}, {secret("s3cret")});
  }
  e.initiate(e.a());
  e.run();
  e.initiate(e.side(2));
  e.run();
  EXPECT_EQ(e.b().endpoint().status().size(), 2U);
  EXPECT_EQ(e.b().endpoint().counters().identities_refused, 0U);
  e.initiate(e.side(3));
  e.run();
  EXPECT_FALSE(last_done(e.side(3)).ok);
  EXPECT_EQ(e.b().endpoint().counters().identities_refused, 1U);
  EXPECT_EQ(e.b().endpoint().counters().established, 2U);
  EXPECT_TRUE(contains(e.b().messages("too-many-ike-sas"), "has 2 IKE SAs already"))
      << e.b().messages("too-many-ike-sas");
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  // A rekey is not a further one, and whoever leaves makes room.
  e.rekey_ike(e.b());
  e.run();
  e.terminate(e.a());
  e.advance_and_run(30s);
  e.initiate(e.side(3));
  e.run();
  EXPECT_TRUE(last_done(e.side(3)).ok) << last_done(e.side(3)).message;
  EXPECT_EQ(e.b().endpoint().counters().established, 2U);
}

// INITIAL_CONTACT makes room by itself.
TEST(IkeSasPerIdentity, AFreshStartIsNeverRefused) {
  ike::EndpointSettings settings;
  settings.setup.ike_sas_per_identity = 2;
  auto gateway = mirrored(tunnel("tun"));
  gateway.remote.host = {};
  Exchange e;
  e.add("A", "192.0.2.1", {tunnel("tun")}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {gateway}, {secret("s3cret")}, settings);
  for (int i = 0; i < 4; ++i) {
    e.a().lose_power();
    e.a().restart(e.now());
    e.initiate(e.a());
    e.run();
    EXPECT_EQ(e.b().endpoint().counters().established, 1U) << i;
  }
  EXPECT_EQ(e.b().endpoint().counters().identities_refused, 0U);
}

// The older children still receive for a moment; a peer that rebooted gets all of its children at once.
TEST(UniqueIds, ChildrenThatFadeTakeNoRoom) {
  auto of_a = tunnel("tun");
  of_a.children.push_back(child("more", "10.3.0.0/16", "10.4.0.0/16"));
  auto of_b = mirrored(of_a);
  of_b.max_children = 2;
  Exchange e(of_a, of_b);
  const auto both = [&] {
    for (const auto* name : {"tun", "more"}) {
      e.initiate(e.a(), "tun", name);
      e.run();
      EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
    }
  };
  both();
  e.a().lose_power();
  e.a().restart(e.now());
  both();
  EXPECT_FALSE(e.b().reported("too-many-children"));
  EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "more"));
}

TEST(UniqueIds, NeverDoesNotEvenListenToInitialContact) {
  for (const auto rule : {model::UniqueIds::kInitialContact, model::UniqueIds::kNever}) {
    ike::EndpointSettings settings;
    settings.setup.unique_ids = rule;
    auto gateway = mirrored(tunnel("tun"));
    gateway.remote.host = {};
    auto elsewhere = tunnel("tun");
    elsewhere.local.host.address = address("203.0.113.9");
    Exchange e;
    e.add("A", "192.0.2.1", {tunnel("tun")}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {gateway}, {secret("s3cret")}, settings);
    e.add("C", "203.0.113.9", {elsewhere}, {secret("s3cret")});
    e.initiate(e.a());
    e.run();
    e.initiate(e.side(2));
    e.run();
    EXPECT_EQ(e.b().endpoint().status().size(), rule == model::UniqueIds::kNever ? 2U : 1U);
  }
}

}  // namespace
}  // namespace cygnet::test
