// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/transitions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

bool same_event(const Transition& a, const Transition& b) {
  return a.state == b.state && a.trigger == b.trigger && a.exchange == b.exchange &&
         (a.about == About::kNothing || a.about == b.about);
}

TEST(Transitions, NoRowIsHiddenByAnEarlierOne) {
  const auto rows = transitions();
  for (std::size_t later = 0; later < rows.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      const bool hides = same_event(rows[earlier], rows[later]) &&
                         (rows[earlier].required & rows[later].required) == rows[earlier].required;
      EXPECT_FALSE(hides) << rows[earlier].story << " hides " << rows[later].story;
    }
  }
}

TEST(Transitions, EveryStateIsReachedAndLeft) {
  // Reached by something else than a row: nothing, our own initiation, a successor taking over.
  std::set<State> reached{State::kNone, State::kInitGenerating, State::kRekeyed};
  std::set<State> left;
  for (const auto& row : transitions()) {
    reached.insert(row.next);
    left.insert(row.state);
  }
  for (const auto state : left) EXPECT_TRUE(reached.contains(state)) << to_string(state);
  for (const auto state : reached) {
    EXPECT_TRUE(state == State::kDead || left.contains(state)) << to_string(state);
  }
}

TEST(Transitions, RequiredAndOptionalDoNotOverlap) {
  for (const auto& row : transitions()) EXPECT_EQ(row.required & row.optional & ~has::kNotify, 0U) << row.story;
}

TEST(Transitions, PrintsOneLineForEachRow) {
  const auto text = print_transitions();
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')), transitions().size() + 1);
  EXPECT_NE(text.find("ESTABLISHED"), std::string::npos);
  EXPECT_NE(text.find("N(REKEY_SA)"), std::string::npos);
}

TEST(PayloadSet, NotificationsThatSteerHaveBits) {
  const wire::ike::Payloads payloads{notify(wire::ike::NotifyType::kCookie, {1}), wire::ike::NoncePayload{Bytes(16)}};
  EXPECT_EQ(payload_set(payloads), has::kNotify | has::kCookie | has::kNonce);
  EXPECT_EQ(payload_set({notify(wire::ike::NotifyType::kInvalidKePayload)}),
            has::kNotify | has::kError | has::kInvalidKe);
  EXPECT_EQ(payload_set({}), 0U);
  EXPECT_EQ(to_string(has::kSa | has::kTsi), "SA TSi");
}

}  // namespace
}  // namespace cygnet::ike::v2
