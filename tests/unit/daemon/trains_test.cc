// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/trains.h"

#include <gtest/gtest.h>

namespace cygnet::daemon {
namespace {

const Endpoint kHere{IpAddress::v4(0xc0000201), 500};
const Endpoint kPeer{IpAddress::v4(0xc0000202), 500};
const Endpoint kOther{IpAddress::v4(0xc0000203), 500};

class TrainsTest : public testing::Test {
 protected:
  void add(const Endpoint& remote, std::size_t octets, std::uint8_t fill, bool marked = false, bool at_once = false) {
    all_.push_back({.path = {kHere, remote, marked}, .bytes = Bytes(octets, fill), .at_once = at_once});
  }
  Trains make() {
    pointers_.clear();
    for (const auto& one : all_) pointers_.push_back(&one);
    return make_trains(pointers_);
  }
  // What the peers get, datagram by datagram.
  static std::vector<std::pair<Endpoint, Bytes>> arriving(const Trains& trains) {
    std::vector<std::pair<Endpoint, Bytes>> out;
    for (const auto& car : trains.cars) {
      const auto step = car.segment_octets == 0 ? car.data.size() : car.segment_octets;
      for (std::size_t at = 0; at < car.data.size(); at += step) {
        const auto piece = car.data.subspan(at, std::min(step, car.data.size() - at));
        out.emplace_back(car.remote, Bytes(piece.begin(), piece.end()));
      }
    }
    return out;
  }

  std::deque<ike::SendDatagram> all_;
  std::vector<const ike::SendDatagram*> pointers_;
};

TEST_F(TrainsTest, OneLengthAndOnePeerAreOneTrainAndTheLastMayBeShorter) {
  add(kPeer, 200, 1);
  add(kPeer, 200, 2);
  add(kPeer, 120, 3);
  add(kPeer, 120, 4);
  const auto trains = make();
  ASSERT_EQ(trains.cars.size(), 2U);
  EXPECT_EQ(trains.cars[0].segment_octets, 200U);
  EXPECT_EQ(trains.cars[0].data.size(), 520U);
  EXPECT_EQ(trains.cars[1].segment_octets, 0U);
  EXPECT_EQ(trains.sources[1], &all_[3]);
  EXPECT_EQ(arriving(trains),
            (std::vector<std::pair<Endpoint, Bytes>>{
                {kPeer, Bytes(200, 1)}, {kPeer, Bytes(200, 2)}, {kPeer, Bytes(120, 3)}, {kPeer, Bytes(120, 4)}}));
}

TEST_F(TrainsTest, EachHasItsMarker) {
  add(kPeer, 100, 1, true);
  add(kPeer, 100, 2, true);
  add(kOther, 100, 3, true);
  const auto got = arriving(make());
  ASSERT_EQ(got.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    Bytes expected(4, 0);
    append(expected, all_[i].bytes);
    EXPECT_EQ(got[i].second, expected);
  }
  EXPECT_EQ(got[2].first, kOther);
}

TEST_F(TrainsTest, OthersTravelAlone) {
  add(kPeer, 100, 1);
  add(kOther, 100, 2);
  add(kPeer, 100, 3);
  add(kPeer, 101, 4);               // longer than what goes before
  add(kPeer, 101, 5, false, true);  // another kind of failure
  add(kPeer, 1300, 6);
  add(kPeer, 1300, 7);
  const auto trains = make();
  EXPECT_EQ(trains.cars.size(), 7U);
  for (const auto& car : trains.cars) EXPECT_EQ(car.segment_octets, 0U);
  EXPECT_TRUE(trains.memory.empty());
  EXPECT_EQ(arriving(trains)[3].second, Bytes(101, 4));
}

}  // namespace
}  // namespace cygnet::daemon
