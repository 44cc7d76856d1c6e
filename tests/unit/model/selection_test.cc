// SPDX-License-Identifier: Apache-2.0
#include "model/selection.h"

#include <gtest/gtest.h>

namespace cygnet::model {
namespace {

constexpr Transform encr(std::uint16_t id, std::uint16_t bits = 0) { return {TransformType::kEncryption, id, bits}; }
constexpr Transform prf(std::uint16_t id) { return {TransformType::kPrf, id, 0}; }
constexpr Transform integ(std::uint16_t id) { return {TransformType::kIntegrity, id, 0}; }
constexpr Transform group(std::uint16_t id) { return {TransformType::kKeyExchange, id, 0}; }
constexpr Transform esn(std::uint16_t id) { return {TransformType::kEsn, id, 0}; }
Proposal ike(std::vector<Transform> t) { return {Protocol::kIke, std::move(t)}; }
Proposal esp(std::vector<Transform> t) { return {Protocol::kEsp, std::move(t)}; }

const auto kGcm = ike({encr(20, 256), prf(5), group(31)});
const auto kCbc = ike({encr(12, 256), integ(12), prf(5), group(19)});

TEST(ProposalText, IanaNamesInReadingOrder) {
  EXPECT_EQ(to_string(kGcm), "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519");
  EXPECT_EQ(to_string(kCbc), "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_256");
  EXPECT_EQ(to_string(ChosenEsp{EncryptionId::kAesGcm16, 256, IntegrityId::kNone, KeGroup::kNone, false}),
            "AES_GCM_16_256");
  EXPECT_EQ(to_string(ChosenEsp{EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128, KeGroup::kX25519, true}),
            "AES_CBC_128/HMAC_SHA2_256_128/CURVE_25519/ESN");
}

TEST(ProposalText, ConfigurationSpelling) {
  EXPECT_EQ(to_config(kGcm), "aes256gcm16-prfsha256-x25519");
  EXPECT_EQ(to_config(kCbc), "aes256-sha256-ecp256");
  EXPECT_EQ(to_config(ike({encr(12, 256), integ(12), prf(7), group(19)})), "aes256-sha256-prfsha512-ecp256");
  EXPECT_EQ(to_config(esp({encr(20, 128), esn(1), esn(0)})), "aes128gcm16-esn-noesn");
  EXPECT_EQ(to_config(esp({encr(20, 128), esn(0)})), "aes128gcm16");
  EXPECT_EQ(to_config(esp({encr(7), integ(12)})), "sha256") << "what cannot be negotiated is left out";
}

TEST(SelectIke, OwnOrderDecides) {
  const auto s = select_ike({kCbc, kGcm}, {kGcm, kCbc}, KeGroup::kNone);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->index, 1U);
  EXPECT_EQ(s->chosen,
            (ChosenIke{EncryptionId::kAesGcm16, 256, IntegrityId::kNone, PrfId::kHmacSha2_256, KeGroup::kX25519}));
  EXPECT_EQ(s->reply, kGcm);
}

TEST(SelectIke, GroupAlreadySentSavesARoundTrip) {
  EXPECT_EQ(select_ike({kCbc, kGcm}, {kGcm, kCbc}, KeGroup::kEcp256)->chosen.group, KeGroup::kEcp256);
  EXPECT_EQ(select_ike({kCbc, kGcm}, {kGcm}, KeGroup::kEcp256)->chosen.group, KeGroup::kX25519);
}

TEST(SelectIke, OneTransformOfEachTypeIsAnswered) {
  const auto s = select_ike({ike({encr(20, 128), encr(20, 256), prf(7), prf(5), group(14), group(31)})}, {kGcm},
                            KeGroup::kModp2048);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->reply, kGcm);
}

TEST(SelectIke, AeadWithIntegrityIsNotAnOffer) {
  EXPECT_FALSE(select_ike({ike({encr(20, 256), integ(12), prf(5), group(31)})}, {kGcm}, KeGroup::kNone));
  const auto with_none = select_ike({ike({encr(20, 256), integ(0), prf(5), group(31)})}, {kGcm}, KeGroup::kNone);
  ASSERT_TRUE(with_none);
  EXPECT_EQ(with_none->reply.of(TransformType::kIntegrity).size(), 1U) << "NONE was offered, so it is answered";
}

TEST(SelectIke, NothingInCommon) {
  EXPECT_FALSE(select_ike({kCbc}, {kGcm}, KeGroup::kNone));
  EXPECT_FALSE(select_ike({}, {kGcm}, KeGroup::kNone));
  EXPECT_FALSE(select_ike({ike({encr(20, 256), prf(5)})}, {ike({encr(20, 256), prf(5)})}, KeGroup::kNone))
      << "IKE needs a group";
  EXPECT_FALSE(select_ike({ike({encr(20), prf(5), group(31)})}, {kGcm}, KeGroup::kNone)) << "AES needs its key length";
}

