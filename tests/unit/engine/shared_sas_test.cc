// SPDX-License-Identifier: Apache-2.0
// SAs that several policies share, as those keyed by hand are.
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

class SharedSas : public TwoGateways {
 protected:
  static constexpr model::PolicyId kGroup{100};

  [[nodiscard]] static model::SaSpec shared(bool from_a, model::Direction direction) {
    auto s = spec({}, from_a, direction);
    s.policy = kGroup;
    s.local_selectors.clear();
    s.remote_selectors.clear();
    return s;
  }
  [[nodiscard]] static model::PolicySpec policy(std::uint32_t id, const std::string& local, const std::string& remote) {
    model::PolicySpec p;
    p.id = model::PolicyId{id};
    p.group = kGroup;
    p.local = selectors({local});
    p.remote = selectors({remote});
    return p;
  }
};

TEST_F(SharedSas, PoliciesOfAGroupUseItsSas) {
  Gateway g(1);
  ASSERT_TRUE(g.engine.install_policy(policy(7, "10.1.0.0/16", "10.2.0.0/16")));
  ASSERT_TRUE(g.engine.install_policy(policy(8, "10.3.0.0/16", "10.4.0.0/16")));
  ASSERT_TRUE(g.engine.install_sa(shared(true, model::Direction::kOutbound), g.now));
  EXPECT_EQ(g.send(udp_packet("10.1.0.1", "10.2.0.1", 10)).esp().size(), 1U);
  EXPECT_EQ(g.send(udp_packet("10.3.0.1", "10.4.0.1", 10)).esp().size(), 1U);
  EXPECT_EQ(g.send(udp_packet("10.1.0.1", "10.4.0.1", 10)).dropped, std::vector{DropReason::kPolicyDiscard});
  const auto state = g.engine.sa_state(model::Direction::kOutbound, kChild);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->counters.packets, 2U);
  EXPECT_TRUE(state->spec.encryption_key.empty());
  EXPECT_FALSE(g.engine.sa_state(model::Direction::kInbound, kChild));
}

TEST_F(SharedSas, PairedSelectorsAreNoProduct) {
  ASSERT_TRUE(a.engine.install_policy(policy(7, "0.0.0.0/0", "0.0.0.0/0")));
  ASSERT_TRUE(a.engine.install_sa(shared(true, model::Direction::kOutbound), a.now));
  auto inbound = shared(true, model::Direction::kInbound);
  inbound.paired_selectors = true;
  inbound.local_selectors = selectors({"10.2.0.0/16", "10.4.0.0/16"});
  inbound.remote_selectors = selectors({"10.1.0.0/16", "10.3.0.0/16"});
  ASSERT_TRUE(b.engine.install_sa(inbound, b.now));
  const auto arrive = [&](std::string_view from, std::string_view to) {
    return b.receive_all(a.send(udp_packet(from, to, 10)).esp());
  };
  EXPECT_EQ(arrive("10.1.0.1", "10.2.0.1").delivered.size(), 1U);
  EXPECT_EQ(arrive("10.3.0.1", "10.4.0.1").delivered.size(), 1U);
  EXPECT_EQ(arrive("10.1.0.1", "10.4.0.1").dropped, std::vector{DropReason::kSelectorMismatch});
  EXPECT_EQ(arrive("10.3.0.1", "10.2.0.1").dropped, std::vector{DropReason::kSelectorMismatch});
}

TEST_F(SharedSas, PairedAndEmptyTakesNothing) {
  ASSERT_TRUE(a.engine.install_policy(policy(7, "0.0.0.0/0", "0.0.0.0/0")));
  ASSERT_TRUE(a.engine.install_sa(shared(true, model::Direction::kOutbound), a.now));
  auto inbound = shared(true, model::Direction::kInbound);
  inbound.paired_selectors = true;
  ASSERT_TRUE(b.engine.install_sa(inbound, b.now));
  EXPECT_EQ(b.receive_all(a.send(udp_packet("10.1.0.1", "10.2.0.1", 10)).esp()).dropped,
            std::vector{DropReason::kSelectorMismatch});
  ASSERT_TRUE(b.engine.set_selectors(kChild, selectors({"10.2.0.0/16"}), selectors({"10.1.0.0/16"}), true));
  EXPECT_EQ(b.receive_all(a.send(udp_packet("10.1.0.1", "10.2.0.1", 10)).esp()).delivered.size(), 1U);
  EXPECT_FALSE(a.engine.set_selectors(kChild, {}, {}, false)) << "it has no inbound SA";
}

}  // namespace
}  // namespace cygnet::engine::test
