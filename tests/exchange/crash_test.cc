// SPDX-License-Identifier: Apache-2.0
// One end has lost its state (RFC 7296 sections 1.5, 2.21.4 and 2.4; RFC 6290).
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

const Endpoint kA{address("192.0.2.1"), 0};
const Endpoint kB{address("198.51.100.1"), 0};

class Crash : public ::testing::Test {
 protected:
  // Both want the tunnel back when the other end is lost.
  void begin(bool tokens = true) {
    auto of_a = tunnel("tun");
    of_a.dpd_action = model::DeadPeerAction::kRestart;
    of_a.rekey_children = rekey_children;
    auto of_b = mirrored(of_a);
    ike::EndpointSettings settings;
    if (tokens) settings.crash_secret = SecretBytes(32, 7);
    e.add("A", "192.0.2.1", {of_a}, {secret("s3cret")}, settings);
    if (tokens) settings.crash_secret = SecretBytes(32, 9);
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")}, settings);
    e.initiate(e.a());
  }
  // ESP of `from` comes to `to`, which has no such SA.
  void esp_arrives(Side& to, Spi spi) {
    const bool at_b = &to == &e.b();
    to.act(e.now(),
           [&](ike::IkeEndpoint& x) { x.on_unknown_spi(e.now(), spi, at_b ? kB : kA, at_b ? kA : kB, false); });
  }
  // B says, inside the IKE SA, that it does not know this SA of A's.
  void disown(Spi lost) {
    const auto sa = e.a().endpoint().status().at(0);
    wire::ike::Header header;
    header.spi_i = sa.spi_i;
    header.spi_r = sa.spi_r;
    header.exchange = wire::ike::ExchangeType::kInformational;
    header.message_id = MessageId{0};
    wire::ike::NotifyPayload n;
    n.type = wire::ike::NotifyType::kInvalidSpi;
    n.data.resize(4);
    store_be32(n.data.data(), lost.value);
    const auto bytes = e.b().keys().seal(header, {n});
    ASSERT_TRUE(bytes);
    e.inject(e.a(), {{kA.address, 500}, {kB.address, 500}, false}, *bytes);
  }
  Spi outbound(Side& side) { return side.plane.outbound("tun", "tun")->spec.spi; }

  Exchange e;
  bool rekey_children = true;
};

TEST_F(Crash, TokensAreExchanged) {
  begin();
  e.expect(kInitExchange +
           std::vector<std::string>{
               "A -> B IKE_AUTH request 1: IDi N(INITIAL_CONTACT) IDr AUTH N(QUICK_CRASH_DETECTION) SA TSi TSr",
               "A <- B IKE_AUTH response 1: IDr AUTH N(QUICK_CRASH_DETECTION) SA TSi TSr"});
}

TEST_F(Crash, ARebootedPeerIsCalledAgainAtOnce) {
  begin();
  e.run();
  const Spi spi = outbound(e.a());
  e.b().lose_power();
  e.b().restart(e.now());
  const Instant before = e.now();
  esp_arrives(e.b(), spi);
  const auto seen = e.run();
  // The hint, a look, the proof; then at once a new IKE SA.
  ASSERT_GE(seen.size(), 3U);
  EXPECT_EQ(seen[0], "A <- B INFORMATIONAL request 0: N(INVALID_SPI)");
  EXPECT_EQ(seen[1], "A -> B INFORMATIONAL request 2:");
  EXPECT_EQ(seen[2], "A <- B INFORMATIONAL response 2: N(INVALID_IKE_SPI) N(QUICK_CRASH_DETECTION)");
  e.advance_and_run(1s);
  EXPECT_LE(e.now() - before, 1s);
  EXPECT_TRUE(e.a().reported("peer-restarted"));
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status().size(), 1U);
}

TEST_F(Crash, TheResponderFindsOutToo) {
  begin();
  e.run();
  const Spi spi = outbound(e.b());
  e.a().lose_power();
  e.a().restart(e.now());
  esp_arrives(e.a(), spi);
  e.run();
  e.advance_and_run(1s);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
}

