// SPDX-License-Identifier: Apache-2.0
// Several connections for the same packets: whose policy is looked at first.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "policy/policy_table.h"

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

class StandIns : public testing::Test {
 protected:
  using Names = std::vector<std::string>;
  // As an engine has them.
  void apply(const Changes& changes) {
    for (const auto& policy : changes.install) engine_[policy.id] = policy;
    for (const auto& policy : changes.remove) {
      EXPECT_EQ(engine_.erase(policy.id), 1U);
    }
  }
  void up(std::uint64_t child, const char* name) { apply(table_.on_sa_installing(sa(child, name)).second); }
  void down(std::uint64_t child) { apply(table_.on_sa_removed(model::ChildId(child))); }
  void pass_on(const char* name, const char* unusable = "") {
    const auto ids = table_.acquiring(name, name);
    ASSERT_EQ(ids.size(), 1U);
    apply(table_.pass_on(ids[0], [&](const std::string& connection) { return connection != unusable; }));
  }
  [[nodiscard]] Names in_order() const {
    std::vector<const model::PolicySpec*> all;
    for (const auto& [id, policy] : engine_) all.push_back(&policy);
    std::ranges::sort(all, {}, [](const auto* p) { return std::pair(p->order, p->id); });
    Names out;
    for (const auto* policy : all) out.push_back(policy->connection);
    return out;
  }
  [[nodiscard]] std::string first() const { return in_order().front(); }

  static constexpr auto kOnDemand = model::StartAction::kOnDemand;
  const model::Connection one_ = connection("one", kOnDemand), two_ = connection("two", kOnDemand);
  PolicyTable table_;
  std::map<model::PolicyId, model::PolicySpec> engine_;
};

TEST_F(StandIns, WhoeverIsUpServesAndKeepsOn) {
  apply(table_.configure({one_, two_}));
  EXPECT_EQ(first(), "one") << "the first in the file";
  up(1, "two");
  EXPECT_EQ(first(), "two") << "the only one that is up";
  up(2, "one");
  EXPECT_EQ(first(), "two") << "it is in use";
  up(3, "two");
  down(1);
  EXPECT_EQ(first(), "two") << "a rekey";
  down(3);
  EXPECT_EQ(first(), "one");
  up(4, "two");
  EXPECT_EQ(first(), "one");
  down(2);
  EXPECT_EQ(first(), "two");
  down(4);
  EXPECT_EQ(in_order(), (Names{"two", "one"})) << "both still hold what they protect";
}

TEST_F(StandIns, OneThatIsRemovedMakesRoom) {
  apply(table_.configure({one_, two_, connection("three", kOnDemand)}));
  up(1, "one");
  apply(table_.reconfigure({}, {"one"}));
  EXPECT_EQ(first(), "one") << "its SA is there still";
  up(2, "three");
  down(1);
  EXPECT_EQ(in_order(), (Names{"three", "two"}));
  apply(table_.configure({two_}));
  EXPECT_EQ(first(), "three");
  down(2);
  EXPECT_EQ(in_order(), Names{"two"});
  EXPECT_EQ(engine_.begin()->second.order, order_of(ts("10.1.0.0/16"), ts("10.2.0.0/16"), true));
}

TEST_F(StandIns, ThoseOfAddAndOfOthersStandInForEachOther) {
  const auto add = connection("two", model::StartAction::kAdd);
  apply(table_.configure({one_, add}));
  up(1, "one");
  up(2, "two");
  EXPECT_EQ(first(), "one");
  down(1);
  EXPECT_EQ(first(), "two");
  down(2);
  EXPECT_EQ(in_order(), Names{"one"});
  up(3, "two");
  EXPECT_EQ(first(), "two");
}

TEST_F(StandIns, OtherSelectorsAndOtherDevicesAreOtherPackets) {
  auto other = connection("other", kOnDemand);
  other.children[0].device = "ipsec1";
  apply(table_.configure({one_, other, connection("wide", kOnDemand, "10.1.0.0/16", "10.3.0.0/16")}));
  const auto before = engine_;
  EXPECT_TRUE(table_.on_sa_installing(sa(1, "wide", "10.1.0.0/16", "10.3.0.0/16")).second.install.empty());
  auto elsewhere = sa(2, "other");
  elsewhere.device = "ipsec1";
  EXPECT_TRUE(table_.on_sa_installing(elsewhere).second.install.empty());
  for (const auto& [id, policy] : before) {
    EXPECT_EQ(policy.order, order_of(policy.local, policy.remote, true));
  }
}

TEST_F(StandIns, TheNarrowerOneIsLookedAtFirstWhoeverIsUp) {
  apply(table_.configure({one_, two_, connection("narrow", kOnDemand, "10.1.0.0/16", "10.2.5.0/24")}));
  up(1, "two");
  EXPECT_EQ(in_order(), (Names{"narrow", "two", "one"}));
}

TEST_F(StandIns, AfterACrashOfIkeTheOneInUseKeepsOn) {
  apply(table_.configure({one_, two_}));
  up(1, "two");
  up(2, "one");
  std::vector<model::PolicySpec> policies;
  std::vector<model::SaSpec> sas;
  for (const auto& [id, policy] : engine_) {
    policies.push_back(policy);
    sas.push_back(sa(policy.connection == "two" ? 1 : 2, policy.connection.c_str()));
    sas.back().policy = id;
  }
  PolicyTable after;
  after.adopt(policies, sas);
  EXPECT_TRUE(after.configure({one_, two_}).install.empty());
  table_ = std::move(after);
  EXPECT_EQ(first(), "two");
  // It died before it had said who goes before.
  PolicyTable later;
  std::erase_if(sas, [](const auto& sa) { return sa.connection == "two"; });
  later.adopt(policies, sas);
  apply(later.configure({one_, two_}));
  EXPECT_EQ(first(), "one");
}

TEST_F(StandIns, PoliciesOfAnotherVersionGetTheirPlaces) {
  apply(table_.configure({one_}));
  auto old = engine_.begin()->second;
  old.order -= 100;
  PolicyTable after;
  after.adopt({old}, {});
  const auto changes = after.configure({one_});
  ASSERT_EQ(changes.install.size(), 1U);
  EXPECT_EQ(changes.install[0], engine_.begin()->second);
}

TEST_F(StandIns, WhereOneFailsTheNextIsAsked) {
  const auto three = connection("three", kOnDemand);
  apply(table_.configure({one_, two_, three}));
  pass_on("one");
  EXPECT_EQ(first(), "two");
  pass_on("one");
  EXPECT_EQ(first(), "two") << "nobody asks it now";
  pass_on("two");
  EXPECT_EQ(first(), "three");
  pass_on("three");
  EXPECT_EQ(first(), "one") << "from the beginning";
  pass_on("one", "two");
  EXPECT_EQ(first(), "three") << "the other cannot be used";
  up(1, "one");
  pass_on("three");
  pass_on("one");
  EXPECT_EQ(first(), "one") << "it is up";
  apply(table_.configure({one_}));
  down(1);
  pass_on("one");
  EXPECT_EQ(in_order(), Names{"one"}) << "alone";
}

}  // namespace
}  // namespace cygnet::policy
