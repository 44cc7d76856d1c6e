// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_exchange.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>

#include <algorithm>
#include <array>

#include "model/legacy.h"

namespace cygnet::crypto {
namespace {

using model::KeGroup;
using std::literals::string_view_literals::operator""sv;

// Gives these octets, from the first, each time.
class GivenRandom final : public Random {
 public:
  explicit GivenRandom(ByteView octets) : octets_(octets) {}
  void fill(MutableByteView out) override { std::ranges::copy(octets_.first(out.size()), out.begin()); }

 private:
  ByteView octets_;
};

struct GroupCase {
  const char* name;
  KeGroup group;
  std::size_t public_size;
  std::size_t shared_size;
};
constexpr std::array<GroupCase, 9> kGroups = {GroupCase{"Modp1024", model::legacy::kModp1024, 128, 128},
                                              GroupCase{"Modp1536", model::legacy::kModp1536, 192, 192},
                                              GroupCase{"Modp2048", KeGroup::kModp2048, 256, 256},
                                              GroupCase{"Modp3072", KeGroup::kModp3072, 384, 384},
                                              GroupCase{"Modp4096", KeGroup::kModp4096, 512, 512},
                                              GroupCase{"Ecp256", KeGroup::kEcp256, 64, 32},
                                              GroupCase{"Ecp384", KeGroup::kEcp384, 96, 48},
                                              GroupCase{"Ecp521", KeGroup::kEcp521, 132, 66},
                                              GroupCase{"X25519", KeGroup::kX25519, 32, 32}};

KeyPair pair_of(KeGroup group, std::uint64_t seed) {
  SeededRandom random(seed);
  auto pair = generate_key_pair(group, random);
  EXPECT_TRUE(pair.has_value());
  return *pair;
}

class KeyExchangeTest : public testing::TestWithParam<GroupCase> {};
INSTANTIATE_TEST_SUITE_P(Every, KeyExchangeTest, testing::ValuesIn(kGroups),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(KeyExchangeTest, BothSidesAgree) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto a = pair_of(GetParam().group, seed);
    const auto b = pair_of(GetParam().group, seed + 100);
    EXPECT_EQ(a.public_value.size(), GetParam().public_size);
    EXPECT_EQ(public_octets(GetParam().group), GetParam().public_size);
    const auto ab = derive_shared_secret(a, b.public_value);
    const auto ba = derive_shared_secret(b, a.public_value);
    ASSERT_TRUE(ab.has_value() && ba.has_value());
    EXPECT_EQ(*ab, *ba);
    EXPECT_EQ(ab->size(), GetParam().shared_size);
  }
}

TEST_P(KeyExchangeTest, BothAtOnceIsTheSame) {
  const auto peer = pair_of(GetParam().group, 11);
  const auto own = pair_of(GetParam().group, 12);
  SeededRandom random(12);
  const auto both = agree(GetParam().group, random, peer.public_value);
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->own.group, GetParam().group);
  EXPECT_EQ(both->own.private_key, own.private_key);
  EXPECT_EQ(both->own.public_value, own.public_value);
  EXPECT_EQ(both->shared_secret, *derive_shared_secret(peer, own.public_value));
  EXPECT_FALSE(agree(GetParam().group, random, Bytes(GetParam().public_size, 0)).has_value());
  EXPECT_FALSE(agree(GetParam().group, random, Bytes(GetParam().public_size - 1, 5)).has_value());
  // A refused value leaves nothing behind.
  EXPECT_TRUE(agree(GetParam().group, random, peer.public_value).has_value());
}

// A simulation replays from its seed: nothing but Random goes into a key pair.
TEST_P(KeyExchangeTest, TheSameSeedGivesTheSamePair) {
  const auto a = pair_of(GetParam().group, 7);
  const auto b = pair_of(GetParam().group, 7);
  EXPECT_EQ(a.private_key, b.private_key);
  EXPECT_EQ(a.public_value, b.public_value);
  EXPECT_NE(a.public_value, pair_of(GetParam().group, 8).public_value);
}

