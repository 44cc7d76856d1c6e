// SPDX-License-Identifier: Apache-2.0
// Mobile IPv6: the type in a mobility header is a selector (RFC 4301 section 4.4.1.1, RFC 4877 section 6).
#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

// RFC 6275 section 6.1.1.
[[nodiscard]] Bytes mobility(std::uint8_t type) {
  Bytes header(16);
  header[0] = wire::protocol::kNoNextHeader;
  header[1] = 1;
  header[2] = type;
  return ip_packet("2001:db8:1::5", "2001:db8:2::9", wire::protocol::kMobility, header);
}

class MobilityHeader : public TwoGateways {};

TEST_F(MobilityHeader, ItsTypeSelectsPoliciesAndIsCheckedOnArrival) {
  constexpr std::uint8_t kBindingUpdate = 5;
  constexpr std::uint8_t kHomeTestInit = 1;
  TunnelOptions o;
  o.left = {"2001:db8:1::/48[mobility-header/5]"};
  o.right = {"2001:db8:2::/48[mh/5]"};
  connect(o);
  const auto sent = a.send(mobility(kBindingUpdate));
  ASSERT_EQ(sent.esp().size(), 1U);
  EXPECT_EQ(b.receive(sent.esp()[0]).packets(), std::vector<Bytes>{mobility(kBindingUpdate)});
  EXPECT_EQ(a.send(mobility(kHomeTestInit)).dropped, std::vector{DropReason::kPolicyDiscard});
  const auto forged = seal_by_hand(spec(o, true, model::Direction::kOutbound), 9, mobility(kHomeTestInit), 41);
  EXPECT_EQ(b.receive(forged).dropped, std::vector{DropReason::kSelectorMismatch});
}

}  // namespace
}  // namespace cygnet::engine::test
