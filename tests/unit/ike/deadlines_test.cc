// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/deadlines.h"

#include <gtest/gtest.h>

namespace cygnet::ike::v2 {
namespace {

using std::chrono::seconds;

Instant at(int s) { return Instant{} + seconds(s); }

class DeadlinesTest : public testing::Test {
 protected:
  IkeSa& add(std::uint64_t spi) {
    auto sa = std::make_unique<IkeSa>();
    sa->initiator = true;
    sa->spi_i = IkeSpi(spi);
    return *(sas_[IkeSpi(spi)] = std::move(sa));
  }
  void set(IkeSa& sa, Instant due) {
    sa.due = due;
    deadlines_.note(sa);
    deadlines_.tidy(sas_);
  }

  Deadlines::Sas sas_;
  Deadlines deadlines_;
};

TEST_F(DeadlinesTest, TellsTheTruthWhicheverWayTheyMove) {
  auto& a = add(1);
  auto& b = add(2);
  EXPECT_EQ(deadlines_.next(), kNever);
  set(a, at(10));
  set(b, at(20));
  EXPECT_EQ(deadlines_.next(), at(10));
  set(a, at(30));
  EXPECT_EQ(deadlines_.next(), at(20));
  set(b, at(5));
  EXPECT_EQ(deadlines_.next(), at(5));
  set(b, kNever);
  EXPECT_EQ(deadlines_.next(), at(30));
  set(a, kNever);
  EXPECT_EQ(deadlines_.next(), kNever);
  EXPECT_EQ(deadlines_.entries(), 0U);
}

TEST_F(DeadlinesTest, TakesOutWhatIsDueInOrderAndOnce) {
  set(add(7), at(3));
  set(add(5), at(3));
  set(add(9), at(1));
  set(add(2), at(4));
  auto& moved = add(3);
  set(moved, at(2));
  set(moved, at(8));
  EXPECT_EQ(deadlines_.take_due(sas_, at(0)), (std::vector<IkeSpi>{}));
  EXPECT_EQ(deadlines_.take_due(sas_, at(3)), (std::vector{IkeSpi(9), IkeSpi(5), IkeSpi(7)}));
  EXPECT_EQ(deadlines_.take_due(sas_, at(3)), (std::vector<IkeSpi>{}));
  EXPECT_EQ(deadlines_.next(), at(4));
  EXPECT_EQ(deadlines_.take_due(sas_, at(9)), (std::vector{IkeSpi(2), IkeSpi(3)}));
  EXPECT_EQ(deadlines_.next(), kNever);
}

TEST_F(DeadlinesTest, WhoIsGoneIsNeverDue) {
  set(add(1), at(1));
  set(add(2), at(2));
  sas_.erase(IkeSpi(1));
  deadlines_.tidy(sas_);
  EXPECT_EQ(deadlines_.next(), at(2));
  EXPECT_EQ(deadlines_.take_due(sas_, at(5)), (std::vector{IkeSpi(2)}));
}

TEST_F(DeadlinesTest, EntriesOfNoUseAreBounded) {
  auto& keeper = add(1);
  set(keeper, at(1));
  auto& restless = add(2);
  for (int i = 10000; i > 100; --i) set(restless, at(i));
  EXPECT_LE(deadlines_.entries(), 2 * sas_.size() + 64);
  set(keeper, kNever);
  EXPECT_EQ(deadlines_.next(), at(101));
}

}  // namespace
}  // namespace cygnet::ike::v2
