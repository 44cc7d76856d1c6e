// SPDX-License-Identifier: Apache-2.0
// What a peer may do once it is known, or is nobody (RFC 7619): children, selectors, other peers' IKE SAs.
#include <gtest/gtest.h>

#include "exchange/arrows.h"
#include "ike/v2/match.h"
#include "support/test_pki.h"

namespace cygnet::test {
namespace {

using model::AuthMethod;

model::Connection with_methods(AuthMethod ours, AuthMethod theirs) {
  auto out = tunnel("tun");
  out.local.auth = ours;
  out.remote.auth = theirs;
  if (ours == AuthMethod::kNull) out.local.id.reset();
  if (theirs == AuthMethod::kNull) out.remote.id.reset();
  return out;
}

TEST(NullAuthentication, NobodyTalksToNobody) {
  Exchange e(with_methods(AuthMethod::kNull, AuthMethod::kNull));
  e.initiate(e.a());
  // RFC 7619 section 2.1: ID_NULL; nobody has a past that INITIAL_CONTACT could end, and no IDr is asked for.
  e.expect(kInitExchange + std::vector<std::string>{"A -> B IKE_AUTH request 1: IDi AUTH SA TSi TSr",
                                                    "A <- B IKE_AUTH response 1: IDr AUTH SA TSi TSr"});
  e.expect_tunnel();
  EXPECT_EQ(e.a().messages("ike-up"), "authenticated peer as '%null' with NULL authentication, which proves nothing");
  EXPECT_EQ(e.b().messages("ike-up"), "authenticated peer as '%null' with NULL authentication, which proves nothing");
}

TEST(NullAuthentication, ANamelessClientOfAKnownServer) {
  const auto a = with_methods(AuthMethod::kNull, AuthMethod::kSignature);
  auto of_a = a;
  auto of_b = mirrored(a);
  of_a.remote.public_key = of_b.local.public_key = "key-b";
  Exchange e(tunnel("tun"));
  model::PublicCredentials credentials;
  credentials.public_keys = {{"key-b", key_to_spki(test_key(crypto::KeyKind::kEd25519, 2).get()), "b.pub"}};
  model::PrivateKeySource key;
  key.bytes = key_to_pem(test_key(crypto::KeyKind::kEd25519, 2).get());
  e.a().configure(e.now(), {of_a}, {}, credentials);
  e.b().configure(e.now(), {of_b}, {}, credentials, {key});
  e.bring_up();
  e.expect_tunnel();
  EXPECT_TRUE(contains(e.a().messages("ike-up"), "'b.test' with Ed25519")) << e.a().messages("ike-up");
  EXPECT_TRUE(contains(e.b().messages("ike-up"), "'%null' with NULL authentication")) << e.b().messages("ike-up");
}

TEST(NullAuthentication, ItIsTakenOnlyWhereTheConnectionSaysSo) {
  for (const auto theirs : {AuthMethod::kPsk, AuthMethod::kSignature}) {
    auto of_b = mirrored(with_methods(AuthMethod::kNull, AuthMethod::kPsk));
    of_b.remote.auth = theirs;
    of_b.remote.id_any = true;
    Exchange e(with_methods(AuthMethod::kNull, AuthMethod::kPsk), of_b);
    e.initiate(e.a());
    e.run();
    EXPECT_TRUE(contains(e.b().messages("auth-method-unsupported"), "authenticates with NULL authentication"))
        << e.b().messages("auth-method-unsupported");
    EXPECT_TRUE(e.b().ike_ups.empty());
    EXPECT_FALSE(last_done(e.a()).ok);
  }
}

TEST(NullAuthentication, AResponderThatProvesNothingIsNotTaken) {
  auto of_b = mirrored(tunnel("tun"));
  of_b.local.auth = AuthMethod::kNull;
  auto of_a = tunnel("tun");
  of_a.remote.id.reset();
  of_a.remote.id_any = true;
  Exchange e(of_a, of_b);
  auto any = secret("s3cret");
  any.ids.clear();
  any.any_peer = true;
  e.a().configure(e.now(), {of_a}, {any});
  e.b().configure(e.now(), {of_b}, {any});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.a().messages("auth-method-unsupported"), "wants a pre-shared key"))
      << e.a().messages("auth-method-unsupported");
  EXPECT_TRUE(e.a().ike_ups.empty());
  EXPECT_FALSE(last_done(e.a()).ok);
}

