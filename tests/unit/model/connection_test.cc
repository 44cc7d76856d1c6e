// SPDX-License-Identifier: Apache-2.0
#include "model/connection.h"

#include <gtest/gtest.h>

#include "model/legacy.h"
#include "model/transform.h"

namespace cygnet::model {
namespace {

const IpAddress kOurs = IpAddress::parse("192.0.2.1").value();
const IpAddress kPeer = IpAddress::parse("192.0.2.2").value();

HostSpec at(const IpAddress& address) { return {.kind = HostSpec::Kind::kAddress, .address = address}; }

Connection connection(const HostSpec& left, const HostSpec& right) {
  Connection c;
  c.name = "office";
  c.local.host = left;
  c.remote.host = right;
  Child child;
  child.local = {*TrafficSelector::parse("10.1.0.0/16")};
  child.remote = {*TrafficSelector::parse("10.2.0.0/16")};
  c.children = {child};
  return c;
}

TEST(Orient, LeavesLeftWhereItIsOurs) {
  auto c = connection(at(kOurs), at(kPeer));
  ASSERT_TRUE(orient(c, {kOurs}));
  EXPECT_EQ(c.local.host.address, kOurs);
  EXPECT_EQ(c.children[0].local[0].to_string(), "10.1.0.0/16");
}

TEST(Orient, SwapsEndsAndSelectorsWhereRightIsOurs) {
  auto c = connection(at(kPeer), at(kOurs));
  ASSERT_TRUE(orient(c, {kOurs}));
  EXPECT_EQ(c.local.host.address, kOurs);
  EXPECT_EQ(c.remote.host.address, kPeer);
  EXPECT_EQ(c.children[0].local[0].to_string(), "10.2.0.0/16");
}

TEST(Orient, TakesAnyAsOursWhenThePeerIsKnown) {
  auto c = connection({}, at(kPeer));
  ASSERT_TRUE(orient(c, {kOurs}));
  EXPECT_EQ(c.remote.host.address, kPeer);
  auto roadwarriors = connection({}, {});
  EXPECT_TRUE(orient(roadwarriors, {kOurs}));
}

TEST(Orient, SaysWhyItCannotTell) {
  auto both = connection(at(kOurs), at(kPeer));
  const auto same = orient(both, {kOurs, kPeer});
  ASSERT_FALSE(same);
  EXPECT_NE(same.error().message.find("one of them must be the peer"), std::string::npos);
  auto neither = connection(at(kOurs), at(kPeer));
  const auto none = orient(neither, {});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("left=192.0.2.1"), std::string::npos);
}

TEST(Transforms, SizesFollowTheirRfcs) {
  EXPECT_EQ(key_octets(EncryptionId::kAesGcm16, 256), 32U);
  EXPECT_EQ(salt_octets(EncryptionId::kAesGcm16), 4U);          // RFC 4106 section 8.1
  EXPECT_EQ(salt_octets(EncryptionId::kChaCha20Poly1305), 4U);  // RFC 7634 section 2
  EXPECT_EQ(icv_octets(IntegrityId::kHmacSha2_256_128), 16U);   // RFC 4868 section 2.3
  EXPECT_EQ(icv_octets(IntegrityId::kHmacSha2_384_192), 24U);
  EXPECT_EQ(icv_octets(IntegrityId::kHmacSha2_512_256), 32U);
  EXPECT_EQ(icv_octets(model::IntegrityId::kHmacSha1_96), 12U);  // RFC 2404 section 2
  EXPECT_EQ(key_octets(model::IntegrityId::kHmacSha1_96), 20U);
  EXPECT_EQ(key_octets(legacy::kPrfHmacSha1), 20U);
  EXPECT_EQ(key_octets(PrfId::kHmacSha2_384), 48U);
  EXPECT_EQ(iv_octets(EncryptionId::kAesCbc), 16U);
}

TEST(Transforms, EveryRowIsFoundByItsNumbersAndUnknownOnesAreNamed) {
  for (const auto& row : all_transforms()) {
    ASSERT_NE(find_transform(row.transform), nullptr);
    EXPECT_EQ(find_transform(row.transform), &row) << row.iana_name << " stands twice";
  }
  EXPECT_EQ(to_string(Transform{TransformType::kEncryption, 20, 256}), "AES_GCM_16_256");
  EXPECT_EQ(to_string(Transform{TransformType::kEncryption, 999, 64}), "UNKNOWN_ENCR_999_64");
  EXPECT_EQ(to_string(Transform{TransformType::kIntegrity, 0, 0}), "NO_INTEGRITY");
}

}  // namespace
}  // namespace cygnet::model
