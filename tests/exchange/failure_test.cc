// SPDX-License-Identifier: Apache-2.0
// When it fails, it says why: on both sides, in words that name the nearest way out.
#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

using model::EncryptionId;
using model::EsnChoice;
using model::IntegrityId;
using model::KeGroup;
using model::PrfId;

TEST(Failure, PresharedKeysDiffer) {
  Exchange e;
  const auto connection = tunnel("tun");
  e.add("A", "192.0.2.1", {connection}, {secret("one")});
  e.add("B", "198.51.100.1", {mirrored(connection)}, {secret("other")});
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{kAuthExchange[0], "A <- B IKE_AUTH response 1: N(AUTHENTICATION_FAILED)"});
  EXPECT_TRUE(contains(e.b().messages("auth-failed"), "pre-shared key")) << e.b().messages("auth-failed");
  const auto done = last_done(e.a());
  EXPECT_FALSE(done.ok);
  EXPECT_TRUE(contains(done.message, "pre-shared key")) << done.message;
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

TEST(Failure, NoPresharedKeyAtAll) {
  Exchange e;
  const auto connection = tunnel("tun");
  e.add("A", "192.0.2.1", {connection}, {secret("one")});
  e.add("B", "198.51.100.1", {mirrored(connection)}, {});
  e.initiate(e.a());
  e.run();
  EXPECT_FALSE(last_done(e.a()).ok);
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

TEST(Failure, ResponderExpectsAnotherIdentity) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.remote.id = model::Identity{model::IdType::kFqdn, to_bytes("c.test")};
  Exchange e(a, b);
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{kAuthExchange[0], "A <- B IKE_AUTH response 1: N(AUTHENTICATION_FAILED)"});
  EXPECT_FALSE(last_done(e.a()).ok);
  // The responder names both: whom it expected and who came.
  std::string said;
  for (const auto& report : e.b().reports) said += report.message + "\n";
  EXPECT_TRUE(contains(said, "a.test")) << said;
  EXPECT_TRUE(contains(said, "c.test")) << said;
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

TEST(Failure, NoCommonIkeProposal) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.proposals = {ike_proposal(EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_256_128, PrfId::kHmacSha2_256,
                              {KeGroup::kX25519})};
  Exchange e(a, b);
  e.initiate(e.a());
  e.expect({kInitExchange[0], "A <- B IKE_SA_INIT response 0: N(NO_PROPOSAL_CHOSEN)"});
  // RFC 7296 section 2.21.1: the answer is not authenticated, so the initiator keeps hoping for another for a while.
  e.advance_and_run(120s);
  const std::string theirs = e.b().messages("no-proposal-chosen");
  EXPECT_TRUE(contains(theirs, "AES_GCM_16_256")) << theirs;
  EXPECT_TRUE(contains(theirs, "AES_CBC_256")) << theirs;
  EXPECT_TRUE(contains(theirs, "ike=")) << theirs;
  const auto done = last_done(e.a());
  EXPECT_FALSE(done.ok);
  EXPECT_TRUE(contains(done.message, "AES_GCM_16_256") || contains(done.message, "aes256gcm16")) << done.message;
  e.expect_nothing_left();
}

TEST(Failure, NoCommonEspProposalKeepsTheIkeSa) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.children[0].proposals = {
      esp_proposal(EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128, {}, {EsnChoice::kNo})};
  Exchange e(a, b);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.history.at(3), "A <- B IKE_AUTH response 1: IDr AUTH N(NO_PROPOSAL_CHOSEN)"))
      << e.history.at(3);
  const std::string theirs = e.b().messages("no-proposal-chosen");
  EXPECT_TRUE(contains(theirs, "AES_GCM_16_256")) << theirs;
  EXPECT_TRUE(contains(theirs, "AES_CBC_128")) << theirs;
  EXPECT_TRUE(contains(theirs, "esp=")) << theirs;
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
  e.advance_and_run(120s);
  // No side is left alone with an IKE SA.
  EXPECT_EQ(e.a().endpoint().status().size(), e.b().endpoint().status().size());
}

TEST(Failure, TrafficSelectorsDoNotMeet) {
  const auto a = tunnel("tun");
  auto b = mirrored(a);
  b.children[0].local = selectors({"10.9.0.0/16"});
  Exchange e(a, b);
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.history.at(3), "A <- B IKE_AUTH response 1: IDr AUTH N(TS_UNACCEPTABLE)")) << e.history.at(3);
  std::string said;
  for (const auto& report : e.b().reports) said += report.message + "\n";
  EXPECT_TRUE(contains(said, "10.2.0.0/16")) << said;
  EXPECT_TRUE(contains(said, "10.9.0.0/16")) << said;
  const auto done = last_done(e.a());
  EXPECT_FALSE(done.ok);
  EXPECT_TRUE(contains(done.message, "10.2.0.0/16")) << done.message;
  EXPECT_EQ(e.a().plane.entries().size(), 0U);
  EXPECT_EQ(e.b().plane.entries().size(), 0U);
}

TEST(Failure, NobodyAnswers) {
  auto connection = tunnel("tun");
  connection.retransmit_timeout_ms = 20000;
  Exchange e(connection);
  e.on_wire = [](Flight&) { return false; };
  e.initiate(e.a());
  e.advance_and_run(60s);
  const auto done = last_done(e.a());
  EXPECT_FALSE(done.ok);
  EXPECT_TRUE(contains(done.message, "198.51.100.1")) << done.message;
  EXPECT_TRUE(contains(done.message, "UDP")) << done.message;
  e.expect_nothing_left();
}

TEST(Failure, StrangersAreNotTaughtAnything) {
  Exchange e;
  const auto connection = tunnel("tun");
  e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {}, {});
  e.initiate(e.a());
  e.run();
  // B knows no connection with A: it says NO_PROPOSAL_CHOSEN or nothing, and keeps nothing.
  EXPECT_EQ(e.b().endpoint().status().size(), 0U);
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
  EXPECT_FALSE(e.b().reports.empty());
}

TEST(Failure, StartConnectionsComeBackForEver) {
  auto a = tunnel("tun");
  a.children[0].start = model::StartAction::kStart;
  a.retransmit_timeout_ms = 10000;
  a.keying_tries = 0;
  auto b = mirrored(a);
  b.children[0].start = model::StartAction::kAdd;
  Exchange e(a, b);
  bool deaf = true;
  e.on_wire = [&](Flight&) { return !deaf; };
  e.advance_and_run(600s);
  EXPECT_EQ(e.a().endpoint().status().empty() || e.a().plane.entries().empty(), true);
  deaf = false;
  e.advance_and_run(600s);
  e.expect_tunnel();
}

}  // namespace
}  // namespace cygnet::test
