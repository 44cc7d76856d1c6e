// SPDX-License-Identifier: Apache-2.0
// IKE fragmentation (RFC 7383): pieces out, pieces in, pieces lost, doubled, forged.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

const std::string kFrag = " N(IKEV2_FRAGMENTATION_SUPPORTED)";
const std::vector<std::string> kFragInit = {"A -> B IKE_SA_INIT request 0: SA KE Ni " + kNat + kFrag,
                                            "A <- B IKE_SA_INIT response 0: SA KE Nr " + kNat + kFrag};

model::Connection in_pieces(std::uint32_t octets = 164) {
  auto out = tunnel("tun");
  out.fragmentation = model::Fragmentation::kYes;
  out.fragment_octets = octets;
  return out;
}

Flight piece(Exchange& e, std::uint16_t number) { return e.drop("SKF(" + std::to_string(number) + "/"); }

// Rewrites Fragment Number and Total Fragments of a piece, which breaks its ICV.
void renumber(Flight& flight, std::uint16_t number, std::uint16_t total) {
  store_be16(flight.bytes.data() + 32, number);
  store_be16(flight.bytes.data() + 34, total);
}

TEST(Fragmentation, BothWays) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.expect(kFragInit +
           std::vector<std::string>{"A -> B IKE_AUTH request 1: SKF(1/3)", "A -> B IKE_AUTH request 1: SKF(2/3)",
                                    "A -> B IKE_AUTH request 1: SKF(3/3)", "A <- B IKE_AUTH response 1: SKF(1/2)",
                                    "A <- B IKE_AUTH response 1: SKF(2/2)"});
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().counters().fragments_out, 3U);
  EXPECT_EQ(e.b().endpoint().counters().fragments_in, 3U);
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 0U);
}

TEST(Fragmentation, NoPieceExceedsTheSizeSet) {
  Exchange e(in_pieces(200));
  std::size_t largest = 0;
  e.on_wire = [&](Flight& flight) {
    if (contains(flight.arrow, "SKF")) largest = std::max(largest, flight.bytes.size());
    return true;
  };
  e.bring_up();
  // 200 octets of IP datagram: 20 of IPv4 and 8 of UDP header in front.
  EXPECT_EQ(largest, 172U);
}

TEST(Fragmentation, SmallMessagesStayWhole) {
  Exchange e(in_pieces(0));
  e.initiate(e.a());
  e.expect(kFragInit + kAuthExchange);
  e.expect_tunnel();
}

TEST(Fragmentation, OnlyIfBothAnnounceIt) {
  auto of_b = mirrored(in_pieces());
  of_b.fragmentation = model::Fragmentation::kNo;
  Exchange e(in_pieces(), of_b);
  e.initiate(e.a());
  e.expect(std::vector<std::string>{kFragInit[0], kInitExchange[1]} + kAuthExchange);
  e.expect_tunnel();
}

TEST(Fragmentation, OutlivesARekeyOfTheIkeSa) {
  Exchange e(in_pieces());
  e.bring_up();
  e.rekey_ike(e.a());
  e.run();
  e.rekey_child(e.a());
  const auto seen = e.run();
  EXPECT_TRUE(contains(seen.at(0), "A -> B CREATE_CHILD_SA request 0: SKF(1/")) << seen.at(0);
  e.advance_and_run(10s);
  e.expect_tunnel();
}

TEST(Fragmentation, AnyOrderAndTwice) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto one = piece(e, 1), two = piece(e, 2), three = piece(e, 3);
  e.inject(three);
  e.inject(three);
  e.inject(one);
  e.inject(three);
  e.expect_in_the_air({});
  EXPECT_EQ(e.b().endpoint().counters().established, 0U);
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 2U);
  e.inject(two);
  EXPECT_EQ(e.b().endpoint().counters().established, 1U);
  e.run();
  e.expect_tunnel();
}

TEST(Fragmentation, ALostPieceComesWithTheNextTry) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  (void)piece(e, 2);
  e.run();
  EXPECT_EQ(e.b().endpoint().counters().established, 0U);
  e.advance_and_run(1s);
  e.expect_tunnel();
  EXPECT_EQ(e.a().endpoint().counters().retransmits_sent, 1U);
  // The pieces that were there already are not opened again.
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 1U);
}

// RFC 7383 section 2.6.1: of the repeated pieces of an answered request only the first one calls for the answer.
TEST(Fragmentation, ARepeatedRequestIsAnsweredOnce) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto one = piece(e, 1), two = piece(e, 2), three = piece(e, 3);
  for (const auto* p : {&one, &two, &three}) e.inject(*p);
  const auto first_answer = e.drop("response 1: SKF(1/2)"), second_answer = e.drop("response 1: SKF(2/2)");
  for (const auto* p : {&three, &two, &one}) e.inject(*p);
  e.expect_in_the_air({"A <- B IKE_AUTH response 1: SKF(1/2)", "A <- B IKE_AUTH response 1: SKF(2/2)"});
  const auto again = e.drop();
  EXPECT_EQ(again.bytes, first_answer.bytes);
  EXPECT_EQ(e.drop().bytes, second_answer.bytes);
  EXPECT_EQ(e.b().endpoint().counters().retransmits_answered, 1U);
  e.inject(first_answer);
  e.inject(second_answer);
  EXPECT_EQ(e.a().endpoint().counters().established, 1U);
  // The answer to the repeated request comes late, too.
  e.inject(again);
  e.inject(second_answer);
  EXPECT_EQ(e.a().endpoint().counters().fragments_late, 2U);
  EXPECT_EQ(e.a().endpoint().counters().fragments_refused, 0U);
  // A forged first piece calls for nothing.
  auto forged = one;
  forged.bytes.back() ^= 1U;
  e.inject(forged);
  e.expect_in_the_air({});
}

