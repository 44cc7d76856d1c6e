// SPDX-License-Identifier: Apache-2.0
#include "crypto/ike_cipher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "crypto/esp_cipher.h"

namespace cygnet::crypto {
namespace {

using model::EncryptionId;
using model::IntegrityId;

struct SpecCase {
  const char* name;
  IkeCipherSpec spec;
};
const std::vector<SpecCase>& specs() {
  static const std::vector<SpecCase> kSpecs = {
      {"AesGcm128", {EncryptionId::kAesGcm16, 128, IntegrityId::kNone}},
      {"AesGcm256", {EncryptionId::kAesGcm16, 256, IntegrityId::kNone}},
      {"ChaCha20Poly1305", {EncryptionId::kChaCha20Poly1305, 0, IntegrityId::kNone}},
      {"AesCbc128Sha256", {EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128}},
      {"AesCbc256Sha384", {EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_384_192}},
      {"AesCbc256Sha512", {EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_512_256}},
  };
  return kSpecs;
}

class IkeCipherTest : public testing::TestWithParam<SpecCase> {
 protected:
  [[nodiscard]] static IkeCipher cipher(std::uint64_t seed = 1) {
    SeededRandom random(seed);
    const auto sk_e = random.bytes(IkeCipher::sk_e_octets(GetParam().spec));
    const auto sk_a = random.bytes(IkeCipher::sk_a_octets(GetParam().spec));
    auto made = IkeCipher::create(GetParam().spec, sk_e, sk_a);
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }
};
INSTANTIATE_TEST_SUITE_P(Every, IkeCipherTest, testing::ValuesIn(specs()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(IkeCipherTest, OpensWhatItSealedAtEverySize) {
  const auto c = cipher();
  SeededRandom random(5);
  const auto header = random.bytes(32);
  for (std::size_t octets = 0; octets <= 300; ++octets) {
    const auto plaintext = random.bytes(octets);
    const auto iv = random.bytes(c.iv_octets());
    const auto sealed = c.seal(header, plaintext, iv);
    ASSERT_TRUE(sealed.has_value());
    ASSERT_EQ(sealed->size(), c.sealed_octets(octets)) << "known before sealing";
    ASSERT_EQ(Bytes(sealed->begin(), sealed->begin() + static_cast<std::ptrdiff_t>(iv.size())), iv);
    const auto opened = c.open(header, *sealed);
    ASSERT_TRUE(opened.has_value()) << octets;
    ASSERT_EQ(Bytes(opened->begin(), opened->end()), plaintext);
  }
}

TEST_P(IkeCipherTest, HeaderAndEveryOctetOfTheBodyAreProtected) {
  const auto c = cipher();
  SeededRandom random(6);
  auto header = random.bytes(32);
  const auto sealed = c.seal(header, random.bytes(40), random.bytes(c.iv_octets()));
  ASSERT_TRUE(sealed.has_value());
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    auto body = *sealed;
    body[i] ^= 0x40;
    EXPECT_FALSE(c.open(header, body).has_value()) << i;
  }
  for (auto& octet : header) {
    octet ^= 1;
    EXPECT_FALSE(c.open(header, *sealed).has_value());
    octet ^= 1;
  }
  EXPECT_FALSE(c.open(ByteView(header).first(31), *sealed).has_value());
  EXPECT_TRUE(c.open(header, *sealed).has_value());
}

TEST_P(IkeCipherTest, TruncatedBodiesAreRefused) {
  const auto c = cipher();
  SeededRandom random(7);
  const auto header = random.bytes(32);
  const auto sealed = c.seal(header, random.bytes(40), random.bytes(c.iv_octets()));
  ASSERT_TRUE(sealed.has_value());
  for (std::size_t octets = 0; octets < sealed->size(); ++octets) {
    EXPECT_FALSE(c.open(header, ByteView(*sealed).first(octets)).has_value()) << octets;
  }
  EXPECT_FALSE(c.open(header, Bytes(70000, 0)).has_value());
}

TEST_P(IkeCipherTest, OtherKeysDoNotOpen) {
  const auto c = cipher(1);
  const auto other = cipher(2);
  SeededRandom random(8);
  const auto header = random.bytes(32);
  const auto sealed = c.seal(header, random.bytes(40), random.bytes(c.iv_octets()));
  ASSERT_TRUE(sealed.has_value());
  EXPECT_FALSE(other.open(header, *sealed).has_value());
}

TEST_P(IkeCipherTest, EveryRefusalReadsTheSame) {
  const auto c = cipher();
  const auto sealed = c.seal(Bytes(32, 1), Bytes(40, 2), Bytes(c.iv_octets(), 3));
  ASSERT_TRUE(sealed.has_value());
  auto damaged = *sealed;
  damaged.back() ^= 1;
  const auto one = c.open(Bytes(32, 1), damaged);
  const auto two = c.open(Bytes(32, 1), ByteView(damaged).first(20));
  ASSERT_FALSE(one.has_value() || two.has_value());
  EXPECT_EQ(one.error().message, two.error().message);
}

TEST_P(IkeCipherTest, WrongIvLengthIsAnError) {
  const auto c = cipher();
  EXPECT_FALSE(c.seal(Bytes(32, 0), Bytes(4, 0), Bytes(c.iv_octets() + 1, 0)).has_value());
  EXPECT_FALSE(c.seal(Bytes(32, 0), Bytes(4, 0), Bytes(c.iv_octets() - 1, 0)).has_value());
  EXPECT_FALSE(c.seal(Bytes(32, 0), Bytes(70000, 0), Bytes(c.iv_octets(), 0)).has_value());
}

TEST_P(IkeCipherTest, WrongKeyLengthsAreRefused) {
  const auto& spec = GetParam().spec;
  const std::size_t e = IkeCipher::sk_e_octets(spec);
  const std::size_t a = IkeCipher::sk_a_octets(spec);
  EXPECT_TRUE(IkeCipher::create(spec, Bytes(e), Bytes(a)).has_value());
  EXPECT_FALSE(IkeCipher::create(spec, Bytes(e - 1), Bytes(a)).has_value());
  EXPECT_FALSE(IkeCipher::create(spec, Bytes(e + 1), Bytes(a)).has_value());
  EXPECT_FALSE(IkeCipher::create(spec, Bytes(e), Bytes(a + 1)).has_value());
}

TEST(IkeCipherSpecs, Sizes) {
  EXPECT_EQ(IkeCipher::sk_e_octets(specs()[0].spec), 20U);
  EXPECT_EQ(IkeCipher::sk_a_octets(specs()[0].spec), 0U);
  EXPECT_EQ(IkeCipher::sk_e_octets(specs()[2].spec), 36U);
  EXPECT_EQ(IkeCipher::sk_e_octets(specs()[3].spec), 16U);
  EXPECT_EQ(IkeCipher::sk_a_octets(specs()[3].spec), 32U);
  EXPECT_EQ(IkeCipher::sk_a_octets(specs()[5].spec), 64U);
}

// RFC 7296 section 5: ENCR_NULL and cipher without integrity never protect IKE.
TEST(IkeCipherSpecs, RefusesWhatMayNotProtectIke) {
  for (const IkeCipherSpec spec : {IkeCipherSpec{EncryptionId::kNull, 0, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{EncryptionId::kNone, 0, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{EncryptionId::kAesCbc, 256, IntegrityId::kNone},
                                   IkeCipherSpec{EncryptionId::kAesCbc, 129, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{EncryptionId::kAesCbc, 0, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{EncryptionId::kAesGcm16, 128, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{static_cast<EncryptionId>(3), 0, IntegrityId::kHmacSha2_256_128},
                                   IkeCipherSpec{EncryptionId::kAesCbc, 128, static_cast<IntegrityId>(1)}}) {
    EXPECT_FALSE(
        IkeCipher::create(spec, Bytes(IkeCipher::sk_e_octets(spec)), Bytes(IkeCipher::sk_a_octets(spec))).has_value());
  }
}

// A body with a trailer of the test's own making: ESP's AES-GCM computes the same function over an 8-octet header.
struct ForeignBody {
  Bytes header;
  Bytes body;
};
ForeignBody foreign_body(const Bytes& key, const Bytes& padded_plaintext) {
  model::SaSpec spec;
  spec.encryption = EncryptionId::kAesGcm16;
  spec.encryption_bits = 128;
  spec.encryption_key.assign(key.begin(), key.end());
  const auto esp = create_esp_cipher(spec);
  EXPECT_TRUE(esp.has_value());
  Bytes packet(8 + 8 + padded_plaintext.size() + 16, 0x33);
  std::ranges::copy(padded_plaintext, packet.begin() + 16);
  EspJob job{.esp = packet.data(), .octets = packet.size(), .sequence = 5};
  (*esp)->seal({&job, 1});
  EXPECT_TRUE(job.ok);
  return {Bytes(packet.begin(), packet.begin() + 8), Bytes(packet.begin() + 8, packet.end())};
}

// RFC 7296 section 3.14: "The recipient MUST accept any length that results in proper alignment."
TEST(IkeCipherPadding, AnyAmountOfPaddingIsAccepted) {
  const Bytes key(20, 1);
  const auto cipher = IkeCipher::create({EncryptionId::kAesGcm16, 128, IntegrityId::kNone}, key, {});
  ASSERT_TRUE(cipher.has_value());
  for (const unsigned pad : {0U, 1U, 15U, 16U, 255U}) {
    Bytes padded = to_bytes("payload");
    padded.insert(padded.end(), pad, 0xee);
    padded.push_back(static_cast<std::uint8_t>(pad));
    const auto foreign = foreign_body(key, padded);
    const auto opened = cipher->open(foreign.header, foreign.body);
    ASSERT_TRUE(opened.has_value()) << pad;
    EXPECT_EQ(Bytes(opened->begin(), opened->end()), to_bytes("payload"));
  }
}

TEST(IkeCipherPadding, PadLengthBeyondThePayloadIsRefused) {
  const Bytes key(20, 1);
  const auto cipher = IkeCipher::create({EncryptionId::kAesGcm16, 128, IntegrityId::kNone}, key, {});
  ASSERT_TRUE(cipher.has_value());
  const auto all_padding = foreign_body(key, {9, 9, 9, 3});
  const auto empty = cipher->open(all_padding.header, all_padding.body);
  ASSERT_TRUE(empty.has_value());
  EXPECT_TRUE(empty->empty());
  const auto beyond = foreign_body(key, {9, 9, 9, 4});
  EXPECT_FALSE(cipher->open(beyond.header, beyond.body).has_value());
  const auto nothing = foreign_body(key, {});
  EXPECT_FALSE(cipher->open(nothing.header, nothing.body).has_value()) << "not even a Pad Length octet";
}

}  // namespace
}  // namespace cygnet::crypto
