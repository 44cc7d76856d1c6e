// SPDX-License-Identifier: Apache-2.0
// profile=: the manners of clients that are not like others.
#include "config/proposals.h"
#include "config_test_support.h"
#include "model/selection.h"

namespace cygnet::config {
namespace {

bool offers(const std::vector<model::Proposal>& proposals, std::string_view name) {
  for (const auto& proposal : proposals)
    for (const auto& t : proposal.transforms)
      if (model::to_string(t) == name) return true;
  return false;
}

TEST(Profile, DefaultIsAsWithoutTheWord) {
  auto with = load_one("profile=default");
  auto without = load_one("");
  EXPECT_EQ(with, without);
}

TEST(Profile, WindowsRekeysItsChildrenItself) {
  const auto c = load_one("profile=windows");
  EXPECT_EQ(c.profile, model::Profile::kWindows);
  EXPECT_TRUE(c.rekey);
  EXPECT_FALSE(c.rekey_children);
  EXPECT_EQ(c.children[0].lifetime_s, 86400U);
  EXPECT_FALSE(offers(c.proposals, "MODP_1024"));
  EXPECT_FALSE(offers(c.children[0].proposals, "HMAC_SHA1_96"));
  EXPECT_EQ(load_one("profile=windows\nlifetime=2h").children[0].lifetime_s, 7200U);
  EXPECT_EQ(load_one("lifetime=2h\nprofile=windows").children[0].lifetime_s, 7200U);
}

TEST(Profile, WindowsAsItComesIsWarnedOf) {
  EXPECT_EQ(faults_of("profile=windows-stock"),
            "7:10: warning: conn net: profile=windows-stock accepts modp1024 and SHA-1, which an attacker with means "
            "can break\n");
  const auto c = load_one("profile=windows-stock");
  EXPECT_FALSE(c.rekey_children);
  EXPECT_TRUE(offers(c.proposals, "MODP_1024"));
  EXPECT_TRUE(offers(c.proposals, "HMAC_SHA1_96"));
  EXPECT_TRUE(offers(c.proposals, "PRF_HMAC_SHA1"));
  EXPECT_TRUE(offers(c.children[0].proposals, "HMAC_SHA1_96"));
  // The strong ones come first all the same.
  EXPECT_EQ(model::to_string(c.proposals[0].transforms[0]), "AES_GCM_16_256");
}

TEST(Profile, WeakWordsNeedIt) {
  EXPECT_EQ(faults_of("ike=aes256-sha1-modp1024"),
            "7:13: error: 'sha1' is too weak to be used (RFC 8247)\n"
            "7:18: error: 'modp1024' is too weak to be used (RFC 8247)\n");
  // Wherever the word stands.
  const auto c = load_one("ike=aes256-sha1-modp1024\nesp=aes128-sha1\nprofile=windows-stock");
  ASSERT_EQ(c.proposals.size(), 1U);
  EXPECT_EQ(model::to_string(c.proposals[0]), "AES_CBC_256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024");
  EXPECT_TRUE(offers(c.children[0].proposals, "HMAC_SHA1_96"));
  EXPECT_NE(faults_of("ike=3des-sha1-modp1024\nprofile=windows-stock").find("'3des' cannot protect IKE"),
            std::string::npos);
}

TEST(Profile, WeakWordsCanBeAskedFor) {
  EXPECT_EQ(faults_of("esp=3des-md5\nweak-algorithms=yes"),
            "7:6: warning: '3des' is weak (RFC 8247): an attacker with means can break it\n"
            "7:11: warning: 'md5' is weak (RFC 8247): an attacker with means can break it\n");
  EXPECT_TRUE(offers(load_one("esp=3des-md5\nweak-algorithms=yes").children[0].proposals, "HMAC_MD5_96"));
  EXPECT_NE(faults_of("esp=3des-md5\nweak-algorithms=no").find("'3des' is too weak"), std::string::npos);
}

TEST(Profile, PhonesGetNoKeyExchangeOfTheirChildren) {
  for (const auto* name : {"apple", "android"}) {
    const auto c = load_one(std::string("profile=") + name);
    EXPECT_TRUE(model::groups_of(c.children[0].proposals).empty()) << name;
    EXPECT_TRUE(c.rekey_children);
  }
  EXPECT_FALSE(model::groups_of(load_one("profile=apple\npfs=yes").children[0].proposals).empty());
  EXPECT_FALSE(model::groups_of(load_one("profile=apple\nesp=aes256gcm16-ecp256").children[0].proposals).empty());
}

TEST(Profile, AndroidIsAskedForAnotherGroupThanItsFirstGuess) {
  const auto c = load_one("profile=android");
  EXPECT_FALSE(offers(c.proposals, "MODP_4096"));
  EXPECT_FALSE(offers(c.proposals, "MODP_3072"));
  EXPECT_TRUE(offers(c.proposals, "CURVE_25519"));
  EXPECT_TRUE(offers(c.proposals, "MODP_2048"));
}

TEST(Profile, OthersAreRefused) { EXPECT_EQ(faults_of("profile=beos").substr(0, 12), "7:10: error:"); }

}  // namespace
}  // namespace cygnet::config