TEST(NullAuthentication, ANameWithoutProofIsNobodys) {
  const auto claimed = model::Identity::parse("@admin.test").value();
  EXPECT_EQ(ike::v2::shown_identity(claimed, wire::ike::AuthMethodId::kNull), model::Identity{});
  EXPECT_EQ(ike::v2::shown_identity(claimed, wire::ike::AuthMethodId::kSharedKey), claimed);
}

// A changed IKE_SA_INIT shows even without authentication: AUTH covers both of its messages.
TEST(NullAuthentication, AWrongAuthIsNoticed) {
  Exchange e(with_methods(AuthMethod::kNull, AuthMethod::kNull));
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto request = e.drop("IKE_AUTH request");
  auto payloads = request.decoded.payloads;
  for (auto& payload : payloads) {
    if (auto* auth = std::get_if<wire::ike::AuthPayload>(&payload)) auth->data[0] ^= 1U;
  }
  const auto forged = e.a().keys().seal(request.decoded.header, payloads);
  ASSERT_TRUE(forged);
  e.inject(e.b(), request.path, *forged);
  e.run();
  EXPECT_TRUE(contains(e.b().messages("auth-failed"), "does not belong to this IKE_SA_INIT"))
      << e.b().messages("auth-failed");
  EXPECT_TRUE(e.b().ike_ups.empty());
}

TEST(NullAuthentication, NobodiesDoNotDisplaceEachOther) {
  auto of_a = with_methods(AuthMethod::kNull, AuthMethod::kPsk);
  auto of_b = mirrored(of_a);
  of_b.remote.host = {};
  of_b.children[0].remote.clear();
  of_a.children[0].local.clear();
  Exchange e(of_a, of_b);
  auto of_c = of_a;
  of_c.local.host.address = address("203.0.113.5");
  // No secret names nobody: the server's own proof is for anyone.
  auto any = secret("s3cret");
  any.ids.clear();
  any.any_peer = true;
  e.a().configure(e.now(), {of_a}, {any});
  e.b().configure(e.now(), {of_b}, {any});
  auto& c = e.add("C", "203.0.113.5", {of_c}, {any});
  e.initiate(e.a());
  e.run();
  e.initiate(c);
  e.run();
  EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
  EXPECT_TRUE(last_done(c).ok) << last_done(c).message;
  EXPECT_EQ(e.b().endpoint().status().size(), 2U);
  EXPECT_FALSE(e.b().reported("initial-contact"));
}

// ---- a name proven by weaker rules has no say over what stricter ones guard

