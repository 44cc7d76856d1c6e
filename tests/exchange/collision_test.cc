// SPDX-License-Identifier: Apache-2.0
// Both sides at once: every case of RFC 7296 sections 2.8.1, 2.8.2 and 2.25.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

Bytes nonce_of(const Flight& flight) {
  const auto* nonce = wire::ike::find_payload<wire::ike::NoncePayload>(flight.decoded.payloads);
  return nonce == nullptr ? Bytes{} : nonce->data;
}

// Remembers the nonces of all CREATE_CHILD_SA messages by direction of their exchange.
struct NonceWatch {
  std::vector<Bytes> of_a, of_b;  // nonces of the exchanges that A and B initiated
  void attach(Exchange& e) {
    e.on_wire = [this](Flight& flight) {
      const Bytes nonce = nonce_of(flight);
      const bool by_a = (flight.from == 0) != flight.decoded.header.response;
      if (!nonce.empty()) (by_a ? of_a : of_b).push_back(nonce);
      return true;
    };
  }
  // RFC 7296 section 2.8.1: the SA created with the lowest of the four nonces is closed by the endpoint that created
  // it.
  [[nodiscard]] bool a_survives() const { return *std::ranges::min_element(of_b) < *std::ranges::min_element(of_a); }
};

Spi spi_offered(const Flight& flight) {
  const auto* sa = wire::ike::find_payload<wire::ike::SaPayload>(flight.decoded.payloads);
  return sa == nullptr || sa->proposals.empty() || sa->proposals[0].spi.size() != 4
             ? Spi{}
             : Spi{load_be32(sa->proposals[0].spi.data())};
}

// With a second child the IKE SA outlives the first.
model::Connection two_children() {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  return connection;
}

// Both rekey the child at the same time; messages cross. Several runs, so that either side wins in some of them.
TEST(ChildCollision, BothRekeyAndTheLowestNonceLoses) {
  int a_won = 0;
  int b_won = 0;
  for (int round = 0; round < 12; ++round) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    // Different randomness each round.
    for (int i = 0; i < round; ++i) {
      e.rekey_child(e.a());
      e.run();
      e.advance_and_run(30s);
    }
    NonceWatch watch;
    watch.attach(e);
    e.rekey_child(e.a());
    e.rekey_child(e.b());
    const Flight request_a = e.drop("A -> B CREATE_CHILD_SA request");
    const Spi offered_by_a = spi_offered(request_a);
    const Flight request_b = e.drop("A <- B CREATE_CHILD_SA request");
    const Spi offered_by_b = spi_offered(request_b);
    ASSERT_FALSE(offered_by_a.is_zero());
    e.inject(request_a);
    e.inject(request_b);
    e.run();
    e.advance_and_run(120s);
    e.expect_tunnel(1);
    const bool a_survives = watch.a_survives();
    (a_survives ? a_won : b_won)++;
    const Spi a_in = e.b().plane.outbound("tun", "tun")->spec.spi;
    if (a_survives) {
      EXPECT_EQ(a_in, offered_by_a) << "round " << round;
    } else {
      EXPECT_EQ(e.a().plane.outbound("tun", "tun")->spec.spi, offered_by_b) << "round " << round;
    }
  }
  EXPECT_GT(a_won + b_won, 0);
}

// The picture of RFC 7296 section 2.8.1, message by message.
TEST(ChildCollision, AsDrawnInTheRfc) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  NonceWatch watch;
  watch.attach(e);
  e.rekey_child(e.a());
  e.rekey_child(e.b());
  e.expect_in_the_air({"A -> B CREATE_CHILD_SA request 2: N(REKEY_SA) SA Ni TSi TSr",
                       "A <- B CREATE_CHILD_SA request 0: N(REKEY_SA) SA Ni TSi TSr"});
  e.deliver();
  e.deliver();
  e.expect_in_the_air(
      {"A <- B CREATE_CHILD_SA response 2: SA Nr TSi TSr", "A -> B CREATE_CHILD_SA response 0: SA Nr TSi TSr"});
  // Three pairs for a moment: old, A's, B's. Packets pass at any time.
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  e.deliver();
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  e.deliver();
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  const auto rest = e.run();
  // One side deletes the old SA, the other the redundant one it created.
  EXPECT_EQ(std::ranges::count_if(rest, [](const auto& s) { return contains(s, "A -> B INFORMATIONAL request"); }), 1)
      << rest.size();
  EXPECT_EQ(std::ranges::count_if(rest, [](const auto& s) { return contains(s, "A <- B INFORMATIONAL request"); }), 1)
      << rest.size();
  e.advance_and_run(60s);
  e.expect_tunnel(1);
}

