// SPDX-License-Identifier: Apache-2.0
// SAs of the kernel that get other ends, against a kernel that only remembers what it was given.
#include "kernel_fixture.h"

namespace cygnet::sadb::kernel::test {
namespace {

TEST_F(KernelEngineTest, APeerThatMovesKeepsItsSequenceNumbers) {
  install_pair();
  auto& state = kernel.sas.at({kPeer, Spi(0x2002)});
  state.attributes.replay_esn->sent = 77;
  std::get<xfrm::SaInfo>(state.body).current = {5000, 77, 1'699'999'000, 1'699'999'001};
  kernel.under_way = 3;
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
  EXPECT_FALSE(kernel.sas.contains({kPeer, Spi(0x2002)}));
  const auto& moved = kernel.sas.at({kElsewhere, Spi(0x2002)});
  EXPECT_EQ(moved.attributes.replay_esn->sent, 80U);
  EXPECT_EQ(moved.attributes.lifetime, (xfrm::LifetimeCurrent{5000, 80, 1'699'999'000, 1'699'999'001}));
  EXPECT_EQ(moved.attributes.encapsulation, (xfrm::Encapsulation{xfrm::kEspInUdp, 4500, 4501, {}}));
  EXPECT_EQ(kernel.info(kUs, Spi(0x1001)).source, xfrm::Address::of(kElsewhere));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kElsewhere));
  EXPECT_EQ(engine.keepalives(), (std::set<KernelEngine::Keepalive>{{{kUs, 4500}, {kElsewhere, 4501}, 20}}));
  // Another port alone: the SA stays and is told.
  kernel.log.clear();
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4502}, true, 20));
  EXPECT_EQ(std::ranges::count(kernel.log, "NEWSA"), 0);
  EXPECT_EQ(std::ranges::count(kernel.log, "UPDSA"), 2);
  // One that is at its end does not move.
  kernel.sas.at({kElsewhere, Spi(0x2002)}).attributes.replay_esn->sent = 0xffff'0000;
  EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kPeer, 4501}, true, 20));
}

// A kernel that does it in one step is asked for that: nothing is removed, and nothing added.
TEST_F(KernelEngineTest, AKernelThatMovesSasIsAskedTo) {
  kernel.migrates = true;
  install_pair();
  kernel.sas.at({kPeer, Spi(0x2002)}).attributes.replay_esn->sent = 77;
  kernel.log.clear();
  const auto move = [&](const IpAddress& local, const Endpoint& remote, bool udp) {
    return engine.update_endpoints(model::ChildId(1), {local, 4500}, remote, udp, 0).has_value();
  };
  ASSERT_TRUE(move(kUs, {kElsewhere, 4501}, true));
  EXPECT_EQ(std::ranges::count(kernel.log, "MIGRATE_STATE"), 3);  // and once to see whether there is such a thing
  const auto& moved = kernel.sas.at({kElsewhere, Spi(0x2002)});
  EXPECT_EQ(moved.attributes.replay_esn->sent, 77U);
  EXPECT_EQ(moved.attributes.encapsulation, (xfrm::Encapsulation{xfrm::kEspInUdp, 4500, 4501, {}}));
  EXPECT_EQ(kernel.info(kUs, Spi(0x1001)).source, xfrm::Address::of(kElsewhere));
  EXPECT_EQ(kernel.policy(xfrm::kOut).attributes.templates->front().id.destination, xfrm::Address::of(kElsewhere));
  const IpAddress other = IpAddress::v4(0xc0000202);
  ASSERT_TRUE(move(other, {kPeer, 500}, false));
  EXPECT_FALSE(kernel.sas.at({kPeer, Spi(0x2002)}).attributes.encapsulation);
  EXPECT_EQ(kernel.info(other, Spi(0x1001)).source, xfrm::Address::of(kPeer));
  EXPECT_EQ(kernel.info(kPeer, Spi(0x2002)).source, xfrm::Address::of(other));
  EXPECT_EQ(std::ranges::count(kernel.log, "MIGRATE_STATE"), 5);
  EXPECT_EQ(std::ranges::count(kernel.log, "NEWSA") + std::ranges::count(kernel.log, "DELSA"), 0);
}

// Who does not hear how an SA ended leaves numbers out: none may come twice.
TEST_F(KernelEngineTest, WhereTheEndOfAnSaIsNotToldNumbersAreLeftOut) {
  install_pair();
  kernel.tells_removed = false;
  kernel.sas.at({kPeer, Spi(0x2002)}).attributes.replay_esn->sent = 77;
  kernel.sas.at({kUs, Spi(0x1001)}).attributes.replay_esn->seen = 70;
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
  EXPECT_EQ(kernel.sas.at({kElsewhere, Spi(0x2002)}).attributes.replay_esn->sent, 77U + 65536U);
  EXPECT_EQ(kernel.sas.at({kUs, Spi(0x1001)}).attributes.replay_esn->seen, 70U);
}

// Both halves move, or none.
TEST_F(KernelEngineTest, AMoveThatTheKernelRefusesIsTakenBack) {
  install_pair();
  const auto policies = kernel.policies;
  for (const bool outbound : {true, false}) {
    SCOPED_TRACE(outbound);
    (outbound ? kernel.refuse_destination : kernel.refuse_source) = kElsewhere;
    EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
    EXPECT_EQ(kernel.sas.size(), 2U);
    EXPECT_EQ(kernel.info(kUs, Spi(0x1001)).source, xfrm::Address::of(kPeer));
    EXPECT_TRUE(kernel.sas.contains({kPeer, Spi(0x2002)}));
    EXPECT_EQ(kernel.policies, policies);
    kernel.refuse_destination.reset();
    kernel.refuse_source.reset();
  }
  EXPECT_EQ(engine.put_back().sas, 0U);
  ASSERT_TRUE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kElsewhere, 4501}, true, 20));
  // Neither there nor back: it has expired, and is not in the kernel either.
  kernel.refuse_destination = kPeer;
  kernel.refuse_source = kElsewhere;
  EXPECT_FALSE(engine.update_endpoints(model::ChildId(1), {kUs, 4500}, {kPeer, 4501}, true, 20));
  EXPECT_EQ(engine.put_back().sas, 1U);
  EXPECT_EQ(std::get<SaExpiring>(engine.events().back()).spi, Spi(0x1001));
  EXPECT_EQ(kernel.sas.size(), 1U);
}

}  // namespace
}  // namespace cygnet::sadb::kernel::test
