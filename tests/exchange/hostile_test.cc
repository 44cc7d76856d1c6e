// SPDX-License-Identifier: Apache-2.0
// Messages no honest peer sends (RFC 7296 sections 2.5, 2.6 and 2.21).
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

using wire::ike::ExchangeType;
using wire::ike::Header;
using wire::ike::Message;
using wire::ike::NotifyPayload;
using wire::ike::NotifyType;
using wire::ike::PayloadType;
using wire::ike::UnknownPayload;

ike::Path path_to_b(const Exchange&, std::uint16_t port = 500) {
  return {{address("198.51.100.1"), 500}, {address("192.0.2.1"), port}, false};
}

const NotifyPayload* notify_in(const Flight& flight, NotifyType type) {
  return wire::ike::find_notify(flight.decoded.payloads, type);
}

Header next_request_of_a(Exchange& e, std::uint32_t id) {
  const auto status = e.a().endpoint().status().at(0);
  Header header;
  header.spi_i = status.spi_i;
  header.spi_r = status.spi_r;
  header.exchange = ExchangeType::kInformational;
  header.initiator = true;
  header.message_id = MessageId{id};
  return header;
}

TEST(Hostile, UnknownCriticalPayloadInInit) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  const Flight request = e.drop();
  Message message{request.decoded.header, request.decoded.payloads};
  message.payloads.emplace_back(UnknownPayload{static_cast<PayloadType>(99), true, {}});
  e.inject(e.b(), path_to_b(e), wire::ike::serialize_message(message));
  e.expect_in_the_air({"A <- B IKE_SA_INIT response 0: N(UNSUPPORTED_CRITICAL_PAYLOAD)"});
  const Flight answer = e.drop();
  // RFC 7296 section 2.5: the notification data is "the one-octet payload type".
  EXPECT_EQ(to_hex(notify_in(answer, NotifyType::kUnsupportedCriticalPayload)->data), "63");
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
}

TEST(Hostile, UnknownCriticalPayloadInAnEstablishedSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto bytes =
      e.a().keys().seal(next_request_of_a(e, 2), {UnknownPayload{static_cast<PayloadType>(99), true, {}}});
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  e.expect_in_the_air({"A <- B INFORMATIONAL response 2: N(UNSUPPORTED_CRITICAL_PAYLOAD)"});
  EXPECT_EQ(to_hex(notify_in(e.drop(), NotifyType::kUnsupportedCriticalPayload)->data), "63");
  e.expect_tunnel();
}

TEST(Hostile, UnknownPayloadThatIsNotCritical) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto bytes =
      e.a().keys().seal(next_request_of_a(e, 2), {UnknownPayload{static_cast<PayloadType>(99), false, {}}});
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  e.expect_in_the_air({"A <- B INFORMATIONAL response 2:"});
}

TEST(Hostile, AuthenticButMalformed) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto bytes = e.a().keys().seal(next_request_of_a(e, 2), {UnknownPayload{PayloadType::kDelete, false, {1, 2}}});
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  e.expect_in_the_air({"A <- B INFORMATIONAL response 2: N(INVALID_SYNTAX)"});
}

TEST(Hostile, HigherMajorVersion) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  Flight request = e.drop();
  request.bytes[17] = 0x30;
  e.inject(request);
  e.expect_in_the_air({"A <- B IKE_SA_INIT response 0: N(INVALID_MAJOR_VERSION)"});
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
}

TEST(Hostile, RequestForAnUnknownIkeSa) {
  Exchange e(tunnel("tun"));
  Header header;
  header.spi_i = IkeSpi{0x1111};
  header.spi_r = IkeSpi{0x2222};
  header.exchange = ExchangeType::kInformational;
  header.initiator = true;
  header.message_id = MessageId{5};
  const Message message{header, {wire::ike::EncryptedPayload{PayloadType::kNone, Bytes(40, 1), 32}}};
  const Bytes bytes = wire::ike::serialize_message(message);
  e.inject(e.b(), path_to_b(e), bytes);
  // RFC 7296 section 2.21.4: INVALID_IKE_SPI, in clear, with the SPIs and Message ID of the request.
  e.expect_in_the_air({"A <- B INFORMATIONAL response 5: N(INVALID_IKE_SPI)"});
  const Flight answer = e.drop();
  EXPECT_EQ(answer.decoded.header.spi_i.value, 0x1111U);
  EXPECT_EQ(answer.decoded.header.spi_r.value, 0x2222U);
  // A flood of them is not answered in kind.
  for (int i = 0; i < 1000; ++i) e.inject(e.b(), path_to_b(e), bytes);
  EXPECT_LT(e.in_the_air().size(), 200U);
  EXPECT_GE(e.b().endpoint().counters().unknown_spi, 1001U);
}

