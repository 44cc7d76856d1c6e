// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/path_memory.h"

#include <gtest/gtest.h>

#include "support/test_pki.h"

namespace cygnet::daemon {
namespace {

using crypto::Certificate;
using test::kPkiNow;

struct PathMemory : testing::Test {
  test::TestCertificate root = test::make_authority("CN=Root");
  test::TestCertificate leaf = test::make_certificate({.subject = "CN=leaf"}, &root);
  std::shared_ptr<BoundedPathMemory> memory = std::make_shared<BoundedPathMemory>();
  crypto::TrustStore store;

  PathMemory() {
    store.use(memory);
    EXPECT_TRUE(store.add_authority(root.der).has_value());
  }
  [[nodiscard]] Result<crypto::Path> validate(const Bytes& der, std::int64_t now = kPkiNow) const {
    return store.validate({.leaf = der, .now = now});
  }
};

TEST_F(PathMemory, KeepsGoodPathsAloneAndStillJudgesDatesAndTrust) {
  const auto impostor = test::make_authority("CN=Root");
  const auto forged = test::make_certificate({.subject = "CN=forged"}, &impostor);
  EXPECT_FALSE(validate(forged.der).has_value());
  EXPECT_EQ(memory->size(), 0U);
  ASSERT_TRUE(validate(leaf.der).has_value());
  EXPECT_EQ(memory->size(), 1U);
  EXPECT_EQ(memory->octets(), leaf.der.size());
  const auto known = Certificate::parse(leaf.der).value();
  const auto anchor = Certificate::parse(root.der).value();
  EXPECT_TRUE(memory->knows_signature(known, anchor));
  EXPECT_FALSE(memory->knows_signature(known, Certificate::parse(impostor.der).value()));
  ASSERT_TRUE(memory->find(known.fingerprint()).has_value());
  EXPECT_EQ(*memory->find(known.fingerprint()), known);
  ASSERT_TRUE(validate(leaf.der).has_value()) << "now from memory";
  EXPECT_FALSE(validate(leaf.der, kPkiNow + 400 * test::kDay).has_value()) << "expired";
  crypto::TrustStore other;
  other.use(memory);
  ASSERT_TRUE(other.add_authority(impostor.der).has_value());
  EXPECT_FALSE(other.validate({.leaf = leaf.der, .now = kPkiNow}).has_value()) << "of another authority";
}

TEST_F(PathMemory, ADamagedCopyIsAnotherCertificate) {
  ASSERT_TRUE(validate(leaf.der).has_value());
  auto damaged = leaf.der;
  damaged.back() ^= 1U;
  EXPECT_FALSE(validate(damaged).has_value());
}

TEST_F(PathMemory, IsBoundedAndKeepsWhatIsAskedFor) {
  const auto key = test::test_key(crypto::KeyKind::kEcdsaP256);
  const auto anchor = Certificate::parse(root.der).value();
  const auto first = Certificate::parse(leaf.der).value();
  const auto second =
      Certificate::parse(test::make_certificate({.subject = "CN=second", .key = key}, &root).der).value();
  memory->keep({first, anchor});
  memory->keep({second, anchor});
  EXPECT_TRUE(memory->find(first.fingerprint()).has_value());
  for (std::size_t i = 0; i < BoundedPathMemory::kMaxCertificates - 1; ++i) {
    const auto made = test::make_certificate({.subject = "CN=client " + std::to_string(i), .key = key}, &root);
    memory->keep({Certificate::parse(made.der).value(), anchor});
  }
  EXPECT_EQ(memory->size(), BoundedPathMemory::kMaxCertificates);
  EXPECT_TRUE(memory->find(first.fingerprint()).has_value()) << "was asked for";
  EXPECT_FALSE(memory->find(second.fingerprint()).has_value()) << "the oldest nobody asked for";
}

TEST_F(PathMemory, LargeCertificatesAreBoundedByTheirOctets) {
  const auto key = test::test_key(crypto::KeyKind::kEcdsaP256);
  const auto anchor = Certificate::parse(root.der).value();
  const std::string padding(32000, 'x');
  for (int i = 0; i < 140; ++i) {
    const auto made = test::make_certificate(
        {.subject = "CN=" + std::to_string(i), .key = key, .more = {{"nsComment", padding}}}, &root);
    memory->keep({Certificate::parse(made.der).value(), anchor});
  }
  EXPECT_LE(memory->octets(), BoundedPathMemory::kMaxOctets);
  EXPECT_GE(memory->size(), 100U);
  EXPECT_LT(memory->size(), 140U);
}

}  // namespace
}  // namespace cygnet::daemon
