// SPDX-License-Identifier: Apache-2.0
// Traffic selectors (RFC 7296 section 2.9) and several children of one IKE SA.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

TEST(Selectors, ResponderNarrows) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.children[0].local = selectors({"10.2.3.0/24"});
  b.children[0].remote = selectors({"10.1.4.0/24"});
  Exchange e(a, b);
  e.bring_up();
  ASSERT_EQ(e.a().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.a().child_ups[0].local), "10.1.4.0/24");
  EXPECT_EQ(model::to_string(e.a().child_ups[0].remote), "10.2.3.0/24");
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(e.b().child_ups[0].local, e.a().child_ups[0].remote);
  EXPECT_EQ(e.b().child_ups[0].remote, e.a().child_ups[0].local);
  for (const auto& spec : e.a().plane.specs()) EXPECT_EQ(model::to_string(spec.remote_selectors), "10.2.3.0/24");
}

TEST(Selectors, SeveralOfBothFamilies) {
  auto connection = tunnel("tun");
  connection.children[0].local = selectors({"10.1.0.0/16", "2001:db8:1::/48"});
  connection.children[0].remote = selectors({"10.2.0.0/16", "10.3.0.0/24", "2001:db8:2::/48"});
  Exchange e(connection);
  e.bring_up();
  e.expect_tunnel();
  ASSERT_EQ(e.a().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.a().child_ups[0].local), "10.1.0.0/16, 2001:db8:1::/48");
  EXPECT_EQ(model::to_string(e.a().child_ups[0].remote), "10.2.0.0/16, 10.3.0.0/24, 2001:db8:2::/48");
}

TEST(Selectors, ProtocolAndPortSurvive) {
  auto connection = tunnel("tun");
  connection.children[0].remote = selectors({"10.2.0.0/16[tcp/443]"});
  Exchange e(connection);
  e.bring_up();
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.b().child_ups[0].local), "10.2.0.0/16[tcp/443]");
}

TEST(Selectors, TheAnswerMayNotBeWiderThanTheOffer) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.children[0].local = selectors({"10.0.0.0/8"});
  b.children[0].remote = selectors({"0.0.0.0/0"});
  Exchange e(a, b);
  e.bring_up();
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.b().child_ups[0].local), "10.2.0.0/16");
  EXPECT_EQ(model::to_string(e.b().child_ups[0].remote), "10.1.0.0/16");
}

TEST(Selectors, TheAnswerMayNotChooseTransportModeUnasked) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  e.deliver();
  const auto answer = e.drop("IKE_AUTH response");
  auto payloads = answer.decoded.payloads;
  wire::ike::NotifyPayload mode;
  mode.type = wire::ike::NotifyType::kUseTransportMode;
  payloads.emplace_back(mode);
  const auto bytes = e.b().keys().seal(answer.decoded.header, payloads);
  ASSERT_TRUE(bytes);
  e.inject(e.a(), answer.path, *bytes);
  EXPECT_TRUE(contains(e.a().messages("answer-unacceptable"), "transport mode, which nobody asked for"))
      << e.a().messages("answer-unacceptable");
  EXPECT_TRUE(e.a().child_ups.empty());
}

TEST(Selectors, ThePacketThatAskedStandsFirst) {
  Exchange e(tunnel("tun"));
  const std::pair packet{selector("10.1.0.7/32[tcp/50000]"), selector("10.2.0.9/32[tcp/80]")};
  e.a().act(e.now(), [&](ike::IkeEndpoint& endpoint) { endpoint.initiate(e.now(), "tun", "tun", packet); });
  e.deliver();
  e.deliver();
  const Flight request = e.drop("IKE_AUTH request");
  const auto* tsi = wire::ike::find_ts(request.decoded.payloads, true);
  const auto* tsr = wire::ike::find_ts(request.decoded.payloads, false);
  ASSERT_NE(tsi, nullptr);
  ASSERT_NE(tsr, nullptr);
  EXPECT_EQ(model::to_string(tsi->selectors), "10.1.0.7/32[tcp/50000], 10.1.0.0/16");
  EXPECT_EQ(model::to_string(tsr->selectors), "10.2.0.9/32[tcp/80], 10.2.0.0/16");
  e.inject(request);
  e.run();
  e.expect_tunnel();
  ASSERT_EQ(e.a().child_ups.size(), 1U);
  EXPECT_TRUE(model::covers(e.a().child_ups[0].remote, selectors({"10.2.0.0/16"})));
}

TEST(Selectors, FurtherChildrenTakeOneExchangeEach) {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  connection.children.push_back(child("v6", "2001:db8:1::/48", "2001:db8:2::/48"));
  Exchange e(connection);
  e.initiate(e.a());
  e.expect(kInitExchange + kAuthExchange +
           std::vector<std::string>{
               "A -> B CREATE_CHILD_SA request 2: SA Ni TSi TSr", "A <- B CREATE_CHILD_SA response 2: SA Nr TSi TSr",
               "A -> B CREATE_CHILD_SA request 3: SA Ni TSi TSr", "A <- B CREATE_CHILD_SA response 3: SA Nr TSi TSr"});
  e.expect_tunnel(3);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "lab"));
  EXPECT_TRUE(e.packet(e.b(), e.a(), "tun", "v6"));
}

TEST(Selectors, FurtherChildrenMayHaveAKeyExchangeOfTheirOwn) {
  auto connection = tunnel("tun");
  connection.children.push_back(child("pfs", "10.1.0.0/16", "10.7.0.0/16"));
  connection.children[1].proposals = {esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                                   {model::KeGroup::kX25519}, {model::EsnChoice::kNo})};
  Exchange e(connection);
  e.initiate(e.a());
  e.expect(kInitExchange + kAuthExchange +
           std::vector<std::string>{"A -> B CREATE_CHILD_SA request 2: SA Ni KE TSi TSr",
                                    "A <- B CREATE_CHILD_SA response 2: SA Nr KE TSi TSr"});
  e.expect_tunnel(2);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "pfs"));
}

TEST(Selectors, OneChildThatDoesNotMeetLeavesTheOthersAlone) {
  auto a = tunnel("tun");
  a.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  auto b = mirrored(a);
  b.children.pop_back();
  Exchange e(a, b);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.history.back(), "N(TS_UNACCEPTABLE)")) << e.history.back();
  e.expect_tunnel(1);
  EXPECT_FALSE(e.packet(e.a(), e.b(), "tun", "lab"));
}

TEST(Selectors, TwoConnectionsToOnePeerShareTheIkeSa) {
  auto first = tunnel("tun");
  auto second = tunnel("two");
  second.children = {child("two", "10.8.0.0/16", "10.9.0.0/16")};
  Exchange e;
  e.add("A", "192.0.2.1", {first, second}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {mirrored(first), mirrored(second)}, {secret("s3cret")});
  e.initiate(e.a(), "tun");
  e.run();
  e.initiate(e.a(), "two");
  e.expect({"A -> B CREATE_CHILD_SA request 2: SA Ni TSi TSr", "A <- B CREATE_CHILD_SA response 2: SA Nr TSi TSr"});
  e.expect_tunnel(2);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "two", "two"));
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

}  // namespace
}  // namespace cygnet::test
