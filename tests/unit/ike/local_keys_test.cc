// SPDX-License-Identifier: Apache-2.0
#include "ike/auth/local_keys.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "support/test_pki.h"

namespace cygnet::ike::auth {
namespace {

model::SharedSecret secret(std::string source, std::initializer_list<std::string_view> ids, bool any_peer = false) {
  model::SharedSecret out;
  for (const auto id : ids) out.ids.push_back(*model::Identity::parse(id));
  out.any_peer = any_peer || ids.size() == 0;
  out.secret.assign(source.begin(), source.end());
  out.source = std::move(source);
  return out;
}

PskQuery query(std::string_view local_id, std::string_view remote_id) {
  return {*model::Identity::parse(local_id), *model::Identity::parse(remote_id), *IpAddress::parse("192.0.2.1"),
          *IpAddress::parse("198.51.100.1")};
}

std::string chosen(const std::vector<model::SharedSecret>& secrets, const PskQuery& q) {
  const auto* found = find_secret(secrets, q);
  const SecretIndex index(secrets);
  const auto* indexed = index.find(q);
  EXPECT_EQ(found == nullptr ? "none" : found->source, indexed == nullptr ? "none" : indexed->source);
  return found == nullptr ? "none" : found->source;
}

// chosen() compares them.
TEST(FindSecret, TheIndexFindsWhatASearchFinds) {
  const std::vector<std::string_view> names{"@a",        "@B",           "@b",  "c@d.test",
                                            "192.0.2.1", "198.51.100.1", "@gw", "C=DE, O=x"};
  SeededRandom random(5);
  unsigned found = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<model::SharedSecret> all;
    for (auto left = random.below(7); left > 0; --left) {
      auto one = secret("s" + std::to_string(left), {}, false);
      for (auto ids = random.below(4); ids > 0; --ids) {
        one.ids.push_back(*model::Identity::parse(names[random.below(names.size())]));
      }
      one.any_peer = one.ids.empty() || random.below(5) == 0;
      all.push_back(std::move(one));
    }
    found += chosen(all, query(names[random.below(names.size())], names[random.below(names.size())])) != "none";
  }
  EXPECT_GT(found, 100U);
}

TEST(FindSecret, MostSpecificWinsWhateverTheOrder) {
  std::vector<model::SharedSecret> all{secret("anyone", {}), secret("peer", {"@b"}),
                                       secret("addresses", {"192.0.2.1", "198.51.100.1"}),
                                       secret("pair", {"@a", "@b"})};
  EXPECT_EQ(chosen(all, query("@a", "@b")), "pair");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "addresses");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "peer");
  all.pop_back();
  EXPECT_EQ(chosen(all, query("@a", "@b")), "anyone");
}

TEST(FindSecret, OrderOfTheNamesDoesNotMatter) {
  EXPECT_EQ(chosen({secret("pair", {"@b", "@a"})}, query("@a", "@b")), "pair");
}

TEST(FindSecret, AKeyForTwoIsNotForAThird) {
  EXPECT_EQ(chosen({secret("pair", {"@a", "@b"})}, query("@a", "@c")), "none");
  EXPECT_EQ(chosen({secret("pair", {"@a", "@b"})}, query("@c", "@b")), "none");
}

TEST(FindSecret, AnyPeerOfOurs) { EXPECT_EQ(chosen({secret("road", {"@a"}, true)}, query("@a", "@c")), "road"); }

TEST(FindSecret, FirstAmongEquals) {
  EXPECT_EQ(chosen({secret("one", {"@b"}), secret("two", {"@b"})}, query("@a", "@b")), "one");
}

AuthResult prove(const LocalKeys& keys, model::PrfId prf, const PskQuery& q, const Bytes& octets) {
  return keys.perform({7, PskProve{prf, q, octets}});
}

TEST(LocalKeys, FailsWithALineToWrite) {
  const LocalKeys keys({});
  const auto auth = prove(keys, model::PrfId::kHmacSha2_256, query("@a", "@b"), {});
  EXPECT_FALSE(auth.ok);
  EXPECT_EQ(auth.job, 7U);
  EXPECT_NE(auth.error.find("ipsec.secrets"), std::string::npos);
}

TEST(LocalKeys, ProofDependsOnKeyAndOctets) {
  const LocalKeys one({{secret("one", {})}, {}});
  const LocalKeys two({{secret("two", {})}, {}});
  const Bytes octets = to_bytes("signed");
  const auto q = query("@a", "@b");
  const auto a = prove(one, model::PrfId::kHmacSha2_256, q, octets);
  ASSERT_TRUE(a.ok);
  EXPECT_EQ(a.auth.size(), 32U);
  EXPECT_EQ(a.source, "one");
  EXPECT_EQ(a.auth, prove(one, model::PrfId::kHmacSha2_256, q, octets).auth);
  EXPECT_NE(a.auth, prove(two, model::PrfId::kHmacSha2_256, q, octets).auth);
  EXPECT_NE(a.auth, prove(one, model::PrfId::kHmacSha2_256, q, to_bytes("signet")).auth);
  EXPECT_EQ(prove(one, model::PrfId::kHmacSha2_512, q, octets).auth.size(), 64U);
}

