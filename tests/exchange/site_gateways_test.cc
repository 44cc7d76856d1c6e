// SPDX-License-Identifier: Apache-2.0
// Gateways of clouds and of other makers call us as they do by themselves: what they offer first, in which order they
// speak, and what they expect back. Pre-shared keys, identities are addresses.
#include <gtest/gtest.h>

#include "exchange/offers.h"
#include "exchange/scripted_client.h"
#include "model/legacy.h"
#include "wire/ike/describe.h"

namespace cygnet::test {
namespace {

namespace wi = wire::ike;
using model::KeGroup;
using enum model::Protocol;

constexpr auto kIkeAuth = wi::ExchangeType::kIkeAuth;
constexpr auto kCreateChild = wi::ExchangeType::kCreateChildSa;
constexpr std::uint32_t kFirstSpi = 0x1111, kSecondSpi = 0x2222;

class SiteGateways : public testing::Test {
 protected:
  // We are 198.51.100.1 with 10.1.0.0/16 behind us, unless the test says otherwise.
  void begin(const model::Proposal& ike, const model::Proposal& of_child, std::string_view ours = "10.1.0.0/16",
             std::string_view theirs = "10.8.0.0/16", std::uint16_t port = 500) {
    auto c = mirrored(tunnel("site"));
    c.local.id.reset();
    c.remote.id = them;
    c.remote.host.address = address("203.0.113.50");
    c.proposals = {ike};
    c.children = {child("site", ours, theirs)};
    c.children[0].proposals = {of_child};
    auto anybody = secret("s3cret");
    anybody.ids.clear();
    e.add("A", "192.0.2.1", {}, {});
    e.add("B", "198.51.100.1", {c}, {anybody});
    client.emplace(e, port);
  }
  wi::Payloads authenticate(const wi::Payloads& others, const std::vector<model::Proposal>& offer, wi::TsPayload tsi,
                            wi::TsPayload tsr) {
    wi::Payloads all{wi::make_id(true, them), wi::make_id(false, us),
                     wi::AuthPayload{wi::AuthMethodId::kSharedKey, client->psk_auth(them, "s3cret")}};
    all.insert(all.end(), others.begin(), others.end());
    all.emplace_back(esp(offer, kFirstSpi));
    all.emplace_back(std::move(tsi));
    all.emplace_back(std::move(tsr));
    return client->request(kIkeAuth, all);
  }
  // The peer rekeys its child, with a group or without.
  wi::Payloads rekey(const model::Proposal& offer, std::optional<KeGroup> group, const wi::TsPayload& tsi,
                     const wi::TsPayload& tsr) {
    auto what = note(wi::NotifyType::kRekeySa);
    what.protocol = kEsp;
    what.spi.resize(4);
    store_be32(what.spi.data(), kFirstSpi);
    wi::Payloads all{what, esp({offer}, kSecondSpi), wi::NoncePayload{Bytes(32, 9)}};
    SeededRandom random(5);
    if (group) all.emplace_back(wi::KePayload{*group, crypto::generate_key_pair(*group, random)->public_value});
    all.emplace_back(tsi);
    all.emplace_back(tsr);
    return client->request(kCreateChild, all);
  }
  void expect_child(const wi::Payloads& answer, const std::string& algorithms, const std::string& tsi,
                    const std::string& tsr) {
    ASSERT_NE(wi::find_payload<wi::SaPayload>(answer), nullptr) << wi::describe(answer) << said();
    EXPECT_EQ(model::to_string(wi::find_ts(answer, true)->selectors), tsi);
    EXPECT_EQ(model::to_string(wi::find_ts(answer, false)->selectors), tsr);
    const auto status = e.b().endpoint().status();
    ASSERT_EQ(status.size(), 1U);
    ASSERT_FALSE(status[0].children.empty());
    EXPECT_EQ(status[0].children.back().algorithms, algorithms);
  }
  [[nodiscard]] bool accepted(const wi::Payloads& first) const {
    return wi::find_payload<wi::KePayload>(first) != nullptr;
  }
  [[nodiscard]] std::string said() {
    std::string out = "\n";
    for (const auto& report : e.b().reports) out += report.event + ": " + report.message + "\n";
    return out;
  }
  [[nodiscard]] static wi::Payloads nat_detection() {
    return {note(wi::NotifyType::kNatDetectionSourceIp, Bytes(20, 1)),
            note(wi::NotifyType::kNatDetectionDestinationIp, Bytes(20, 2))};
  }
  [[nodiscard]] static wi::TsPayload any4(bool initiator) { return {initiator, selectors({"0.0.0.0/0"})}; }
  [[nodiscard]] static wi::TsPayload net(bool initiator, std::initializer_list<std::string_view> of) {
    return {initiator, selectors(of)};
  }