TEST(Authorization, TheWeakerProofDoesNotEndTheStrongersIkeSa) {
  auto strict = tunnel("tun");
  strict.local.auth = strict.remote.auth = AuthMethod::kSignature;
  strict.local.public_key = "key-a";
  strict.remote.public_key = "key-b";
  auto weak = mirrored(tunnel("weak"));
  weak.remote.host = {};  // from anywhere
  weak.children = {child("weak", "10.2.0.0/16", "10.9.0.0/16")};
  model::PublicCredentials credentials;
  credentials.public_keys = {{"key-a", key_to_spki(test_key(crypto::KeyKind::kEd25519, 1).get()), "a.pub"},
                             {"key-b", key_to_spki(test_key(crypto::KeyKind::kEd25519, 2).get()), "b.pub"}};
  const auto key = [](int which) {
    model::PrivateKeySource out;
    out.bytes = key_to_pem(test_key(crypto::KeyKind::kEd25519, which).get());
    return out;
  };
  Exchange e(tunnel("tun"));
  e.a().configure(e.now(), {strict}, {}, credentials, {key(1)});
  e.b().configure(e.now(), {mirrored(strict), weak}, {secret("s3cret")}, credentials, {key(2)});
  e.bring_up();
  auto of_c = tunnel("tun");
  of_c.local.host.address = address("203.0.113.5");
  of_c.children = {child("tun", "10.9.0.0/16", "10.2.0.0/16")};
  auto& c = e.add("C", "203.0.113.5", {of_c}, {secret("s3cret")});
  e.history.clear();
  e.initiate(c);
  e.run();
  // It calls itself a.test, and may: by its own connection. It says INITIAL_CONTACT, and A's tunnel stays.
  EXPECT_TRUE(last_done(c).ok) << last_done(c).message;
  EXPECT_FALSE(e.b().reported("initial-contact"));
  EXPECT_EQ(e.b().endpoint().status().size(), 2U);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

TEST(Authorization, TheLessOpenPatternIsMeant) {
  auto wide = mirrored(tunnel("wide"));
  wide.remote.id = model::Identity::parse("@*.test");
  wide.children = {child("wide", "10.7.0.0/16", "10.8.0.0/16")};
  auto narrow = mirrored(tunnel("tun"));
  narrow.remote.id = model::Identity::parse("@*.vpn.test");
  auto of_a = tunnel("tun");
  of_a.local.id = model::Identity::parse("@a.vpn.test");
  auto any = secret("s3cret");
  any.ids.clear();
  any.any_peer = true;
  Exchange e(tunnel("tun"));
  e.a().configure(e.now(), {of_a}, {any});
  e.b().configure(e.now(), {wide, narrow}, {any});
  e.initiate(e.a());
  e.run();
  ASSERT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message << e.b().messages("identity-unknown")
                                   << e.b().messages("auth-failed") << e.b().messages("no-secret");
  EXPECT_EQ(e.b().ike_ups.at(0).connection, "tun");
}

// Whoever has a connection of its own does not slip in as anybody: neither by another proof nor by other algorithms.
// The narrow connection was made to say what this one may have: neither the first child nor a later one comes from what
// is for anybody, though the rules of both are the same.
TEST(Authorization, WhoIsNamedHasNoChildrenOfAnybodys) {
  auto named = mirrored(tunnel("named"));
  named.children = {child("named", "10.7.0.0/16", "10.8.0.0/16")};
  auto anybody = mirrored(tunnel("tun"));
  anybody.remote.id.reset();
  anybody.remote.id_any = true;
  anybody.remote.host = {};
  auto wish = tunnel("tun");
  wish.children.push_back(child("own", "10.8.0.0/16", "10.7.0.0/16"));
  Exchange e(wish, anybody);
  e.b().configure(e.now(), {named, anybody}, {secret("s3cret")});
  e.initiate(e.a(), "tun", "own");
  e.run();
  ASSERT_EQ(e.b().ike_ups.size(), 1U);
  EXPECT_EQ(e.b().child_ups.size(), 1U);
  e.initiate(e.a(), "tun", "tun");
  e.run();
  EXPECT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_FALSE(e.b().messages("ts-unacceptable").empty());
}

TEST(Authorization, WhoIsNamedIsNotAnybody) {
  auto named = mirrored(tunnel("named"));
  named.remote.auth = named.local.auth = AuthMethod::kSignature;
  named.remote.public_key = "key-a";
  named.local.public_key = "key-b";
  named.children = {child("named", "10.7.0.0/16", "10.8.0.0/16")};
  auto anybody = mirrored(tunnel("tun"));
  anybody.remote.id.reset();
  anybody.remote.id_any = true;
  anybody.remote.host = {};
  Exchange e(tunnel("tun"), anybody);
  e.b().configure(e.now(), {named, anybody}, {secret("s3cret")});
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(contains(e.b().messages("auth-method-unsupported"), "connection named wants a signature"))
      << e.b().messages("auth-method-unsupported");
  EXPECT_TRUE(e.b().ike_ups.empty());

  auto by_secret = named;
  by_secret.remote.auth = by_secret.local.auth = AuthMethod::kPsk;
  by_secret.remote.public_key = by_secret.local.public_key = "";
  by_secret.proposals = {ike_proposal(model::EncryptionId::kAesGcm16, 128, model::IntegrityId::kNone,
                                      model::PrfId::kHmacSha2_256, {model::KeGroup::kX25519})};
  Exchange other(tunnel("tun"), anybody);
  other.b().configure(other.now(), {by_secret, anybody}, {secret("s3cret")});
  other.initiate(other.a());
  other.run();
  EXPECT_TRUE(contains(other.b().messages("algorithms-of-others"), "'a.test' (192.0.2.1:500) is for connection named"))
      << other.b().messages("algorithms-of-others");
  EXPECT_TRUE(other.b().ike_ups.empty());
}

// ---- bounds

TEST(Authorization, APeerGetsNoMoreChildrenThanItMay) {
  auto of_a = tunnel("tun");
  of_a.children = {child("one", "10.1.0.0/17", "10.2.0.0/16"), child("two", "10.1.128.0/17", "10.2.0.0/16")};
  auto of_b = mirrored(tunnel("tun"));
  of_b.max_children = 1;
  Exchange e(of_a, of_b);
  e.initiate(e.a(), "tun", "one");
  e.run();
  EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
  e.initiate(e.a(), "tun", "two");
  e.run();
  EXPECT_FALSE(last_done(e.a()).ok);
  EXPECT_EQ(e.b().messages("too-many-children"),
            "192.0.2.1:500 has 1 children of connection tun already and asks for another: write a larger "
            "max-children= if it may");
  EXPECT_TRUE(contains(last_done(e.a()).message, "takes no further children")) << last_done(e.a()).message;
  // The one it has is rekeyed all the same.
  e.rekey_child(e.a(), "tun", "one");
  e.run();
  EXPECT_EQ(e.b().child_ups.size(), 2U);
}

// A peer that rekeys its child again and again, and never deletes what it replaced.
TEST(Authorization, RekeysWithoutEndBringNoMoreChildrenEither) {
  namespace wi = wire::ike;
  auto of_b = mirrored(tunnel("tun"));
  of_b.max_children = 3;
  Exchange e(tunnel("tun"), of_b);
  e.bring_up();
  e.rekey_child(e.a());
  const auto sample = e.drop("REKEY_SA");
  auto header = sample.decoded.header;
  auto payloads = sample.decoded.payloads;
  for (std::uint32_t i = 0; i < 50; ++i, header.message_id = MessageId(header.message_id.value + 1)) {
    Bytes spi(4);
    store_be32(spi.data(), 0x10000000U + i);
    for (auto& payload : payloads) {
      if (auto* nonce = std::get_if<wi::NoncePayload>(&payload)) nonce->data[0] = static_cast<std::uint8_t>(i);
      if (auto* offer = std::get_if<wi::SaPayload>(&payload)) {
        for (auto& proposal : offer->proposals) proposal.spi = spi;
      }
    }
    const auto bytes = e.a().keys().seal(header, payloads);
    ASSERT_TRUE(bytes);
    e.inject(e.b(), sample.path, *bytes);
    for (auto& payload : payloads) {
      auto* n = std::get_if<wi::NotifyPayload>(&payload);
      if (n != nullptr && n->type == wi::NotifyType::kRekeySa && i < 7)
        n->spi = spi;  // the newest is the next one's old one
    }
  }
  EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), 8U);
  const auto answers = e.in_the_air();
  EXPECT_TRUE(contains(answers.back(), "N(TEMPORARY_FAILURE)")) << answers.back();
  while (!e.in_the_air().empty()) (void)e.drop();
}

