// SPDX-License-Identifier: Apache-2.0
#include "ike/diagnosis.h"

#include <gtest/gtest.h>

namespace cygnet::ike::diagnosis {
namespace {

using model::Transform;
using model::TransformType;

constexpr Transform encr(std::uint16_t id, std::uint16_t bits = 0) { return {TransformType::kEncryption, id, bits}; }
constexpr Transform prf(std::uint16_t id) { return {TransformType::kPrf, id, 0}; }
constexpr Transform integ(std::uint16_t id) { return {TransformType::kIntegrity, id, 0}; }
constexpr Transform group(std::uint16_t id) { return {TransformType::kKeyExchange, id, 0}; }
model::Proposal ike(std::vector<Transform> t) { return {model::Protocol::kIke, std::move(t)}; }

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(ProposalDifference, BothOffersTheDifferenceAndTheLineToWrite) {
  const auto text = proposal_difference(
      "192.0.2.9:500", {ike({encr(12, 256), integ(12), prf(5), group(14)})},
      {ike({encr(20, 256), prf(5), group(31)}), ike({encr(12, 256), integ(12), prf(5), group(31)})}, "ike", true);
  EXPECT_TRUE(holds(text, "the peer offers:\n    1. AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048*"))
      << text;
  EXPECT_TRUE(holds(text, "we accept:\n    1. AES_GCM_16_256*/PRF_HMAC_SHA2_256/")) << text;
  EXPECT_TRUE(holds(text, "nearest: the peer's 1 and our 2")) << text;
  EXPECT_TRUE(holds(text, "key exchange group: the peer has MODP_2048, we have")) << text;
  EXPECT_TRUE(holds(text, "write ike=aes256-sha256-modp2048 here, or ike=aes256-sha256-x25519 at the peer")) << text;
}

TEST(ProposalDifference, WhatWeCannotDoIsWrittenAtThePeer) {
  const auto text = proposal_difference("192.0.2.9:500", {ike({encr(3), integ(2), prf(2), group(2)})},
                                        {ike({encr(20, 256), prf(5), group(31)})}, "ike", true);
  EXPECT_TRUE(holds(text, "3DES_CBC*/HMAC_SHA1_96*/PRF_HMAC_SHA1*/MODP_1024*")) << text;
  EXPECT_TRUE(holds(text, "the peer's is not supported here: write ike=aes256gcm16-prfsha256-x25519 at the peer"))
      << text;
}

TEST(ProposalDifference, AnEmptyOfferDoesNoHarm) {
  EXPECT_TRUE(
      holds(proposal_difference("p", {}, {ike({encr(20, 256), prf(5), group(31)})}, "esp", false), "(nothing)"));
  EXPECT_TRUE(holds(proposal_difference("p", {ike({})}, {}, "esp", false), "write a line esp="));
}

TEST(Selectors, BothSets) {
  const auto ts = [](std::string_view t) { return model::TrafficSelectors{*model::TrafficSelector::parse(t)}; };
  const auto text = selectors_do_not_meet("192.0.2.9:500", ts("10.9.0.0/16"), ts("10.2.0.0/16"),
                                          {{"net", ts("10.1.0.0/16"), ts("10.2.0.0/16")}});
  EXPECT_TRUE(holds(text, "the peer wants: 10.9.0.0/16 here === 10.2.0.0/16 there")) << text;
  EXPECT_TRUE(holds(text, "we have:        10.1.0.0/16 here === 10.2.0.0/16 there (net)")) << text;
}

TEST(NoAnswer, NamesThePortsToOpen) {
  EXPECT_TRUE(holds(no_answer("192.0.2.9:500", 4, std::chrono::milliseconds(3500), false), "after 4 tries over 3.5 s"));
  EXPECT_TRUE(holds(no_answer("192.0.2.9:500", 4, std::chrono::seconds(60), false), "UDP 500 and 4500"));
  EXPECT_TRUE(holds(no_answer("192.0.2.9:4500", 4, std::chrono::seconds(60), true), "UDP 4500 open"));
}

TEST(Authentication, SaysWhichKeysToCompare) {
  const auto a = *model::Identity::parse("@a.test");
  const auto b = *model::Identity::parse("@b.test");
  const auto text = keys_differ("192.0.2.9:500", a, b, "ipsec.secrets:3");
  EXPECT_TRUE(holds(text, "the pre-shared keys differ")) << text;
  EXPECT_TRUE(holds(text, "ipsec.secrets:3")) << text;
  EXPECT_TRUE(holds(identity_unexpected("p", b, "'c.test'", "office"), "connection office expects 'c.test'"));
}

}  // namespace
}  // namespace cygnet::ike::diagnosis
