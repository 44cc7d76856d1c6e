// SPDX-License-Identifier: Apache-2.0
// A responder with an SA for each pair of networks gives one of them, and the next packet asks for the next (RFC 7296
// section 2.9).
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

struct Parts : testing::Test {
  model::Connection both = tunnel("tun");

  Parts() {
    auto& remote = both.children[0].remote;
    remote.push_back(remote.front());
    remote.back().range = model::TrafficSelector::parse("10.3.0.0/16")->range;
    auto of_b = mirrored(both);
    auto second = of_b.children[0];
    of_b.children[0].local.pop_back();
    second.name = "second";
    second.local.erase(second.local.begin());
    of_b.children.push_back(second);
    e.add("A", "192.0.2.1", {both}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {of_b}, {secret("s3cret")});
  }
  void packet_to(const char* address) {
    const auto packet =
        std::pair{*model::TrafficSelector::parse("10.1.0.5/32"), *model::TrafficSelector::parse(address)};
    e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.initiate(e.now(), "tun", "tun", packet); });
    e.advance_and_run(10s);
  }
  // What A protects now, each once.
  std::set<std::string> up() {
    std::set<std::string> out;
    std::size_t count = 0;
    for (const auto& spec : e.a().plane.specs()) {
      if (spec.direction != model::Direction::kOutbound) continue;
      ++count;
      out.insert(model::to_string(spec.remote_selectors));
    }
    EXPECT_EQ(out.size(), count) << "the same twice";
    EXPECT_EQ(e.b().plane.entries().size(), e.a().plane.entries().size());
    return out;
  }

  Exchange e;
};

using Networks = std::set<std::string>;

TEST_F(Parts, ThePacketThatIsNotCoveredAsksForItsPart) {
  packet_to("10.2.0.5/32");
  EXPECT_EQ(up(), Networks{"10.2.0.0/16"});
  packet_to("10.3.0.5/32");
  EXPECT_EQ(up(), (Networks{"10.2.0.0/16", "10.3.0.0/16"}));
  // What is covered asks for nothing.
  const auto before = e.a().done.size();
  packet_to("10.2.0.6/32");
  packet_to("10.3.0.6/32");
  EXPECT_EQ(up(), (Networks{"10.2.0.0/16", "10.3.0.0/16"}));
  ASSERT_EQ(e.a().done.size(), before + 2);
  EXPECT_TRUE(e.a().done.back().ok);
}

// A peer that answers each packet with the same part does not get one SA after the other.
TEST_F(Parts, WhatIsUpAlreadyIsNotMadeAgain) {
  auto of_b = mirrored(both);
  of_b.children[0].local.pop_back();
  e.b().configure(e.now(), {of_b}, {secret("s3cret")});
  packet_to("10.2.0.5/32");
  for (int i = 0; i < 3; ++i) {
    packet_to("10.3.0.5/32");
    EXPECT_EQ(up(), Networks{"10.2.0.0/16"});
    ASSERT_FALSE(e.a().done.empty());
    EXPECT_FALSE(e.a().done.back().ok) << "so that the next packet waits before it asks";
  }
}

// Whatever the configuration says of keeping it up: it is up, and the packet's sender comes again or does not.
TEST_F(Parts, APartThatThePeerRefusesIsNotAskedForByItself) {
  both.children[0].start = model::StartAction::kStart;
  both.keying_tries = 0;
  auto of_b = mirrored(both);
  of_b.children[0].local.pop_back();
  of_b.children[0].start = model::StartAction::kAdd;
  e.b().configure(e.now(), {of_b}, {secret("s3cret")});
  e.a().configure(e.now(), {both}, {secret("s3cret")});
  e.advance_and_run(10s);
  EXPECT_EQ(up(), Networks{"10.2.0.0/16"});
  packet_to("10.3.0.5/32");
  ASSERT_FALSE(e.a().done.empty());
  EXPECT_FALSE(e.a().done.back().will_retry);
  ASSERT_TRUE(e.a().done.back().refused_packet);
  EXPECT_EQ(e.a().done.back().refused_packet->to_string(), "10.3.0.5/32");
  std::size_t asked = 0;
  e.on_wire = [&](const Flight&) { return ++asked != 0; };
  e.advance_and_run(300s);
  EXPECT_EQ(asked, 0U);
  packet_to("10.3.0.5/32");
  EXPECT_EQ(asked, 4U) << "asked for, refused by what is up already, deleted: two exchanges";
}

// A new IKE SA gets all parts that the old one had, whoever made them.
TEST_F(Parts, AReauthenticationKeepsEach) {
  both.reauth = true;
  both.ike_lifetime_s = 600;
  both.rekey_margin_s = 60;
  e.a().configure(e.now(), {both}, {secret("s3cret")});
  packet_to("10.2.0.5/32");
  packet_to("10.3.0.5/32");
  const auto before = e.a().endpoint().status().at(0).spi_i;
  e.advance_and_run(20min);
  const auto now = e.a().endpoint().status();
  ASSERT_EQ(now.size(), 1U);
  EXPECT_NE(now[0].spi_i, before);
  EXPECT_EQ(up(), (Networks{"10.2.0.0/16", "10.3.0.0/16"}));
}

// What is to stay up does so in all its parts.
TEST_F(Parts, OneThatEndsIsMadeAnew) {
  both.children[0].start = model::StartAction::kStart;
  e.a().configure(e.now(), {both}, {secret("s3cret")});
  packet_to("10.2.0.5/32");
  packet_to("10.3.0.5/32");
  for (const auto& spec : e.a().plane.specs()) {
    if (spec.direction != model::Direction::kOutbound) continue;
    e.a().act(e.now(), [&](ike::IkeEndpoint& x) { x.on_child_expiring(e.now(), spec.child, true); });
    e.advance_and_run(60s);
    EXPECT_EQ(up(), (Networks{"10.2.0.0/16", "10.3.0.0/16"}));
  }
}

}  // namespace
}  // namespace cygnet::test
