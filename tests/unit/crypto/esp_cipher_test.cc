// SPDX-License-Identifier: Apache-2.0
#include "crypto/esp_cipher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "unit/crypto/esp_cases.h"

namespace cygnet::crypto::test {
namespace {

struct Case {
  Algorithm algorithm;
  EspProvider provider;
  bool esn;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& algorithm : algorithms()) {
    for (const auto provider : providers()) {
      for (const bool esn : {false, true}) cases.push_back({algorithm, provider, esn});
    }
  }
  return cases;
}

class EspCipherTest : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] std::unique_ptr<EspCipher> cipher() const {
    return make(spec_of(GetParam().algorithm, GetParam().esn), GetParam().provider);
  }
  [[nodiscard]] static bool takes(const EspCipher& cipher, std::size_t octets) {
    return cipher.block_octets() == 4 || (octets != 0 && octets % cipher.block_octets() == 0);
  }
};

INSTANTIATE_TEST_SUITE_P(Every, EspCipherTest, testing::ValuesIn(all_cases()), [](const auto& instance) {
  return std::string(instance.param.algorithm.name) + name_of(instance.param.provider) +
         (instance.param.esn ? "Esn" : "");
});

TEST_P(EspCipherTest, SizesAreThoseOfTheAlgorithm) {
  const auto c = cipher();
  const auto& a = GetParam().algorithm;
  EXPECT_EQ(c->iv_octets(), a.iv);
  EXPECT_EQ(c->icv_octets(), a.icv);
  EXPECT_EQ(c->block_octets(), a.block);
}

TEST_P(EspCipherTest, OpensWhatItSealedAtEverySize) {
  const auto c = cipher();
  for (std::size_t octets = 0; octets <= 300; ++octets) {
    const auto clear = payload_of(octets, 1);
    Packet packet(*c, clear, 0x1122334455667788ULL + octets);
    const auto before = packet.sealed();
    c->seal({&packet.job, 1});
    ASSERT_EQ(packet.job.ok, takes(*c, octets)) << octets;
    ASSERT_TRUE(packet.guards_intact()) << octets;
    if (!packet.job.ok) {
      EXPECT_EQ(packet.sealed(), before) << "a refused job is left alone";
      continue;
    }
    EXPECT_TRUE(std::equal(before.begin(), before.begin() + 8, packet.buffer.begin()))
        << "the ESP header is the caller's";
    const auto encryption = GetParam().algorithm.encryption;
    const bool hides = encryption != model::EncryptionId::kNull && encryption != model::EncryptionId::kNullAesGmac;
    if (octets >= 16 && hides) {
      EXPECT_NE(packet.payload(*c), clear);
    }
    packet.job.ok = false;
    c->open({&packet.job, 1});
    ASSERT_TRUE(packet.job.ok) << octets;
    ASSERT_EQ(packet.payload(*c), clear) << octets;
    ASSERT_TRUE(packet.guards_intact()) << octets;
  }
}

TEST_P(EspCipherTest, EveryOctetOfThePacketIsProtected) {
  const auto c = cipher();
  Packet packet(*c, payload_of(64, 2), 77);
  c->seal({&packet.job, 1});
  const auto sealed = packet.sealed();
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (const std::uint8_t bit : std::array<std::uint8_t, 2>{0x01, 0x80}) {
      std::copy(sealed.begin(), sealed.end(), packet.buffer.begin());
      packet.buffer[i] ^= bit;
      packet.job.ok = true;
      c->open({&packet.job, 1});
      ASSERT_FALSE(packet.job.ok) << "octet " << i;
      EXPECT_EQ(packet.payload(*c), Bytes(64, 0)) << "nothing unauthenticated stays readable";
    }
  }
  std::copy(sealed.begin(), sealed.end(), packet.buffer.begin());
  c->open({&packet.job, 1});
  EXPECT_TRUE(packet.job.ok) << "the untouched packet still opens";
}

// RFC 4303 section 2.2.1: the high-order 32 bits are authenticated if and only if ESN is in use.
TEST_P(EspCipherTest, HighSequenceWordCountsOnlyWithEsn) {
  const auto c = cipher();
  Packet packet(*c, payload_of(48, 3), 0x0000000500000009ULL);
  c->seal({&packet.job, 1});
  packet.job.sequence = 0x0000000600000009ULL;
  c->open({&packet.job, 1});
  EXPECT_EQ(packet.job.ok, !GetParam().esn);
}