TEST(Authorization, OurOwnAddressIsNotForThePeerToChoose) {
  auto of_b = mirrored(tunnel("tun"));
  of_b.children = {child("tun", "10.2.0.0/16", "0.0.0.0/0")};
  const auto asks_for = [](std::string_view networks) {
    auto out = tunnel("tun");
    out.children = {child("tun", networks, "10.2.0.0/16")};
    return out;
  };
  for (const auto* networks : {"198.51.100.1/32", "198.51.0.0/16"}) {
    Exchange e(asks_for(networks), of_b);
    e.initiate(e.a());
    e.run();
    EXPECT_FALSE(last_done(e.a()).ok);
    EXPECT_TRUE(contains(e.b().messages("ts-own-address"), "our own address 198.51.100.1 is part of that"))
        << e.b().messages("ts-own-address");
    EXPECT_TRUE(e.b().child_ups.empty());
  }
  // What is written is meant: all, or just that host.
  Exchange all(asks_for("0.0.0.0/0"), of_b);
  all.bring_up();
  of_b.children[0].remote.push_back(selector("198.51.100.1/32"));
  Exchange host(asks_for("198.51.100.1/32"), of_b);
  host.bring_up();
  Exchange other(asks_for("203.0.113.0/24"), of_b);
  other.bring_up();
}

}  // namespace
}  // namespace cygnet::test