// RFC 7296 section 2.8.1, second picture: A's request is delayed; B's rekey is finished and the old SA deleted before
// it arrives. B no longer knows the SA that A's request names.
TEST(ChildCollision, DelayedRequestMeetsADeletedSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight late = e.drop("A -> B CREATE_CHILD_SA request");
  e.rekey_child(e.b());
  e.run();
  e.advance_and_run(100ms);
  EXPECT_TRUE(e.packet(e.a(), e.b()));
  EXPECT_TRUE(e.packet(e.b(), e.a()));
  e.inject(late);
  const auto rest = e.run();
  ASSERT_FALSE(rest.empty());
  EXPECT_EQ(rest[0], "A <- B CREATE_CHILD_SA response 2: N(CHILD_SA_NOT_FOUND)");
  e.advance_and_run(120s);
  e.expect_tunnel(1);
}

// The same, but the request arrives while B waits for the answer to its Delete.
TEST(ChildCollision, RekeyOfAnSaThatIsBeingClosed) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight late = e.drop("A -> B CREATE_CHILD_SA request");
  e.rekey_child(e.b());
  e.deliver("A <- B CREATE_CHILD_SA request");
  e.deliver("A -> B CREATE_CHILD_SA response");
  e.expect_in_the_air({"A <- B INFORMATIONAL request 1: D(ESP)"});
  e.inject(late);
  // RFC 7296 section 2.25.1: "If a peer receives a request to rekey a Child SA that it is currently trying to close,
  // the peer SHOULD reply with TEMPORARY_FAILURE."
  EXPECT_TRUE(std::ranges::any_of(e.in_the_air(), [](const auto& s) {
    return contains(s, "response 2: N(TEMPORARY_FAILURE)");
  })) << e.in_the_air().back();
  e.advance_and_run(120s);
  e.expect_tunnel(1);
}

// One of the two crossing requests is lost and comes again later.
TEST(ChildCollision, OneRequestLostAndRetransmitted) {
  for (const bool lose_a : {true, false}) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.rekey_child(e.a());
    e.rekey_child(e.b());
    (void)e.drop(lose_a ? "A -> B" : "A <- B");
    e.advance_and_run(120s);
    e.expect_tunnel(1);
  }
}

TEST(ChildCollision, OneResponseLostAndRetransmitted) {
  for (const bool lose_a : {true, false}) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.rekey_child(e.a());
    e.rekey_child(e.b());
    e.deliver();
    e.deliver();
    (void)e.drop(lose_a ? "A -> B" : "A <- B");
    e.advance_and_run(120s);
    e.expect_tunnel(1);
  }
}

TEST(ChildCollision, RekeyOfAnUnknownChild) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  // B loses the child by a Delete whose answer A never sees; A's rekey names an SA that is gone.
  e.rekey_child(e.a());
  Flight request = e.drop("A -> B CREATE_CHILD_SA request");
  for (auto& payload : request.decoded.payloads) {
    if (auto* notify = std::get_if<wire::ike::NotifyPayload>(&payload)) notify->spi = {9, 9, 9, 9};
  }
  const auto forged = e.a().keys().seal(request.decoded.header, request.decoded.payloads);
  ASSERT_TRUE(forged);
  e.inject(e.b(), request.path, *forged);
  e.expect_in_the_air({"A <- B CREATE_CHILD_SA response 2: N(CHILD_SA_NOT_FOUND)"});
  const Flight answer = e.drop();
  const auto* notify = wire::ike::find_notify(answer.decoded.payloads, wire::ike::NotifyType::kChildSaNotFound);
  ASSERT_NE(notify, nullptr);
  // RFC 7296 section 2.25: the SPI field "is copied from the SPI field in the REKEY_SA notification".
  EXPECT_EQ(to_hex(notify->spi), "09090909");
  EXPECT_EQ(notify->protocol, model::Protocol::kEsp);
}

