// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/token_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/token_role/spki.h"
#include "support/test_pki.h"

namespace cygnet::daemon {
namespace {

using crypto::EcdsaForm;
using crypto::HashId;
using crypto::KeyKind;
using crypto::SignatureScheme;

constexpr auto kModule = "/usr/lib/softhsm/libsofthsm2.so";
constexpr auto kPin = "7351-open";

SecretBytes secret_of(std::string_view text) { return {text.begin(), text.end()}; }

// A SoftHSM with one token, in a folder of its own.
struct Tokens : testing::Test {
  std::filesystem::path dir;
  crypto::PublicKey rsa = crypto::PublicKey::from_spki(test::key_to_spki(test::test_key(KeyKind::kRsa).get())).value();
  crypto::PublicKey ec =
      crypto::PublicKey::from_spki(test::key_to_spki(test::test_key(KeyKind::kEcdsaP256).get())).value();

  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(kModule)) << "install the package softhsm2";
    std::string name = (std::filesystem::temp_directory_path() / "cygnet-tokens-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    dir = name;
    std::filesystem::create_directory(dir / "tokens");
    std::ofstream(dir / "conf") << "directories.tokendir = " << (dir / "tokens").string() << "\nlog.level = ERROR\n";
    ASSERT_EQ(::setenv("SOFTHSM2_CONF", (dir / "conf").c_str(), 1), 0);
    tool("--init-token --free --label lab --so-pin 0000-so");
    import("rsa", KeyKind::kRsa, "01");
    import("ec", KeyKind::kEcdsaP256, "02");
  }
  void TearDown() override { std::filesystem::remove_all(dir); }

  void tool(const std::string& arguments) const {
    const auto command = "softhsm2-util " + arguments + " --pin " + kPin + " > " + (dir / "log").string() + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  void import(const std::string& label, KeyKind kind, const std::string& id) const {
    const auto pem = test::key_to_pem(test::test_key(kind).get());
    std::ofstream(dir / "key.pem")
        .write(reinterpret_cast<const char*>(pem.data()), static_cast<std::streamsize>(pem.size()));
    tool("--import " + (dir / "key.pem").string() + " --token lab --label " + label + " --id " + id);
  }
  [[nodiscard]] static TokenKey key(const std::string& label, const std::string& pin = kPin) {
    return {"pkcs11:token=lab;object=" + label + ";type=private", secret_of(pin), "secrets:1"};
  }
  [[nodiscard]] static ike::auth::AuthJob job(const crypto::PublicKey& key, std::vector<HashId> hashes) {
    const bool digital = !hashes.empty();
    return {7, ike::auth::SignatureProve{key.key_id(), digital, std::move(hashes), to_bytes("SignedOctets")}};
  }
};

// The signature behind the AlgorithmIdentifier (RFC 7427 section 3).
ByteView behind_identifier(const SecretBytes& auth) { return ByteView(auth).subspan(1U + auth[0]); }
SignatureScheme scheme_of(const SecretBytes& auth) {
  return crypto::parse_algorithm_identifier(ByteView(auth).subspan(1, auth[0])).value();
}

TEST_F(Tokens, KeysSignAsIfTheyWereInMemory) {
  TokenStore store;
  store.use({kModule, {key("rsa"), key("ec")}, {}});
  EXPECT_TRUE(store.look());
  EXPECT_TRUE(store.problems().empty()) << store.problems().front();
  ASSERT_EQ(store.public_keys().size(), 2U);
  EXPECT_EQ(store.public_keys()[0].spki(), rsa.spki());
  EXPECT_EQ(store.public_keys()[1].spki(), ec.spki());
  const auto octets = to_bytes("SignedOctets");
  const auto pss = store.perform(job(rsa, {HashId::kSha2_256}));
  ASSERT_TRUE(pss.ok) << pss.error;
  EXPECT_EQ(pss.job, 7U);
  EXPECT_EQ(pss.source, "RSASSA-PSS with SHA2-256, RSA 2048, key on token 'lab' (secrets:1)");
  EXPECT_EQ(scheme_of(pss.auth), SignatureScheme::kRsaPssSha256);
  EXPECT_TRUE(rsa.verify(SignatureScheme::kRsaPssSha256, EcdsaForm::kDer, octets, behind_identifier(pss.auth)));
  const auto classic = store.perform(job(rsa, {}));
  ASSERT_TRUE(classic.ok) << classic.error;
  EXPECT_EQ(classic.method, wire::ike::AuthMethodId::kRsaSignature);
  EXPECT_TRUE(rsa.verify(SignatureScheme::kRsaPkcs1Sha1, EcdsaForm::kFixed, octets, ByteView(classic.auth)));
  const auto digital = store.perform(job(ec, {HashId::kSha2_512}));
  ASSERT_TRUE(digital.ok) << digital.error;
  EXPECT_TRUE(ec.verify(SignatureScheme::kEcdsaSha512, EcdsaForm::kDer, octets, behind_identifier(digital.auth)));
  const auto fixed = store.perform(job(ec, {}));
  ASSERT_TRUE(fixed.ok) << fixed.error;
  EXPECT_EQ(fixed.method, wire::ike::AuthMethodId::kEcdsaP256);
  EXPECT_EQ(fixed.auth.size(), 64U);
  EXPECT_TRUE(ec.verify(SignatureScheme::kEcdsaSha256, EcdsaForm::kFixed, octets, ByteView(fixed.auth)));
  EXPECT_FALSE(store.look()) << "nothing new";
}

TEST_F(Tokens, WhatIsMissingIsSaidByName) {
  TokenStore store;
  store.use(
      {kModule,
       {key("nothing"), {"pkcs11:token=other;object=rsa", secret_of(kPin), "secrets:2"}, key("rsa", "9999-wrong")},
       {"pkcs11:token=lab;object=none;type=cert"}});
  EXPECT_TRUE(store.look());
  const auto problems = store.problems();
  ASSERT_EQ(problems.size(), 4U);
  EXPECT_NE(problems[0].find("no private key with the label 'nothing'"), std::string::npos) << problems[0];
  EXPECT_NE(problems[1].find("there is no token 'other'"), std::string::npos) << problems[1];
  EXPECT_NE(problems[2].find("secrets:1: the key on token 'lab'"), std::string::npos) << problems[2];
  EXPECT_NE(problems[3].find("no certificate with the label 'none'"), std::string::npos) << problems[3];
  for (const auto& problem : problems) EXPECT_EQ(problem.find("wrong-"), std::string::npos);
  EXPECT_TRUE(store.public_keys().empty());
  const auto asked = store.perform(job(rsa, {}));
  EXPECT_FALSE(asked.ok);
  EXPECT_EQ(asked.error, "no token has the private key for this");
}

TEST_F(Tokens, AWrongPinIsTriedOnce) {
  TokenStore store;
  store.use({kModule, {key("rsa", "9999-wrong")}, {}});
  EXPECT_TRUE(store.look());
  ASSERT_EQ(store.problems().size(), 1U);
  EXPECT_NE(store.problems()[0].find("the PIN is wrong; it is not tried again"), std::string::npos);
  EXPECT_FALSE(store.look());
  store.use({kModule, {key("rsa")}, {}});
  EXPECT_TRUE(store.look());
  EXPECT_TRUE(store.problems().empty());
}

TEST(TokenLibrary, WhatIsNoneIsRefusedByName) {
  const auto missing = Cryptoki::load("/nonexistent/library.so");
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message.find("pkcs11module="), std::string::npos);
  const auto other = Cryptoki::load("libcrypto.so.3");
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("C_GetFunctionList"), std::string::npos);
}