TEST_P(EspCipherTest, BurstsOfMixedSizesAndHealth) {
  const auto c = cipher();
  for (const std::size_t burst : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{16}, std::size_t{64},
                                  std::size_t{65}, std::size_t{300}}) {
    std::vector<Packet> packets;
    std::vector<Bytes> clear;
    std::vector<EspJob> jobs;
    packets.reserve(burst);
    for (std::size_t i = 0; i < burst; ++i) {
      clear.push_back(payload_of(16 * (1 + (i * 37) % 94), i));
      packets.emplace_back(*c, clear.back(), 0xfffffff0ULL + i);
      jobs.push_back(packets.back().job);
    }
    c->seal(jobs);
    for (const auto& job : jobs) ASSERT_TRUE(job.ok);
    // Every fifth packet is damaged on its way, every seventh cut too short to be one.
    for (std::size_t i = 0; i < burst; ++i) {
      if (i % 5 == 4) jobs[i].esp[9 + i % 16] ^= 0x10;
      if (i % 7 == 6) jobs[i].octets = 8 + c->iv_octets() + c->icv_octets() - 1;
    }
    c->open(jobs);
    for (std::size_t i = 0; i < burst; ++i) {
      const bool healthy = i % 5 != 4 && i % 7 != 6;
      ASSERT_EQ(jobs[i].ok, healthy) << i << " of " << burst;
      if (healthy) {
        ASSERT_EQ(packets[i].payload(*c), clear[i]);
      }
      ASSERT_TRUE(packets[i].guards_intact());
    }
  }
}

TEST_P(EspCipherTest, RefusesJobsThatCannotBePackets) {
  const auto c = cipher();
  const std::size_t around = 8 + c->iv_octets() + c->icv_octets();
  Bytes buffer(70000, 0x11);
  for (const std::size_t octets : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, around - 1,
                                   std::size_t{65516}, std::size_t{65536}, std::size_t{70000}}) {
    EspJob job{.esp = buffer.data(), .octets = octets, .sequence = 1, .ok = true};
    c->open({&job, 1});
    EXPECT_FALSE(job.ok) << octets;
    job.ok = true;
    c->seal({&job, 1});
    EXPECT_FALSE(job.ok) << octets;
  }
  EXPECT_EQ(buffer, Bytes(70000, 0x11));
  c->seal({});
  c->open({});
}

TEST_P(EspCipherTest, LargestPacket) {
  const auto c = cipher();
  const std::size_t around = 8 + c->iv_octets() + c->icv_octets();
  const auto clear = payload_of((65535 - 20 - around) / 16 * 16, 4);
  Packet packet(*c, clear, 1);
  c->seal({&packet.job, 1});
  ASSERT_TRUE(packet.job.ok);
  c->open({&packet.job, 1});
  ASSERT_TRUE(packet.job.ok);
  EXPECT_EQ(packet.payload(*c), clear);
}

TEST_P(EspCipherTest, AnotherKeyDoesNotOpen) {
  const auto c = cipher();
  auto spec = spec_of(GetParam().algorithm, GetParam().esn);
  (spec.integrity_key.empty() ? spec.encryption_key : spec.integrity_key).back() ^= 1;
  const auto other = make(spec, GetParam().provider);
  Packet packet(*c, payload_of(32, 5), 1);
  c->seal({&packet.job, 1});
  other->open({&packet.job, 1});
  EXPECT_FALSE(packet.job.ok);
}

TEST_P(EspCipherTest, InitializationVectorsNeverRepeat) {
  const auto c = cipher();
  if (c->iv_octets() == 0) return;
  std::set<Bytes> seen;
  for (std::uint64_t sequence = 1; sequence <= 300; ++sequence) {
    Packet packet(*c, Bytes(32, 0), sequence << 24);
    c->seal({&packet.job, 1});
    const Bytes iv(packet.buffer.begin() + 8, packet.buffer.begin() + 8 + static_cast<std::ptrdiff_t>(c->iv_octets()));
    EXPECT_TRUE(seen.insert(iv).second);
    if (c->block_octets() == 4) {
      EXPECT_EQ(load_be64(iv.data()), sequence << 24);
    }
  }
}

// The same keys under another mask: no IV of the one is an IV of the other, and who opens needs to know nothing of
// masks.
TEST_P(EspCipherTest, AMaskGivesTheSameNumbersOtherInitializationVectors) {
  auto spec = spec_of(GetParam().algorithm, GetParam().esn);
  const auto plain = make(spec, GetParam().provider);
  if (plain->iv_octets() == 0) return;
  constexpr std::uint64_t kMask = 0x123456789abcdef0ULL;
  spec.iv_mask = kMask;
  const auto masked = make(spec, GetParam().provider);
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    Packet a(*plain, Bytes(32, 0), sequence);
    Packet b(*masked, Bytes(32, 0), sequence);
    plain->seal({&a.job, 1});
    masked->seal({&b.job, 1});
    const auto iv_of = [&](const Packet& p) {
      return Bytes(p.buffer.begin() + 8, p.buffer.begin() + 8 + static_cast<std::ptrdiff_t>(plain->iv_octets()));
    };
    EXPECT_NE(to_hex(iv_of(a)), to_hex(iv_of(b)));
    if (plain->block_octets() == 4) {
      EXPECT_EQ(load_be64(iv_of(b).data()), sequence ^ kMask);
    }
    plain->open({&b.job, 1});
    EXPECT_TRUE(b.job.ok);
  }
}

