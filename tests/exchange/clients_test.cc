// SPDX-License-Identifier: Apache-2.0
// The first messages of clients that come with an operating system, payload by payload, and our answers: Windows 10 and
// 11, iOS, macOS, Android.
#include <gtest/gtest.h>

#include "crypto/private_key.h"
#include "exchange/offers.h"
#include "exchange/scripted_client.h"
#include "model/legacy.h"
#include "support/test_pki.h"
#include "wire/ike/describe.h"

namespace cygnet::test {
namespace {

namespace wi = wire::ike;
using model::EncryptionId;
using model::IntegrityId;
using model::KeGroup;
using model::PrfId;
using model::Transform;
using model::TransformType;

constexpr auto kIkeAuth = wi::ExchangeType::kIkeAuth;

// ---- what clients offer

// Each cipher with each hash, one proposal each.
std::vector<model::Proposal> windows_ike(std::uint16_t group, bool eleven) {
  std::vector<model::Proposal> out;
  const std::array<std::pair<std::uint16_t, std::uint16_t>, 3> hashes{{{2, 2}, {12, 5}, {13, 6}}};
  for (const auto& cipher : {encr(3), encr(12, 128), encr(12, 192), encr(12, 256)})
    for (const auto& [i, p] : hashes)
      out.push_back(proposal(model::Protocol::kIke, {cipher, integ(i), prf(p), ke(group)}));
  if (!eleven) return out;
  for (const auto& cipher : {encr(20, 128), encr(20, 256)})
    for (const auto& [i, p] : hashes) out.push_back(proposal(model::Protocol::kIke, {cipher, prf(p), ke(group)}));
  return out;
}
std::vector<model::Proposal> windows_esp() {
  std::vector<model::Proposal> out;
  for (const auto& cipher : {encr(12, 256), encr(12, 128), encr(3), encr(2), encr(11)})
    out.push_back(proposal(model::Protocol::kEsp, {cipher, integ(2), kNoEsn}));
  return out;
}
wi::Payloads windows_init() {
  return {note(wi::NotifyType::kIkev2FragmentationSupported),
          note(wi::NotifyType::kNatDetectionSourceIp, Bytes(20, 1)),
          note(wi::NotifyType::kNatDetectionDestinationIp, Bytes(20, 2)),
          vendor("1e2b516905991c7d7c96fcbfb587e46100000009"),
          vendor("fb1de3cdf341b7ea16b7e5be0855f120"),
          vendor("26244d38eddb61b3172a36e3d0cfb819"),
          vendor("01528bbbc00696121849ab9a1c5b2a5100000002")};
}
wi::ConfigurationPayload windows_config() { return asks_for({1, 3, 4, 23456, 8, 10, 23457}); }

std::vector<model::Proposal> ios_ike() {
  const auto one = [](Transform cipher, std::uint16_t i, std::uint16_t p, std::uint16_t group) {
    return proposal(model::Protocol::kIke, {cipher, integ(i), prf(p), ke(group)});
  };
  return {one(encr(12, 256), 12, 5, 14), one(encr(12, 256), 12, 5, 19), one(encr(12, 256), 12, 5, 5),
          one(encr(12, 128), 2, 2, 2), one(encr(3), 2, 2, 2)};
}
std::vector<model::Proposal> ios_esp() {
  return {proposal(model::Protocol::kEsp, {encr(12, 256), integ(12), kNoEsn}),
          proposal(model::Protocol::kEsp, {encr(12, 128), integ(2), kNoEsn}),
          proposal(model::Protocol::kEsp, {encr(3), integ(2), kNoEsn})};
}
wi::Payloads apple_init() {
  return {note(wi::NotifyType::kRedirectSupported), note(wi::NotifyType::kNatDetectionSourceIp, Bytes(20, 1)),
          note(wi::NotifyType::kNatDetectionDestinationIp, Bytes(20, 2)),
          note(wi::NotifyType::kIkev2FragmentationSupported)};
}
wi::ConfigurationPayload apple_config() { return asks_for({1, 6, 3, 2, 8, 12, 10, 25}); }

// All ciphers that need an integrity algorithm in one proposal, all others in the second.
std::vector<model::Proposal> android_ike() {
  model::Proposal first{model::Protocol::kIke, {}};
  for (const int cipher : {13, 12})
    for (const int bits : {256, 192, 128}) first.transforms.push_back(encr(cipher, bits));
  for (const int id : {14, 13, 12, 5, 8}) first.transforms.push_back(integ(id));
  model::Proposal second{model::Protocol::kIke, {encr(28)}};
  for (const int cipher : {20, 19, 18})
    for (const int bits : {256, 192, 128}) second.transforms.push_back(encr(cipher, bits));
  for (auto* each : {&first, &second}) {
    for (const int group : {16, 31, 15, 14}) each->transforms.push_back(ke(group));
    for (const int id : {7, 6, 5, 4, 8, 2}) each->transforms.push_back(prf(id));
  }
  return {first, second};
}
std::vector<model::Proposal> android_esp() {
  model::Proposal first{model::Protocol::kEsp, {}};
  for (const int bits : {256, 192, 128}) first.transforms.push_back(encr(12, bits));
  for (const int id : {14, 13, 12}) first.transforms.push_back(integ(id));
  first.transforms.push_back(kNoEsn);
  model::Proposal second{model::Protocol::kEsp, {encr(28)}};
  for (const int cipher : {20, 19, 18})
    for (const int bits : {256, 192, 128}) second.transforms.push_back(encr(cipher, bits));
  second.transforms.push_back(kNoEsn);
  return {first, second};
}
wi::Payloads android_init() {
  return {note(wi::NotifyType::kNatDetectionSourceIp, Bytes(20, 1)),
          note(wi::NotifyType::kNatDetectionDestinationIp, Bytes(20, 2)),
          note(wi::NotifyType::kIkev2FragmentationSupported), note(wi::NotifyType::kRedirectSupported),
          note(wi::NotifyType::kSignatureHashAlgorithms, {0, 2, 0, 3, 0, 4})};
}

// ---- the gateway: right=%any with a pool, as each profile= makes it (see tests/unit/config for that).

std::vector<Transform> all(TransformType type, std::initializer_list<std::uint16_t> numbers) {
  std::vector<Transform> out;
  for (const auto id : numbers) out.push_back({type, id, 0});
  return out;
}
model::Proposal joined(model::Protocol protocol, std::initializer_list<std::vector<Transform>> parts) {
  model::Proposal out{protocol, {}};
  for (const auto& part : parts) out.transforms.insert(out.transforms.end(), part.begin(), part.end());
  return out;
}

model::Connection gateway(model::Profile profile) {
  using enum model::Protocol;
  auto c = mirrored(tunnel("road"));
  c.profile = profile;
  c.remote.host = {};
  c.remote.id.reset();
  c.remote.id_any = true;
  c.remote.pools = {{model::usable_range(*IpPrefix::parse("10.9.0.0/24")), "10.9.0.0/24"}};
  c.dns = {address("10.2.0.53")};
  c.fragmentation = model::Fragmentation::kYes;
  c.mobike = true;
  const std::vector<Transform> aead{encr(20, 256), encr(20, 128), encr(28)}, cbc{encr(12, 256), encr(12, 128)};
  const auto prfs = all(TransformType::kPrf, {5, 6, 7});
  const auto hashes = all(TransformType::kIntegrity, {12, 13, 14});
  const bool android = profile == model::Profile::kAndroid;
  const auto groups = android ? all(TransformType::kKeyExchange, {31, 19, 20, 21, 14})
                              : all(TransformType::kKeyExchange, {31, 19, 20, 21, 15, 16, 14});
  c.proposals = {joined(kIke, {aead, prfs, groups}), joined(kIke, {cbc, hashes, prfs, groups})};
  const std::vector<Transform> both{kNoEsn, {TransformType::kEsn, 1, 0}};
  std::vector<model::Proposal> esp_proposals{joined(kEsp, {aead, both}), joined(kEsp, {cbc, hashes, both})};
  if (profile == model::Profile::kWindowsStock) {
    const auto old_groups = all(TransformType::kKeyExchange, {20, 19, 14, 2});
    const std::array<std::pair<int, int>, 3> old_hashes{{{13, 6}, {12, 5}, {2, 2}}};
    for (const auto& [i, p] : old_hashes)
      for (const auto& cipher : {encr(20, 256), encr(20, 128)})
        c.proposals.push_back(joined(kIke, {{cipher, prf(p)}, old_groups}));
    for (const auto& [i, p] : old_hashes)
      for (const auto& cipher : cbc) c.proposals.push_back(joined(kIke, {{cipher, integ(i), prf(p)}, old_groups}));
    esp_proposals.push_back(joined(kEsp, {cbc, all(TransformType::kIntegrity, {2}), {kNoEsn}}));
  }
  c.rekey_children = profile != model::Profile::kWindows && profile != model::Profile::kWindowsStock;
  c.children = {child("road", "0.0.0.0/0", "10.9.0.0/24")};
  c.children[0].remote = {};
  c.children[0].proposals = esp_proposals;
  return c;
}

class Clients : public testing::Test {
 protected:
  // With one shared secret for anybody.
  void begin(const model::Connection& connection) {
    auto anybody = secret("s3cret");
    anybody.ids.clear();
    e.add("A", "192.0.2.1", {}, {});
    e.add("B", "198.51.100.1", {connection}, {anybody});
  }
  // With certificates of one authority: the gateway's is for vpn.example.org.
  void begin_with_certificates(model::Connection connection) {
    begin(connection);
    connection.local.auth = connection.remote.auth = model::AuthMethod::kSignature;
    connection.local.certificate = "gateway.pem";
    connection.local.id = model::Identity{model::IdType::kFqdn, to_bytes("vpn.example.org")};
    root = make_authority("C=DE, O=Example, CN=Root");
    const auto own = make_certificate({.subject = "C=DE, O=Example, CN=vpn.example.org",
                                       .key = test_key(crypto::KeyKind::kRsa, 1),
                                       .names = "DNS:vpn.example.org",
                                       .extended_key_usage = "serverAuth"},
                                      &root);
    model::PublicCredentials known;
    known.certificates.push_back({"gateway.pem", own.der, "gateway.pem"});
    known.authorities.push_back({"ca.pem", root.der, "ca.pem"});
    model::PrivateKeySource key;
    key.bytes = own.key_pem();
    key.source = "test.secrets:1";
    e.b().configure(e.now(), {connection}, {}, known, {key});
    server_certificate = own.der;
  }
  // The client's certificate and what it signs with.
  [[nodiscard]] TestCertificate client_certificate(const std::string& subject, const std::string& names) {
    return make_certificate({.subject = subject,
                             .key = test_key(crypto::KeyKind::kRsa, 2),
                             .names = names,
                             .extended_key_usage = "clientAuth"},
                            &root);
  }
  [[nodiscard]] static Bytes rsa_sha1(const TestCertificate& certificate, const Bytes& octets) {
    const auto key = crypto::PrivateKey::load(certificate.key_pem(), {});
    EXPECT_TRUE(key);
    const auto out = key->sign(crypto::SignatureScheme::kRsaPkcs1Sha1, crypto::EcdsaForm::kFixed, octets);
    EXPECT_TRUE(out);
    return out.value_or(Bytes{});
  }
  // What any of them needs to come up: an address, a name server, its ESP proposal and the whole Internet.
  void expect_connected(const wi::Payloads& answer, const std::string& algorithms) {
    const auto* config = wi::find_payload<wi::ConfigurationPayload>(answer);
    ASSERT_NE(config, nullptr) << wi::describe(answer) << said();
    EXPECT_EQ(config->type, wi::ConfigurationType::kReply);
    std::map<int, std::string> got;
    for (const auto& attribute : config->attributes) got[attribute.type] = to_hex(attribute.value);
    EXPECT_EQ(got[1].substr(0, 6), "0a0900");
    EXPECT_EQ(got[3], "0a020035");
    const auto status = e.b().endpoint().status();
    ASSERT_EQ(status.size(), 1U);
    ASSERT_EQ(status[0].children.size(), 1U);
    EXPECT_EQ(status[0].children[0].algorithms, algorithms);
    const auto* tsi = wi::find_ts(answer, true);
    ASSERT_NE(tsi, nullptr);
    EXPECT_EQ(model::to_string(tsi->selectors).substr(0, 7), "10.9.0.");
    EXPECT_EQ(model::to_string(wi::find_ts(answer, false)->selectors), "0.0.0.0/0");
  }
  [[nodiscard]] std::string said() {
    std::string out = "\n";
    for (const auto& report : e.b().reports) out += report.event + ": " + report.message + "\n";
    return out;
  }

