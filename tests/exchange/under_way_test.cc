// SPDX-License-Identifier: Apache-2.0
// What is taken away while the peer is being asked for it does not come up afterwards: not by `cygnet down`, not by a
// change of the configuration.
#include <gtest/gtest.h>

#include <algorithm>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

bool has_child(const Side& side, const std::string& connection, const std::string& name) {
  const auto specs = side.plane.specs();
  return std::ranges::any_of(specs, [&](const auto& s) { return s.connection == connection && s.child_name == name; });
}

bool has_child(Exchange& e, const std::string& connection, const std::string& name) {
  return has_child(e.a(), connection, name) || has_child(e.b(), connection, name);
}

model::Connection with_lab() {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  return connection;
}

// Two connections with one peer, whose children live on one IKE SA.
struct TwoConnections : testing::Test {
  model::Connection one = tunnel("one");
  model::Connection two = tunnel("two");
  Exchange e;

  TwoConnections() {
    two.children = {child("two", "10.1.0.0/16", "10.7.0.0/16")};
    e.add("A", "192.0.2.1", {one, two}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {mirrored(one), mirrored(two)}, {secret("s3cret")});
  }
  void configure(std::vector<model::Connection> connections) {
    e.a().configure(e.now(), std::move(connections), {secret("s3cret")});
  }
  void expect_none_of_two() {
    e.run();
    e.advance_and_run(60s);
    EXPECT_FALSE(has_child(e, "two", "two"));
    e.advance_and_run(24h);
    EXPECT_FALSE(has_child(e, "two", "two")) << "after a day";
    EXPECT_TRUE(has_child(e, "one", "one"));
  }
};
using UnderWay = TwoConnections;

TEST(TakenDownUnderWay, ANewChild) {
  Exchange e(with_lab());
  e.initiate(e.a(), "tun", "tun");
  e.run();
  e.initiate(e.a(), "tun", "lab");
  const bool asked = !e.in_the_air().empty();
  ASSERT_TRUE(asked);
  e.terminate(e.a(), "tun", "lab");
  e.run();
  e.advance_and_run(300s);
  EXPECT_FALSE(has_child(e, "tun", "lab"));
  e.expect_tunnel(1);
}

// Whoever wants it again at once gets it.
TEST(TakenDownUnderWay, AndWantedAgain) {
  Exchange e(with_lab());
  e.initiate(e.a(), "tun", "tun");
  e.run();
  e.initiate(e.a(), "tun", "lab");
  e.terminate(e.a(), "tun", "lab");
  e.initiate(e.a(), "tun", "lab");
  e.run();
  e.advance_and_run(60s);
  EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "lab"));
  const auto specs = e.a().plane.specs();
  EXPECT_EQ(std::ranges::count_if(specs, [](const auto& s) { return s.child_name == "lab"; }), 2);
}

TEST(TakenDownUnderWay, AChildThatIsBeingRekeyed) {
  for (const bool by_a : {true, false}) {
    Exchange e(with_lab());
    e.bring_up();
    e.run();
    ASSERT_TRUE(has_child(e, "tun", "lab"));
    e.rekey_child(by_a ? e.a() : e.b(), "tun", "lab");
    if (!by_a) e.deliver();
    e.terminate(e.a(), "tun", "lab");
    e.run();
    e.advance_and_run(60s);
    EXPECT_FALSE(has_child(e, "tun", "lab")) << by_a;
    e.expect_tunnel(1);
  }
}

// The process dies in between: the next one knows of it.
TEST(TakenDownUnderWay, AndTheProcessDies) {
  Exchange e(with_lab());
  e.initiate(e.a(), "tun", "tun");
  e.run();
  e.initiate(e.a(), "tun", "lab");
  e.terminate(e.a(), "tun", "lab");
  e.a().crash();
  e.a().restart(e.now());
  e.run();
  e.advance_and_run(300s);
  EXPECT_FALSE(has_child(e, "tun", "lab"));
}

TEST_F(UnderWay, TheConnectionIsTakenDown) {
  e.initiate(e.a(), "one", "one");
  e.run();
  e.initiate(e.a(), "two", "two");
  e.terminate(e.a(), "two", "");
  expect_none_of_two();
}

TEST_F(UnderWay, TheConnectionIsRemoved) {
  e.initiate(e.a(), "one", "one");
  e.run();
  e.initiate(e.a(), "two", "two");
  configure({one});
  expect_none_of_two();
}

TEST_F(UnderWay, TheConnectionIsRemovedBehindIkeAuth) {
  e.initiate(e.a(), "one", "one");
  e.initiate(e.a(), "two", "two");
  configure({one});
  expect_none_of_two();
}

TEST_F(UnderWay, TheConnectionIsRemovedInARekey) {
  for (const bool by_a : {true, false}) {
    configure({one, two});
    e.initiate(e.a(), "one", "one");
    e.run();
    e.initiate(e.a(), "two", "two");
    e.run();
    ASSERT_TRUE(has_child(e, "two", "two"));
    e.rekey_child(by_a ? e.a() : e.b(), "two", "two");
    if (!by_a) e.deliver();
    configure({one});
    expect_none_of_two();
  }
}

// Other selectors: what was asked for with the old ones does not come.
TEST_F(UnderWay, TheConnectionIsChanged) {
  e.initiate(e.a(), "one", "one");
  e.run();
  e.initiate(e.a(), "two", "two");
  auto narrow = two;
  narrow.children = {child("two", "10.1.0.0/16", "10.7.1.0/24")};
  configure({one, narrow});
  e.run();
  e.advance_and_run(60s);
  EXPECT_FALSE(has_child(e, "two", "two"));
  e.initiate(e.a(), "two", "two");
  e.run();
  ASSERT_TRUE(has_child(e, "two", "two"));
  for (const auto& spec : e.a().plane.specs()) {
    if (spec.connection == "two") {
      EXPECT_EQ(model::to_string(spec.remote_selectors), "10.7.1.0/24");
    }
  }
}

}  // namespace
}  // namespace cygnet::test
