// SPDX-License-Identifier: Apache-2.0
// Two engines beside each other: what is asked goes to the one that has the connection.
#include "sadb/split_backend.h"

#include <gtest/gtest.h>

#include "model/connection.h"
#include "sadb/recording_backend.h"

namespace cygnet::sadb {
namespace {

using Calls = std::vector<std::string>;

class SplitBackends : public ::testing::Test {
 protected:
  SplitBackends() {
    split_.split([this](const std::string& connection) { return connection == kernels_; });
  }
  static model::SaSpec sa(const std::string& connection, std::uint64_t child, model::Direction direction,
                          std::uint32_t spi) {
    model::SaSpec spec{.direction = direction, .spi = Spi(spi)};
    spec.child = model::ChildId(child);
    spec.connection = connection;
    return spec;
  }
  static model::PolicySpec policy(const std::string& connection, std::uint32_t id) {
    model::PolicySpec spec{.id = model::PolicyId(id)};
    spec.connection = connection;
    return spec;
  }
  Calls taken(RecordingBackend& backend) { return std::exchange(backend.calls, {}); }

  std::string kernels_ = "k";
  RecordingBackend own_, kernel_;
  SplitBackend split_{own_, kernel_};
};

TEST_F(SplitBackends, ThoseOfAChildStayWhereItIs) {
  using enum model::Direction;
  split_.install_sa(sa("k", 1, kInbound, 0x80000100), {});
  split_.install_sa(sa("k", 1, kOutbound, 0x200), {});
  split_.install_sa(sa("u", 2, kInbound, 0x300), {});
  EXPECT_EQ(taken(kernel_).size(), 2U);
  EXPECT_EQ(taken(own_).size(), 1U);
  // Whatever the configuration says by now.
  kernels_ = "u";
  split_.activate(model::ChildId(1), {});
  split_.update_endpoints(model::ChildId(1), {}, {}, false, 0, {});
  split_.remove_sa(kOutbound, Spi(0x200), model::ChildId(1), {});
  split_.remove_sa(kInbound, Spi(0x80000100), model::ChildId(1), {});
  EXPECT_EQ(taken(kernel_).size(), 4U);
  EXPECT_TRUE(taken(own_).empty());
  split_.remove_sa(kInbound, Spi(0x300), model::ChildId(2), {});
  EXPECT_EQ(taken(own_), Calls{"remove-sa in 0x00000300"});
  // Forgotten with its last SA.
  split_.activate(model::ChildId(1), {});
  EXPECT_EQ(taken(own_).size(), 1U);
}

TEST_F(SplitBackends, APolicyMovesToAnotherEngine) {
  split_.install_policy(policy("k", 7), {});
  EXPECT_FALSE(split_.is_elsewhere(policy("k", 7)));
  kernels_ = "none";
  ASSERT_TRUE(split_.is_elsewhere(policy("k", 7)));
  (void)taken(kernel_);
  split_.install_policy(policy("k", 7), {});
  EXPECT_EQ(taken(own_), Calls{"install-policy 7"});
  EXPECT_TRUE(kernel_.calls.empty()) << "its packets may still meet it there";
  EXPECT_FALSE(split_.is_elsewhere(policy("k", 7)));
  ASSERT_TRUE(split_.is_in_both(model::PolicyId(7)));
  split_.acquire_failed(model::PolicyId(7), {});
  EXPECT_EQ(taken(own_).size(), 1U);
  EXPECT_EQ(taken(kernel_).size(), 1U);
  split_.leave_behind(model::PolicyId(7), {});
  EXPECT_EQ(taken(kernel_), (Calls{"acquire-failed 7", "remove-policy 7"}));
  EXPECT_FALSE(split_.is_in_both(model::PolicyId(7)));
  split_.leave_behind(model::PolicyId(7), {});
  split_.acquire_failed(model::PolicyId(7), {});
  EXPECT_EQ(taken(own_).size(), 1U);
  EXPECT_TRUE(kernel_.calls.empty());
}

TEST_F(SplitBackends, APolicyThatIsInBothLeavesBoth) {
  split_.install_policy(policy("k", 7), {});
  kernels_ = "none";
  split_.install_policy(policy("k", 7), {});
  (void)taken(kernel_);
  (void)taken(own_);
  split_.remove_policy(model::PolicyId(7), {});
  EXPECT_EQ(taken(own_), Calls{"remove-policy 7"});
  EXPECT_EQ(taken(kernel_), (Calls{"acquire-failed 7", "remove-policy 7"}));
  EXPECT_FALSE(split_.is_in_both(model::PolicyId(7)));
}

TEST_F(SplitBackends, AnIkeThatIsKilledWhileAPolicyMovesLeavesItInBoth) {
  split_.install_policy(policy("k", 7), {});
  split_.install_policy(policy("u", 8), {});
  kernels_ = "none";
  split_.install_policy(policy("k", 7), {});
  SplitBackend next(own_, kernel_);
  next.split([](const std::string&) { return false; });
  next.query_sas(true, [](const Result<Dump>& dump) { ASSERT_TRUE(dump); });
  EXPECT_TRUE(next.is_in_both(model::PolicyId(7)));
  EXPECT_FALSE(next.is_in_both(model::PolicyId(8)));
  (void)taken(kernel_);
  (void)taken(own_);
  next.install_policy(policy("k", 7), {});
  next.leave_behind(model::PolicyId(7), {});
  EXPECT_EQ(taken(own_), Calls{"install-policy 7"});
  EXPECT_EQ(taken(kernel_), (Calls{"acquire-failed 7", "remove-policy 7"}));
}

TEST_F(SplitBackends, WhatBothHoldIsToldTogether) {
  split_.install_sa(sa("k", 1, model::Direction::kInbound, 0x80000100), {});
  split_.install_sa(sa("u", 2, model::Direction::kInbound, 0x100), {});
  split_.install_policy(policy("k", 7), {});
  split_.install_policy(policy("u", 8), {});
  split_.put_checkpoint("ike", {1}, {});
  // The next ike learns from it whose they are.
  SplitBackend next(own_, kernel_);
  next.split([](const std::string&) { return false; });
  std::vector<std::uint32_t> spis, policies;
  std::size_t checkpoints = 0;
  next.query_sas(true, [&](const Result<Dump>& dump) {
    ASSERT_TRUE(dump);
    for (const auto& state : dump->sas) spis.push_back(state.spec.spi.value);
    for (const auto& one : dump->policies) policies.push_back(one.id.value);
    checkpoints = dump->checkpoints.size();
  });
  EXPECT_EQ(spis, (std::vector<std::uint32_t>{0x100, 0x80000100}));
  EXPECT_EQ(policies, (std::vector<std::uint32_t>{8, 7}));
  EXPECT_EQ(checkpoints, 1U);
  (void)taken(own_);
  (void)taken(kernel_);
  next.remove_policy(model::PolicyId(7), {});
  next.remove_sa(model::Direction::kInbound, Spi(0x80000100), model::ChildId(1), {});
  EXPECT_EQ(taken(kernel_), (Calls{"remove-policy 7", "remove-sa in 0x80000100"}));
  EXPECT_TRUE(own_.calls.empty());
}

TEST_F(SplitBackends, SpisSayWhomToAsk) {
  split_.expect_spi(Spi(0x80000000), {});
  EXPECT_EQ(taken(kernel_).size(), 1U);
  split_.expect_spi(Spi(0x7fffffff), {});
  EXPECT_EQ(taken(own_).size(), 1U);
  EXPECT_TRUE(kernel_.calls.empty());
  std::size_t answers = 0;
  split_.query_usage({Spi(0x80000000), Spi(5)}, [&](const auto& usage) { answers += usage ? 1 : 0; });
  EXPECT_EQ(answers, 1U);
}

TEST_F(SplitBackends, EventsComeFromEither) {
  std::vector<std::uint64_t> moved;
  split_.set_event_handler([&](const Event& event) {
    if (const auto* activated = std::get_if<ChildActivated>(&event)) moved.push_back(activated->child.value);
  });
  own_.raise(ChildActivated{model::ChildId(1)});
  kernel_.raise(ChildActivated{model::ChildId(2)});
  EXPECT_EQ(moved, (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(SplitBackends, OneEngineHasAll) {
  SplitBackend one(own_, kernel_);
  one.install_sa(sa("k", 1, model::Direction::kInbound, 0x80000100), {});
  one.expect_spi(Spi(0x80000100), {});
  one.install_policy(policy("k", 7), {});
  EXPECT_EQ(own_.calls.size(), 3U);
  EXPECT_TRUE(kernel_.calls.empty());
}

}  // namespace
}  // namespace cygnet::sadb
