// SPDX-License-Identifier: Apache-2.0
// Agreeing on Diet-ESP: HCP_PROPOSAL (draft-ietf-ipsecme-ikev2-diet-esp-extension-04).
#include "ike/v2/diet.h"

#include <gtest/gtest.h>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

model::Connection with(const model::DietEsp& diet, std::uint16_t cipher = 20) {
  auto c = tunnel("tun");
  c.children[0].diet = diet;
  c.children[0].replay_window = 1024;
  auto& transforms = c.children[0].proposals;
  transforms = {{model::Protocol::kEsp, {{model::TransformType::kEncryption, cipher, 256}}}};
  if (cipher == 12) transforms[0].transforms.push_back({model::TransformType::kIntegrity, 12, 0});
  return c;
}

const model::SaSpec& sa(const Side& side, model::Direction direction) {
  const auto* out = side.plane.outbound("tun", "tun");
  return direction == model::Direction::kOutbound ? out->spec
                                                  : side.plane.find(out->spec.child, model::Direction::kInbound)->spec;
}

void expect_all(Exchange& e, const model::DietEsp& diet) {
  for (auto* side : {&e.a(), &e.b()}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      EXPECT_EQ(sa(*side, direction).diet, diet);
    }
  }
}

TEST(DietEsp, AgreedOnInTheFirstChildAndInEachRekey) {
  // The initiator's number of bits is the one of both.
  const model::DietEsp mine{.enabled = true, .sn_octets = 1};
  Exchange e(with(mine), mirrored(with(mine)));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, mine);
  EXPECT_EQ(sa(e.a(), model::Direction::kInbound).replay_window, 128U) << "half of what eight bits tell apart";
  EXPECT_EQ(sa(e.a(), model::Direction::kOutbound).tfc_octets, 0U);
  for (auto* who : {&e.a(), &e.b()}) {
    const auto before = sa(e.a(), model::Direction::kOutbound).spi;
    e.rekey_child(*who);
    e.advance_and_run(60s);
    EXPECT_NE(sa(e.a(), model::Direction::kOutbound).spi, before);
    expect_all(e, mine);
  }
}

