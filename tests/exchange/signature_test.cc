// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH with raw public keys (RFC 7427, RFC 7670), and what a wrong proof does not open.
#include <gtest/gtest.h>

#include "exchange/arrows.h"
#include "support/test_pki.h"

namespace cygnet::test {
namespace {

using crypto::KeyKind;

model::PrivateKeySource private_key(KeyKind kind, int which) {
  model::PrivateKeySource out;
  out.bytes = key_to_pem(test_key(kind, which).get());
  out.source = "test.secrets:" + std::to_string(which);
  return out;
}

struct Keys {
  KeyKind a = KeyKind::kEd25519, b = KeyKind::kEd25519;
  [[nodiscard]] model::PublicCredentials credentials() const {
    model::PublicCredentials out;
    out.public_keys = {{"key-a", key_to_spki(test_key(a, 1).get()), "a.pub"},
                       {"key-b", key_to_spki(test_key(b, 2).get()), "b.pub"},
                       {"key-c", key_to_spki(test_key(a, 3).get()), "c.pub"}};
    return out;
  }
};

model::Connection signing() {
  auto out = tunnel("tun");
  out.local.auth = out.remote.auth = model::AuthMethod::kSignature;
  out.local.public_key = "key-a";
  out.remote.public_key = "key-b";
  return out;
}

void load(Exchange& e, Side& side, const model::Connection& connection, const Keys& keys,
          std::vector<model::PrivateKeySource> own) {
  side.configure(e.now(), {connection}, {secret("s3cret")}, keys.credentials(), std::move(own));
}

void load_both(Exchange& e, const model::Connection& a, const model::Connection& b, const Keys& keys) {
  load(e, e.a(), a, keys, {private_key(keys.a, 1)});
  load(e, e.b(), b, keys, {private_key(keys.b, 2)});
}

struct KindCase {
  KeyKind kind;
  const char* words;
};
class EveryKey : public testing::TestWithParam<KindCase> {};

TEST_P(EveryKey, ProvesWhoItIs) {
  const Keys keys{GetParam().kind, GetParam().kind};
  Exchange e(tunnel("tun"));
  load_both(e, signing(), mirrored(signing()), keys);
  e.bring_up();
  e.expect_tunnel();
  EXPECT_TRUE(contains(e.a().messages("ike-up"), std::string("'b.test' with ") + GetParam().words))
      << e.a().messages("ike-up");
  EXPECT_TRUE(contains(e.b().messages("ike-up"), std::string("'a.test' with ") + GetParam().words));
}
INSTANTIATE_TEST_SUITE_P(
    Signature, EveryKey,
    testing::Values(KindCase{KeyKind::kRsa, "RSASSA-PSS with SHA2-256, RSA 2048, raw public key"},
                    KindCase{KeyKind::kEcdsaP256, "ECDSA with SHA2-256, ECDSA P-256, raw public key"},
                    KindCase{KeyKind::kEcdsaP384, "ECDSA with SHA2-384, ECDSA P-384, raw public key"},
                    KindCase{KeyKind::kEcdsaP521, "ECDSA with SHA2-512, ECDSA P-521, raw public key"},
                    KindCase{KeyKind::kEd25519, "Ed25519, raw public key"},
                    KindCase{KeyKind::kEd448, "Ed448, raw public key"}));

TEST(Signature, DifferentMethodsEachWay) {
  auto a = signing();
  a.remote.auth = model::AuthMethod::kPsk;
  a.remote.public_key.clear();
  Exchange e(tunnel("tun"));
  load_both(e, a, mirrored(a), {});
  e.bring_up();
  e.expect_tunnel();
  EXPECT_TRUE(contains(e.a().messages("ike-up"), "with pre-shared key")) << e.a().messages("ike-up");
  EXPECT_TRUE(contains(e.b().messages("ike-up"), "with Ed25519")) << e.b().messages("ike-up");
}

TEST(Signature, AnotherKeyIsRefused) {
  auto b = mirrored(signing());
  b.remote.public_key = "key-c";
  Exchange e(tunnel("tun"));
  load_both(e, signing(), b, {});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.b().messages("auth-failed"), "was not made with the private key of Ed25519"))
      << e.b().messages("auth-failed");
  EXPECT_TRUE(e.a().reported("auth-refused"));
  e.expect_nothing_left();
}

TEST(Signature, ASecretDoesNotOpenAConnectionThatWantsASignature) {
  auto b = mirrored(signing());
  b.local.auth = model::AuthMethod::kPsk;
  Exchange e(tunnel("tun"));
  load_both(e, tunnel("tun"), b, {});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.b().messages("auth-method-unsupported"), "wants a signature"))
      << e.b().messages("auth-method-unsupported");
  e.expect_nothing_left();
}

TEST(Signature, AnInitiatorTakesNoSecretForASignature) {
  auto b = mirrored(signing());
  b.local.auth = model::AuthMethod::kPsk;
  Exchange e(tunnel("tun"));
  load_both(e, signing(), b, {});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.a().messages("auth-method-unsupported"), "wants a signature"));
  EXPECT_FALSE(last_done(e.a()).ok);
}

TEST(Signature, WithoutThePrivateHalfThereIsNoProof) {
  Exchange e(tunnel("tun"));
  load(e, e.a(), signing(), {}, {});
  load(e, e.b(), mirrored(signing()), {}, {private_key(KeyKind::kEd25519, 2)});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(last_done(e.a()).message, "no private key")) << last_done(e.a()).message;
}

// Two connections for the same identities: the one that a secret opened does not lend its IKE SA to the stricter one.
TEST(Signature, AWeakerConnectionDoesNotOpenAStricterOne) {
  const auto weak = tunnel("tun");
  auto strict = mirrored(signing());
  strict.name = "strict";
  strict.children = {child("strict", "10.8.0.0/16", "10.9.0.0/16")};
  auto greedy = weak;
  greedy.children = {child("tun", "10.9.0.0/16", "10.8.0.0/16")};
  Exchange e(tunnel("tun"));
  e.a().configure(e.now(), {greedy}, {secret("s3cret")});
  e.b().configure(e.now(), {mirrored(weak), strict}, {secret("s3cret")}, Keys{}.credentials(),
                  {private_key(KeyKind::kEd25519, 2)});
  e.initiate(e.a());
  e.run();
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_TRUE(e.b().child_ups.empty());
}

// While the responder's proof is being checked, what it sends waits, and not without bound.
TEST(Signature, WhatComesDuringTheCheckWaits) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  e.deliver("IKE_AUTH request");
  e.a().hold_jobs = true;
  e.deliver("IKE_AUTH response");
  EXPECT_EQ(e.a().endpoint().status().at(0).state, "VERIFYING");
  e.rekey_child(e.b());
  e.deliver("CREATE_CHILD_SA request");
  EXPECT_EQ(e.a().endpoint().status().at(0).state, "VERIFYING");
  e.a().hold_jobs = false;
  e.a().finish_jobs(e.now());
  e.run();
  e.advance_and_run(6s);  // the old child's last moments
  e.expect_tunnel();
  EXPECT_EQ(e.b().child_ups.size(), 2U);
}

TEST(Signature, KeysThatNeverAnswerEndTheAttempt) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  e.a().hold_jobs = true;
  e.deliver();
  e.a().finish_jobs(e.now());  // the shared secret; the proof stays away
  EXPECT_EQ(e.a().endpoint().status().at(0).state, "PROVING");
  e.advance(31s);
  EXPECT_TRUE(e.a().reported("keys-silent"));
  EXPECT_FALSE(last_done(e.a()).ok);
}

}  // namespace
}  // namespace cygnet::test
