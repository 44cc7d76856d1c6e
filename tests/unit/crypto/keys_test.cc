// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "crypto/private_key.h"
#include "crypto/public_key.h"
#include "support/test_pki.h"

namespace cygnet::crypto {
namespace {

using test::key_to_pem;
using test::key_to_spki;
using test::test_key;
using enum SignatureScheme;

constexpr std::array<KeyKind, 6> kKinds = {KeyKind::kRsa,       KeyKind::kEcdsaP256, KeyKind::kEcdsaP384,
                                           KeyKind::kEcdsaP521, KeyKind::kEd25519,   KeyKind::kEd448};
constexpr std::array<SignatureScheme, 12> kSchemes = {kRsaPkcs1Sha1, kRsaPkcs1Sha256, kRsaPkcs1Sha384, kRsaPkcs1Sha512,
                                                      kRsaPssSha256, kRsaPssSha384,   kRsaPssSha512,   kEcdsaSha256,
                                                      kEcdsaSha384,  kEcdsaSha512,    kEd25519,        kEd448};

PrivateKey load(KeyKind kind) { return PrivateKey::load(key_to_pem(test_key(kind).get()), {}).value(); }
Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out)) << text;
  return out;
}

TEST(Keys, EveryKindSignsAndVerifiesWithEverySchemeThatFits) {
  const auto octets = to_bytes("SignedOctets");
  for (const auto kind : kKinds) {
    const auto key = load(kind);
    int fitting = 0;
    for (const auto scheme : kSchemes) {
      for (const auto form : {EcdsaForm::kDer, EcdsaForm::kFixed}) {
        auto signature = key.sign(scheme, form, octets);
        if (!signature) continue;
        ++fitting;
        EXPECT_TRUE(key.public_key().verify(scheme, form, octets, *signature)) << to_string(scheme);
        EXPECT_FALSE(key.public_key().verify(scheme, form, to_bytes("signedOctets"), *signature));
        EXPECT_FALSE(key.public_key().verify(scheme, form, octets, {}));
        signature->back() ^= 1U;
        EXPECT_FALSE(key.public_key().verify(scheme, form, octets, *signature));
      }
    }
    EXPECT_EQ(fitting, kind == KeyKind::kRsa ? 14 : (kind >= KeyKind::kEd25519 ? 2 : 6)) << to_string(kind);
  }
}

TEST(Keys, TheFixedFormOfEcdsaHasItsExactSize) {
  const std::array<std::pair<KeyKind, std::size_t>, 3> sizes = {
      {{KeyKind::kEcdsaP256, 64}, {KeyKind::kEcdsaP384, 96}, {KeyKind::kEcdsaP521, 132}}};
  for (const auto& [kind, octets] : sizes) {
    const auto key = load(kind);
    const auto signature = key.sign(kEcdsaSha256, EcdsaForm::kFixed, to_bytes("x")).value();
    EXPECT_EQ(signature.size(), octets);
    auto longer = signature;
    longer.insert(longer.begin(), 0);
    EXPECT_FALSE(key.public_key().verify(kEcdsaSha256, EcdsaForm::kFixed, to_bytes("x"), longer));
    EXPECT_FALSE(key.public_key().verify(kEcdsaSha256, EcdsaForm::kDer, to_bytes("x"), signature));
  }
}

TEST(Keys, AKeyOfAnotherOwnerVerifiesNothing) {
  const auto signature = load(KeyKind::kEcdsaP256).sign(kEcdsaSha256, EcdsaForm::kDer, to_bytes("x")).value();
  const auto other = PublicKey::from_spki(key_to_spki(test_key(KeyKind::kEcdsaP256, 1).get())).value();
  EXPECT_FALSE(other.verify(kEcdsaSha256, EcdsaForm::kDer, to_bytes("x"), signature));
}

TEST(Keys, DescribeThemselves) {
  EXPECT_EQ(load(KeyKind::kRsa).public_key().to_string(), "RSA 2048");
  EXPECT_EQ(load(KeyKind::kEcdsaP384).public_key().to_string(), "ECDSA P-384");
  EXPECT_EQ(load(KeyKind::kEd25519).public_key().to_string(), "Ed25519");
  const auto key = load(KeyKind::kEd25519).public_key();
  EXPECT_EQ(key.key_id().size(), 32U);
  EXPECT_EQ(key.authority_hash().size(), 20U);
  EXPECT_EQ(key.spki(), key_to_spki(test_key(KeyKind::kEd25519).get()));
}