// Each end numbers its own requests: pieces of a request and of a response with the same Message ID may mix on the way.
TEST(Fragmentation, ARequestAndAResponseComeAtTheSameTime) {
  Exchange e(in_pieces());
  e.bring_up();
  e.rekey_ike(e.a());
  e.run();
  e.rekey_child(e.a());
  e.rekey_child(e.b());
  for (int i = 0; i < 2; ++i) e.inject(e.drop("A <- B CREATE_CHILD_SA request 0"));
  // A's request and A's answer, both of several pieces, both numbered 0, alternate.
  const auto pieces_refused = e.b().endpoint().counters().fragments_refused;
  std::vector<Flight> requests, responses;
  for (auto left = e.in_the_air().size(); left > 0; --left) {
    auto flight = e.drop("A -> B");
    (contains(flight.arrow, "request") ? requests : responses).push_back(std::move(flight));
  }
  ASSERT_EQ(requests.size(), 2U);
  ASSERT_EQ(responses.size(), 2U);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    e.inject(requests[i]);
    e.inject(responses[i]);
  }
  e.run();
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, pieces_refused);
  EXPECT_EQ(e.a().endpoint().counters().retransmits_sent, 0U);
  EXPECT_EQ(e.b().endpoint().counters().retransmits_sent, 0U);
  e.advance_and_run(10s);
  e.expect_tunnel();
}

TEST(Fragmentation, ForgedPiecesAreNotKept) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto one = piece(e, 1), two = piece(e, 2), three = piece(e, 3);
  auto forged = two;
  forged.bytes.back() ^= 1U;
  e.inject(forged);
  // Numbers are covered by the ICV: another total, or another place, is a forgery.
  for (const auto& [number, total] : {std::pair{1, 64}, {2, 4}, {3, 3}, {1, 65}, {64, 64}}) {
    forged = two;
    renumber(forged, static_cast<std::uint16_t>(number), static_cast<std::uint16_t>(total));
    e.inject(forged);
  }
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 6U);
  for (const auto* p : {&one, &two, &three}) e.inject(*p);
  e.run();
  e.expect_tunnel();
}

TEST(Fragmentation, ImpossibleNumbersAreMalformed) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto one = piece(e, 1);
  for (const auto& [number, total] : {std::pair{0, 3}, {0, 0}, {4, 3}}) {
    auto forged = one;
    renumber(forged, static_cast<std::uint16_t>(number), static_cast<std::uint16_t>(total));
    e.inject(forged);
  }
  EXPECT_EQ(e.b().endpoint().counters().malformed, 3U);
  EXPECT_EQ(e.b().endpoint().counters().fragments_in, 0U);
}

// RFC 7383 section 2.5.2: no answer to large pieces: the same message in smaller ones, which replace what was received.
TEST(Fragmentation, SmallerPiecesWhenLargeOnesGetLost) {
  auto of_a = tunnel("tun");
  of_a.fragmentation = model::Fragmentation::kYes;
  of_a.fragment_octets = 900;
  of_a.children.clear();
  auto many = child("tun", "10.1.0.0/16", "10.2.0.0/16");
  for (int i = 0; i < 45; ++i) {
    many.local.push_back(selector("10." + std::to_string(100 + i) + ".0.0/16"));
  }
  of_a.children.push_back(many);
  Exchange e(of_a);
  e.on_wire = [](Flight& flight) { return flight.bytes.size() <= 576 - 28 || contains(flight.arrow, "SKF(2/2)"); };
  e.initiate(e.a());
  e.run();
  // Only the small last piece of the large set comes through.
  EXPECT_EQ(e.b().endpoint().counters().fragments_in, 1U);
  const auto seen = e.advance_and_run(5s);
  EXPECT_TRUE(e.a().reported("smaller-fragments"));
  EXPECT_TRUE(std::ranges::any_of(seen, [](const auto& s) { return contains(s, "IKE_AUTH request 1: SKF(1/3)"); }));
  // The answerer takes the size that the initiator found.
  EXPECT_TRUE(std::ranges::any_of(seen, [](const auto& s) { return contains(s, "IKE_AUTH response 1: SKF(1/"); }));
  e.expect_tunnel();
}