TEST(ChildCollision, ChildSaNotFoundMakesTheAskerForgetAndAskAnew) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight request = e.drop("A -> B CREATE_CHILD_SA request");
  wire::ike::Header header = request.decoded.header;
  header.response = true;
  header.initiator = false;
  wire::ike::NotifyPayload notify;
  notify.protocol = model::Protocol::kEsp;
  const auto* rekey = wire::ike::find_notify(request.decoded.payloads, wire::ike::NotifyType::kRekeySa);
  ASSERT_NE(rekey, nullptr);
  notify.spi = rekey->spi;
  notify.type = wire::ike::NotifyType::kChildSaNotFound;
  const auto answer = e.b().keys().seal(header, {notify});
  ASSERT_TRUE(answer);
  e.inject(e.a(), {request.path.remote, request.path.local, false}, *answer);
  // RFC 7296 section 2.25: A "SHOULD silently delete the Child SA (if it still exists)" and may ask for a new one.
  e.advance_and_run(120s);
  EXPECT_LE(e.a().plane.count(model::Direction::kOutbound), 1U);
  e.expect_no_faults();
}

TEST(ChildCollision, DeleteMeetsRekey) {
  // B closes the child while A's request to rekey it is on its way.
  Exchange e(two_children());
  e.bring_up();
  e.rekey_child(e.a());
  const Flight rekey = e.drop("A -> B CREATE_CHILD_SA request");
  e.terminate(e.b(), "tun", "tun");
  e.inject(rekey);
  const auto flying = e.in_the_air();
  EXPECT_TRUE(
      std::ranges::any_of(flying, [](const auto& s) { return contains(s, "response 3: N(TEMPORARY_FAILURE)"); }));
  e.advance_and_run(200s);
  // Nobody wants the child any more on B; whatever A made of it, the two agree.
  EXPECT_EQ(e.a().plane.count(model::Direction::kInbound), e.b().plane.count(model::Direction::kOutbound));
  EXPECT_EQ(e.a().plane.count(model::Direction::kOutbound), e.b().plane.count(model::Direction::kInbound));
  e.expect_no_faults();
}

TEST(ChildCollision, DeleteOfAChildThatIsBeingRekeyed) {
  // RFC 7296 section 2.25.1: "If a peer receives a request to close a Child SA that it is currently rekeying, the peer
  // SHOULD reply as usual, with a Delete payload."
  Exchange e(two_children());
  e.bring_up();
  e.rekey_child(e.a());
  (void)e.drop("A -> B CREATE_CHILD_SA request");
  e.terminate(e.b(), "tun", "tun");
  e.deliver("A <- B INFORMATIONAL request");
  e.expect_in_the_air({"A -> B INFORMATIONAL response 0: D(ESP)"});
  e.advance_and_run(200s);
  EXPECT_EQ(e.a().plane.count(model::Direction::kInbound), e.b().plane.count(model::Direction::kOutbound));
  e.expect_no_faults();
}

TEST(ChildCollision, BothDeleteTheSameChild) {
  Exchange e(two_children());
  e.bring_up();
  e.terminate(e.a(), "tun", "tun");
  e.terminate(e.b(), "tun", "tun");
  const auto rest = e.run();
  // RFC 7296 section 1.4.1: "the responses MUST NOT include Delete payloads for the deleted SAs".
  for (const auto& arrow : rest) {
    if (contains(arrow, "INFORMATIONAL response")) {
      EXPECT_FALSE(contains(arrow, "D(ESP)")) << arrow;
    }
  }
  e.advance_and_run(200s);
  e.expect_tunnel(1, "tun", "lab");
}

