// SPDX-License-Identifier: Apache-2.0
// Several SAs for one kind of traffic, each for one thread (RFC 9611).
#include "ike/v2/clones.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

using Numbers = std::multiset<std::optional<std::uint16_t>>;

model::Connection with(std::optional<std::uint32_t> clones) {
  auto c = tunnel("tun");
  c.children[0].clones = clones;
  return c;
}

model::Connection restarting(std::optional<std::uint32_t> clones) {
  auto c = with(clones);
  c.children[0].start = model::StartAction::kStart;
  return c;
}

Numbers numbers(const Side& side, model::Direction direction = model::Direction::kOutbound) {
  Numbers out;
  for (const auto& entry : side.plane.entries()) {
    if (entry.spec.direction == direction) out.insert(entry.spec.resource);
  }
  return out;
}

void expect_numbers(Exchange& e, const Numbers& expected) {
  for (auto* side : {&e.a(), &e.b()}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound})
      EXPECT_EQ(numbers(*side, direction), expected) << side->name();
  }
  e.expect_no_faults();
}

// What is sealed with any outbound SA of the one is opened by the other, under the same number.
void expect_pairs(const Side& from, const Side& to) {
  for (const auto& entry : from.plane.entries()) {
    if (entry.spec.direction != model::Direction::kOutbound) continue;
    const auto* in = to.plane.inbound(entry.spec.spi);
    ASSERT_NE(in, nullptr);
    EXPECT_EQ(in->spec.encryption_key, entry.spec.encryption_key);
    EXPECT_EQ(in->spec.resource, entry.spec.resource);
  }
}

std::vector<std::string> lines_with(const std::vector<std::string>& all, std::string_view part) {
  std::vector<std::string> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const auto& line) { return contains(line, part); });
  return out;
}

const Spi& spi_of(Side& side, std::optional<std::uint16_t> resource) {
  for (const auto& entry : side.plane.entries()) {
    if (entry.spec.direction == model::Direction::kOutbound && entry.spec.resource == resource) return entry.spec.spi;
  }
  static const Spi none;
  return none;
}

TEST(Clones, AreMadeBesideTheFirstChild) {
  Exchange e(with(2), mirrored(with({})));
  e.initiate(e.a());
  const auto first = e.run();
  ASSERT_EQ(first.size(), 4U);
  EXPECT_TRUE(contains(first[2], "AUTH N(SA_RESOURCE_INFO) SA TSi TSr")) << first[2];
  EXPECT_TRUE(contains(first[3], "AUTH N(SA_RESOURCE_INFO) SA TSi TSr")) << first[3];
  expect_numbers(e, {std::nullopt});
  EXPECT_EQ(last_done(e.a()).ok, true);
  const auto then = e.advance_and_run(1s);
  EXPECT_EQ(then, (std::vector<std::string>{
                      "A -> B CREATE_CHILD_SA request 2: N(SA_RESOURCE_INFO) SA Ni TSi TSr",
                      "A <- B CREATE_CHILD_SA response 2: N(SA_RESOURCE_INFO) SA Nr TSi TSr",
                      "A -> B CREATE_CHILD_SA request 3: N(SA_RESOURCE_INFO) SA Ni TSi TSr",
                      "A <- B CREATE_CHILD_SA response 3: N(SA_RESOURCE_INFO) SA Nr TSi TSr",
                  }));
  expect_numbers(e, {std::nullopt, 0, 1});
  expect_pairs(e.a(), e.b());
  expect_pairs(e.b(), e.a());
  // Nothing more is asked for, today or tomorrow, and nobody is told of what nobody asked for.
  EXPECT_TRUE(lines_with(e.advance_and_run(20min), "CREATE_CHILD_SA").empty());
  EXPECT_EQ(e.a().done.size(), 1U);
  const auto children = e.a().endpoint().status().at(0).children;
  ASSERT_EQ(children.size(), 3U);
  EXPECT_EQ(children[0].resource, std::nullopt);
  EXPECT_EQ(children[2].resource, 1);
}