TEST_F(Crash, TheTokenOfARekeyedIkeSaIsToldAnew) {
  begin();
  e.run();
  e.rekey_ike(e.a());
  const auto seen = e.run();
  EXPECT_TRUE(contains(seen.at(1), "A <- B CREATE_CHILD_SA response 2: SA Nr KE N(QUICK_CRASH_DETECTION)")) << seen[1];
  // RFC 6290 section 4.3: the initiator of the rekey needs an exchange of its own.
  EXPECT_TRUE(std::ranges::any_of(
      seen, [](const auto& s) { return s == "A -> B INFORMATIONAL request 0: N(QUICK_CRASH_DETECTION)"; }));
  for (Side* lost : {&e.b(), &e.a()}) {
    Side& other = lost == &e.a() ? e.b() : e.a();
    const Spi spi = outbound(other);
    lost->lose_power();
    lost->restart(e.now());
    esp_arrives(*lost, spi);
    e.run();
    e.advance_and_run(1s);
    EXPECT_TRUE(other.reported("peer-restarted"));
    e.expect_tunnel();
  }
}

TEST_F(Crash, TheTokenOutlivesAnAdoption) {
  begin();
  e.run();
  e.a().crash();
  e.a().restart(e.now());
  e.run();
  const Spi spi = outbound(e.a());
  e.b().lose_power();
  e.b().restart(e.now());
  esp_arrives(e.b(), spi);
  e.run();
  e.advance_and_run(1s);
  e.expect_tunnel();
}

TEST_F(Crash, AWrongTokenEndsNothing) {
  begin();
  e.run();
  e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.rekey(e.now(), "tun", "tun", false); });
  const Flight request = e.drop();
  wire::ike::Header header = request.decoded.header;
  header.response = true;
  header.initiator = false;
  wire::ike::NotifyPayload lost, token;
  lost.type = wire::ike::NotifyType::kInvalidIkeSpi;
  token.type = wire::ike::NotifyType::kQuickCrashDetection;
  for (const std::size_t n : {0U, 16U, 32U, 128U, 200U}) {
    token.data = Bytes(n, 9);
    e.inject(e.a(), {request.path.remote, request.path.local, false},
             wire::ike::serialize_message({header, {lost, token}}));
  }
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  e.inject(request);
  e.advance_and_run(60s);
  EXPECT_FALSE(e.a().reported("peer-restarted"));
  e.expect_tunnel();
}

TEST_F(Crash, NobodyGetsTheTokenOfALivingIkeSa) {
  begin();
  e.run();
  const auto sa = e.b().endpoint().status().at(0);
  e.history.clear();
  for (const bool swapped : {false, true}) {
    for (const bool initiator : {false, true}) {
      wire::ike::Header header;
      header.spi_i = swapped ? sa.spi_r : sa.spi_i;
      header.spi_r = swapped ? sa.spi_i : sa.spi_r;
      header.exchange = wire::ike::ExchangeType::kInformational;
      header.initiator = initiator;
      header.message_id = MessageId{9};
      const wire::ike::Message message{header,
                                       {wire::ike::EncryptedPayload{wire::ike::PayloadType::kNone, Bytes(40, 1), 32}}};
      e.inject(e.b(), {{kB.address, 500}, {kA.address, 500}, false}, wire::ike::serialize_message(message));
    }
  }
  e.expect_in_the_air({});
}

TEST_F(Crash, WithoutTokensAPeerThatDisownsTheIkeSaIsGivenUpSooner) {
  begin(false);
  e.run();
  const Spi spi = outbound(e.a());
  e.b().lose_power();
  e.b().restart(e.now());
  esp_arrives(e.b(), spi);
  e.run();
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);  // a hint alone ends nothing
  e.advance_and_run(15s);
  EXPECT_TRUE(e.a().reported("peer-dead"));
  e.expect_tunnel();
}

TEST_F(Crash, AHintFromNowhereIsNotAnswered) {
  begin();
  e.run();
  wire::ike::Header header;
  header.spi_i = IkeSpi{0x99};
  header.exchange = wire::ike::ExchangeType::kInformational;
  header.initiator = true;
  wire::ike::NotifyPayload hint;
  hint.type = wire::ike::NotifyType::kInvalidSpi;
  hint.data = {0, 0, 0x12, 0x34};
  for (int i = 0; i < 100; ++i)
    e.inject(e.a(), {{kA.address, 500}, {kB.address, 500}, false}, wire::ike::serialize_message({header, {hint}}));
  e.expect_in_the_air({});
}

