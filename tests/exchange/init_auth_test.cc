// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT and IKE_AUTH as they should go (RFC 7296 sections 1.2 and 2.15).
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

TEST(InitAuth, TwoExchangesMakeATunnel) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.expect(kInitExchange + kAuthExchange);
  e.expect_tunnel();

  ASSERT_EQ(e.a().done.size(), 1U);
  EXPECT_TRUE(e.a().done[0].ok);
  EXPECT_EQ(e.a().done[0].connection, "tun");
  ASSERT_EQ(e.a().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.a().child_ups[0].local), "10.1.0.0/16");
  EXPECT_EQ(model::to_string(e.a().child_ups[0].remote), "10.2.0.0/16");
  ASSERT_EQ(e.b().child_ups.size(), 1U);
  EXPECT_EQ(model::to_string(e.b().child_ups[0].local), "10.2.0.0/16");
  ASSERT_EQ(e.a().ike_ups.size(), 1U);
  EXPECT_TRUE(e.a().ike_ups[0].initiator);
  ASSERT_EQ(e.b().ike_ups.size(), 1U);
  EXPECT_FALSE(e.b().ike_ups[0].initiator);
  EXPECT_EQ(e.a().ike_ups[0].spi_r, e.b().ike_ups[0].spi_r);
}

TEST(InitAuth, StatusOfBothSidesAgrees) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto a = e.a().endpoint().status();
  const auto b = e.b().endpoint().status();
  ASSERT_EQ(a.size(), 1U);
  ASSERT_EQ(b.size(), 1U);
  EXPECT_EQ(a[0].spi_i, b[0].spi_i);
  EXPECT_EQ(a[0].spi_r, b[0].spi_r);
  EXPECT_EQ(a[0].local_id, "a.test");
  EXPECT_EQ(a[0].remote_id, "b.test");
  EXPECT_EQ(b[0].remote_id, "a.test");
  EXPECT_EQ(a[0].algorithms, "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519");
  EXPECT_EQ(a[0].algorithms, b[0].algorithms);
  ASSERT_EQ(a[0].children.size(), 1U);
  ASSERT_EQ(b[0].children.size(), 1U);
  EXPECT_EQ(a[0].children[0].spi_in, b[0].children[0].spi_out);
  EXPECT_EQ(a[0].children[0].spi_out, b[0].children[0].spi_in);
}

TEST(InitAuth, TheWireShowsNoIdentityNoKeyAndNoSelector) {
  Exchange e(tunnel("tun"));
  std::vector<Bytes> datagrams;
  e.on_wire = [&](Flight& flight) {
    datagrams.push_back(flight.bytes);
    return true;
  };
  e.bring_up();
  ASSERT_EQ(datagrams.size(), 4U);
  const auto seen = [&](ByteView what) {
    for (const auto& datagram : datagrams) {
      if (std::search(datagram.begin(), datagram.end(), what.begin(), what.end()) != datagram.end()) return true;
    }
    return false;
  };
  EXPECT_FALSE(seen(view_of("a.test")));
  EXPECT_FALSE(seen(view_of("b.test")));
  EXPECT_FALSE(seen(view_of("s3cret")));
  EXPECT_FALSE(seen(address("10.1.0.0").bytes()));
  for (const auto& spec : e.a().plane.specs()) EXPECT_FALSE(seen(spec.encryption_key));
}

struct Algorithms {
  std::string name;
  model::Proposal ike;
  model::Proposal esp;
  std::string ike_text;
  std::string esp_text;
};

class EveryAlgorithm : public ::testing::TestWithParam<Algorithms> {};

TEST_P(EveryAlgorithm, IsNegotiatedAndWorks) {
  auto connection = tunnel("tun");
  connection.proposals = {GetParam().ike};
  connection.children[0].proposals = {GetParam().esp};
  Exchange e(connection);
  e.bring_up();
  e.expect_tunnel();
  const auto status = e.b().endpoint().status();
  ASSERT_EQ(status.size(), 1U);
  EXPECT_EQ(status[0].algorithms, GetParam().ike_text);
  ASSERT_EQ(status[0].children.size(), 1U);
  EXPECT_EQ(status[0].children[0].algorithms, GetParam().esp_text);
}