TEST(Keys, PublicKeysOfOtherKindsAndWithTrailingOctetsAreRefused) {
  auto spki = key_to_spki(test_key(KeyKind::kEcdsaP256).get());
  spki.push_back(0);
  EXPECT_FALSE(PublicKey::from_spki(spki).has_value());
  EXPECT_FALSE(PublicKey::from_spki({}).has_value());
  EXPECT_FALSE(PublicKey::from_spki(Bytes(9000, 0x30)).has_value());
  // An X25519 key (RFC 8410): a good SubjectPublicKeyInfo that signs nothing.
  const auto x25519 = hex("302a300506032b656e032100" + std::string(64, '7'));
  const auto refused = PublicKey::from_spki(x25519);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("cannot use"), std::string::npos);
}

TEST(Keys, PrivateKeysSayWhatIsWrongWithThem) {
  const auto pem = key_to_pem(test_key(KeyKind::kEcdsaP256).get(), "open sesame");
  EXPECT_TRUE(PrivateKey::load(pem, view_of("open sesame")).has_value());
  EXPECT_EQ(PrivateKey::load(pem, view_of("wrong")).error().message, "the passphrase of the private key is wrong");
  EXPECT_EQ(PrivateKey::load(pem, {}).error().message, "the private key is encrypted and no passphrase was given");
  const auto spki = test::to_pem("PUBLIC KEY", key_to_spki(test_key(KeyKind::kEcdsaP256).get()));
  EXPECT_EQ(PrivateKey::load(spki, {}).error().message, "this is a public key; the private key is needed");
  EXPECT_FALSE(PrivateKey::load(to_bytes("nonsense"), {}).has_value());
  EXPECT_FALSE(PrivateKey::load({}, {}).has_value());
  EXPECT_FALSE(PrivateKey::load(Bytes(300 * 1024), {}).has_value());
}

TEST(Keys, SchemesForPeersWithoutRfc7427) {
  EXPECT_EQ(schemes_for(KeyKind::kRsa, 2048, {}), (std::vector{kRsaPkcs1Sha1}));
  EXPECT_EQ(schemes_for(KeyKind::kEcdsaP384, 384, {}), (std::vector{kEcdsaSha384}));
  EXPECT_TRUE(schemes_for(KeyKind::kEd25519, 256, {}).empty());
}

TEST(Keys, SchemesFollowThePeersHashesAndTheKeysStrength) {
  using enum HashId;
  EXPECT_EQ(schemes_for(KeyKind::kRsa, 2048, {kSha1, kSha2_512, kSha2_256}),
            (std::vector{kRsaPssSha256, kRsaPssSha512, kRsaPkcs1Sha256, kRsaPkcs1Sha512}));
  EXPECT_EQ(schemes_for(KeyKind::kRsa, 4096, {kSha2_256, kSha2_384}),
            (std::vector{kRsaPssSha384, kRsaPssSha256, kRsaPkcs1Sha384, kRsaPkcs1Sha256}));
  EXPECT_EQ(schemes_for(KeyKind::kEcdsaP521, 521, {kSha2_256, kSha2_512}), (std::vector{kEcdsaSha512, kEcdsaSha256}));
  EXPECT_TRUE(schemes_for(KeyKind::kEcdsaP256, 256, {kSha1}).empty()) << "RFC 8247: SHA-1 signatures are not made";
  EXPECT_TRUE(schemes_for(KeyKind::kEd448, 456, {kSha2_256}).empty());
  EXPECT_EQ(schemes_for(KeyKind::kEd448, 456, {kIdentity}), (std::vector{SignatureScheme::kEd448}));
}

TEST(AlgorithmIdentifier, GoesThereAndBack) {
  for (const auto scheme : kSchemes) {
    EXPECT_EQ(parse_algorithm_identifier(algorithm_identifier(scheme)), scheme) << to_string(scheme);
  }
  // RFC 7427 section A.4.3.
  EXPECT_EQ(to_hex(algorithm_identifier(kRsaPssSha256)),
            "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086"
            "480165030402010500a203020120");
  EXPECT_EQ(to_hex(algorithm_identifier(kEcdsaSha256)), "300a06082a8648ce3d040302");
}