TEST(Hostile, ResponsesForAnUnknownIkeSaAreNotAnswered) {
  Exchange e(tunnel("tun"));
  Header header;
  header.spi_i = IkeSpi{0x1111};
  header.spi_r = IkeSpi{0x2222};
  header.exchange = ExchangeType::kInformational;
  header.response = true;
  const Message message{header, {wire::ike::EncryptedPayload{PayloadType::kNone, Bytes(40, 1), 32}}};
  e.inject(e.b(), path_to_b(e), wire::ike::serialize_message(message));
  e.expect_in_the_air({});
}

TEST(Hostile, AnUnprotectedInvalidIkeSpiEndsNothing) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  Header header = next_request_of_a(e, 2);
  header.response = true;
  header.initiator = false;
  NotifyPayload notify;
  notify.type = NotifyType::kInvalidIkeSpi;
  e.inject(e.a(), {{address("192.0.2.1"), 500}, {address("198.51.100.1"), 500}, false},
           wire::ike::serialize_message({header, {notify}}));
  // RFC 7296 section 2.21.4: who gets it "MUST NOT respond and MUST NOT change the state of any existing SAs"; it may
  // ask whether the peer lives.
  e.advance_and_run(60s);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  e.expect_tunnel();
}

TEST(Hostile, GarbageIsCounted) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  SeededRandom random(3);
  for (int i = 0; i < 2000; ++i) {
    e.inject(e.b(), path_to_b(e), random.bytes(random.below(200)));
  }
  // What could be a later version of IKE is told so (RFC 7296 section 2.5), but no more often than the rate allows.
  EXPECT_LE(e.in_the_air().size(), 20U);
  for (const auto& arrow : e.in_the_air()) EXPECT_TRUE(contains(arrow, ": N(INVALID_MAJOR_VERSION)")) << arrow;
  e.run();
  EXPECT_GE(e.b().endpoint().counters().malformed, 1000U);
  e.expect_tunnel();
}

TEST(Hostile, EveryChangedOctetOfAProtectedMessageIsDropped) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight honest = e.drop("CREATE_CHILD_SA request");
  for (std::size_t i = 28; i < honest.bytes.size(); ++i) {
    Flight changed = honest;
    changed.bytes[i] = static_cast<std::uint8_t>(changed.bytes[i] ^ 0x40U);
    e.inject(changed);
  }
  e.expect_in_the_air({});
  EXPECT_EQ(e.b().plane.count(model::Direction::kInbound), 1U);
  e.inject(honest);
  e.run();
  e.advance_and_run(60s);
  e.expect_tunnel();
}

TEST(Hostile, AForgedRefusalDoesNotStopTheHonestAnswer) {
  // RFC 7296 section 2.21.1: such an error is not authenticated, so another answer may still come.
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  const Flight request = e.drop();
  Header header = request.decoded.header;
  header.response = true;
  header.initiator = false;
  NotifyPayload notify;
  notify.type = NotifyType::kInvalidSyntax;
  e.inject(e.a(), {request.path.remote, request.path.local, false}, wire::ike::serialize_message({header, {notify}}));
  e.advance_and_run(30s);
  e.expect_tunnel();
}

TEST(Hostile, AHundredThousandSpoofedInits) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  const Flight sample = e.drop();
  Message message{sample.decoded.header, sample.decoded.payloads};
  std::uint64_t answered = 0;
  e.on_wire = [&](Flight&) {
    ++answered;
    return false;
  };
  SeededRandom random(9);
  std::size_t most = 0;
  for (std::uint32_t i = 0; i < 100000; ++i) {
    message.header.spi_i = IkeSpi{0x1000000000000000U + i};
    ike::Path path = path_to_b(e);
    path.remote = {IpAddress::v4(random.u32()), static_cast<std::uint16_t>(random.u32())};
    e.b().endpoint().handle_datagram(e.now(), path, wire::ike::serialize_message(message));
    for (const auto& action : e.b().endpoint().take_actions()) {
      if (std::holds_alternative<ike::SendDatagram>(action)) ++answered;
    }
    most = std::max<std::size_t>(most, e.b().endpoint().counters().half_open);
  }
  EXPECT_LE(most, 100U);  // cookie_threshold
  EXPECT_LE(e.b().endpoint().status().size(), 101U);
  EXPECT_GT(answered, 0U);
  // Half-open SAs go away, and the honest peer comes through.
  e.on_wire = nullptr;
  e.advance_and_run(60s);
  EXPECT_EQ(e.b().endpoint().counters().half_open, 0U);
  e.initiate(e.a());
  e.advance_and_run(60s);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
}