using model::EncryptionId;
using model::EsnChoice;
using model::IntegrityId;
using model::KeGroup;
using model::PrfId;

INSTANTIATE_TEST_SUITE_P(
    InitAuth, EveryAlgorithm,
    ::testing::Values(
        Algorithms{
            "gcm128_p256",
            ike_proposal(EncryptionId::kAesGcm16, 128, IntegrityId::kNone, PrfId::kHmacSha2_256, {KeGroup::kEcp256}),
            esp_proposal(EncryptionId::kAesGcm16, 128, IntegrityId::kNone, {}, {EsnChoice::kNo}),
            "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256", "AES_GCM_16_128"},
        Algorithms{
            "gcm256_p384",
            ike_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, PrfId::kHmacSha2_384, {KeGroup::kEcp384}),
            esp_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, {}, {EsnChoice::kYes}),
            "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384", "AES_GCM_16_256/ESN"},
        Algorithms{"cbc128_sha256_p521",
                   ike_proposal(EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128, PrfId::kHmacSha2_512,
                                {KeGroup::kEcp521}),
                   esp_proposal(EncryptionId::kAesCbc, 128, IntegrityId::kHmacSha2_256_128, {}, {EsnChoice::kNo}),
                   "AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_512/ECP_521", "AES_CBC_128/HMAC_SHA2_256_128"},
        Algorithms{"cbc256_sha384_modp2048",
                   ike_proposal(EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_384_192, PrfId::kHmacSha2_384,
                                {KeGroup::kModp2048}),
                   esp_proposal(EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_384_192, {}, {EsnChoice::kYes}),
                   "AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_2048", "AES_CBC_256/HMAC_SHA2_384_192/ESN"},
        Algorithms{"cbc256_sha512_modp3072",
                   ike_proposal(EncryptionId::kAesCbc, 256, IntegrityId::kHmacSha2_512_256, PrfId::kHmacSha2_512,
                                {KeGroup::kModp3072}),
                   esp_proposal(EncryptionId::kNull, 0, IntegrityId::kHmacSha2_512_256, {}, {EsnChoice::kNo}),
                   "AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_3072", "NULL/HMAC_SHA2_512_256"},
        Algorithms{
            "gcm256_modp4096",
            ike_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, PrfId::kHmacSha2_256, {KeGroup::kModp4096}),
            esp_proposal(EncryptionId::kChaCha20Poly1305, 0, IntegrityId::kNone, {}, {EsnChoice::kNo}),
            "AES_GCM_16_256/PRF_HMAC_SHA2_256/MODP_4096", "CHACHA20_POLY1305"}),
    [](const auto& each) { return each.param.name; });

TEST(InitAuth, EsnIsChosenByTheResponderWhenBothAreOffered) {
  auto a = tunnel("tun");
  a.children[0].proposals = {
      esp_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, {}, {EsnChoice::kNo, EsnChoice::kYes})};
  auto b = mirrored(a);
  b.children[0].proposals = {esp_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, {}, {EsnChoice::kYes})};
  Exchange e(a, b);
  e.bring_up();
  for (const auto& spec : e.a().plane.specs()) EXPECT_TRUE(spec.esn);
  for (const auto& spec : e.b().plane.specs()) EXPECT_TRUE(spec.esn);
  e.expect_tunnel();
}

TEST(InitAuth, InvalidKePayloadNamesTheGroupAndTheSecondTryUsesIt) {
  auto a = tunnel("tun");
  a.proposals = {ike_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, PrfId::kHmacSha2_256,
                              {KeGroup::kX25519, KeGroup::kEcp256})};
  auto b = mirrored(a);
  b.proposals = {
      ike_proposal(EncryptionId::kAesGcm16, 256, IntegrityId::kNone, PrfId::kHmacSha2_256, {KeGroup::kEcp256})};
  Exchange e(a, b);
  e.initiate(e.a());
  e.expect(std::vector<std::string>{"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat,
                                    "A <- B IKE_SA_INIT response 0: N(INVALID_KE_PAYLOAD)"} +
           kInitExchange + kAuthExchange);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().at(0).algorithms, "AES_GCM_16_256/PRF_HMAC_SHA2_256/ECP_256");
}

