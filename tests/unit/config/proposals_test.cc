// SPDX-License-Identifier: Apache-2.0
#include "config/proposals.h"

#include <gtest/gtest.h>

namespace cygnet::config {
namespace {

// Both spellings must come out the same; to_string() shows the transforms in a fixed order.
std::string text_of(const ParsedProposals& parsed) {
  std::string text;
  for (const auto& fault : parsed.faults) {
    text += std::string(fault.level == Level::kError ? "error" : "warning") + "@" + std::to_string(fault.offset) +
            ": " + fault.message + "\n";
  }
  for (const auto& proposal : parsed.proposals) {
    for (const auto& t : proposal.transforms) text += (&t == &proposal.transforms[0] ? "" : " ") + model::to_string(t);
    text += "\n";
  }
  return text;
}
std::string ike(std::string_view text) { return text_of(parse_ike_proposals(text)); }
std::string esp(std::string_view text) { return text_of(parse_esp_proposals(text)); }
std::string ah(std::string_view text) { return text_of(parse_ah_proposals(text)); }

TEST(Proposals, BothDialectsMeanTheSame) {
  const auto expected = "AES_GCM_16_256 PRF_HMAC_SHA2_256 ECP_256\n";
  EXPECT_EQ(ike("aes256gcm16-prfsha256-ecp256!"), expected);
  EXPECT_EQ(ike("aes256gcm16-sha256-ecp256"), expected);
  EXPECT_EQ(ike("aes_gcm256-sha2_256;dh19"), expected);
  EXPECT_EQ(ike("aes_gcm_c_256-sha2-dh19"), expected);
  EXPECT_EQ(ike("AES_GCM_16_256-NONE-SHA2_256-DH19"), expected);
}

TEST(Proposals, IkeWithSeparateIntegrity) {
  EXPECT_EQ(ike("aes128-sha256-modp2048"), "AES_CBC_128 HMAC_SHA2_256_128 PRF_HMAC_SHA2_256 MODP_2048\n");
  EXPECT_EQ(ike("aes128-sha256-prfsha512-modp2048"), "AES_CBC_128 HMAC_SHA2_256_128 PRF_HMAC_SHA2_512 MODP_2048\n");
  // strongSwan: two hashes are two integrity algorithms. Libreswan: the second is the PRF.
  EXPECT_EQ(ike("aes128-sha256-sha512-modp2048"),
            "AES_CBC_128 HMAC_SHA2_256_128 HMAC_SHA2_512_256 PRF_HMAC_SHA2_256 PRF_HMAC_SHA2_512 MODP_2048\n");
  EXPECT_EQ(ike("aes128-sha2_256-sha2_512;dh14"), "AES_CBC_128 HMAC_SHA2_256_128 PRF_HMAC_SHA2_512 MODP_2048\n");
}

// RFC 4543: one word, two transforms.
TEST(Proposals, AhTakesGmacAsIntegrity) {
  EXPECT_EQ(ah("aes128gmac"), "AES_128_GMAC\n");
  EXPECT_EQ(ah("aes192gmac-esn,null_auth_aes_gmac256"), "AES_192_GMAC EXT_SEQ\nAES_256_GMAC\n");
  EXPECT_EQ(ah("sha256-aes256gmac"), "HMAC_SHA2_256_128 AES_256_GMAC\n");
  EXPECT_NE(ah("aes256gcm16").find("it encrypts nothing"), std::string::npos);
  EXPECT_NE(ah("aes128gmac-aes256").find("it encrypts nothing"), std::string::npos);
}

TEST(Proposals, AlternativesAndLists) {
  EXPECT_EQ(
      ike("aes256-sha2_512+sha2_256-dh14+dh31"),
      "AES_CBC_256 HMAC_SHA2_512_256 HMAC_SHA2_256_128 PRF_HMAC_SHA2_512 PRF_HMAC_SHA2_256 MODP_2048 CURVE_25519\n");
  EXPECT_EQ(esp("aes128gcm16, chacha20poly1305"), "AES_GCM_16_128\nCHACHA20_POLY1305\n");
  // RFC 7296 section 3.3: combined-mode ciphers need a proposal of their own.
  EXPECT_EQ(
      ike("aes256-aes256gcm16-sha256-x25519"),
      "AES_GCM_16_256 PRF_HMAC_SHA2_256 CURVE_25519\nAES_CBC_256 HMAC_SHA2_256_128 PRF_HMAC_SHA2_256 CURVE_25519\n");
}

TEST(Proposals, WhatIsNotWrittenIsFilledIn) {
  EXPECT_EQ(ike("aes256gcm16"),
            "AES_GCM_16_256 PRF_HMAC_SHA2_256 PRF_HMAC_SHA2_384 PRF_HMAC_SHA2_512 CURVE_25519 ECP_256 ECP_384 ECP_521 "
            "MODP_3072 MODP_4096 MODP_2048\n");
  EXPECT_EQ(esp("aes256"), "AES_CBC_256 HMAC_SHA2_256_128 HMAC_SHA2_384_192 HMAC_SHA2_512_256\n");
  EXPECT_EQ(esp("aes"), "AES_CBC_256 AES_CBC_128 HMAC_SHA2_256_128 HMAC_SHA2_384_192 HMAC_SHA2_512_256\n");
}

TEST(Proposals, EspWithGroupsAndEsn) {
  EXPECT_EQ(esp("aes256gcm16-x25519-esn"), "AES_GCM_16_256 CURVE_25519 EXT_SEQ\n");
  EXPECT_EQ(esp("aes128-sha256-esn-noesn"), "AES_CBC_128 HMAC_SHA2_256_128 EXT_SEQ NO_EXT_SEQ\n");
  EXPECT_EQ(esp("aes_gcm256-null"), "AES_GCM_16_256\n");
  EXPECT_EQ(esp("aes128-sha256-ecp256-modpnone"), "AES_CBC_128 HMAC_SHA2_256_128 ECP_256 NO_KE\n");
}

TEST(Proposals, EncryptionWithoutIntegrityIsRefused) {
  EXPECT_EQ(esp("null"), "error@0: 'null' neither encrypts nor authenticates\n");
  EXPECT_EQ(esp("aes256-none"), "error@0: 'aes256-none' encrypts without integrity\n");
  EXPECT_EQ(ike("aes256-none-sha2_256-dh14"), "error@0: 'aes256-none-sha2_256-dh14' encrypts without integrity\n");
  EXPECT_EQ(esp("null-sha256"),
            "warning@0: null does not hide the packets, it only protects them from change\nNULL HMAC_SHA2_256_128\n");
}

TEST(Proposals, FaultsNameTheWordAndTheNearest) {
  EXPECT_EQ(ike("aes256gcm16-prfsha256-ecp265"), "error@22: 'ecp265' is no algorithm known here\n");
  EXPECT_EQ(parse_ike_proposals("aes256gcm16-prfsha256-ecp265").faults[0].hint, "did you mean 'ecp256'?");
  EXPECT_EQ(ike("3des-sha1-modp1024").substr(0, 61), "error@0: '3des' is too weak to be used (RFC 8247)\nerror@5: 's");
  EXPECT_EQ(esp("aes128gcm16,aes128-x448"), "error@19: 'x448' is known, but not built yet\nAES_GCM_16_128\n");
  EXPECT_EQ(ike("aes128ccm16-prfsha256-x25519"), "error@0: 'aes128ccm16' cannot protect IKE itself\n");
  EXPECT_EQ(ike("aes128-aesxcbc-x25519"), "error@7: 'aesxcbc' cannot protect IKE itself\n");
  EXPECT_EQ(esp("aes256gcm16-prfsha256"), "error@12: 'prfsha256' is a PRF, which ESP has no use for\n");
  EXPECT_EQ(ike("null-sha256-x25519"), "error@0: 'null' cannot protect IKE itself\n");
  EXPECT_EQ(ike("aes256-sha256-modpnone"), "error@0: IKE cannot do without a key exchange\n");
  EXPECT_EQ(esp("sha256"), "error@0: 'sha256' names no cipher\n");
  EXPECT_EQ(esp("!"), "error@0: no proposal given\n");
  EXPECT_EQ(esp("aes256gcm16-sha256"),
            "warning@0: the cipher of 'aes256gcm16-sha256' authenticates by itself; the hash has no "
            "effect\nAES_GCM_16_256\n");
}

TEST(Proposals, TransformsForEspAlone) {
  EXPECT_EQ(esp("aes256ccm12,aes_ccm_b256"), "AES_CCM_12_256\nAES_CCM_12_256\n");
  EXPECT_EQ(esp("aes128gcm8"), "AES_GCM_8_128\n");
  EXPECT_EQ(esp("aes192ctr-aescmac"), "AES_CTR_192 AES_CMAC_96\n");
  EXPECT_EQ(esp("camellia256-aesxcbc"), "CAMELLIA_CBC_256 AES_XCBC_96\n");
  EXPECT_EQ(esp("aes256gcm16iiv"), "AES_GCM_16_IIV_256\n");
  EXPECT_EQ(esp("aes256gmac"),
            "warning@0: 'aes256gmac' does not hide the packets, it only protects them from change\n"
            "NULL_AES_GMAC_256\n");
}

TEST(Proposals, WrittenOutAndReadBackTheyAreTheSame) {
  for (const auto* text :
       {"aes256gcm16-prfsha256-x25519", "aes256-sha256-modp2048", "aes128-sha256-prfsha512-ecp256"}) {
    const auto parsed = parse_ike_proposals(text);
    ASSERT_EQ(parsed.proposals.size(), 1U);
    EXPECT_EQ(parse_ike_proposals(model::to_config(parsed.proposals[0])).proposals, parsed.proposals) << text;
  }
  for (const auto& proposal : default_ike_proposals()) {
    EXPECT_EQ(parse_ike_proposals(model::to_config(proposal)).proposals, std::vector{proposal})
        << model::to_config(proposal);
  }
}

TEST(Proposals, OversizedListsAreRefused) {
  std::string many = "aes256gcm16";
  for (int i = 0; i < 100; ++i) many += ",aes256gcm16";
  EXPECT_EQ(parse_esp_proposals(many).faults.size(), 1U);
  std::string wide = "aes256gcm16";
  for (int i = 0; i < 100; ++i) wide += "-x25519";
  EXPECT_EQ(parse_esp_proposals(wide).faults.size(), 1U);
}

}  // namespace
}  // namespace cygnet::config
