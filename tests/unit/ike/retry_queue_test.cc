// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/retry_queue.h"

#include <gtest/gtest.h>

namespace cygnet::ike::v2 {
namespace {

using std::chrono::seconds;
constexpr Instant kStart{std::chrono::hours(1)};

ConnectionPtr named(std::string name) {
  auto c = std::make_shared<model::Connection>();
  c->name = std::move(name);
  return c;
}

ChildWant want(const ConnectionPtr& connection, std::string child) {
  ChildWant out;
  out.connection = connection;
  out.child = std::move(child);
  return out;
}

std::vector<std::string> names(const std::vector<ChildWant>& wants) {
  std::vector<std::string> out;
  out.reserve(wants.size());
  for (const auto& w : wants) out.push_back(w.connection->name + "/" + w.child);
  return out;
}

using Names = std::vector<std::string>;

TEST(RetryQueue, HandsOutWhatIsDueInOrderAndNoMoreThanAskedFor) {
  RetryQueue queue;
  EXPECT_EQ(queue.next(), kNever);
  const auto a = named("a");
  const auto b = named("b");
  queue.put(want(b, "late"), kStart + seconds(9));
  queue.put(want(b, "x"), kStart);
  queue.put(want(a, "x"), kStart);
  queue.put(want(a, "y"), kStart - seconds(1));
  EXPECT_EQ(queue.next(), kStart - seconds(1));
  EXPECT_EQ(names(queue.take_due(kStart, 2)), (Names{"a/y", "b/x"}));
  EXPECT_EQ(names(queue.take_due(kStart, 0)), Names{});
  EXPECT_EQ(names(queue.take_due(kStart, 9)), (Names{"a/x"}));
  EXPECT_EQ(names(queue.take_due(kStart, 9)), Names{});
  EXPECT_EQ(queue.next(), kStart + seconds(9));
  EXPECT_EQ(queue.size(), 1U);
}

TEST(RetryQueue, HoldsEachChildOnce) {
  RetryQueue queue;
  const auto a = named("a");
  queue.put(want(a, "x"), kStart);
  queue.put(want(a, "x"), kStart + seconds(5));
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.next(), kStart + seconds(5));
  queue.drop("a", "y");
  EXPECT_EQ(queue.size(), 1U);
  queue.drop("a", "x");
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.next(), kNever);
}

TEST(RetryQueue, TakesOneChildOrAllOfAConnection) {
  RetryQueue queue;
  for (const auto& connection : {named("a"), named("ab"), named("b")}) {
    for (const auto* child : {"x", "y"}) queue.put(want(connection, child), kStart);
  }
  EXPECT_EQ(names(queue.take("a", "y")), (Names{"a/y"}));
  EXPECT_EQ(names(queue.take("a", "y")), Names{});
  EXPECT_EQ(names(queue.take("ab", "")), (Names{"ab/x", "ab/y"}));
  EXPECT_EQ(names(queue.take_due(kStart, 9)), (Names{"a/x", "b/x", "b/y"}));
}

TEST(RetryQueue, FollowsTheConfiguration) {
  RetryQueue queue;
  const auto before = named("a");
  const auto after = named("a");
  const auto gone = named("gone");
  queue.put(want(before, "x"), kStart + seconds(30));
  queue.put(want(gone, "x"), kStart + seconds(40));
  queue.move(before, after, kStart);
  EXPECT_EQ(queue.next(), kStart);
  queue.keep_if([&](const ChildWant& w) { return w.connection == after; });
  EXPECT_EQ(queue.size(), 1U);
  const auto due = queue.take_due(kStart, 9);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].connection, after);
}

}  // namespace
}  // namespace cygnet::ike::v2