// The two providers are two implementations of the same packets: octet for octet, and each opens the other's.
class EspProvidersTest : public testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(Every, EspProvidersTest, testing::ValuesIn(algorithms()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(EspProvidersTest, AgreeOctetForOctet) {
  if (!is_available(EspProvider::kIpsecMb)) GTEST_SKIP() << "no intel-ipsec-mb on this CPU";
  for (const bool esn : {false, true}) {
    const auto spec = spec_of(GetParam(), esn);
    const auto one = make(spec, EspProvider::kOpenSsl);
    const auto two = make(spec, EspProvider::kIpsecMb);
    for (std::size_t octets = 0; octets <= 1600; octets += octets < 300 ? 1 : 61) {
      const std::uint64_t sequence = 0x8000000100000000ULL + octets;
      Packet a(*one, payload_of(octets, 6), sequence);
      Packet b(*two, payload_of(octets, 6), sequence);
      one->seal({&a.job, 1});
      two->seal({&b.job, 1});
      ASSERT_EQ(a.job.ok, b.job.ok) << octets;
      if (!a.job.ok) continue;
      ASSERT_EQ(to_hex(a.sealed()), to_hex(b.sealed())) << octets;
      one->open({&b.job, 1});
      two->open({&a.job, 1});
      ASSERT_TRUE(a.job.ok && b.job.ok) << octets;
      ASSERT_EQ(a.payload(*one), payload_of(octets, 6));
      ASSERT_EQ(b.payload(*two), payload_of(octets, 6));
    }
  }
}

TEST(EspCipherCreation, BestIsAlwaysThere) {
  EXPECT_TRUE(is_available(EspProvider::kBest));
  EXPECT_TRUE(is_available(EspProvider::kOpenSsl));
  const auto name = provider_name(model::EncryptionId::kAesGcm16);
  EXPECT_TRUE(name.starts_with(is_available(EspProvider::kIpsecMb) ? "intel-ipsec-mb 1." : "OpenSSL 3.")) << name;
}

TEST(EspCipherCreation, RefusesEncryptionWithoutIntegrity) {
  for (auto algorithm : algorithms()) {
    if (algorithm.integrity == model::IntegrityId::kNone) continue;
    algorithm.integrity = model::IntegrityId::kNone;
    const auto cipher = create_esp_cipher(spec_of(algorithm, false));
    ASSERT_FALSE(cipher.has_value()) << algorithm.name;
    EXPECT_NE(cipher.error().message.find("integrity"), std::string::npos);
  }
}

TEST(EspCipherCreation, RefusesAnIntegrityAlgorithmBesideAnAead) {
  auto algorithm = algorithms().front();
  algorithm.integrity = model::IntegrityId::kHmacSha2_256_128;
  EXPECT_FALSE(create_esp_cipher(spec_of(algorithm, false)).has_value());
}

TEST(EspCipherCreation, RefusesUnknownAlgorithmsAndSizes) {
  auto spec = spec_of(algorithms().front(), false);
  for (const std::uint16_t bits : std::array<std::uint16_t, 7>{0, 1, 64, 127, 129, 160, 512}) {
    spec.encryption_bits = bits;
    spec.encryption_key = pattern(bits / 8U + 4U, 1);
    EXPECT_FALSE(create_esp_cipher(spec).has_value()) << bits;
  }
  spec = spec_of(algorithms().front(), false);
  spec.encryption = model::EncryptionId::kNone;
  EXPECT_FALSE(create_esp_cipher(spec).has_value());
  spec.encryption = static_cast<model::EncryptionId>(3);
  EXPECT_FALSE(create_esp_cipher(spec).has_value());
  spec = spec_of(algorithms()[4], false);
  spec.integrity = static_cast<model::IntegrityId>(2);
  EXPECT_FALSE(create_esp_cipher(spec).has_value());
}

TEST(EspCipherCreation, RefusesKeysOfTheWrongLength) {
  for (const auto& algorithm : algorithms()) {
    for (const int change : {-1, 1}) {
      auto spec = spec_of(algorithm, false);
      spec.encryption_key.resize(
          static_cast<std::size_t>(std::max(0, static_cast<int>(spec.encryption_key.size()) + change)));
      if (spec.encryption_key.size() != spec_of(algorithm, false).encryption_key.size()) {
        EXPECT_FALSE(create_esp_cipher(spec).has_value()) << algorithm.name;
      }
      spec = spec_of(algorithm, false);
      spec.integrity_key.resize(
          static_cast<std::size_t>(std::max(0, static_cast<int>(spec.integrity_key.size()) + change)));
      if (spec.integrity_key.size() != spec_of(algorithm, false).integrity_key.size()) {
        const auto cipher = create_esp_cipher(spec);
        ASSERT_FALSE(cipher.has_value()) << algorithm.name;
        EXPECT_NE(cipher.error().message.find("octets"), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace cygnet::crypto::test
