// SPDX-License-Identifier: Apache-2.0
// The kernel's policies, and what others do to them.
#include "kernel_fixture.h"

namespace cygnet::sadb::kernel::test {
namespace {

TEST_F(KernelEngineTest, PoliciesThatOthersTakeAwayAreSetAgain) {
  install_pair();
  auto told = kernel.policy(xfrm::kIn);
  const auto before = kernel.policies;
  xfrm::Message removed;
  removed.header.type = xfrm::MessageType::kDelPolicy;
  const auto& info = std::get<xfrm::PolicyInfo>(told.body);
  removed.body = xfrm::PolicyId{info.selector, 0, info.direction};
  removed.attributes.policy = info;
  ASSERT_TRUE(engine.put_back().policies == 0U);
  std::erase_if(kernel.policies, [](const auto& entry) { return entry.first.first == xfrm::kIn; });
  engine.on_message(removed);
  const auto first = engine.put_back();
  EXPECT_EQ(first.policies, 1U + 15U);  // the fixture took neighbour discovery away
  EXPECT_EQ(first.sas, 0U);
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
  EXPECT_EQ(kernel.policy(xfrm::kIn), before.lower_bound({xfrm::kIn, ""})->second);
  // All at once.
  kernel.policies.clear();
  xfrm::Message flushed;
  flushed.header.type = xfrm::MessageType::kFlushPolicy;
  engine.on_message(flushed);
  EXPECT_EQ(engine.put_back().policies, 3U + 15U);
  // Those of others are no reason to look.
  removed.attributes.policy->index = 77;
  kernel.log.clear();
  engine.on_message(removed);
  EXPECT_EQ(engine.put_back().policies, 0U);
  EXPECT_TRUE(kernel.log.empty());
}

TEST_F(KernelEngineTest, PoliciesThatOthersWriteOverAreSetAgain) {
  install_pair();
  engine.on_messages_lost();
  (void)engine.put_back();  // the fixture took neighbour discovery away
  const auto before = kernel.policies;
  const auto write_over = [&](std::uint8_t direction) {
    for (auto& [key, policy] : kernel.policies) {
      auto& info = std::get<xfrm::PolicyInfo>(policy.body);
      if (key.first != direction || info.selector.protocol != 0) continue;
      policy.attributes.templates.reset();
      info.priority = 0;
      info.index = 5;
      engine.on_message(policy);
    }
  };
  for (const auto direction : {xfrm::kOut, xfrm::kIn, xfrm::kForward}) {
    write_over(direction);
    const auto found = engine.put_back();
    EXPECT_EQ(found.overwritten, 1U);
    EXPECT_EQ(found.policies, 0U);
    EXPECT_EQ(kernel.policies, before);
  }
  // What says the same, and what is for other traffic, is no reason to look.
  kernel.log.clear();
  auto same = kernel.policy(xfrm::kOut);
  std::get<xfrm::PolicyInfo>(same.body).index = 9;
  auto other = same;
  std::get<xfrm::PolicyInfo>(other.body).selector.destination_length = 8;
  engine.on_message(same);
  engine.on_message(other);
  EXPECT_EQ(engine.put_back().overwritten, 0U);
  EXPECT_TRUE(kernel.log.empty());
  // Somebody insists: the timer decides.
  for (unsigned i = 3; i < kMostAtOnce; ++i) {
    write_over(xfrm::kOut);
    EXPECT_EQ(engine.put_back().overwritten, 1U);
  }
  write_over(xfrm::kOut);
  EXPECT_EQ(engine.put_back().overwritten, 0U);
  EXPECT_EQ(engine.on_timer(kAt).overwritten, 1U);
  EXPECT_EQ(kernel.policies, before);
  write_over(xfrm::kOut);
  EXPECT_EQ(engine.put_back().overwritten, 1U);
}

TEST_F(KernelEngineTest, APolicyThatIsRefusedIsAskedForAgain) {
  kernel.refuse_policies = KernelError{ENOMEM, ""};
  ASSERT_FALSE(engine.install_policy(policy(1)));
  ASSERT_FALSE(engine.install_policy(policy(2)));
  // It is missing, and nobody took it away.
  engine.on_messages_lost();
  auto found = engine.on_timer(kAt);
  EXPECT_EQ(found.policies, 15U) << "the fixture took neighbour discovery away";
  EXPECT_EQ(found.taken, 0U);
  kernel.refuse_policies.reset();
  found = engine.on_timer(kAt);
  EXPECT_EQ(found.policies, 15U);
  EXPECT_EQ(found.taken, 3U);
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
  kernel.log.clear();
  found = engine.on_timer(kAt);
  EXPECT_EQ(found.policies + found.taken, 0U);
  EXPECT_TRUE(kernel.log.empty());
  // One that is removed meanwhile is not asked for any more.
  kernel.refuse_policies = KernelError{ENOMEM, ""};
  auto other = policy(3);
  other.remote = selectors({"10.3.0.0/16"});
  ASSERT_FALSE(engine.install_policy(other));
  ASSERT_TRUE(engine.remove_policy(model::PolicyId(3)));
  kernel.refuse_policies.reset();
  EXPECT_EQ(engine.on_timer(kAt).taken, 0U);
  EXPECT_EQ(kernel.policies.size(), 3U + 15U);
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