TEST(DietEsp, TheInitiatorSaysHowMuchOfTheSequenceNumberIsSent) {
  const model::DietEsp three{.enabled = true, .sn_octets = 3};
  Exchange e(with(three), mirrored(with({.enabled = true, .sn_octets = 2})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, three);
  EXPECT_EQ(sa(e.b(), model::Direction::kInbound).replay_window, 1024U);
}

TEST(DietEsp, FewerBitsThanAreConfiguredAreNamedInTheLog) {
  const model::DietEsp one{.enabled = true, .sn_octets = 1};
  Exchange e(with(one), mirrored(with({.enabled = true, .sn_octets = 4})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, one);
  EXPECT_EQ(sa(e.b(), model::Direction::kInbound).replay_window, 128U);
  EXPECT_TRUE(e.b().reported("diet-esp-fewer-bits"));
  EXPECT_FALSE(e.a().reported("diet-esp-fewer-bits"));
}

TEST(DietEsp, WithoutItOnOneEndThereIsPlainEsp) {
  for (const bool initiator : {true, false}) {
    const auto yes = with({.enabled = true});
    const auto no = with({});
    Exchange e(initiator ? yes : no, mirrored(initiator ? no : yes));
    e.initiate(e.a());
    e.advance_and_run(1s);
    expect_all(e, {});
    EXPECT_EQ(e.a().reported("diet-esp-declined"), initiator);
    EXPECT_EQ(e.b().reported("diet-esp-declined"), !initiator);
  }
}

TEST(DietEsp, NotWithCiphersThatHaveBlocks) {
  const auto cbc = with({.enabled = true}, 12);
  Exchange e(cbc, mirrored(cbc));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_all(e, {});
  EXPECT_TRUE(e.a().reported("diet-esp-declined"));
}

// ---- the notification
wire::ike::Payloads said(const Bytes& data) {
  wire::ike::NotifyPayload notify;
  notify.type = wire::ike::NotifyType::kHcpProposal;
  notify.data = data;
  wire::ike::Payloads payloads;
  payloads.emplace_back(notify);
  return payloads;
}

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}

ike::v2::DietTerms chosen_from(std::string_view text,
                               const model::DietEsp& config = {.enabled = true, .sn_octets = 1}) {
  const model::TrafficSelectors any{*model::TrafficSelector::parse("10.0.0.0/8")};
  model::Child child;
  child.diet = config;
  return ike::v2::choose_diet(said(hex(text)), child,
                              {.encryption = model::EncryptionId::kAesGcm16, .encryption_bits = 128}, any, any);
}

TEST(DietEsp, TheOctetsOfAProposal) {
  // Proposal 1, Diet-ESP, eight octets; alignment (3): 8 bit (0); SN LSB (5): 16.
  EXPECT_EQ(to_hex(ike::v2::propose_diet({.enabled = true, .sn_octets = 2}).data), "010000088003000080050010");
  EXPECT_EQ(to_hex(ike::v2::accept_diet({{.enabled = true, .sn_octets = 4}, 7}).data), "070000088003000080050020");
}

TEST(DietEsp, WhatOthersMayPropose) {
  EXPECT_EQ(chosen_from("010000088003000080050010").use.sn_octets, 2);
  EXPECT_EQ(chosen_from("0100000480030000").use.sn_octets, 4) << "the default is all 32 bits";
  // The second of two: the first one is of another profile, of half octets, of an alignment that leaves nothing out.
  for (const auto* first : {"01010000", "01000008800300008005000c", "010000088003000280050010", "0100000480050010",
                            "0100000880030000800500ff", "010000088003000080040008", "010000088003000080000001"}) {
    const auto terms = chosen_from(std::string(first) + "020000088003000080050018");
    EXPECT_TRUE(terms.use.enabled) << first;
    EXPECT_EQ(terms.proposal_id, 2) << first;
    EXPECT_EQ(terms.use.sn_octets, 3) << first;
  }
  // Several values of one attribute are a choice.
  EXPECT_EQ(chosen_from("010000148003000380030000800500058005000880000000").use.sn_octets, 1);
  EXPECT_TRUE(chosen_from("010000108003000080050010800000018000"
                          "0000")
                  .use.enabled);
}

TEST(DietEsp, OfSeveralOnesThatWithEnoughOfTheSequenceNumber) {
  const model::DietEsp two{.enabled = true, .sn_octets = 2};
  // 8, 24 and 16 bits to choose from.
  EXPECT_EQ(chosen_from("010000108003000080050008"
                        "8005001880050010",
                        two)
                .use.sn_octets,
            3);
  // The first proposal has 8 bits, the second one 16.
  const auto second = chosen_from("010000088003000080050008020000088003000080050010", two);
  EXPECT_EQ(second.use.sn_octets, 2);
  EXPECT_EQ(second.proposal_id, 2);
  EXPECT_EQ(chosen_from("010000088003000080050008", two).use.sn_octets, 1) << "there is nothing else";
}

TEST(DietEsp, WhatIsNotUnderstoodIsNotTaken) {
  for (const auto* text : {"", "01", "010000", "0100000880030000800500", "01000009800300008005001000",
                           "0100000480060001",  // unknown attribute
                           "0100000c800300008005001080070001",
                           "0100000cffff000880050008800500ff",  // no range: its length is in the long form
                           "01000010800300007fff000880050008"
                           "80050010"}) {
    EXPECT_FALSE(chosen_from(text).use.enabled) << text;
  }
  std::string many;
  for (int i = 0; i < 17; ++i) many += "010000088003000080050010";
  EXPECT_FALSE(chosen_from(many).use.enabled) << "more than anybody needs";
}

TEST(DietEsp, AnAnswerHasToBeOneOfWhatWasOffered) {
  const model::DietEsp config{.enabled = true, .sn_octets = 2};
  EXPECT_TRUE(ike::v2::diet_in_answer(said(hex("010000088003000080050010")), config)->use.enabled);
  EXPECT_FALSE(ike::v2::diet_in_answer({}, config)->use.enabled);
  for (const auto* text : {"", "020000088003000080050010", "010100088003000080050010", "010000088003000080050018",
                           "010000088003000080050010010000088003000080050010"}) {
    EXPECT_FALSE(ike::v2::diet_in_answer(said(hex(text)), config)) << text;
  }
}

}  // namespace
}  // namespace cygnet::test