TEST_P(KeyExchangeTest, RefusesWrongLengths) {
  const auto a = pair_of(GetParam().group, 1);
  const auto b = pair_of(GetParam().group, 2);
  for (std::size_t octets = 0; octets <= b.public_value.size() + 1;
       octets += octets < 3 ? 1 : b.public_value.size() - 4) {
    if (octets == b.public_value.size()) continue;
    Bytes value = b.public_value;
    value.resize(octets);
    EXPECT_FALSE(derive_shared_secret(a, value).has_value()) << octets;
  }
  Bytes longer = b.public_value;
  longer.push_back(0);
  EXPECT_FALSE(derive_shared_secret(a, longer).has_value());
  Bytes shorter = b.public_value;
  shorter.pop_back();
  EXPECT_FALSE(derive_shared_secret(a, shorter).has_value());
}

TEST_P(KeyExchangeTest, RefusesZeroAndAllOnes) {
  const auto a = pair_of(GetParam().group, 1);
  EXPECT_FALSE(derive_shared_secret(a, Bytes(GetParam().public_size, 0)).has_value());
  // X25519 accepts any 32 octets but those of small order; 2^256-1 is taken modulo the field.
  EXPECT_EQ(derive_shared_secret(a, Bytes(GetParam().public_size, 0xff)).has_value(),
            GetParam().group == KeGroup::kX25519);
}

TEST_P(KeyExchangeTest, RefusesAnEmptyPrivateValue) {
  auto a = pair_of(GetParam().group, 1);
  const auto peer = pair_of(GetParam().group, 2).public_value;
  a.private_key.clear();
  EXPECT_FALSE(derive_shared_secret(a, peer).has_value());
}

class ModpTest : public testing::TestWithParam<GroupCase> {};
INSTANTIATE_TEST_SUITE_P(Every, ModpTest, testing::Values(kGroups[2], kGroups[3], kGroups[4]),
                         [](const auto& instance) { return std::string(instance.param.name); });

Bytes prime_minus(KeGroup group, BN_ULONG less) {
  BIGNUM* number = group == KeGroup::kModp2048   ? BN_get_rfc3526_prime_2048(nullptr)
                   : group == KeGroup::kModp3072 ? BN_get_rfc3526_prime_3072(nullptr)
                                                 : BN_get_rfc3526_prime_4096(nullptr);
  EXPECT_EQ(BN_sub_word(number, less), 1);
  Bytes out(public_octets(group));
  EXPECT_EQ(BN_bn2binpad(number, out.data(), static_cast<int>(out.size())), static_cast<int>(out.size()));
  BN_free(number);
  return out;
}

// RFC 6989 section 2.1: 1 < r < p-1.
TEST_P(ModpTest, RefusesWhatIsNotBetweenOneAndPMinusOne) {
  const auto a = pair_of(GetParam().group, 1);
  Bytes value(GetParam().public_size, 0);
  value.back() = 1;
  EXPECT_FALSE(derive_shared_secret(a, value).has_value()) << "1";
  EXPECT_FALSE(derive_shared_secret(a, prime_minus(GetParam().group, 0)).has_value()) << "p";
  EXPECT_FALSE(derive_shared_secret(a, prime_minus(GetParam().group, 1)).has_value()) << "p-1";
  EXPECT_TRUE(derive_shared_secret(a, prime_minus(GetParam().group, 2)).has_value()) << "p-2";
  value.back() = 2;
  const auto own = derive_shared_secret(a, value);
  ASSERT_TRUE(own.has_value()) << "2";
  EXPECT_EQ(Bytes(own->begin(), own->end()), a.public_value) << "2^x is our own public value";
}

// RFC 7296 section 2.14: g^ir is "padded with zeros if necessary to make it the length of the modulus". With an
// exponent of 1 the secret is the peer's value itself.
TEST_P(ModpTest, ShortSecretsKeepTheirLeadingZeros) {
  auto a = pair_of(GetParam().group, 1);
  std::fill(a.private_key.begin(), a.private_key.end(), 0);
  a.private_key.back() = 1;
  Bytes value(GetParam().public_size, 0);
  value.back() = 77;
  const auto secret = derive_shared_secret(a, value);
  ASSERT_TRUE(secret.has_value());
  EXPECT_EQ(Bytes(secret->begin(), secret->end()), value);
}