TEST(IkeCollision, BothRekeyAndTheLowestNonceLoses) {
  for (int round = 0; round < 6; ++round) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    for (int i = 0; i < round; ++i) {
      e.rekey_child(e.a());
      e.run();
      e.advance_and_run(30s);
    }
    NonceWatch watch;
    watch.attach(e);
    e.rekey_ike(e.a());
    e.rekey_ike(e.b());
    const auto rest = e.run();
    EXPECT_GE(rest.size(), 6U);
    e.advance_and_run(120s);
    const auto a = e.a().endpoint().status();
    const auto b = e.b().endpoint().status();
    ASSERT_EQ(a.size(), 1U);
    ASSERT_EQ(b.size(), 1U);
    EXPECT_EQ(a[0].spi_i, b[0].spi_i);
    EXPECT_EQ(a[0].spi_r, b[0].spi_r);
    EXPECT_EQ(a[0].initiator, watch.a_survives()) << "round " << round;
    EXPECT_EQ(a[0].children.size(), 1U);
    EXPECT_EQ(b[0].children.size(), 1U);
    e.expect_tunnel(1);
    // The one that is left works.
    e.rekey_child(e.a());
    e.run();
    e.advance_and_run(60s);
    e.expect_tunnel(1);
  }
}

TEST(IkeCollision, OneRequestLost) {
  for (const bool lose_a : {true, false}) {
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.rekey_ike(e.a());
    e.rekey_ike(e.b());
    (void)e.drop(lose_a ? "A -> B" : "A <- B");
    e.advance_and_run(240s);
    ASSERT_EQ(e.a().endpoint().status().size(), 1U);
    ASSERT_EQ(e.b().endpoint().status().size(), 1U);
    EXPECT_EQ(e.a().endpoint().status()[0].spi_i, e.b().endpoint().status()[0].spi_i);
    e.expect_tunnel(1);
  }
}

// B's rekey went through, and B has moved on to it; what A asks for on the old one B never hears. A gives up on the old
// one, not on the peer: the children live on the new one.
TEST(IkeCollision, WhatThePeersRekeyMadeInheritsWhenOursGetsNoAnswer) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto old = e.b().endpoint().status()[0].spi_i;
  e.on_wire = [&](Flight& flight) {
    const auto& header = flight.decoded.header;
    const bool lost = header.spi_i == old && !header.response &&
                      (flight.from == 0 || header.exchange == wire::ike::ExchangeType::kInformational);
    return !lost;
  };
  e.rekey_ike(e.a());
  e.rekey_ike(e.b());
  e.advance_and_run(100s);
  EXPECT_EQ(e.a().messages("peer-dead"), "");
  e.on_wire = nullptr;
  e.advance_and_run(100s);
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.a().endpoint().status()[0].spi_i, e.b().endpoint().status()[0].spi_i);
  e.expect_tunnel(1);
  e.rekey_child(e.a());
  e.run();
  e.advance_and_run(30s);
  e.expect_tunnel(1);
}

// What the peer's rekey makes of an IKE SA that was taken down goes with it; what is asked for afterwards does not go
// there.
TEST(IkeCollision, TakenDownWhileBothRekeyAndBroughtUpAgain) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  const auto old = e.b().endpoint().status()[0].spi_i;
  e.rekey_ike(e.a());
  e.on_wire = [&](Flight& flight) {
    const auto& header = flight.decoded.header;
    return header.spi_i != old || header.response || flight.from != 0;
  };
  (void)e.drop("A -> B CREATE_CHILD_SA request");
  e.terminate(e.a());
  e.rekey_ike(e.b());
  e.run();
  e.initiate(e.a());
  e.run();
  EXPECT_TRUE(last_done(e.a()).ok) << last_done(e.a()).message;
  e.on_wire = nullptr;
  e.advance_and_run(240s);
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.a().endpoint().status()[0].spi_i, e.b().endpoint().status()[0].spi_i);
  e.expect_tunnel(1);
}