TEST(InitAuth, InvalidKePayloadWithAGroupThatWasNotOfferedIsNotObeyed) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  const Flight request = e.drop("IKE_SA_INIT request");
  wire::ike::Message answer;
  answer.header.spi_i = request.decoded.header.spi_i;
  answer.header.response = true;
  wire::ike::NotifyPayload notify;
  notify.type = wire::ike::NotifyType::kInvalidKePayload;
  notify.data = {0, 14};
  answer.payloads = {notify};
  e.inject(e.a(), {request.path.remote, request.path.local, false}, wire::ike::serialize_message(answer));
  // Anybody could have said so (RFC 7296 section 2.21.1): no key of that group is made.
  for (const auto& arrow : e.in_the_air()) ADD_FAILURE() << arrow;
  // The honest peer is still heard.
  e.inject(request);
  e.run();
  e.expect_tunnel();
}

TEST(InitAuth, CookieWhenManyAreHalfOpen) {
  Exchange e;
  ike::EndpointSettings busy;
  busy.setup.cookie_threshold = 0;
  const auto connection = tunnel("tun");
  e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {mirrored(connection)}, {secret("s3cret")}, busy);
  e.initiate(e.a());
  e.deliver();
  e.expect_in_the_air({"A <- B IKE_SA_INIT response 0: N(COOKIE)"});
  // RFC 7296 section 2.6: no state was kept for the first request.
  EXPECT_EQ(e.b().endpoint().status().size(), 0U);
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
  e.deliver();
  e.expect(std::vector<std::string>{"A -> B IKE_SA_INIT request 0: N(COOKIE) SA KE Ni " + kNat,
                                    "A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat} +
           kAuthExchange);
  e.expect_tunnel();
  EXPECT_EQ(e.b().endpoint().counters().cookies_sent, 1U);
}

TEST(InitAuth, CookieOfAnotherAddressIsWorthless) {
  Exchange e;
  ike::EndpointSettings busy;
  busy.setup.cookie_threshold = 0;
  const auto connection = tunnel("tun");
  auto of_b = mirrored(connection);
  of_b.remote.host = {};  // from anywhere
  e.add("A", "192.0.2.1", {connection}, {secret("s3cret")});
  e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")}, busy);
  e.initiate(e.a());
  e.deliver();
  e.deliver();  // the cookie
  Flight with_cookie = e.drop("N(COOKIE) SA");
  with_cookie.path.remote.address = address("192.0.2.99");
  e.inject(with_cookie);
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
  EXPECT_EQ(e.b().endpoint().counters().cookies_sent, 2U);
}

TEST(InitAuth, BothInitiateAtOnce) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.initiate(e.b());
  e.run();
  e.advance_and_run(60s);
  // Whatever the order, traffic flows both ways and nothing is left over on one side only.
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  EXPECT_EQ(e.a().endpoint().status().size(), e.b().endpoint().status().size());
  EXPECT_EQ(e.a().plane.count(model::Direction::kInbound), e.b().plane.count(model::Direction::kOutbound));
  EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), e.a().plane.count(model::Direction::kOutbound));
  e.expect_no_faults();
}

TEST(InitAuth, StartConnectionsComeUpByThemselves) {
  auto a = tunnel("tun");
  a.children[0].start = model::StartAction::kStart;
  auto b = mirrored(a);
  b.children[0].start = model::StartAction::kAdd;
  Exchange e(a, b);
  e.advance_and_run(5s);
  e.expect_tunnel();
}