TEST_F(Crash, AnInvalidSpiInsideTheIkeSaReplacesJustThatChild) {
  begin();
  e.run();
  const Spi lost = outbound(e.a());
  // B's data plane forgets the child; its IKE SA is sound.
  e.advance_and_run(10s);
  e.b().plane.clear();
  e.b().plane.repeats_allowed = true;
  e.b().act(e.now(),
            [&](ike::IkeEndpoint& x) { x.on_child_expiring(e.now(), x.status().at(0).children.at(0).id, true); });
  e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_unknown_spi(e.now(), lost, kB, kA, false); });
  e.run();
  e.advance_and_run(5s);
  const auto ike = e.a().endpoint().status();
  ASSERT_EQ(ike.size(), 1U);
  EXPECT_TRUE(std::ranges::any_of(e.history, [](const auto& s) { return contains(s, "N(INVALID_SPI)"); }));
}

// Whoever forges one packet does not make us send to all who show that address.
TEST(ManyAtOneAddress, AreNotAllToldAboutOnePacket) {
  std::vector<model::Connection> of_a, of_b;
  for (int i = 0; i < 7; ++i) {
    auto c = tunnel("t" + std::to_string(i));
    c.local.id = model::Identity{model::IdType::kFqdn, to_bytes("t" + std::to_string(i) + ".test")};
    c.children = {child(c.name, "10.1." + std::to_string(i) + ".0/24", "10.2.0.0/16")};
    of_a.push_back(c);
    of_b.push_back(mirrored(c));
  }
  auto any = secret("s3cret");
  any.ids.clear();
  Exchange e;
  e.add("A", "192.0.2.1", of_a, {any});
  e.add("B", "198.51.100.1", of_b, {any});
  for (const auto& c : of_a) {
    e.initiate(e.a(), c.name);
    e.run();
  }
  ASSERT_EQ(e.b().endpoint().status().size(), 7U);
  const auto stray = [&](bool udp) {
    e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_unknown_spi(e.now(), Spi(0x12345678), kB, kA, udp); });
    const auto out = e.in_the_air();
    while (!e.in_the_air().empty()) (void)e.drop();
    return out;
  };
  // In UDP, which none of them uses: whoever sent it gets a hint in the clear.
  EXPECT_EQ(stray(true), (std::vector<std::string>{"A <= B INFORMATIONAL request 0: N(INVALID_SPI)"}));
  EXPECT_EQ(stray(false).size(), 4U);
  EXPECT_EQ(stray(false).size(), 3U) << "the others, when the next one comes";
  EXPECT_EQ(stray(false).size(), 0U) << "each has been told";
}

TEST_F(Crash, APeerThatDoesNotKnowAChildGetsAnother) {
  begin();
  e.run();
  e.advance_and_run(10s);
  disown(outbound(e.a()));
  EXPECT_TRUE(e.a().reported("spi-disowned"));
  EXPECT_TRUE(std::ranges::any_of(e.in_the_air(), [](const auto& s) { return contains(s, "N(REKEY_SA)"); }));
  while (!e.in_the_air().empty()) (void)e.drop();
}

TEST_F(Crash, AChildThatThePeerDoesNotLetUsRekeyIsClosedInstead) {
  rekey_children = false;
  begin();
  e.run();
  e.advance_and_run(10s);
  disown(outbound(e.a()));
  EXPECT_TRUE(contains(e.a().messages("spi-disowned"), "closing the child"));
  EXPECT_TRUE(e.a().plane.entries().empty());
  e.expect({"A -> B INFORMATIONAL response 0:", "A -> B INFORMATIONAL request 2: D(ESP)",
            "A <- B INFORMATIONAL response 2: D(ESP)"});
}

TEST_F(Crash, TheSameSpiIsNotToldAgainAndAgain) {
  begin();
  e.run();
  e.history.clear();
  for (int i = 0; i < 50; ++i) {
    esp_arrives(e.b(), Spi(0x12345678));
    e.advance_and_run(100ms);
  }
  EXPECT_EQ(std::ranges::count_if(e.history, [](const auto& s) { return contains(s, "N(INVALID_SPI)"); }), 1);
  e.expect_tunnel();
}

TEST_F(Crash, AnSpiThatIsBeingMadeIsNotUnknown) {
  begin();
  e.run();
  e.a().hold_jobs = true;
  e.rekey_child(e.a());
  e.a().finish_jobs(e.now());
  const auto request = e.in_the_air();
  ASSERT_EQ(request.size(), 1U);
  const auto before = e.in_the_air();
  e.history.clear();
  ASSERT_FALSE(e.a().expected_spis.empty());
  esp_arrives(e.a(), e.a().expected_spis.back());
  EXPECT_EQ(e.in_the_air(), before);
}

}  // namespace
}  // namespace cygnet::test