// A message that fits the size we were told, and not the path; what was found out about the path is remembered.
TEST(Fragmentation, AWholeMessageThatGetsLostIsCutToo) {
  auto of_a = in_pieces(0);
  for (int i = 0; i < 30; ++i) of_a.children[0].local.push_back(selector("10." + std::to_string(100 + i) + ".0.0/16"));
  Exchange e(of_a);
  e.on_wire = [](Flight& flight) { return flight.bytes.size() <= 576 - 28; };
  e.initiate(e.a());
  e.run();
  EXPECT_EQ(e.b().endpoint().counters().fragments_in, 0U);
  auto seen = e.advance_and_run(5s);
  EXPECT_TRUE(e.a().reported("smaller-fragments"));
  EXPECT_TRUE(std::ranges::any_of(seen, [](const auto& s) { return contains(s, "IKE_AUTH request 1: SKF(1/2)"); }));
  e.expect_tunnel();
  e.terminate(e.a());
  e.run();
  e.a().forget_history();
  e.initiate(e.a());
  seen = e.run();  // at once
  EXPECT_TRUE(std::ranges::any_of(seen, [](const auto& s) { return contains(s, "IKE_AUTH request 1: SKF(1/2)"); }));
  EXPECT_FALSE(e.a().reported("smaller-fragments"));
  e.expect_tunnel();
}

// Pieces of an older, coarser set come too late.
TEST(Fragmentation, ACoarserSetIsRefused) {
  Exchange e(in_pieces());
  e.bring_up();
  ASSERT_EQ(e.b().endpoint().counters().fragments_refused, 0U);
  const auto status = e.a().endpoint().status().at(0);
  wire::ike::Header header;
  header.spi_i = status.spi_i;
  header.spi_r = status.spi_r;
  header.exchange = wire::ike::ExchangeType::kInformational;
  header.initiator = true;
  header.message_id = MessageId{2};
  const wire::ike::Payloads inner{wire::ike::NoncePayload{Bytes(100, 7)}};
  const auto fine = e.a().keys().seal_pieces(header, inner, 100);
  const auto coarse = e.a().keys().seal_pieces(header, inner, 150);
  ASSERT_GT(fine.size(), coarse.size());
  const ike::Path path{{address("198.51.100.1"), 500}, {address("192.0.2.1"), 500}, false};
  e.inject(e.b(), path, coarse.at(0));
  e.inject(e.b(), path, fine.at(0));  // larger total: the first one is forgotten
  e.inject(e.b(), path, coarse.at(1));
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 1U);
  for (std::size_t i = 1; i < fine.size(); ++i) e.inject(e.b(), path, fine.at(i));
  e.expect_in_the_air({"A <- B INFORMATIONAL response 2:"});
}

TEST(Fragmentation, PiecesThatNobodyWaitsForAreNotOpened) {
  Exchange e(in_pieces());
  e.bring_up();
  const auto status = e.a().endpoint().status().at(0);
  wire::ike::Header header;
  header.spi_i = status.spi_i;
  header.spi_r = status.spi_r;
  header.exchange = wire::ike::ExchangeType::kInformational;
  header.initiator = true;
  const ike::Path path{{address("198.51.100.1"), 500}, {address("192.0.2.1"), 500}, false};
  for (const std::uint32_t id : {0U, 3U, 1000U}) {
    header.message_id = MessageId{id};
    for (const auto& p : e.a().keys().seal_pieces(header, {wire::ike::NoncePayload{Bytes(100, 7)}}, 100))
      e.inject(e.b(), path, p);
  }
  EXPECT_EQ(e.b().endpoint().counters().fragments_late, 3U);
  EXPECT_EQ(e.b().endpoint().counters().fragments_refused, 6U);
  e.expect_in_the_air({});
  // And they are forgotten after a while if the rest never comes.
  header.message_id = MessageId{2};
  const auto pieces = e.a().keys().seal_pieces(header, {wire::ike::NoncePayload{Bytes(100, 7)}}, 100);
  e.inject(e.b(), path, pieces.at(0));
  e.advance(31s);
  e.inject(e.b(), path, pieces.at(1));
  e.inject(e.b(), path, pieces.at(2));
  e.expect_in_the_air({});
  e.inject(e.b(), path, pieces.at(0));
  e.expect_in_the_air({"A <- B INFORMATIONAL response 2:"});
}

TEST(Fragmentation, AnAnswerInPiecesOutlivesACrash) {
  Exchange e(in_pieces());
  e.initiate(e.a());
  e.deliver();
  e.deliver();
  const auto one = piece(e, 1), two = piece(e, 2), three = piece(e, 3);
  for (const auto* p : {&one, &two, &three}) e.inject(*p);
  const auto first_answer = e.drop(), second_answer = e.drop();
  e.b().crash();
  e.b().restart(e.now());
  while (!e.in_the_air().empty()) (void)e.drop();
  e.inject(one);
  EXPECT_EQ(e.drop("response 1: SKF(1/2)").bytes, first_answer.bytes);
  EXPECT_EQ(e.drop("response 1: SKF(2/2)").bytes, second_answer.bytes);
}

}  // namespace
}  // namespace cygnet::test