TEST(SelectEsp, MissingEsnMeansNoEsn) {
  const auto s = select_esp({esp({encr(20, 256)})}, {esp({encr(20, 256), esn(1), esn(0)})}, ChildKeyExchange::kIgnore,
                            KeGroup::kNone);
  ASSERT_TRUE(s);
  EXPECT_FALSE(s->chosen.esn);
  EXPECT_TRUE(s->reply.of(TransformType::kEsn).empty());
  EXPECT_FALSE(
      select_esp({esp({encr(20, 256)})}, {esp({encr(20, 256), esn(1)})}, ChildKeyExchange::kIgnore, KeGroup::kNone));
}

TEST(SelectEsp, EncryptionWithoutIntegrityIsRefused) {
  EXPECT_FALSE(select_esp({esp({encr(12, 256), esn(0)})}, {esp({encr(12, 256), esn(0)})}, ChildKeyExchange::kIgnore,
                          KeGroup::kNone));
  EXPECT_TRUE(select_esp({esp({encr(11), integ(12), esn(0)})}, {esp({encr(11), integ(12), esn(0)})},
                         ChildKeyExchange::kIgnore, KeGroup::kNone));
}

TEST(SelectEsp, PerfectForwardSecrecy) {
  const auto plain = esp({encr(20, 256), esn(0)});
  const auto pfs = esp({encr(20, 256), group(31), esn(0)});
  EXPECT_FALSE(select_esp({plain}, {pfs}, ChildKeyExchange::kNegotiate, KeGroup::kNone))
      << "we insist, the peer does not offer";
  EXPECT_EQ(select_esp({pfs}, {pfs}, ChildKeyExchange::kNegotiate, KeGroup::kX25519)->chosen.group, KeGroup::kX25519);
  EXPECT_EQ(select_esp({pfs}, {plain}, ChildKeyExchange::kNegotiate, KeGroup::kX25519)->chosen.group, KeGroup::kX25519)
      << "granted to a peer that insists";
  EXPECT_EQ(select_esp({pfs, plain}, {plain}, ChildKeyExchange::kNegotiate, KeGroup::kX25519)->chosen.group,
            KeGroup::kX25519);
  EXPECT_EQ(select_esp({pfs}, {pfs}, ChildKeyExchange::kIgnore, KeGroup::kNone)->chosen.group, KeGroup::kNone);
  EXPECT_TRUE(select_esp({pfs}, {pfs}, ChildKeyExchange::kIgnore, KeGroup::kNone)
                  ->reply.of(TransformType::kKeyExchange)
                  .empty());
}

TEST(Accept, AnswerMustBeOneChoiceOfTheOffer) {
  EXPECT_TRUE(accept_ike(kGcm, {kCbc, kGcm}));
  EXPECT_FALSE(accept_ike(kGcm, {kCbc}));
  EXPECT_FALSE(accept_ike(ike({encr(20, 256), encr(20, 128), prf(5), group(31)}),
                          {ike({encr(20, 256), encr(20, 128), prf(5), group(31)})}));
  EXPECT_FALSE(accept_ike(ike({encr(20, 256), prf(5), group(31), integ(12)}), {kGcm})) << "integrity was not offered";
  const auto offer = esp({encr(20, 256), group(31), esn(0)});
  EXPECT_FALSE(accept_esp(esp({encr(20, 256), esn(0)}), {offer}, ChildKeyExchange::kNegotiate))
      << "the peer dropped our key exchange";
  EXPECT_TRUE(accept_esp(esp({encr(20, 256), esn(0)}), {offer}, ChildKeyExchange::kIgnore));
}

TEST(Groups, InOrderWithoutRepeats) {
  EXPECT_EQ(groups_of({kCbc, kGcm, kCbc}), (std::vector{KeGroup::kEcp256, KeGroup::kX25519}));
  EXPECT_TRUE(groups_of(without_key_exchange({kCbc, kGcm})).empty());
}

TEST(NearestMiss, NamesTheTypesThatDiffer) {
  const auto miss = nearest_miss({kCbc, ike({encr(20, 256), prf(5), group(14)})}, {kGcm}, true);
  ASSERT_TRUE(miss);
  EXPECT_EQ(miss->offered_index, 1U);
  EXPECT_EQ(miss->missing, std::vector{TransformType::kKeyExchange});
}

}  // namespace
}  // namespace cygnet::model