TEST(Clones, WhatTheNotificationsSay) {
  Exchange e(with(2), mirrored(with({})));
  std::vector<Bytes> data;
  e.on_wire = [&](Flight& flight) {
    const auto* n = wire::ike::find_notify(flight.decoded.payloads, wire::ike::NotifyType::kSaResourceInfo);
    if (n != nullptr) data.push_back(n->data);
    return true;
  };
  e.initiate(e.a());
  e.advance_and_run(1s);
  EXPECT_EQ(data, (std::vector<Bytes>{{}, {}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 0, 1}}));
  EXPECT_EQ(static_cast<unsigned>(wire::ike::NotifyType::kSaResourceInfo), 16444U);
  EXPECT_EQ(static_cast<unsigned>(wire::ike::NotifyType::kTsMaxQueue), 48U);
}

TEST(Clones, APeerThatDoesNotKnowOfThemHasOneSa) {
  Exchange e(with(2), mirrored(with(0)));
  e.initiate(e.a());
  e.advance_and_run(1h);
  expect_numbers(e, {std::nullopt});
  EXPECT_TRUE(e.a().reported("clones-declined"));
}

TEST(Clones, WithoutThemNothingIsSaid) {
  Exchange e(with({}), mirrored(with({})));
  e.initiate(e.a());
  EXPECT_TRUE(lines_with(e.run(), "SA_RESOURCE_INFO").empty());
}

TEST(Clones, ThePeerTakesAsManyAsItMay) {
  Exchange e(with(4), mirrored(with(2)));
  e.initiate(e.a());
  auto seen = e.advance_and_run(1min);
  EXPECT_EQ(lines_with(seen, "N(TS_MAX_QUEUE)"),
            std::vector<std::string>{"A <- B CREATE_CHILD_SA response 4: N(TS_MAX_QUEUE)"});
  expect_numbers(e, {std::nullopt, 0, 1});
  EXPECT_TRUE(e.a().reported("clones-refused"));
  EXPECT_TRUE(e.b().reported("too-many-clones"));
  // Asked again, but not soon.
  EXPECT_TRUE(lines_with(e.advance_and_run(7min), "CREATE_CHILD_SA").empty());
  seen = e.advance_and_run(5min);
  EXPECT_EQ(lines_with(seen, "N(TS_MAX_QUEUE)").size(), 1U);
  expect_numbers(e, {std::nullopt, 0, 1});
}

TEST(Clones, EachIsRekeyedForItsThread) {
  for (const bool by_a : {true, false}) {
    Exchange e(with(2), mirrored(with({})));
    e.initiate(e.a());
    e.advance_and_run(1s);
    std::vector<Spi> before;
    for (const auto& n :
         {std::optional<std::uint16_t>{}, std::optional<std::uint16_t>{0}, std::optional<std::uint16_t>{1}})
      before.push_back(spi_of(e.a(), n));
    e.rekey_child(by_a ? e.a() : e.b());
    const auto seen = e.advance_and_run(60s);
    EXPECT_EQ(lines_with(seen, "N(REKEY_SA) N(SA_RESOURCE_INFO)").size(), 3U);
    expect_numbers(e, {std::nullopt, 0, 1});
    expect_pairs(e.a(), e.b());
    EXPECT_NE(spi_of(e.a(), {}), before[0]);
    EXPECT_NE(spi_of(e.a(), 0), before[1]);
    EXPECT_NE(spi_of(e.a(), 1), before[2]);
    EXPECT_TRUE(lines_with(e.advance_and_run(20min), "CREATE_CHILD_SA").empty()) << "and that is all";
  }
}

