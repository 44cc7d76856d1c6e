// SPDX-License-Identifier: Apache-2.0
// Every order in which the datagrams of two simultaneous exchanges can arrive (RFC 7296 sections 2.8 and 2.25), each
// with no mishap and with one datagram lost or doubled at every place. Not chosen cases: all of them, by depth-first
// search over "which datagram arrives next, and what becomes of it".
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "exchange/arrows.h"

namespace cygnet::test {
namespace {

enum class Act : std::uint8_t { kNothing, kRekeyChild, kRekeyIke, kNewChild, kDeleteChild, kDeleteIke };
constexpr std::array<std::string_view, 6> kActNames = {"Nothing",  "RekeyChild",  "RekeyIke",
                                                       "NewChild", "DeleteChild", "DeleteIke"};
enum class Fate : std::uint8_t { kArrives, kIsLost, kArrivesTwice };

// One way through the tree of choices; the next one follows from how wide the tree was at each step.
class Choices {
 public:
  std::size_t choose(std::size_t width) {
    if (step_ == path_.size()) path_.push_back({0, width});
    path_[step_].width = width;
    return path_[step_++].taken;
  }
  // False: all have been seen.
  bool next() {
    step_ = 0;
    while (!path_.empty() && path_.back().taken + 1 >= path_.back().width) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& step : path_) out += std::to_string(step.taken) + " ";
    return out;
  }

 private:
  struct Step {
    std::size_t taken = 0, width = 0;
  };
  std::vector<Step> path_;
  std::size_t step_ = 0;
};

model::Connection connection_for_all() {
  auto connection = tunnel("tun");
  connection.children.push_back(child("lab", "10.1.0.0/16", "10.7.0.0/16"));
  connection.retransmit_timeout_ms = 20000;
  connection.ike_lifetime_s = 0;
  for (auto& each : connection.children) each.lifetime_s = 0;
  return connection;
}

void begin(Exchange& e, Side& side, Act act) {
  switch (act) {
    case Act::kNothing: break;
    case Act::kRekeyChild: e.rekey_child(side); break;
    case Act::kRekeyIke: e.rekey_ike(side); break;
    case Act::kNewChild: e.initiate(side, "tun", "lab"); break;
    case Act::kDeleteChild: e.terminate(side, "tun", "tun"); break;
    case Act::kDeleteIke: e.terminate(side); break;
  }
}

bool deletes(Act act) { return act == Act::kDeleteChild || act == Act::kDeleteIke; }

std::set<std::pair<IkeSpi, IkeSpi>> ike_sas(const Side& side) {
  std::set<std::pair<IkeSpi, IkeSpi>> out;
  for (const auto& sa : side.endpoint().status()) out.insert({sa.spi_i, sa.spi_r});
  return out;
}

std::set<Spi> spis(const Side& side, model::Direction direction) {
  std::set<Spi> out;
  for (const auto& entry : side.plane.entries()) {
    if (entry.spec.direction == direction) out.insert(entry.spec.spi);
  }
  return out;
}

struct Story {
  Act of_a, of_b;
  bool traffic;  // packets pass all the time: they end standbys
};

class Interleaving : public ::testing::TestWithParam<Story> {
 protected:
  // One life along one path. False once something is wrong.
  bool live(Choices& choices) {
    Exchange e;
    e.toy_key_exchange = true;
    e.add("A", "192.0.2.1", {connection_for_all()}, {secret("s3cret")});
    e.add("B", "198.51.100.1", {mirrored(connection_for_all())}, {secret("s3cret")});
    e.initiate(e.a(), "tun", "tun");
    e.run();
    e.history.clear();
    begin(e, e.a(), GetParam().of_a);
    begin(e, e.b(), GetParam().of_b);
    bool mishap = false;
    while (!e.in_the_air().empty()) {
      const std::size_t flying = e.in_the_air().size();
      const std::size_t choice = choices.choose(mishap ? flying : flying * 3);
      const Flight flight = e.take_at(choice % flying);
      const auto fate = static_cast<Fate>(choice / flying);
      mishap = mishap || fate != Fate::kArrives;
      if (fate != Fate::kIsLost) e.inject(flight);
      if (fate == Fate::kArrivesTwice) e.inject(flight);
      if (GetParam().traffic) carry(e);
    }
    e.advance_and_run(120s);
    check(e);
    if (HasFailure()) {
      std::string told;
      for (const auto& arrow : e.history) told += "\n    " + arrow;
      ADD_FAILURE() << "choices " << choices.text() << told;
    }
    return !HasFailure();
  }

 private:
  [[nodiscard]] static bool may_end() { return deletes(GetParam().of_a) || deletes(GetParam().of_b); }

  static void carry(Exchange& e) {
    const bool there = e.packet(e.a(), e.b());
    const bool back = e.packet(e.b(), e.a());
    if (may_end()) return;
    EXPECT_TRUE(there) << "A's packet is lost";
    EXPECT_TRUE(back) << "B's packet is lost";
  }

  static void check(Exchange& e) {
    e.expect_no_faults();
    EXPECT_EQ(ike_sas(e.a()), ike_sas(e.b()));
    EXPECT_EQ(spis(e.a(), model::Direction::kOutbound), spis(e.b(), model::Direction::kInbound));
    EXPECT_EQ(spis(e.b(), model::Direction::kOutbound), spis(e.a(), model::Direction::kInbound));
    EXPECT_EQ(e.a().checkpoints.size(), ike_sas(e.a()).size());
    EXPECT_EQ(e.b().checkpoints.size(), ike_sas(e.b()).size());
    for (const auto* side : {&e.a(), &e.b()}) {
      for (const auto& sa : side->endpoint().status()) EXPECT_TRUE(sa.pending.empty()) << sa.pending.front();
    }
    if (may_end()) return;
    const bool both = GetParam().of_a == Act::kNewChild || GetParam().of_b == Act::kNewChild;
    EXPECT_EQ(ike_sas(e.a()).size(), 1U);
    EXPECT_TRUE(e.packet(e.a(), e.b()) && e.packet(e.b(), e.a()));
    EXPECT_EQ(spis(e.a(), model::Direction::kInbound).size(), both ? 2U : 1U);
    if (!both) return;
    EXPECT_TRUE(e.packet(e.a(), e.b(), "tun", "lab") && e.packet(e.b(), e.a(), "tun", "lab"));
  }
};

TEST_P(Interleaving, EndsWell) {
  Choices choices;
  std::size_t lives = 0;
  do {
    ++lives;
    if (!live(choices)) return;
  } while (choices.next());
  RecordProperty("lives", static_cast<int>(lives));
  EXPECT_GE(lives, GetParam().of_b == Act::kNothing ? 4U : 20U);
}

std::vector<Story> all_stories() {
  std::vector<Story> out;
  for (std::size_t a = 1; a < kActNames.size(); ++a) {
    for (std::size_t b = 0; b < kActNames.size(); ++b) {
      for (const bool traffic : {false, true}) out.push_back({static_cast<Act>(a), static_cast<Act>(b), traffic});
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, Interleaving, ::testing::ValuesIn(all_stories()), [](const auto& each) {
  return std::string(kActNames.at(static_cast<std::size_t>(each.param.of_a))) + "And" +
         std::string(kActNames.at(static_cast<std::size_t>(each.param.of_b))) +
         (each.param.traffic ? "UnderTraffic" : "Idle");
});

}  // namespace
}  // namespace cygnet::test