// RFC 7296 section 2.21.3: the initiator of an exchange cannot report an error in its response; it deletes the IKE SA.
TEST(Hostile, AnUnreadableAnswerToAnIkeRekeyEndsTheIkeSaOnBothSides) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.b());
  e.deliver("CREATE_CHILD_SA request");
  const Flight answer = e.drop("CREATE_CHILD_SA response");
  auto payloads = answer.decoded.payloads;
  std::erase_if(payloads, [](const auto& p) { return wire::ike::first_type({p}) == PayloadType::kNonce; });
  const auto bytes = e.a().keys().seal(answer.decoded.header, payloads);
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  EXPECT_TRUE(e.b().reported("answer-unacceptable"));
  e.expect({"A <- B INFORMATIONAL request 1: D(IKE)", "A -> B INFORMATIONAL response 1:"});
  EXPECT_TRUE(e.b().endpoint().status().empty());
  EXPECT_TRUE(e.b().plane.entries().empty());
}

TEST(Hostile, AnUnreadableAnswerToAnIkeRekeyThatWasTakenDownMeanwhile) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.b());
  e.deliver("CREATE_CHILD_SA request");
  const Flight answer = e.drop("CREATE_CHILD_SA response");
  e.terminate(e.b());
  auto payloads = answer.decoded.payloads;
  std::erase_if(payloads, [](const auto& p) { return wire::ike::first_type({p}) == PayloadType::kNonce; });
  const auto bytes = e.a().keys().seal(answer.decoded.header, payloads);
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  e.expect({"A <- B INFORMATIONAL request 1: D(IKE)", "A -> B INFORMATIONAL response 1:"});
  EXPECT_TRUE(e.b().endpoint().status().empty());
}

TEST(Hostile, AnUnsoundPublicValueInAnIkeRekeyLeavesTheIkeSaInUse) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.b());
  e.deliver("CREATE_CHILD_SA request");
  const Flight answer = e.drop("CREATE_CHILD_SA response");
  auto payloads = answer.decoded.payloads;
  for (auto& payload : payloads) {
    if (auto* ke = std::get_if<wire::ike::KePayload>(&payload)) ke->data.pop_back();
  }
  const auto bytes = e.a().keys().seal(answer.decoded.header, payloads);
  ASSERT_TRUE(bytes);
  e.inject(e.b(), path_to_b(e), *bytes);
  EXPECT_TRUE(e.b().reported("ike-rekey-failed"));
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.b().endpoint().status()[0].state, "ESTABLISHED");
  e.terminate(e.b());
  e.expect({"A <- B INFORMATIONAL request 1: D(IKE)", "A -> B INFORMATIONAL response 1:"});
  EXPECT_TRUE(e.b().plane.entries().empty());
}

TEST(Hostile, EapAndCertificatesAreRefusedWithAReason) {
  Exchange e(tunnel("tun"));
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const Flight auth = e.drop("IKE_AUTH request");
  // No AUTH payload: the initiator asks for EAP (RFC 7296 section 2.16).
  wire::ike::Payloads inner;
  for (const auto& payload : auth.decoded.payloads) {
    if (!std::holds_alternative<wire::ike::AuthPayload>(payload)) inner.push_back(payload);
  }
  const auto bytes = e.a().keys().seal(auth.decoded.header, inner);
  ASSERT_TRUE(bytes);
  e.inject(e.b(), auth.path, *bytes);
  e.expect_in_the_air({"A <- B IKE_AUTH response 1: N(AUTHENTICATION_FAILED)"});
  std::string said;
  for (const auto& report : e.b().reports) said += report.message + "\n";
  EXPECT_TRUE(contains(said, "EAP")) << said;
}

}  // namespace
}  // namespace cygnet::test