// RFC 7296 section 2.25.2: rekeying the IKE SA while one of its children is created, rekeyed or closed:
// TEMPORARY_FAILURE.
TEST(IkeCollision, IkeRekeyMeetsChildRekey) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.a());
  e.rekey_child(e.b());
  e.expect_in_the_air(
      {"A -> B CREATE_CHILD_SA request 2: SA Ni KE", "A <- B CREATE_CHILD_SA request 0: N(REKEY_SA) SA Ni TSi TSr"});
  e.deliver();
  e.deliver();
  e.expect_in_the_air({"A <- B CREATE_CHILD_SA response 2: N(TEMPORARY_FAILURE)",
                       "A -> B CREATE_CHILD_SA response 0: N(TEMPORARY_FAILURE)"});
  e.advance_and_run(600s);
  e.expect_tunnel(1);
  ASSERT_EQ(e.a().endpoint().status().size(), 1U);
  ASSERT_EQ(e.b().endpoint().status().size(), 1U);
  EXPECT_EQ(e.a().endpoint().status()[0].spi_i, e.b().endpoint().status()[0].spi_i);
}

TEST(IkeCollision, IkeRekeyMeetsChildDelete) {
  Exchange e(two_children());
  e.bring_up();
  e.terminate(e.b(), "tun", "tun");
  e.rekey_ike(e.a());
  e.deliver("A -> B CREATE_CHILD_SA request");
  EXPECT_TRUE(std::ranges::any_of(e.in_the_air(),
                                  [](const auto& s) { return contains(s, "response 3: N(TEMPORARY_FAILURE)"); }));
  e.advance_and_run(600s);
  EXPECT_EQ(e.a().endpoint().status().size(), e.b().endpoint().status().size());
  e.expect_no_faults();
}

// "If a peer receives a request to close an IKE SA that it is currently rekeying, the peer SHOULD reply as usual, and
// forget its own rekeying request."
TEST(IkeCollision, IkeDeleteMeetsIkeRekey) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_ike(e.a());
  const Flight rekey = e.drop("A -> B CREATE_CHILD_SA request");
  e.terminate(e.b());
  e.inject(rekey);
  e.run();
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

// "If a peer receives a request to close an IKE SA that it is currently trying to close, the peer SHOULD reply as
// usual, and forget about its own close request."
TEST(IkeCollision, BothDeleteTheIkeSa) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.terminate(e.a());
  e.terminate(e.b());
  e.run();
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

TEST(IkeCollision, ChildRequestWhileClosing) {
  Exchange e(tunnel("tun"));
  e.bring_up();
  e.rekey_child(e.a());
  const Flight rekey = e.drop("A -> B CREATE_CHILD_SA request");
  e.terminate(e.b());
  e.inject(rekey);
  EXPECT_TRUE(std::ranges::any_of(e.in_the_air(),
                                  [](const auto& s) { return contains(s, "response 2: N(TEMPORARY_FAILURE)"); }));
  e.run();
  e.advance_and_run(120s);
  e.expect_nothing_left();
}

// Of two simultaneous rekeys of the IKE SA only the peer's came through, and its IKE SA is rekeyed in turn before ours
// is settled: the children go to the one that lives, wherever the messages of the first collision end up.
TEST(IkeCollision, TheWinnerIsRekeyedBeforeTheCollisionIsSettled) {
  for (const bool gone : {false, true}) {
    SCOPED_TRACE(gone);
    Exchange e(tunnel("tun"));
    e.bring_up();
    e.rekey_ike(e.a());
    (void)e.drop("A -> B CREATE_CHILD_SA request 2");  // lost for now
    e.rekey_ike(e.b());
    e.deliver("A <- B CREATE_CHILD_SA request 0");
    e.deliver("A -> B CREATE_CHILD_SA response 0");
    const Flight end_of_first = e.drop("A <- B INFORMATIONAL request 1");
    e.rekey_ike(e.a());
    e.deliver("A -> B CREATE_CHILD_SA request 0");
    e.deliver("A <- B CREATE_CHILD_SA response 0");
    // The second generation's Delete is answered before the first collision is settled, or after it.
    if (gone) e.run();
    e.inject(end_of_first);
    e.run();
    e.advance_and_run(120s);
    e.expect_tunnel();
    EXPECT_EQ(e.a().endpoint().status().size(), 1U);
    EXPECT_EQ(e.b().endpoint().status().size(), 1U);
  }
}

}  // namespace
}  // namespace cygnet::test
