// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/keymat.h"

#include <gtest/gtest.h>

namespace cygnet::ike::v2 {
namespace {

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}
void add(Bytes& to, const SecretBytes& key) { append(to, ByteView(key)); }

// NIST CAVS 17.3, ikev2 (SP 800-135), SHA-256/256/64/0.
const Bytes kNi = hex("3f302be1abcb28e1");
const Bytes kNr = hex("8c332ee006064c9b");
const Bytes kSecret = hex("0f4d257d7a58fc4545c7d7a88119eee5d5c9690c5b4c989171d3abbfd99d1d29");
const Bytes kNewSecret = hex("25f3b12d6f282739256e39bf54eda53b60ffcf379bb7bcc90c27b4c4c578616c");
constexpr IkeSpi kSpiI(0x40dac39e1e1a8640);
constexpr IkeSpi kSpiR(0x8619a1cf9a6e4c07);
const Bytes kDkm =
    hex("0b137d669b0947d7d026d593f0305ad401ff0c471357d695778a9c7f4b4869ece98aca531188d16041b3bb936d2dbb3b4993a6e768a809"
        "160de4"
        "5d0283f273a6cdf6854379e31be72b8d3d1fa990cf9c5b015ca9f918a7df6253c958114a09d4e1c19bdcd4db14b29d98db1a74ad405c58"
        "8662c1"
        "4a04d0d36aa4ab55e90f8986d12d4aad");
const Bytes kDkmChild =
    hex("7d808e2b44635300e7025f1b640c431b13a9b3b891cd45a15261f4f3c4a7e39b3a3c8017ccc2b74610faf52ba3faf6d9e83c859b448217"
        "b24dad"
        "c82c9887460b7bd724236b988591");
const Bytes kDkmChildDh =
    hex("67edd256e64542436173e3ca39ef1fdec3c8240b860df26f84caf5258578ff35df40ddc31ea210e0523988b7531c9dc3207e0e98e25621"
        "4999c7"
        "712f73ff044a9cf6e3a5e421862b");
constexpr auto kPrf = model::PrfId::kHmacSha2_256;

TEST(Keymat, SkeyseedOfNist) {
  EXPECT_EQ(to_hex(ByteView(initial_skeyseed(kPrf, kNi, kNr, kSecret))),
            "5f00d1bd2c58ec224b1e6b71fa0f19a1faa7a193952c444411b47c1a9d8ba6fe");
}

TEST(Keymat, RekeyedSkeyseedOfNist) {
  const ByteView sk_d = ByteView(kDkm).first(32);
  EXPECT_EQ(to_hex(ByteView(rekeyed_skeyseed(kPrf, sk_d, kNi, kNr, kNewSecret))),
            "2d63f6debc92048b4fef3889c4c99ca67d6496e0fac14a2bca9a2d6566ff2398");
}

TEST(Keymat, IkeKeysAreCutInTheOrderOfTheRfc) {
  const model::ChosenIke cbc{model::EncryptionId::kAesCbc, 128, model::IntegrityId::kHmacSha2_256_128, kPrf,
                             model::KeGroup::kModp2048};
  const auto seed = initial_skeyseed(kPrf, kNi, kNr, kSecret);
  const auto keys = derive_ike_keys(cbc, ByteView(seed), kNi, kNr, kSpiI, kSpiR);
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->d.size(), 32U);
  EXPECT_EQ(keys->ai.size(), 32U);
  EXPECT_EQ(keys->ei.size(), 16U);
  EXPECT_EQ(keys->pr.size(), 32U);
  Bytes all;
  for (const auto* key : {&keys->d, &keys->ai, &keys->ar, &keys->ei, &keys->er, &keys->pi, &keys->pr}) add(all, *key);
  all.resize(kDkm.size());
  EXPECT_EQ(to_hex(all), to_hex(kDkm));
}

TEST(Keymat, AeadsHaveNoIntegrityKeyAndASalt) {
  const model::ChosenIke gcm{model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, kPrf,
                             model::KeGroup::kX25519};
  const auto keys = derive_ike_keys(gcm, kSecret, kNi, kNr, kSpiI, kSpiR);
  ASSERT_TRUE(keys);
  EXPECT_TRUE(keys->ai.empty());
  EXPECT_EQ(keys->ei.size(), 36U);
}

TEST(Keymat, ChildKeysInitiatorFirst) {
  const model::ChosenEsp gcm{model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, model::KeGroup::kNone,
                             false};
  const auto keys = derive_child_keys(gcm, kPrf, ByteView(kDkm).first(32), kNi, kNr, {});
  ASSERT_TRUE(keys);
  EXPECT_EQ(to_hex(ByteView(keys->encryption_i)), to_hex(ByteView(kDkmChild).first(36)));
  EXPECT_EQ(to_hex(ByteView(keys->encryption_r)), to_hex(ByteView(kDkmChild).subspan(36, 36)));
  EXPECT_TRUE(keys->integrity_i.empty());
}

TEST(Keymat, ChildKeysWithAKeyExchangeOfTheirOwn) {
  const model::ChosenEsp cbc{model::EncryptionId::kAesCbc, 128, model::IntegrityId::kHmacSha2_256_128,
                             model::KeGroup::kModp2048, false};
  const auto keys = derive_child_keys(cbc, kPrf, ByteView(kDkm).first(32), kNi, kNr, kNewSecret);
  ASSERT_TRUE(keys);
  EXPECT_EQ(to_hex(ByteView(keys->encryption_i)), to_hex(ByteView(kDkmChildDh).first(16)));
  EXPECT_EQ(to_hex(ByteView(keys->integrity_i)), to_hex(ByteView(kDkmChildDh).subspan(16, 32)));
  EXPECT_EQ(to_hex(ByteView(keys->encryption_r)), to_hex(ByteView(kDkmChildDh).subspan(48, 16)));
}

}  // namespace
}  // namespace cygnet::ike::v2
