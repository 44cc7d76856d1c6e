// SPDX-License-Identifier: Apache-2.0
// IKE SAs without a first child (RFC 6023), and ESP_TFC_PADDING_NOT_SUPPORTED.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

using model::Childless;

model::Connection wanting(Childless childless) {
  auto c = tunnel("tun");
  c.childless = childless;
  return c;
}

const std::string kInitRequest = "A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat;
const std::string kAllowed = "A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat + " N(CHILDLESS_IKEV2_SUPPORTED)";

TEST(ChildlessIkeSa, BeginsSoIfBothLikeIt) {
  Exchange e(wanting(Childless::kPrefer), mirrored(wanting(Childless::kAllow)));
  e.initiate(e.a());
  e.expect({kInitRequest, kAllowed, "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH",
            "A <- B IKE_AUTH response 1: IDr AUTH", "A -> B CREATE_CHILD_SA request 2: SA Ni TSi TSr",
            "A <- B CREATE_CHILD_SA response 2: SA Nr TSi TSr"});
  EXPECT_TRUE(last_done(e.a()).ok);
  e.expect_tunnel();
}

TEST(ChildlessIkeSa, WhoOnlyAllowsItBeginsWithAChild) {
  Exchange e(wanting(Childless::kAllow), mirrored(wanting(Childless::kAllow)));
  e.initiate(e.a());
  e.expect({kInitRequest, kAllowed, kAuthExchange[0], kAuthExchange[1]});
}

TEST(ChildlessIkeSa, AResponderThatDoesNotSaySoGetsAChild) {
  Exchange e(wanting(Childless::kPrefer), mirrored(wanting(Childless::kNever)));
  e.initiate(e.a());
  e.expect(kInitExchange + kAuthExchange);
}

TEST(ChildlessIkeSa, ForceGoesNoFurther) {
  Exchange e(wanting(Childless::kForce), mirrored(wanting(Childless::kNever)));
  e.initiate(e.a());
  e.expect(kInitExchange);
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_TRUE(contains(e.a().messages("childless-unsupported"), "RFC 6023"));
  EXPECT_EQ(e.a().endpoint().status().size(), 0U);
}

TEST(Tfc, EitherEndMaySayThatItWantsNoPadding) {
  auto c = tunnel("tun");
  c.refuse_tfc = true;
  Exchange e(c);
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{
               "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH N(ESP_TFC_PADDING_NOT_SUPPORTED) SA TSi TSr",
               "A <- B IKE_AUTH response 1: IDr AUTH N(ESP_TFC_PADDING_NOT_SUPPORTED) SA TSi TSr"});
  e.expect_tunnel();
}

}  // namespace
}  // namespace cygnet::test