TEST(Clones, BothRekeyAtTheSameTime) {
  Exchange e(with(1), mirrored(with({})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  for (int round = 0; round < 8; ++round) {
    e.rekey_child(e.a());
    e.rekey_child(e.b());
    e.advance_and_run(200s);
    expect_numbers(e, {std::nullopt, 0});
    expect_pairs(e.a(), e.b());
  }
}

TEST(Clones, SurviveTheRekeyOfTheIkeSa) {
  Exchange e(with(2), mirrored(with({})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  for (auto* who : {&e.a(), &e.b()}) {
    e.rekey_ike(*who);
    e.advance_and_run(10s);
    expect_numbers(e, {std::nullopt, 0, 1});
  }
  e.rekey_child(e.b());
  e.advance_and_run(60s);
  expect_numbers(e, {std::nullopt, 0, 1});
}

TEST(Clones, OneThatThePeerClosesComesBackAfterAWhile) {
  Exchange e(with(2), mirrored(with({})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  // Its hard lifetime ends at B alone.
  const auto gone = [&] {
    for (const auto& entry : e.b().plane.entries()) {
      if (entry.spec.direction == model::Direction::kOutbound && entry.spec.resource == 1) return entry.spec.child;
    }
    return model::ChildId{};
  }();
  e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_child_expiring(e.now(), gone, true); });
  e.advance_and_run(5s);
  EXPECT_EQ(numbers(e.a()), (Numbers{std::nullopt, 0}));
  e.advance_and_run(80s);
  expect_numbers(e, {std::nullopt, 0, 1});
}

TEST(Clones, GoWithTheirChild) {
  Exchange e(with(3), mirrored(with({})));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_numbers(e, {std::nullopt, 0, 1, 2});
  e.terminate(e.b(), "tun", "tun");
  e.advance_and_run(10s);
  e.expect_nothing_left();
}

TEST(Clones, WithoutTheirChildTheyEndAndItComesBackWithThem) {
  auto of_a = restarting(2);
  of_a.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  auto of_b = with({});
  of_b.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  Exchange e(of_a, mirrored(of_b));
  e.initiate(e.a(), "tun", "lab");
  e.initiate(e.a(), "tun", "tun");
  e.advance_and_run(5s);
  EXPECT_EQ(e.a().plane.entries().size(), 8U);
  const auto kind_of = [](Side& side, const std::string& name) {
    Numbers out;
    for (const auto& entry : side.plane.entries()) {
      if (entry.spec.direction == model::Direction::kOutbound && entry.spec.child_name == name)
        out.insert(entry.spec.resource);
    }
    return out;
  };
  const auto tun = [&] {
    for (const auto& entry : e.b().plane.entries()) {
      if (entry.spec.child_name == "tun" && !entry.spec.resource) return entry.spec.child;
    }
    return model::ChildId{};
  }();
  e.b().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_child_expiring(e.now(), tun, true); });
  e.run();
  EXPECT_EQ(kind_of(e.a(), "tun"), Numbers{});
  e.advance_and_run(30s);
  EXPECT_EQ(kind_of(e.a(), "tun"), (Numbers{std::nullopt, 0, 1}));
  EXPECT_EQ(kind_of(e.b(), "tun"), (Numbers{std::nullopt, 0, 1}));
  EXPECT_EQ(kind_of(e.a(), "lab"), Numbers{std::nullopt});
  e.expect_no_faults();
}

TEST(Clones, OutliveACrashOfEitherEnd) {
  for (const bool of_a : {true, false}) {
    Exchange e(with(2), mirrored(with({})));
    e.initiate(e.a());
    e.advance_and_run(1s);
    auto& side = of_a ? e.a() : e.b();
    side.crash();
    side.restart(e.now());
    e.advance_and_run(5s);
    expect_numbers(e, {std::nullopt, 0, 1});
    e.rekey_child(side);
    e.advance_and_run(60s);
    expect_numbers(e, {std::nullopt, 0, 1});
    expect_pairs(e.a(), e.b());
    EXPECT_TRUE(lines_with(e.advance_and_run(20min), "CREATE_CHILD_SA").empty());
  }
}

TEST(Clones, AreNoRoomForFurtherChildren) {
  auto of_b = with({});
  of_b.max_children = 1;
  Exchange e(with(3), mirrored(of_b));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_numbers(e, {std::nullopt, 0, 1, 2});
  e.rekey_child(e.a());
  e.advance_and_run(60s);
  expect_numbers(e, {std::nullopt, 0, 1, 2});
}

TEST(Clones, WithKeyExchangesOfTheirOwn) {
  auto of_a = with(2);
  of_a.children[0].proposals = {esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                             {model::KeGroup::kX25519}, {model::EsnChoice::kNo})};
  Exchange e(of_a, mirrored(of_a));
  e.initiate(e.a());
  const auto seen = e.advance_and_run(1s);
  EXPECT_EQ(lines_with(seen, "N(SA_RESOURCE_INFO) SA Ni KE TSi TSr").size(), 2U);
  expect_numbers(e, {std::nullopt, 0, 1});
  expect_pairs(e.a(), e.b());
}

TEST(Clones, BothEndsMayWantThem) {
  // Both begin at once: one of the first children stays, and has the clones of whoever made it.
  Exchange e(restarting(2), mirrored(restarting(2)));
  e.advance_and_run(120s);
  EXPECT_EQ(e.a().endpoint().status().size(), 1U);
  expect_numbers(e, {std::nullopt, 0, 1});
  expect_pairs(e.a(), e.b());
}

// Something of B's crosses A's way to its clones, after 0, 1, 2, ... datagrams of it. Whose first child stays has the
// clones.
void expect_clones_though(const std::function<void(Exchange&)>& begin) {
  for (int datagrams = 0; datagrams < 12; ++datagrams) {
    SCOPED_TRACE(datagrams);
    Exchange e(restarting(2), mirrored(with(2)));
    e.initiate(e.a());
    for (int i = 0; i < datagrams && !e.in_the_air().empty(); ++i) e.deliver();
    begin(e);
    e.advance_and_run(15min);
    EXPECT_EQ(e.a().endpoint().status().size(), 1U);
    expect_numbers(e, {std::nullopt, 0, 1});
    expect_pairs(e.a(), e.b());
  }
}

TEST(Clones, AreAskedForAfterThePeerBeganAnIkeSaOfItsOwn) {
  expect_clones_though([](Exchange& e) { e.initiate(e.b()); });
}

TEST(Clones, AreAskedForWhileThePeerRekeysTheIkeSa) {
  expect_clones_though([](Exchange& e) { e.rekey_ike(e.b()); });
}

TEST(Clones, AreAskedForWhileThePeerRekeysTheirChild) {
  expect_clones_though([](Exchange& e) { e.rekey_child(e.b()); });
}

// Each end sends on the SA of its own thread: what leaves on a clone is answered on the SA of all.
TEST(Clones, OneThatOnlySendsIsHeardOnTheOthers) {
  auto of_a = with(2);
  auto of_b = with({});
  of_a.dpd_delay_s = of_b.dpd_delay_s = 30;
  Exchange e(of_a, mirrored(of_b));
  e.initiate(e.a());
  e.advance_and_run(1s);
  const auto send = [&](Side& from, Side& to, std::optional<std::uint16_t> number) {
    for (const auto& entry : from.plane.entries()) {
      if (entry.spec.direction != model::Direction::kOutbound || entry.spec.resource != number) continue;
      std::optional<model::ChildId> activated;
      EXPECT_TRUE(to.plane.receive(entry.spec, e.now(), activated));
      from.plane.note_sent(entry.spec.child, e.now());
    }
  };
  for (const auto& number : {std::optional<std::uint16_t>{}, std::optional<std::uint16_t>{1}}) {
    send(e.a(), e.b(), number);
    send(e.b(), e.a(), number);
  }
  std::vector<std::string> seen;
  for (int i = 0; i < 120; ++i) {
    send(e.a(), e.b(), 1);
    send(e.b(), e.a(), std::nullopt);
    for (auto& line : e.advance_and_run(5s)) seen.push_back(std::move(line));
  }
  EXPECT_TRUE(lines_with(seen, "CREATE_CHILD_SA").empty());
  EXPECT_TRUE(lines_with(seen, "IKE_SA_INIT").empty());
  EXPECT_FALSE(e.a().reported("child-unheard"));
  EXPECT_FALSE(e.b().reported("child-unheard"));
  // Nothing comes any more, on any of them: then it is looked at.
  for (int i = 0; i < 40; ++i) {
    for (const auto& entry : e.a().plane.entries()) {
      if (entry.spec.resource == 1) e.a().plane.note_sent(entry.spec.child, e.now());
    }
    e.advance_and_run(5s);
  }
  EXPECT_TRUE(e.a().reported("child-unheard"));
}

TEST(Clones, NoneForIpTfs) {
  auto of_b = with({});
  of_b.children[0].iptfs.enabled = true;
  Exchange e(with(2), mirrored(of_b));
  e.initiate(e.a());
  e.advance_and_run(1s);
  expect_numbers(e, {std::nullopt});
}

}  // namespace
}  // namespace cygnet::test