TEST(LocalKeys, VerifiesWhatTheSameKeyProved) {
  const LocalKeys one({{secret("one", {})}, {}});
  const LocalKeys two({{secret("two", {})}, {}});
  const Bytes octets = to_bytes("signed");
  const auto q = query("@a", "@b");
  const auto proof = prove(one, model::PrfId::kHmacSha2_256, q, octets);
  const PskVerify verify{model::PrfId::kHmacSha2_256, q, octets, Bytes(proof.auth.begin(), proof.auth.end())};
  EXPECT_TRUE(one.perform({1, verify}).ok);
  EXPECT_TRUE(one.perform({1, verify}).auth.empty());  // what it should have been does not leave
  const auto other = two.perform({1, verify});
  EXPECT_FALSE(other.ok);
  EXPECT_EQ(other.source, "two");
  auto shorter = verify;
  shorter.presented.pop_back();
  EXPECT_FALSE(one.perform({1, shorter}).ok);
}

TEST(LocalKeys, OurProofComesWithTheCheckIfThatIsGood) {
  const LocalKeys one({{secret("one", {})}, {}});
  const Bytes octets = to_bytes("signed"), answer = to_bytes("by us");
  const auto q = query("@a", "@b");
  const auto proof = prove(one, model::PrfId::kHmacSha2_256, q, octets);
  PskVerify verify{model::PrfId::kHmacSha2_256, q, octets, Bytes(proof.auth.begin(), proof.auth.end()), answer};
  const auto good = one.perform({1, verify});
  EXPECT_TRUE(good.ok);
  EXPECT_EQ(good.method, wire::ike::AuthMethodId::kSharedKey);
  EXPECT_EQ(good.auth, prove(one, model::PrfId::kHmacSha2_256, q, answer).auth);
  verify.presented[0] ^= 1U;
  const auto bad = one.perform({1, verify});
  EXPECT_FALSE(bad.ok);
  EXPECT_TRUE(bad.auth.empty());
}

// RFC 7296 section 2.15 and RFC 4754 for peers that know no RFC 7427; RFC 7427 and RFC 8420 for the others.
TEST(LocalKeys, EveryKindSignsInTheOldWayAndInTheNew) {
  using crypto::KeyKind;
  using wire::ike::AuthMethodId;
  struct Case {
    KeyKind kind;
    AuthMethodId old_method;
    bool has_old_way;
  };
  for (const auto& [kind, old_method, has_old_way] :
       {Case{KeyKind::kRsa, AuthMethodId::kRsaSignature, true},
        Case{KeyKind::kEcdsaP256, AuthMethodId::kEcdsaP256, true},
        Case{KeyKind::kEcdsaP384, AuthMethodId::kEcdsaP384, true},
        Case{KeyKind::kEcdsaP521, AuthMethodId::kEcdsaP521, true}, Case{KeyKind::kEd25519, AuthMethodId{}, false},
        Case{KeyKind::kEd448, AuthMethodId{}, false}}) {
    model::PrivateKeySource source;
    source.bytes = test::key_to_pem(test::test_key(kind).get());
    source.source = "secrets:1";
    std::vector<model::PrivateKeySource> sources;
    sources.push_back(std::move(source));
    const LocalKeys keys({{}, std::move(sources)});
    ASSERT_EQ(keys.public_keys().size(), 1U);
    const auto key = keys.public_keys().front();
    const Bytes octets = to_bytes("signed");
    for (const bool digital : {false, true}) {
      const std::vector<crypto::HashId> hashes{crypto::HashId::kSha2_256, crypto::HashId::kSha2_384,
                                               crypto::HashId::kSha2_512, crypto::HashId::kIdentity};
      const auto proof = keys.perform({1, SignatureProve{key.key_id(), digital, hashes, octets}});
      ASSERT_EQ(proof.ok, digital || has_old_way) << key.to_string() << ": " << proof.error;
      if (!proof.ok) {
        EXPECT_NE(proof.error.find("lists no hash that goes with our key"), std::string::npos);
        continue;
      }
      EXPECT_EQ(proof.method, digital ? AuthMethodId::kDigitalSignature : old_method);
      SignatureVerify check;
      check.method = proof.method;
      check.presented = Bytes(proof.auth.begin(), proof.auth.end());
      check.octets = octets;
      check.known_keys = {key.spki()};
      EXPECT_TRUE(verify_signature({2, check}, crypto::TrustStore(), 0).result.ok) << key.to_string();
      check.octets = to_bytes("signet");
      EXPECT_FALSE(verify_signature({2, check}, crypto::TrustStore(), 0).result.ok) << key.to_string();
    }
  }
}

}  // namespace
}  // namespace cygnet::ike::auth