class EcpTest : public testing::TestWithParam<GroupCase> {};
INSTANTIATE_TEST_SUITE_P(Every, EcpTest, testing::Values(kGroups[5], kGroups[6], kGroups[7]),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(EcpTest, RefusesPointsOffTheCurve) {
  const auto a = pair_of(GetParam().group, 1);
  const auto b = pair_of(GetParam().group, 2);
  for (std::size_t i = 0; i < b.public_value.size(); ++i) {
    Bytes value = b.public_value;
    value[i] ^= 1;
    EXPECT_FALSE(derive_shared_secret(a, value).has_value()) << i;
  }
}

TEST_P(EcpTest, RefusesSwappedCoordinates) {
  const auto a = pair_of(GetParam().group, 1);
  const auto b = pair_of(GetParam().group, 2);
  Bytes swapped(b.public_value.begin() + static_cast<std::ptrdiff_t>(GetParam().shared_size), b.public_value.end());
  swapped.insert(swapped.end(), b.public_value.begin(),
                 b.public_value.begin() + static_cast<std::ptrdiff_t>(GetParam().shared_size));
  EXPECT_FALSE(derive_shared_secret(a, swapped).has_value());
}

class ConstantRandom final : public Random {
 public:
  explicit ConstantRandom(std::uint8_t value) : value_(value) {}
  void fill(MutableByteView out) override { std::fill(out.begin(), out.end(), value_); }

 private:
  std::uint8_t value_;
};

TEST_P(EcpTest, ASourceThatGivesNoScalarIsAnErrorNotALoop) {
  ConstantRandom zeros(0);
  EXPECT_FALSE(generate_key_pair(GetParam().group, zeros).has_value());
  ConstantRandom ones(0xff);
  EXPECT_FALSE(generate_key_pair(GetParam().group, ones).has_value()) << "larger than the group's order";
}

TEST(ModpGenerate, ExponentsAreNeverTrivial) {
  ConstantRandom zeros(0);
  const auto pair = generate_key_pair(KeGroup::kModp2048, zeros);
  ASSERT_TRUE(pair.has_value());
  EXPECT_EQ(pair->private_key.size(), 40U);
  EXPECT_EQ(pair->private_key[0], 0x80);
}

// RFC 7748 section 6.1: points of small order give the all-zero secret, whatever our scalar.
TEST(X25519, RefusesPointsOfSmallOrder) {
  const auto own = pair_of(KeGroup::kX25519, 3);
  for (const std::string_view text : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
       }) {
    Bytes value;
    ASSERT_TRUE(from_hex(text, value));
    EXPECT_FALSE(derive_shared_secret(own, value).has_value()) << text;
  }
}

// RFC 7748 section 6.1: Alice's and Bob's values.
TEST(X25519, PublicValuesOfTheRfc) {
  for (const auto& [scalar, expected] :
       {std::pair{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"sv,
                  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"sv},
        std::pair{"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"sv,
                  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"sv}}) {
    Bytes octets;
    ASSERT_TRUE(from_hex(scalar, octets));
    GivenRandom random(octets);
    const auto own = generate_key_pair(KeGroup::kX25519, random);
    ASSERT_TRUE(own.has_value());
    EXPECT_EQ(to_hex(own->public_value), expected);
  }
}

// The base point has a way of its own: it comes to what the general one comes to.
TEST(X25519, BothWaysToMultiplyTheBasePointAgree) {
  Bytes base(32);
  base[0] = 9;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    auto own = pair_of(KeGroup::kX25519, seed);
    for (const auto& [place, octet] : {std::pair{0U, 0x00}, {0U, 0xff}, {31U, 0x00}, {31U, 0xff}}) {
      own.private_key[place] = static_cast<std::uint8_t>(octet);
      GivenRandom random(own.private_key);
      const auto same = generate_key_pair(KeGroup::kX25519, random);
      ASSERT_TRUE(same.has_value());
      const auto product = derive_shared_secret(own, base);
      ASSERT_TRUE(product.has_value());
      ASSERT_TRUE(std::ranges::equal(same->public_value, *product)) << seed << ' ' << place << ' ' << octet;
    }
  }
}

TEST(KeyExchange, UnknownGroups) {
  SeededRandom random(1);
  for (const auto group :
       {KeGroup::kNone, static_cast<KeGroup>(1), static_cast<KeGroup>(22), static_cast<KeGroup>(65535)}) {
    EXPECT_EQ(public_octets(group), 0U);
    EXPECT_FALSE(generate_key_pair(group, random).has_value());
    EXPECT_FALSE(derive_shared_secret(KeyPair{group, SecretBytes(32, 1), {}}, Bytes(32, 2)).has_value());
    EXPECT_FALSE(agree(group, random, Bytes(32, 2)).has_value());
  }
}

}  // namespace
}  // namespace cygnet::crypto