  Exchange e;
  TestCertificate root;
  Bytes server_certificate;
};

TEST_F(Clients, WindowsTenAsItComes) {
  begin_with_certificates(gateway(model::Profile::kWindowsStock));
  ScriptedClient client(e);
  const auto first = client.init(windows_ike(2, false), model::legacy::kModp1024, windows_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  EXPECT_EQ(model::to_string(client.algorithms()), "AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_1024");
  const auto own = client_certificate("C=DE, O=Example, CN=pc7", "DNS:pc7.example.org");
  const auto id = *model::Identity::parse("C=DE, O=Example, CN=pc7");
  const auto answer = client.request(
      kIkeAuth, {wi::make_id(true, id), wi::CertPayload{4, own.der}, wi::CertReqPayload{4, Bytes(200, 7)},
                 wi::AuthPayload{wi::AuthMethodId::kRsaSignature, rsa_sha1(own, client.octets_to_sign(id))},
                 note(wi::NotifyType::kMobikeSupported), windows_config(), esp(windows_esp(), 0x1234), everything(true),
                 everything(false)});
  expect_connected(answer, "AES_CBC_256/HMAC_SHA1_96");
  // Its certificate is sent though none of the authorities it asks for is ours; without RFC 7427 AUTH is method 1.
  const auto* certificate = wi::find_payload<wi::CertPayload>(answer);
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(certificate->encoding, 4);
  EXPECT_EQ(certificate->data, server_certificate);
  EXPECT_EQ(wi::find_payload<wi::AuthPayload>(answer)->method, wi::AuthMethodId::kRsaSignature);
  EXPECT_EQ(wi::find_id(answer, false)->identity.to_string(), "vpn.example.org");
  // Days pass, and the child is left alone.
  for (int hour = 0; hour < 9; ++hour) e.advance(1h);
  for (const auto& status : e.b().endpoint().status())
    for (const auto& each : status.children) EXPECT_EQ(each.rekeys, 0U);
}

TEST_F(Clients, WindowsElevenAsItComes) {
  begin(gateway(model::Profile::kWindowsStock));
  ScriptedClient client(e);
  const auto first = client.init(windows_ike(2, true), model::legacy::kModp1024, windows_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  EXPECT_EQ(model::to_string(client.algorithms()), "AES_GCM_16_256/PRF_HMAC_SHA2_384/MODP_1024");
  EXPECT_NE(wi::find_notify(first, wi::NotifyType::kIkev2FragmentationSupported), nullptr);
}

TEST_F(Clients, WindowsAsItComesIsRefusedByOthers) {
  begin(gateway(model::Profile::kDefault));
  ScriptedClient client(e);
  EXPECT_EQ(wi::describe(client.init(windows_ike(2, true), model::legacy::kModp1024, windows_init())),
            "N(NO_PROPOSAL_CHOSEN)");
  EXPECT_TRUE(e.b().reported("no-proposal-chosen"));
}

TEST_F(Clients, WindowsHardened) {
  begin(gateway(model::Profile::kWindows));
  ScriptedClient client(e);
  // NegotiateDH2048_AES256 = 2.
  std::vector<model::Proposal> offer;
  for (const auto& [i, p] : {std::pair{2, 2}, {12, 5}, {13, 6}})
    offer.push_back(proposal(model::Protocol::kIke, {encr(12, 256), integ(i), prf(p), ke(14)}));
  const auto first = client.init(offer, KeGroup::kModp2048, windows_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  EXPECT_EQ(model::to_string(client.algorithms()), "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048");
  // User names and passwords (EAP) are not spoken; it hears so at once.
  const auto answer =
      client.request(kIkeAuth, {wi::make_id(true, model::Identity::of(address("192.168.1.7"))),
                                wi::CertReqPayload{4, Bytes(200, 7)}, note(wi::NotifyType::kMobikeSupported),
                                windows_config(), esp(windows_esp(), 0x1234), everything(true), everything(false)});
  EXPECT_EQ(wi::describe(answer), "N(AUTHENTICATION_FAILED)");
  EXPECT_TRUE(contains(e.b().messages("eap-asked"), "EAP"));
}

TEST_F(Clients, WhatWindowsMeansByItsNotification) {
  auto connection = gateway(model::Profile::kDefault);
  begin(connection);
  ScriptedClient client(e);
  (void)client.init(ios_ike(), KeGroup::kModp2048, apple_init());
  const auto id = *model::Identity::parse("@phone");
  (void)client.request(
      kIkeAuth, {wi::make_id(true, id), wi::AuthPayload{wi::AuthMethodId::kSharedKey, client.psk_auth(id, "s3cret")},
                 apple_config(), esp(ios_esp(), 0x1234), everything(true), everything(false)});
  (void)client.request(wi::ExchangeType::kInformational,
                       {note(static_cast<wi::NotifyType>(12345), {0, 0, 0x36, 0x27})});
  EXPECT_TRUE(contains(e.b().messages("peer-reports"), "Windows error 13863: it lets nobody else rekey a child"))
      << said();
}

TEST_F(Clients, IosWithASharedSecret) {
  begin(gateway(model::Profile::kApple));
  ScriptedClient client(e);
  const auto first = client.init(ios_ike(), KeGroup::kModp2048, apple_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  EXPECT_EQ(model::to_string(client.algorithms()), "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048");
  const auto id = *model::Identity::parse("@phone");
  const auto server = *model::Identity::parse("@b.test");
  const auto answer = client.request(
      kIkeAuth,
      {wi::make_id(true, id), note(wi::NotifyType::kInitialContact), note(wi::NotifyType::kMobikeSupported),
       wi::make_id(false, server), wi::AuthPayload{wi::AuthMethodId::kSharedKey, client.psk_auth(id, "s3cret")},
       apple_config(), note(wi::NotifyType::kEspTfcPaddingNotSupported), note(wi::NotifyType::kNonFirstFragmentsAlso),
       esp(ios_esp(), 0x1234), everything(true), everything(false)});
  expect_connected(answer, "AES_CBC_256/HMAC_SHA2_256_128");
  EXPECT_EQ(wi::find_payload<wi::AuthPayload>(answer)->data, client.psk_auth_of_server(server, "s3cret"));
  // Every few minutes it rekeys the child, without a group or with one: either is granted as it comes.
  const auto inner = *wi::find_ts(answer, true);
  const auto rekey = [&](std::uint32_t old_spi, std::uint32_t fresh_spi, bool with_group) {
    auto what = note(wi::NotifyType::kRekeySa);
    what.protocol = model::Protocol::kEsp;
    what.spi.resize(4);
    store_be32(what.spi.data(), old_spi);
    auto offer = ios_esp();
    wi::Payloads payloads{what, {}, wi::NoncePayload{Bytes(32, 9)}};
    if (with_group) {
      auto first_choice = offer[0];
      first_choice.transforms.push_back(ke(14));
      offer.insert(offer.begin(), first_choice);
      SeededRandom random(5);
      payloads.emplace_back(
          wi::KePayload{KeGroup::kModp2048, crypto::generate_key_pair(KeGroup::kModp2048, random)->public_value});
    }
    payloads[1] = esp(offer, fresh_spi);
    payloads.emplace_back(inner);
    payloads.emplace_back(everything(false));
    return client.request(wi::ExchangeType::kCreateChildSa, payloads);
  };
  const auto plain = rekey(0x1234, 0x5678, false);
  ASSERT_NE(wi::find_payload<wi::SaPayload>(plain), nullptr) << wi::describe(plain) << said();
  EXPECT_EQ(wi::find_payload<wi::KePayload>(plain), nullptr);
  const auto with_group = rekey(0x5678, 0x9abc, true);
  const auto* granted = wi::find_payload<wi::SaPayload>(with_group);
  ASSERT_NE(granted, nullptr) << wi::describe(with_group) << said();
  EXPECT_EQ(granted->proposals.at(0).number, 1);
  EXPECT_NE(wi::find_payload<wi::KePayload>(with_group), nullptr);
}

TEST_F(Clients, IosWithACertificateAsksForNoneAndGetsOurs) {
  begin_with_certificates(gateway(model::Profile::kApple));
  ScriptedClient client(e);
  (void)client.init(ios_ike(), KeGroup::kModp2048, apple_init());
  const auto own = client_certificate("C=DE, O=Example, CN=phone", "email:phone@example.org");
  const auto id = *model::Identity::parse("phone@example.org");
  const auto answer = client.request(
      kIkeAuth,
      {wi::make_id(true, id), wi::CertPayload{4, own.der}, note(wi::NotifyType::kInitialContact),
       note(wi::NotifyType::kMobikeSupported), wi::make_id(false, *model::Identity::parse("@vpn.example.org")),
       wi::AuthPayload{wi::AuthMethodId::kRsaSignature, rsa_sha1(own, client.octets_to_sign(id))}, apple_config(),
       note(wi::NotifyType::kEspTfcPaddingNotSupported), esp(ios_esp(), 0x1234), everything(true), everything(false)});
  expect_connected(answer, "AES_CBC_256/HMAC_SHA2_256_128");
  ASSERT_NE(wi::find_payload<wi::CertPayload>(answer), nullptr);
  EXPECT_EQ(wi::find_payload<wi::CertPayload>(answer)->data, server_certificate);
}

TEST_F(Clients, MacOs) {
  begin(gateway(model::Profile::kApple));
  ScriptedClient client(e);
  const auto first = client.init({proposal(model::Protocol::kIke, {encr(12, 256), integ(12), prf(5), ke(14)})},
                                 KeGroup::kModp2048, apple_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  const auto id = *model::Identity::parse("@mac");
  const auto answer = client.request(
      kIkeAuth, {wi::make_id(true, id), note(wi::NotifyType::kInitialContact), note(wi::NotifyType::kMobikeSupported),
                 wi::make_id(false, *model::Identity::parse("@b.test")),
                 wi::AuthPayload{wi::AuthMethodId::kSharedKey, client.psk_auth(id, "s3cret")}, apple_config(),
                 note(wi::NotifyType::kEspTfcPaddingNotSupported), note(wi::NotifyType::kNonFirstFragmentsAlso),
                 esp({proposal(model::Protocol::kEsp, {encr(12, 256), integ(12), kNoEsn})}, 0x1234), everything(true),
                 everything(false)});
  expect_connected(answer, "AES_CBC_256/HMAC_SHA2_256_128");
}

TEST_F(Clients, AndroidWithAKeyId) {
  begin(gateway(model::Profile::kAndroid));
  ScriptedClient client(e);
  // It guesses modp4096 and hears that Curve25519 will do.
  const auto refused = client.init(android_ike(), KeGroup::kModp4096, android_init());
  EXPECT_EQ(wi::describe(refused), "N(INVALID_KE_PAYLOAD)");
  EXPECT_EQ(to_hex(wi::find_notify(refused, wi::NotifyType::kInvalidKePayload)->data), "001f");
  const auto first = client.init(android_ike(), KeGroup::kX25519, android_init());
  ASSERT_NE(wi::find_payload<wi::KePayload>(first), nullptr) << wi::describe(first) << said();
  EXPECT_EQ(model::to_string(client.algorithms()), "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519");
  const model::Identity id{model::IdType::kKeyId, to_bytes("anna")};
  const auto answer = client.request(
      kIkeAuth, {wi::make_id(true, id), wi::make_id(false, *model::Identity::parse("@b.test")),
                 wi::AuthPayload{wi::AuthMethodId::kSharedKey, client.psk_auth(id, "s3cret")},
                 asks_for({1, 8, 3, 10, 2, 7}), esp(android_esp(), 0x1234), everything(true), everything(false)});
  expect_connected(answer, "AES_GCM_16_256");
}

TEST_F(Clients, AndroidWithItsLeafCertificateAlone) {
  begin_with_certificates(gateway(model::Profile::kAndroid));
  ScriptedClient client(e);
  (void)client.init(android_ike(), KeGroup::kX25519, android_init());
  const auto own = client_certificate("C=DE, O=Example, CN=anna", "email:anna@example.org");
  const auto id = *model::Identity::parse("anna@example.org");
  const auto answer = client.request(
      kIkeAuth, {wi::make_id(true, id), wi::make_id(false, *model::Identity::parse("@vpn.example.org")),
                 wi::CertPayload{4, own.der},
                 wi::AuthPayload{wi::AuthMethodId::kRsaSignature, rsa_sha1(own, client.octets_to_sign(id))},
                 asks_for({1, 8, 3, 10, 2, 7}), esp(android_esp(), 0x1234), everything(true), everything(false)});
  expect_connected(answer, "AES_GCM_16_256");
  // It listed hashes: our AUTH is a Digital Signature (RFC 7427).
  EXPECT_EQ(wi::find_payload<wi::AuthPayload>(answer)->method, wi::AuthMethodId::kDigitalSignature);
  EXPECT_NE(wi::find_payload<wi::CertPayload>(answer), nullptr);
}

}  // namespace
}  // namespace cygnet::test