// Ten thousand must not all begin at once; and those whose peers are silent must not hold up the others.
TEST(InitAuth, StartConnectionsBeginAFewAtATime) {
  std::vector<model::Connection> many;
  for (int i = 0; i < 300; ++i) {
    auto c = tunnel("tun" + std::to_string(i));
    c.local.id = model::Identity{model::IdType::kFqdn, to_bytes(c.name + ".test")};
    c.children[0].start = model::StartAction::kStart;
    const auto inner = "10.1." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "/32";
    c.children[0].local = selectors({inner.c_str()});
    many.push_back(std::move(c));
  }
  auto gateway = mirrored(tunnel("tun"));
  gateway.remote = {};
  gateway.remote.id_any = true;
  gateway.children[0].remote = selectors({"10.1.0.0/16"});
  auto shared = secret("s3cret");
  shared.ids.clear();
  Exchange e;
  auto& a = e.add("A", "192.0.2.1", many, {shared});
  auto& b = e.add("B", "198.51.100.1", {gateway}, {shared});
  e.advance(1ms);
  EXPECT_EQ(e.in_the_air().size(), 128U);
  EXPECT_EQ(a.endpoint().initiating(), 128U);
  EXPECT_EQ(a.endpoint().waiting(), 172U);
  // Two answers: two more may begin.
  e.deliver("A -> B");
  e.deliver("A -> B");
  e.deliver("A <- B");
  e.deliver("A <- B");
  e.deliver("A -> B IKE_AUTH");
  e.deliver("A -> B IKE_AUTH");
  e.deliver("A <- B IKE_AUTH");
  e.deliver("A <- B IKE_AUTH");
  e.advance(1ms);
  EXPECT_EQ(a.endpoint().counters().established, 2U);
  EXPECT_EQ(a.endpoint().initiating(), 128U);
  EXPECT_EQ(a.endpoint().waiting(), 170U);
  // Nobody answers the others: once they have sent again, nobody waits for them any more.
  e.advance(850ms);
  EXPECT_EQ(a.endpoint().waiting(), 42U);
  e.advance_and_run(30s);
  EXPECT_EQ(a.endpoint().waiting(), 0U);
  EXPECT_EQ(a.endpoint().initiating(), 0U);
  EXPECT_EQ(a.endpoint().counters().established, 300U);
  EXPECT_EQ(b.endpoint().counters().established, 300U);
}

TEST(InitAuth, TransportModeWhenBothWantIt) {
  auto connection = tunnel("tun");
  connection.children[0].mode = model::Mode::kTransport;
  connection.children[0].local.clear();
  connection.children[0].remote.clear();
  Exchange e(connection);
  e.initiate(e.a());
  e.expect(kInitExchange +
           std::vector<std::string>{
               "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH N(USE_TRANSPORT_MODE) SA TSi TSr",
               "A <- B IKE_AUTH response 1: IDr AUTH N(USE_TRANSPORT_MODE) SA TSi TSr"});
  e.expect_tunnel();
  for (const auto& spec : e.a().plane.specs()) {
    EXPECT_EQ(spec.mode, model::Mode::kTransport);
    EXPECT_EQ(model::to_string(spec.local_selectors), "192.0.2.1/32");
    EXPECT_EQ(model::to_string(spec.remote_selectors), "198.51.100.1/32");
  }
}

TEST(InitAuth, TransportModeDeclined) {
  auto a = tunnel("tun");
  a.children[0].mode = model::Mode::kTransport;
  a.children[0].local = selectors({"192.0.2.1/32"});
  a.children[0].remote = selectors({"198.51.100.1/32"});
  auto b = mirrored(a);
  b.children[0].mode = model::Mode::kTunnel;
  Exchange e(a, b);
  e.initiate(e.a());
  e.run();
  e.advance_and_run(30s);
  // Whatever was made of it, both sides think the same.
  for (const auto& spec : e.a().plane.specs()) {
    const auto* other = e.b().plane.inbound(spec.spi);
    if (spec.direction != model::Direction::kOutbound) continue;
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(other->spec.mode, spec.mode);
  }
  e.expect_no_faults();
}

}  // namespace
}  // namespace cygnet::test