TEST(AlgorithmIdentifier, OtherSpellingsOfTheSame) {
  EXPECT_EQ(parse_algorithm_identifier(hex("300b06092a864886f70d01010b")), kRsaPkcs1Sha256) << "parameters absent";
  EXPECT_EQ(parse_algorithm_identifier(hex("300c06082a8648ce3d0403020500")), kEcdsaSha256) << "NULL";
  EXPECT_EQ(parse_algorithm_identifier(
                hex("304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d"
                    "06096086480165030402010500a203020120a303020101")),
            kRsaPssSha256)
      << "the default trailer, written out";
}

TEST(AlgorithmIdentifier, WhatIsNotTakenIsRefused) {
  EXPECT_FALSE(parse_algorithm_identifier({}));
  EXPECT_FALSE(parse_algorithm_identifier(hex("300b06092a864886f70d01010a"))) << "PSS without parameters";
  EXPECT_FALSE(parse_algorithm_identifier(hex("300d06092a864886f70d01010a3000"))) << "PSS with empty parameters";
  EXPECT_FALSE(parse_algorithm_identifier(hex("300906072a8648ce3d0401"))) << "ECDSA with SHA-1";
  EXPECT_FALSE(parse_algorithm_identifier(hex("300d06092a864886f70d0101040500"))) << "MD5";
  EXPECT_FALSE(parse_algorithm_identifier(hex("300a06082a8648ce3d04030200"))) << "trailing octet";
  auto other_mask = algorithm_identifier(kRsaPssSha256);
  other_mask[other_mask.size() - 8] = 2;  // MGF1 with SHA2-384
  EXPECT_FALSE(parse_algorithm_identifier(other_mask));
  auto other_salt = algorithm_identifier(kRsaPssSha256);
  other_salt.back() = 20;
  EXPECT_FALSE(parse_algorithm_identifier(other_salt));
  const auto whole = algorithm_identifier(kRsaPssSha512);
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse_algorithm_identifier(ByteView(whole).first(n)));
}

TEST(Pkcs12File, IsTakenApart) {
  const auto authority = test::make_authority("C=DE, O=Example, CN=Root");
  const auto own = test::make_certificate({}, &authority);
  const auto file = test::make_pkcs12(own, {authority.der}, "open sesame", "moon");
  const auto parts = parse_pkcs12(file, view_of("open sesame"));
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  EXPECT_EQ(parts->certificate, own.der);
  ASSERT_EQ(parts->authorities.size(), 1U);
  EXPECT_EQ(parts->authorities[0], authority.der);
  EXPECT_EQ(parts->friendly_name, "moon");
  const auto key = PrivateKey::load(parts->private_key_pem, {}).value();
  EXPECT_EQ(key.public_key().spki(), key_to_spki(own.key.get()));
  EXPECT_EQ(PrivateKey::load(file, view_of("open sesame")).value().public_key().key_id(), key.public_key().key_id());
}

TEST(Pkcs12File, SaysWhatIsWrong) {
  const auto own = test::make_certificate({});
  const auto file = test::make_pkcs12(own, {}, "open sesame", "moon");
  EXPECT_EQ(parse_pkcs12(file, view_of("wrong")).error().message, "the passphrase of the PKCS#12 file is wrong");
  EXPECT_EQ(parse_pkcs12(file, {}).error().message, "the PKCS#12 file is protected and no passphrase was given");
  EXPECT_EQ(parse_pkcs12(to_bytes("nonsense"), {}).error().message, "this is no PKCS#12 file (RFC 7292)");
  EXPECT_FALSE(parse_pkcs12(Bytes((1U << 20U) + 1), {}).has_value());
  EXPECT_TRUE(parse_pkcs12(test::make_pkcs12(own, {}, "", "moon"), {}).has_value()) << "an empty passphrase";
}

TEST(Pkcs12File, OldEncryptionIsReadToo) {
  const auto own = test::make_certificate({});
  const auto file = test::make_pkcs12(own, {}, "open sesame", "moon", true);
  if (file.empty()) GTEST_SKIP() << "OpenSSL's legacy provider is not installed";
  const auto parts = parse_pkcs12(file, view_of("open sesame"));
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  EXPECT_EQ(parts->certificate, own.der);
}

}  // namespace
}  // namespace cygnet::crypto