  const model::Identity them = model::Identity::of(address("203.0.113.50"));
  const model::Identity us = model::Identity::of(address("198.51.100.1"));
  Exchange e;
  std::optional<ScriptedClient> client;
};

// All it knows in one proposal, its guess is group 2; one pair of 0.0.0.0/0; asks for a sign of life every ten seconds.
TEST_F(SiteGateways, Aws) {
  begin(proposal(kIke, {encr(12, 256), integ(12), prf(5), ke(14)}),
        proposal(kEsp, {encr(12, 256), integ(12), ke(14), kNoEsn}), "0.0.0.0/0", "0.0.0.0/0");
  model::Proposal offer{kIke,
                        {encr(12, 128), encr(12, 256), integ(2), integ(12), integ(13), integ(14), prf(2), prf(5)}};
  for (const int group : {2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}) offer.transforms.push_back(ke(group));
  const auto refused = client->init({offer}, model::legacy::kModp1024, nat_detection());
  EXPECT_EQ(wi::describe(refused), "N(INVALID_KE_PAYLOAD)");
  EXPECT_EQ(to_hex(wi::find_notify(refused, wi::NotifyType::kInvalidKePayload)->data), "000e");
  ASSERT_TRUE(accepted(client->init({offer}, KeGroup::kModp2048, nat_detection()))) << said();
  EXPECT_EQ(model::to_string(client->algorithms()), "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048");
  const model::Proposal of_child =
      proposal(kEsp, {encr(12, 128), encr(12, 256), integ(2), integ(12), integ(13), integ(14), kNoEsn});
  expect_child(authenticate({note(wi::NotifyType::kInitialContact), note(wi::NotifyType::kMobikeSupported)}, {of_child},
                            any4(true), any4(false)),
               "AES_CBC_256/HMAC_SHA2_256_128", "0.0.0.0/0", "0.0.0.0/0");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client->request(wi::ExchangeType::kInformational, {}).empty());
  auto fresh = of_child;
  fresh.transforms.push_back(ke(14));
  expect_child(rekey(fresh, KeGroup::kModp2048, any4(true), any4(false)), "AES_CBC_256/HMAC_SHA2_256_128/MODP_2048",
               "0.0.0.0/0", "0.0.0.0/0");
}

wi::Payloads microsoft() {
  return {vendor("1e2b516905991c7d7c96fcbfb587e46100000009"), vendor("fb1de3cdf341b7ea16b7e5be0855f120"),
          vendor("26244d38eddb61b3172a36e3d0cfb819"), vendor("01528bbbc00696121849ab9a1c5b2a5100000002")};
}

// What it offers without a policy of its own, and what a Juniper SRX's proposal-set "standard" is: group 2.
TEST_F(SiteGateways, AzureAndJuniperAsTheyComeAreRefusedAndItIsSaidWhy) {
  begin(proposal(kIke, {encr(12, 256), integ(12), prf(5), ke(14)}), proposal(kEsp, {encr(20, 256), kNoEsn}));
  std::vector<model::Proposal> offer;
  for (const auto& cipher : {encr(12, 256), encr(12, 128), encr(3)})
    for (const auto& [i, p] : {std::pair{2, 2}, {12, 5}})
      offer.push_back(proposal(kIke, {cipher, integ(i), prf(p), ke(2)}));
  EXPECT_EQ(wi::describe(client->init(offer, model::legacy::kModp1024, microsoft())), "N(NO_PROPOSAL_CHOSEN)");
  EXPECT_TRUE(contains(e.b().messages("no-proposal-chosen"), "MODP_1024")) << said();
  EXPECT_TRUE(contains(e.b().messages("no-proposal-chosen"), "MODP_2048")) << said();
}

// With a policy of its own: exactly that; any to any; the child is rekeyed without a group.
TEST_F(SiteGateways, AzureWithAPolicy) {
  begin(proposal(kIke, {encr(12, 256), integ(12), prf(5), ke(14)}), proposal(kEsp, {encr(20, 256), kNoEsn}));
  auto others = microsoft();
  for (auto& n : nat_detection()) others.push_back(n);
  ASSERT_TRUE(
      accepted(client->init({proposal(kIke, {encr(12, 256), integ(12), prf(5), ke(14)})}, KeGroup::kModp2048, others)))
      << said();
  const auto offer = proposal(kEsp, {encr(20, 256), kNoEsn});
  expect_child(authenticate({note(wi::NotifyType::kInitialContact)}, {offer}, any4(true), any4(false)),
               "AES_GCM_16_256", "10.8.0.0/16", "10.1.0.0/16");
  expect_child(rekey(offer, std::nullopt, net(true, {"10.8.0.0/16"}), net(false, {"10.1.0.0/16"})), "AES_GCM_16_256",
               "10.8.0.0/16", "10.1.0.0/16");
}

// GCM in all sizes of key and ICV, the CBC ones behind; a fresh key exchange for each child.
TEST_F(SiteGateways, GoogleCloud) {
  begin(proposal(kIke, {encr(20, 256), prf(5), ke(31)}), proposal(kEsp, {encr(20, 256), ke(31), kNoEsn}));
  model::Proposal aead{kIke, {}};
  for (const int cipher : {18, 19, 20})
    for (const int bits : {256, 192, 128}) aead.transforms.push_back(encr(cipher, bits));
  model::Proposal cbc{kIke, {encr(12, 256), encr(12, 192), encr(12, 128), integ(12), integ(13), integ(14), integ(2)}};
  for (auto* each : {&aead, &cbc}) {
    for (const int id : {5, 6, 7, 2, 4}) each->transforms.push_back(prf(id));
    for (const int group : {16, 31, 14, 15, 17, 18, 19, 20, 21, 2}) each->transforms.push_back(ke(group));
  }
  auto others = nat_detection();
  others.emplace_back(note(wi::NotifyType::kIkev2FragmentationSupported));
  EXPECT_EQ(wi::describe(client->init({aead, cbc}, KeGroup::kModp4096, others)), "N(INVALID_KE_PAYLOAD)");
  ASSERT_TRUE(accepted(client->init({aead, cbc}, KeGroup::kX25519, others))) << said();
  model::Proposal of_child{kEsp, {}};
  for (const int bits : {256, 192, 128}) of_child.transforms.push_back(encr(20, bits));
  of_child.transforms.push_back(kNoEsn);
  expect_child(authenticate({}, {of_child}, any4(true), any4(false)), "AES_GCM_16_256", "10.8.0.0/16", "10.1.0.0/16");
  of_child.transforms.push_back(ke(16));
  of_child.transforms.push_back(ke(31));
  const auto guessed = rekey(of_child, KeGroup::kModp4096, net(true, {"10.8.0.0/16"}), net(false, {"10.1.0.0/16"}));
  EXPECT_EQ(wi::describe(guessed), "N(INVALID_KE_PAYLOAD)");
  expect_child(rekey(of_child, KeGroup::kX25519, net(true, {"10.8.0.0/16"}), net(false, {"10.1.0.0/16"})),
               "AES_GCM_16_256/CURVE_25519", "10.8.0.0/16", "10.1.0.0/16");
}

// Cisco IOS-XE: vendor IDs of its own, a window of five, and the packet that asked before the networks.
TEST_F(SiteGateways, CiscoIosXe) {
  begin(proposal(kIke, {encr(12, 256), integ(14), prf(7), ke(19)}), proposal(kEsp, {encr(12, 128), integ(12), kNoEsn}));
  model::Proposal offer{kIke, {encr(12, 256), prf(7), prf(6), integ(14), integ(13)}};
  for (const int group : {19, 14, 21, 5}) offer.transforms.push_back(ke(group));
  auto others = nat_detection();
  for (const std::string_view id :
       {"CISCO-DELETE-REASON", "CISCOVPN-REV-02", "CISCO-DYNAMIC-ROUTE", "FLEXVPN-SUPPORTED"})
    others.emplace_back(vendor(to_hex(to_bytes(id))));
  ASSERT_TRUE(accepted(client->init({offer}, KeGroup::kEcp256, others))) << said();
  auto asked = selector("10.8.0.5/32");
  asked.protocol = 1;
  wi::TsPayload tsi{true, {asked, selector("10.8.0.0/16")}};
  const auto answer = authenticate(
      {note(wi::NotifyType::kInitialContact), note(wi::NotifyType::kSetWindowSize, {0, 0, 0, 5}),
       note(wi::NotifyType::kEspTfcPaddingNotSupported), note(wi::NotifyType::kNonFirstFragmentsAlso)},
      {proposal(kEsp, {encr(12, 128), integ(12), kNoEsn})}, tsi, net(false, {"10.1.0.9/32", "10.1.0.0/16"}));
  ASSERT_NE(wi::find_ts(answer, true), nullptr) << wi::describe(answer) << said();
  const auto status = e.b().endpoint().status();
  ASSERT_EQ(status.at(0).children.size(), 1U);
  EXPECT_TRUE(model::covers(status[0].children[0].remote, selectors({"10.8.0.0/16"})));
  EXPECT_TRUE(model::covers(status[0].children[0].local, selectors({"10.1.0.0/16"})));
  EXPECT_EQ(status[0].children[0].algorithms, "AES_CBC_128/HMAC_SHA2_256_128");
}

// Cisco ASA: a child for each line of its access list, each in an exchange of its own; one that is not ours is refused
// and harms none.
TEST_F(SiteGateways, CiscoAsa) {
  const auto of_child = proposal(kEsp, {encr(20, 256), kNoEsn});
  begin(proposal(kIke, {encr(20, 256), prf(7), ke(20)}), of_child);
  ASSERT_TRUE(accepted(client->init({proposal(kIke, {encr(20, 256), prf(7), prf(6), prf(5), prf(2), ke(20), ke(14)})},
                                    KeGroup::kEcp384, nat_detection())))
      << said();
  expect_child(authenticate({note(wi::NotifyType::kInitialContact)}, {of_child}, net(true, {"10.8.1.0/24"}),
                            net(false, {"10.1.1.0/24"})),
               "AES_GCM_16_256", "10.8.1.0/24", "10.1.1.0/24");
  const auto ask = [&](std::uint32_t spi, std::string_view theirs, std::string_view ours) {
    return client->request(
        kCreateChild, {esp({of_child}, spi), wi::NoncePayload{Bytes(32, 3)}, net(true, {theirs}), net(false, {ours})});
  };
  expect_child(ask(0x3333, "10.8.2.0/24", "10.1.1.0/24"), "AES_GCM_16_256", "10.8.2.0/24", "10.1.1.0/24");
  EXPECT_EQ(wi::describe(ask(0x4444, "10.8.2.0/24", "10.99.0.0/24")), "N(TS_UNACCEPTABLE)");
  EXPECT_EQ(e.b().endpoint().status()[0].children.size(), 2U);
  // We rekey one of them: with its own selectors and no others, for it refuses any to any.
  e.advance(10s);  // it is certain that the peer has its answer
  e.rekey_child(e.b(), "site", "site");
  const auto request = client->from_server();
  ASSERT_NE(wi::find_ts(request.payloads, true), nullptr);
  EXPECT_EQ(model::to_string(wi::find_ts(request.payloads, true)->selectors), "10.1.1.0/24");
}

// FortiGate: four proposals, groups 14 and 5 in each.
TEST_F(SiteGateways, FortiGate) {
  begin(proposal(kIke, {encr(12, 256), integ(12), prf(5), ke(14)}),
        proposal(kEsp, {encr(12, 256), integ(12), ke(14), kNoEsn}));
  std::vector<model::Proposal> offer, of_child;
  for (const auto& [i, p] : {std::pair{12, 5}, {2, 2}})
    for (const auto& cipher : {encr(12, 128), encr(12, 256)}) {
      offer.push_back(proposal(kIke, {cipher, integ(i), prf(p), ke(14), ke(5)}));
      of_child.push_back(proposal(kEsp, {cipher, integ(i), kNoEsn}));
    }
  ASSERT_TRUE(accepted(client->init(offer, KeGroup::kModp2048, nat_detection()))) << said();
  EXPECT_EQ(model::to_string(client->algorithms()), "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048");
  expect_child(authenticate({note(wi::NotifyType::kInitialContact), note(wi::NotifyType::kEspTfcPaddingNotSupported)},
                            of_child, net(true, {"10.8.0.0/16"}), net(false, {"10.1.0.0/16"})),
               "AES_CBC_256/HMAC_SHA2_256_128", "10.8.0.0/16", "10.1.0.0/16");
}

// Palo Alto: it deletes the child that we rekey at once, and its Delete overtakes its answer.
TEST_F(SiteGateways, PaloAltoDeletesBeforeItsAnswerIsHere) {
  const auto of_child = proposal(kEsp, {encr(20, 256), kNoEsn});
  begin(proposal(kIke, {encr(20, 256), prf(5), ke(19)}), of_child);
  ASSERT_TRUE(
      accepted(client->init({proposal(kIke, {encr(20, 256), prf(5), ke(19)})}, KeGroup::kEcp256, nat_detection())))
      << said();
  expect_child(authenticate({}, {of_child}, net(true, {"10.8.0.0/16"}), net(false, {"10.1.0.0/16"})), "AES_GCM_16_256",
               "10.8.0.0/16", "10.1.0.0/16");
  e.advance(10s);  // it is certain that the peer has its answer
  e.rekey_child(e.b(), "site", "site");
  const auto request = client->from_server();
  ASSERT_NE(wi::find_payload<wi::SaPayload>(request.payloads), nullptr);
  wi::DeletePayload gone;
  gone.protocol = kEsp;
  gone.spis = {Spi(kFirstSpi)};
  (void)client->request(wi::ExchangeType::kInformational, {gone});
  client->answer(request.header, {esp({of_child}, kSecondSpi), wi::NoncePayload{Bytes(32, 4)},
                                  *wi::find_ts(request.payloads, true), *wi::find_ts(request.payloads, false)});
  e.advance(30s);
  const auto status = e.b().endpoint().status();
  ASSERT_EQ(status.size(), 1U) << said();
  ASSERT_EQ(status[0].children.size(), 1U) << said();
  EXPECT_EQ(status[0].children[0].spi_out, Spi(kSecondSpi));
}

// Cloudflare: UDP port 4500 from the first message on.
TEST_F(SiteGateways, CloudflareBeginsOnPort4500) {
  const auto of_child = proposal(kEsp, {encr(20, 256), kNoEsn});
  begin(proposal(kIke, {encr(20, 256), prf(5), ke(20)}), of_child, "10.1.0.0/16", "10.8.0.0/16", 4500);
  ASSERT_TRUE(
      accepted(client->init({proposal(kIke, {encr(20, 256), prf(5), ke(20)})}, KeGroup::kEcp384, nat_detection())))
      << said();
  expect_child(authenticate({}, {of_child}, any4(true), any4(false)), "AES_GCM_16_256", "10.8.0.0/16", "10.1.0.0/16");
  EXPECT_EQ(e.b().endpoint().status()[0].path.remote.port, 4500);
}

}  // namespace
}  // namespace cygnet::test
