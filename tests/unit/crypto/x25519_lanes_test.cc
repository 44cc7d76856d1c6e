// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519_lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "crypto/key_exchange.h"

namespace cygnet::crypto {
namespace {

using Octets = X25519Product::Octets;

Octets octets(std::string_view text) {
  Octets out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, out[i], 16);
  }
  return out;
}

// What OpenSSL says; zeros where it refuses.
Octets one_by_one(const X25519Product& product) {
  const KeyPair own{model::KeGroup::kX25519, SecretBytes(product.scalar.begin(), product.scalar.end()), {}};
  const auto secret = derive_shared_secret(own, product.point);
  Octets out{};
  if (secret) std::ranges::copy(*secret, out.begin());
  return out;
}

class X25519Lanes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!x25519_lanes_available()) GTEST_SKIP() << "this processor has no AVX-512 IFMA";
  }
};

// RFC 7748 section 5.2.
TEST_F(X25519Lanes, KnownAnswers) {
  std::vector<X25519Product> products(2);
  products[0].scalar = octets("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
  products[0].point = octets("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  products[1].scalar = octets("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d");
  products[1].point = octets("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
  x25519_in_lanes(products);
  EXPECT_EQ(products[0].result, octets("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  EXPECT_EQ(products[1].result, octets("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"));
}

// RFC 7748 section 5.2, a thousand iterations, in another lane each time.
TEST_F(X25519Lanes, AThousandIterations) {
  Octets k{9}, u{9};
  for (std::size_t i = 0; i < 1000; ++i) {
    std::vector<X25519Product> products(1 + i % kX25519Lanes);
    products.back().scalar = k;
    products.back().point = u;
    x25519_in_lanes(products);
    u = k;
    k = products.back().result;
    if (i == 0) {
      EXPECT_EQ(k, octets("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    }
  }
  EXPECT_EQ(k, octets("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

TEST_F(X25519Lanes, AgreesWithOneByOne) {
  SeededRandom random(7);
  for (std::size_t round = 0; round < 120; ++round) {
    std::vector<X25519Product> products(1 + round % 19);
    for (auto& product : products) {
      random.fill(product.scalar);
      random.fill(product.point);
      if (random.below(4) == 0) product.point = X25519Product::kBase;
    }
    x25519_in_lanes(products);
    for (const auto& product : products) ASSERT_EQ(product.result, one_by_one(product));
  }
}

// p-20 to 2^255-1, with and without the highest bit: most of these have another, smaller form.
TEST_F(X25519Lanes, PointsAtTheEdgeOfTheField) {
  SeededRandom random(8);
  std::vector<X25519Product> products;
  for (unsigned low = 0xd9; low <= 0xff; ++low) {
    for (const std::uint8_t high : {std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
      auto& product = products.emplace_back();
      random.fill(product.scalar);
      product.point.fill(0xff);
      product.point[0] = static_cast<std::uint8_t>(low);
      product.point[31] = high;
    }
  }
  x25519_in_lanes(products);
  for (const auto& product : products) EXPECT_EQ(product.result, one_by_one(product));
}

// RFC 7748 section 6.1: points of small order lead to zeros, whatever stands in the other lanes.
TEST_F(X25519Lanes, PointsOfSmallOrderGiveZeros) {
  SeededRandom random(9);
  std::vector<X25519Product> products(6);
  for (auto& product : products) random.fill(product.scalar);
  products[0].point = Octets{0};
  products[1].point = Octets{1};
  products[2].point = octets("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
  products[3].point = octets("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157");
  products[4].point = octets("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  products[5].point = X25519Product::kBase;
  x25519_in_lanes(products);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(products[i].result, Octets{}) << i;
  EXPECT_NE(products[5].result, Octets{});
}

}  // namespace
}  // namespace cygnet::crypto
