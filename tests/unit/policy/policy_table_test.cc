// SPDX-License-Identifier: Apache-2.0
#include "policy/policy_table.h"

#include <gtest/gtest.h>

namespace cygnet::policy {
namespace {

model::TrafficSelectors ts(const char* text) { return {*model::TrafficSelector::parse(text)}; }

model::Connection connection(const char* name, model::StartAction start, const char* local = "10.1.0.0/16",
                             const char* remote = "10.2.0.0/16") {
  model::Connection c{.name = name};
  c.local.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("192.0.2.1")};
  c.remote.host = {.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("192.0.2.2")};
  c.children.push_back({.name = name, .local = ts(local), .remote = ts(remote), .start = start});
  return c;
}

model::SaSpec sa(std::uint64_t child, const char* name = "c", const char* local = "10.1.0.0/16",
                 const char* remote = "10.2.0.0/16") {
  return {.direction = model::Direction::kOutbound,
          .child = model::ChildId(child),
          .connection = name,
          .child_name = name,
          .local_selectors = ts(local),
          .remote_selectors = ts(remote)};
}

TEST(PolicyTable, OnDemandHoldsPacketsFromTheStartAddDoesNot) {
  PolicyTable table;
  const auto changes =
      table.configure({connection("c", model::StartAction::kOnDemand), connection("d", model::StartAction::kAdd),
                       connection("s", model::StartAction::kStart, "10.1.0.0/16", "10.3.0.0/16")});
  ASSERT_EQ(changes.install.size(), 2U);
  EXPECT_TRUE(changes.install[0].acquire);
  EXPECT_EQ(changes.install[0].connection, "c");
  EXPECT_EQ(changes.install[1].connection, "s");
  EXPECT_TRUE(changes.remove.empty());
}

TEST(PolicyTable, AnSaWithTheConfiguredSelectorsServesTheConfiguredPolicy) {
  PolicyTable table;
  const auto trap = table.configure({connection("c", model::StartAction::kOnDemand)}).install[0];
  const auto [id, changes] = table.on_sa_installing(sa(1));
  EXPECT_EQ(id, trap.id);
  EXPECT_TRUE(changes.install.empty());
  EXPECT_TRUE(table.on_sa_removed(model::ChildId(1)).remove.empty());
  EXPECT_EQ(table.acquiring("c", "c"), std::vector{trap.id});
}

TEST(PolicyTable, ANarrowedSaGetsAPolicyOfItsOwnThatIsLookedAtFirst) {
  PolicyTable table;
  const auto trap = table.configure({connection("c", model::StartAction::kOnDemand)}).install[0];
  const auto [id, changes] = table.on_sa_installing(sa(1, "c", "10.1.0.0/16", "10.2.5.0/24"));
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_NE(id, trap.id);
  EXPECT_LT(changes.install[0].order, trap.order);
  EXPECT_FALSE(changes.install[0].acquire);
  const auto gone = table.on_sa_removed(model::ChildId(1));
  ASSERT_EQ(gone.remove.size(), 1U);
  EXPECT_EQ(gone.remove[0].id, id);
}

TEST(PolicyTable, ARekeyKeepsThePolicy) {
  PolicyTable table;
  (void)table.configure({connection("c", model::StartAction::kAdd)});
  const auto first = table.on_sa_installing(sa(1));
  EXPECT_EQ(first.second.install.size(), 1U);
  const auto second = table.on_sa_installing(sa(2));
  EXPECT_EQ(second.first, first.first);
  EXPECT_TRUE(second.second.install.empty());
  EXPECT_TRUE(table.on_sa_removed(model::ChildId(1)).remove.empty());
  EXPECT_EQ(table.on_sa_removed(model::ChildId(2)).remove.size(), 1U);
}

TEST(PolicyTable, AReloadTouchesOnlyWhatChanged) {
  PolicyTable table;
  (void)table.configure({connection("c", model::StartAction::kOnDemand),
                         connection("d", model::StartAction::kOnDemand, "10.1.0.0/16", "10.4.0.0/16")});
  const auto same = table.configure({connection("c", model::StartAction::kOnDemand),
                                     connection("d", model::StartAction::kOnDemand, "10.1.0.0/16", "10.4.0.0/16")});
  EXPECT_TRUE(same.install.empty() && same.remove.empty());
  const auto less = table.configure({connection("c", model::StartAction::kOnDemand)});
  ASSERT_EQ(less.remove.size(), 1U);
  EXPECT_EQ(less.remove[0].connection, "d");
}

TEST(PolicyTable, APartOfTheConfigurationChangesNoMoreThanThatPart) {
  using model::StartAction;
  const auto c = connection("c", StartAction::kOnDemand);
  const auto d = connection("d", StartAction::kOnDemand, "10.1.0.0/16", "10.4.0.0/16");
  const auto e = connection("e", StartAction::kOnDemand, "10.1.0.0/16", "10.5.0.0/16");
  PolicyTable table;
  (void)table.configure({c, d, e});
  (void)table.on_sa_installing(sa(1, "e", "10.1.0.0/16", "10.5.0.0/16"));
  EXPECT_TRUE(table.reconfigure({c}, {}).install.empty());
  const auto other = table.reconfigure({connection("d", StartAction::kOnDemand, "10.1.0.0/16", "10.6.0.0/16")}, {"c"});
  ASSERT_EQ(other.install.size(), 1U);
  EXPECT_EQ(other.install[0].remote, ts("10.6.0.0/16"));
  ASSERT_EQ(other.remove.size(), 2U);
  EXPECT_EQ(other.remove[0].connection, "c");
  EXPECT_EQ(other.remove[1].remote, ts("10.4.0.0/16"));
  // One that an SA uses stays, and holds nothing any more.
  const auto gone = table.reconfigure({}, {"e"});
  ASSERT_EQ(gone.install.size(), 1U);
  EXPECT_FALSE(gone.install[0].acquire);
  EXPECT_TRUE(gone.remove.empty());
  EXPECT_EQ(table.on_sa_removed(model::ChildId(1)).remove.size(), 1U);
  // The rest is what configure() would leave.
  const auto whole = table.configure({connection("d", StartAction::kOnDemand, "10.1.0.0/16", "10.6.0.0/16")});
  EXPECT_TRUE(whole.install.empty() && whole.remove.empty());
}

TEST(PolicyTable, OndemandTurnedIntoAddStopsHoldingWhileAnSaUsesThePolicy) {
  PolicyTable table;
  (void)table.configure({connection("c", model::StartAction::kOnDemand)});
  (void)table.on_sa_installing(sa(1));
  const auto changes = table.configure({connection("c", model::StartAction::kAdd)});
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_FALSE(changes.install[0].acquire);
  EXPECT_EQ(table.on_sa_removed(model::ChildId(1)).remove.size(), 1U);
}

TEST(PolicyTable, ARestartedIkeKeepsIdsAndRemovesWhatNobodyNeeds) {
  PolicyTable before;
  const auto trap = before.configure({connection("c", model::StartAction::kOnDemand)}).install[0];
  auto orphan = trap;
  orphan.id = model::PolicyId(40);
  orphan.connection = "gone";
  auto held = sa(1);
  held.policy = trap.id;
  PolicyTable after;
  after.adopt({trap, orphan}, {held});
  const auto changes = after.configure({connection("c", model::StartAction::kOnDemand)});
  EXPECT_TRUE(changes.install.empty());
  ASSERT_EQ(changes.remove.size(), 1U);
  EXPECT_EQ(changes.remove[0].id, model::PolicyId(40));
  // New ids do not collide with adopted ones.
  EXPECT_EQ(after.on_sa_installing(sa(2, "n", "10.9.0.0/16")).first, model::PolicyId(41));
}

TEST(PolicyTable, WhatAProtocolLimitLeavesOutPassesInTheClear) {
  PolicyTable table;
  const auto changes =
      table.configure({connection("c", model::StartAction::kOnDemand, "10.1.0.0/16", "10.2.0.1[tcp/80]")});
  ASSERT_EQ(changes.install.size(), 2U);
  EXPECT_EQ(changes.install[1].action, model::PolicyAction::kBypass);
  EXPECT_EQ(model::to_string(changes.install[1].remote), "10.2.0.1/32");
  EXPECT_GT(changes.install[1].order, changes.install[0].order);
}

TEST(PolicyTable, NarrowerPoliciesComeFirst) {
  EXPECT_LT(order_of(ts("10.1.0.0/16"), ts("10.2.0.0/24"), false),
            order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16"), false));
  EXPECT_LT(order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16[tcp/80]"), false),
            order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16[tcp]"), false));
  EXPECT_LT(order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16"), false),
            order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16"), true));
  EXPECT_LT(order_of(ts("0.0.0.0/0"), ts("0.0.0.0/0"), true), order_of(ts("::/0"), ts("::/0"), false));
}

TEST(PolicyTable, APeerWithoutAddressHoldsNothing) {
  auto c = connection("c", model::StartAction::kStart);
  c.remote.host = {};
  PolicyTable table;
  EXPECT_TRUE(table.configure({c}).install.empty());
}

// Nothing leaves in the clear because the resolver does not answer.
TEST(PolicyTable, APeerWhoseNameHasNoAddressYetHoldsPackets) {
  auto named = connection("c", model::StartAction::kStart);
  named.remote.host = {.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  PolicyTable table;
  const auto changes = table.configure({named});
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_TRUE(changes.install[0].acquire);
  EXPECT_EQ(changes.install[0].remote, ts("10.2.0.0/16"));
  // With the address it is the same policy.
  named.remote.host.address = *IpAddress::parse("192.0.2.9");
  named.remote.host.resolved = true;
  const auto known = table.configure({named});
  EXPECT_TRUE(known.remove.empty());
  for (const auto& policy : known.install) EXPECT_EQ(policy.id, changes.install[0].id);
}

// The question for its peer's address would be held back as well, for ever.
TEST(PolicyTable, WhereEverythingIsHeldTheNameOfAnUnknownPeerIsNot) {
  auto named = connection("c", model::StartAction::kOnDemand);
  named.remote.host = {.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  const auto holds = [&](const model::TrafficSelectors& remote) {
    auto c = named;
    c.children[0].remote = remote;
    PolicyTable table;
    return !table.configure({c}).install.empty();
  };
  const auto range = [](const char* first, const char* last) {
    return model::TrafficSelector::of(IpRange{*IpAddress::parse(first), *IpAddress::parse(last)});
  };
  EXPECT_FALSE(holds(ts("0.0.0.0/0")));
  EXPECT_FALSE(holds(ts("::/0")));
  // In pieces it is everything, too.
  EXPECT_FALSE(holds({ts("128.0.0.0/1")[0], ts("0.0.0.0/1")[0]}));
  EXPECT_FALSE(holds({ts("10.0.0.0/8")[0], range("0.0.0.0", "100.0.0.0"), range("50.0.0.0", "255.255.255.255")}));
  EXPECT_TRUE(holds({ts("0.0.0.0/1")[0], range("128.0.0.1", "255.255.255.255")}));
  EXPECT_TRUE(holds(ts("128.0.0.0/1")));
  EXPECT_TRUE(holds({ts("0.0.0.0/1")[0], ts("8000::/1")[0]}));
  // Another address of the peer is one to begin with.
  named.remote.alternatives = {{.kind = model::HostSpec::Kind::kAddress, .address = *IpAddress::parse("192.0.2.2")}};
  EXPECT_TRUE(holds(ts("0.0.0.0/0")));
}

// Where the questions for names do not come to the policies, nothing need be let out for them.
TEST(PolicyTable, WhereTheQuestionsPassByEverythingIsHeld) {
  const auto asks_beside = [](const model::Connection& c) { return c.name != "kernel"; };
  const auto held = [&](const model::Connection& c) { return PolicyTable(asks_beside).configure({c}).install.size(); };
  auto named = connection("c", model::StartAction::kOnDemand, "10.1.0.0/16", "0.0.0.0/0");
  named.remote.host = {.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  EXPECT_EQ(held(named), 1U);
  auto client = named;
  client.local.request_ip4 = true;
  client.children[0].local.clear();
  client.children[0].start = model::StartAction::kStart;
  EXPECT_EQ(held(client), 1U);
  EXPECT_EQ(local_selectors(client, client.children[0], true), ts("0.0.0.0/0"));
  EXPECT_TRUE(local_selectors(client, client.children[0], false).empty());
  // Revocation is asked for by other ways.
  client.remote.auth = model::AuthMethod::kSignature;
  client.remote.revocation = model::Revocation::kStrict;
  EXPECT_EQ(held(client), 0U);
  named.name = "kernel";
  EXPECT_EQ(held(named), 0U);
}

TEST(PolicyTable, WhoHoldsTheQuestionsForItsOwnNames) {
  auto c = connection("c", model::StartAction::kStart, "10.1.0.0/16", "0.0.0.0/0");
  EXPECT_FALSE(holds_its_questions(c));
  const model::HostSpec name{.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  auto named = c;
  named.remote.host = name;
  EXPECT_TRUE(holds_its_questions(named));
  named = c;
  named.remote.alternatives = {name};
  EXPECT_TRUE(holds_its_questions(named));
  // Which end is ours is not known before its address is.
  named = c;
  named.local.host = name;
  EXPECT_TRUE(holds_its_questions(named));
  named.children[0].start = model::StartAction::kAdd;
  named.dpd_action = model::DeadPeerAction::kClear;
  EXPECT_FALSE(holds_its_questions_when_dead(named));
  for (const auto held_when_dead : {model::DeadPeerAction::kHold, model::DeadPeerAction::kRestart}) {
    named.dpd_action = held_when_dead;
    EXPECT_FALSE(holds_its_questions(named));
    EXPECT_TRUE(holds_its_questions_when_dead(named));
  }
  named.children[0].start = model::StartAction::kStart;
  named.children[0].remote = ts("10.2.0.0/16");
  EXPECT_FALSE(holds_its_questions(named));
}

// Without a route to the peer it is not known which address of ours is meant, and so none may leave in the clear.
TEST(PolicyTable, AnEndWithoutAddressYetHoldsPacketsOfAll) {
  auto c = connection("c", model::StartAction::kStart);
  c.local.host = {.kind = model::HostSpec::Kind::kDefaultRoute};
  c.children[0].local.clear();
  PolicyTable table;
  const auto changes = table.configure({c});
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_EQ(changes.install[0].local, ts("0.0.0.0/0"));
  c.local.host.address = *IpAddress::parse("192.0.2.1");
  c.local.host.resolved = true;
  const auto known = table.configure({c});
  ASSERT_EQ(known.install.size(), 1U);
  EXPECT_EQ(known.install[0].local, ts("192.0.2.1/32"));
  EXPECT_EQ(known.remove.size(), 1U);
  c.local.host.resolved = false;
  c.children[0].start = model::StartAction::kAdd;
  EXPECT_TRUE(PolicyTable().configure({c}).install.empty());
}

// A client does not know its address before the tunnel is up.
TEST(PolicyTable, AClientThatIsKeptUpHoldsPackets) {
  const auto everything = ts("0.0.0.0/0");
  const auto client = [&](model::StartAction start) {
    auto c = connection("c", start);
    c.local.request_ip4 = true;
    c.children[0].local.clear();
    return c;
  };
  const auto held = [](const model::Connection& c) {
    PolicyTable table;
    const auto changes = table.configure({c});
    return changes.install.empty() ? model::TrafficSelectors{} : changes.install[0].local;
  };
  EXPECT_EQ(held(client(model::StartAction::kOnDemand)), everything);
  auto start = client(model::StartAction::kStart);
  EXPECT_EQ(held(start), everything);
  EXPECT_TRUE(held(client(model::StartAction::kAdd)).empty());
  // Everything, too, but for what it must ask before.
  start.children[0].remote = everything;
  EXPECT_EQ(held(start), everything);
  auto named = start;
  named.remote.host = {.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  EXPECT_TRUE(held(named).empty());
  named.children[0].remote = {ts("0.0.0.0/1")[0], ts("128.0.0.0/1")[0]};
  EXPECT_TRUE(held(named).empty());
  auto strict = start;
  strict.remote.auth = model::AuthMethod::kSignature;
  EXPECT_EQ(held(strict), everything);
  strict.remote.revocation = model::Revocation::kStrict;
  EXPECT_TRUE(held(strict).empty());
}

// Everything may be written as several networks, of one child or of several.
TEST(PolicyTable, AClientWhoseNetworksAreAllAddressesTogetherAsksForItsPeersNameFirst) {
  auto c = connection("c", model::StartAction::kStart);
  c.local.request_ip4 = true;
  c.remote.host = {.kind = model::HostSpec::Kind::kName, .name = "peer.test"};
  c.children[0].local.clear();
  const auto held = [&] {
    PolicyTable table;
    std::vector<std::string> names;
    for (const auto& policy : table.configure({c}).install) names.push_back(policy.child_name);
    return names;
  };
  using Names = std::vector<std::string>;
  const auto first = c.children[0].name;
  c.children[0].remote = {ts("0.0.0.0/1")[0], ts("128.0.0.0/1")[0]};
  EXPECT_EQ(held(), Names{});
  c.children[0].remote = {ts("0.0.0.0/1")[0], ts("128.0.0.0/2")[0]};
  EXPECT_EQ(held(), Names{first});
  c.children[0].remote = ts("0.0.0.0/1");
  c.children.push_back(c.children[0]);
  c.children[1].name = "upper";
  c.children[1].remote = ts("128.0.0.0/1");
  EXPECT_EQ(held(), Names{});
  // What is protected beside it is held as ever.
  c.children.push_back(c.children[0]);
  c.children[2].name = "lan";
  c.children[2].remote = ts("10.2.0.0/16");
  EXPECT_EQ(held(), Names{"lan"});
  // Of another family the same.
  c.local.request_ip4 = false;
  c.local.request_ip6 = true;
  c.children.resize(1);
  c.children[0].remote = {ts("::/1")[0], ts("8000::/1")[0]};
  EXPECT_EQ(held(), Names{});
}

TEST(PolicyTable, HostToHostProtectsTheAddressesThemselves) {
  auto c = connection("c", model::StartAction::kOnDemand);
  c.children[0].local.clear();
  c.children[0].remote.clear();
  PolicyTable table;
  const auto changes = table.configure({c});
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_EQ(model::to_string(changes.install[0].local), "192.0.2.1/32");
  EXPECT_EQ(model::to_string(changes.install[0].remote), "192.0.2.2/32");
}

// auto=add with dpdaction=hold, its peer dead.
TEST(PolicyTable, WhatIsHeldStaysUntilItIsReleased) {
  auto c = connection("c", model::StartAction::kAdd);
  c.dpd_action = model::DeadPeerAction::kHold;
  PolicyTable table;
  EXPECT_TRUE(table.configure({c}).install.empty());
  const auto [id, changes] = table.on_sa_installing(sa(1));
  const auto held = table.hold(c, "c");
  ASSERT_EQ(held.install.size(), 1U);
  EXPECT_EQ(held.install[0].id, id) << "the same policy goes on";
  EXPECT_TRUE(held.install[0].acquire);
  EXPECT_TRUE(table.on_sa_removed(model::ChildId(1)).remove.empty());
  EXPECT_EQ(table.acquiring("c", "c"), std::vector{id});
  // Nor does another connection's change end it, or a reload of this one.
  EXPECT_TRUE(table.configure({c, connection("d", model::StartAction::kAdd)}).remove.empty());
  EXPECT_TRUE(table.reconfigure({c}, {"d"}).remove.empty());
  // Up again, and down as somebody wishes.
  (void)table.on_sa_installing(sa(2));
  const auto released = table.release("c", "c");
  ASSERT_EQ(released.install.size(), 1U);
  EXPECT_FALSE(released.install[0].acquire);
  ASSERT_EQ(table.on_sa_removed(model::ChildId(2)).remove.size(), 1U);
  EXPECT_TRUE(table.all().empty());
}

TEST(PolicyTable, WhatIsHeldEndsWithItsConfiguration) {
  auto c = connection("c", model::StartAction::kAdd);
  c.dpd_action = model::DeadPeerAction::kHold;
  const auto held = [&] {
    PolicyTable table;
    (void)table.configure({c});
    (void)table.hold(c, "c");
    return table;
  };
  auto table = held();
  EXPECT_EQ(table.release("c", "").remove.size(), 1U) << "cygnet down";
  EXPECT_TRUE(table.release("c", "").remove.empty());
  table = held();
  EXPECT_EQ(table.reconfigure({}, {"c"}).remove.size(), 1U);
  EXPECT_TRUE(table.reconfigure({c}, {}).install.empty()) << "one of that name is another";
  table = held();
  EXPECT_EQ(table.configure({}).remove.size(), 1U);
  table = held();
  auto clear = c;
  clear.dpd_action = model::DeadPeerAction::kClear;
  EXPECT_EQ(table.reconfigure({clear}, {}).remove.size(), 1U);
}

TEST(PolicyTable, WhatIsHeldOutlivesACrashOfIke) {
  auto c = connection("c", model::StartAction::kAdd);
  c.dpd_action = model::DeadPeerAction::kRestart;
  PolicyTable before;
  (void)before.configure({c});
  const auto policy = before.hold(c, "c").install.at(0);
  PolicyTable after;
  after.adopt({policy}, {});
  EXPECT_TRUE(after.configure({c}).remove.empty());
  EXPECT_EQ(after.acquiring("c", "c"), std::vector{policy.id});
  EXPECT_EQ(after.release("c", "c").remove.size(), 1U);
}

}  // namespace
}  // namespace cygnet::policy