TEST(TokenKeys, PublicKeyInfoOfAttributes) {
  for (const auto kind : {KeyKind::kRsa, KeyKind::kEcdsaP256, KeyKind::kEcdsaP521}) {
    const auto spki = test::key_to_spki(test::test_key(kind).get());
    EXPECT_TRUE(crypto::PublicKey::from_spki(spki).has_value());
  }
  // P-256's generator, SEC 2 section 2.4.2, wrapped and bare; a leading zero in the modulus is none of its octets.
  Bytes point, curve;
  ASSERT_TRUE(
      from_hex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e16"
               "2bce33576b315ececbb6406837bf51f5",
               point));
  ASSERT_TRUE(from_hex("06082a8648ce3d030107", curve));
  Bytes wrapped{0x04, 0x41};
  append(wrapped, point);
  const auto info = ec_public_key_info(curve, wrapped);
  EXPECT_EQ(info, ec_public_key_info(curve, point));
  EXPECT_EQ(crypto::PublicKey::from_spki(info)->kind(), KeyKind::kEcdsaP256);
  EXPECT_TRUE(ec_public_key_info(curve, Bytes{0x02, 0x01}).empty());
  EXPECT_TRUE(ec_public_key_info(curve, {}).empty());
  const Bytes exponent{0x01, 0x00, 0x01};
  Bytes modulus(256, 0xc3);
  Bytes padded{0x00};
  append(padded, modulus);
  EXPECT_EQ(rsa_public_key_info(modulus, exponent), rsa_public_key_info(padded, exponent));
  EXPECT_EQ(crypto::PublicKey::from_spki(rsa_public_key_info(modulus, exponent))->bits(), 2048U);
}

TEST(TokenWorkTest, RoundTripAndDamage) {
  const TokenWork work{"/lib/x.so", {{"pkcs11:object=a", secret_of("1234"), "f:1"}}, {"pkcs11:object=b"}};
  const auto text = encode_token_work(work);
  EXPECT_EQ(decode_token_work(text).value(), work);
  EXPECT_FALSE(decode_token_work(text.substr(0, text.size() - 1)).has_value());
  const std::vector<TokenCertificate> certificates{{"pkcs11:object=b", Bytes{0x30, 0x00}}};
  EXPECT_EQ(decode_token_certificates(encode_token_certificates(certificates)).value(), certificates);
  EXPECT_FALSE(decode_token_certificates("x").has_value());
}

}  // namespace
}  // namespace cygnet::daemon
