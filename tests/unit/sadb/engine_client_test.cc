// SPDX-License-Identifier: Apache-2.0
#include "sadb/engine_client.h"

#include <gtest/gtest.h>

namespace cygnet::sadb {
namespace {

// The client's far end: reads requests and answers what a test says.
class EngineClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = io::seqpacket_pair();
    ASSERT_TRUE(pair);
    client.attach(std::move(pair->first));
    engine = std::move(pair->second);
    client.set_event_handler([this](Event event) { events.push_back(std::move(event)); });
  }

  std::pair<std::uint32_t, Request> next_request() {
    io::Message message;
    EXPECT_EQ(io::receive_message(engine.get(), message), io::ReceiveStatus::kMessage);
    auto decoded = decode_request(message.bytes);
    EXPECT_TRUE(decoded);
    return std::move(*decoded);
  }
  void reply(std::uint32_t request, const Reply& message) {
    EXPECT_EQ(io::send_message(engine.get(), encode(request, message)), io::SendStatus::kSent);
  }
  void turn() {
    loop.after(std::chrono::milliseconds(20), [this] { loop.stop(); });
    loop.restart();
    loop.run();
  }

  io::EventLoop loop;
  EngineClient client{loop};
  io::UniqueFd engine;
  std::vector<Event> events;
};

TEST_F(EngineClientTest, AnswersFindTheirQuestions) {
  std::vector<std::string> log;
  client.activate(model::ChildId(1),
                  [&](const Result<void>& done) { log.push_back(done ? "first ok" : done.error().message); });
  client.activate(model::ChildId(2),
                  [&](const Result<void>& done) { log.push_back(done ? "second ok" : done.error().message); });
  const auto first = next_request();
  const auto second = next_request();
  EXPECT_EQ(std::get<ActivateRequest>(second.second).child, model::ChildId(2));
  reply(first.first, Acknowledgement{});
  reply(second.first, Acknowledgement{"no such child"});
  turn();
  EXPECT_EQ(log, (std::vector<std::string>{"first ok", "no such child"}));
}

TEST_F(EngineClientTest, PiecesOfADumpBecomeOne) {
  std::optional<Dump> got;
  client.query_sas(true, [&](Result<Dump> dump) { got = std::move(*dump); });
  const auto asked = next_request();
  EXPECT_TRUE(std::get<QuerySasRequest>(asked.second).with_keys);
  Dump first;
  first.sas.resize(2);
  reply(asked.first, DumpPiece{first, false});
  turn();
  EXPECT_FALSE(got);
  reply(asked.first, DumpPiece{first, true});
  turn();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->sas.size(), 4U);
}

TEST_F(EngineClientTest, EventsComeUp) {
  EXPECT_EQ(io::send_message(engine.get(), encode(Event{ChildActivated{model::ChildId(5)}})), io::SendStatus::kSent);
  turn();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<ChildActivated>(events[0]).child, model::ChildId(5));
}

TEST_F(EngineClientTest, ALostEngineFailsWhatIsOpenAndSaysSo) {
  std::string error;
  client.activate(model::ChildId(1), [&](const Result<void>& done) { error = done.error().message; });
  engine.reset();
  turn();
  EXPECT_EQ(error, "the engine process ended");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<BackendLost>(events[0]));
  EXPECT_FALSE(client.connected());
  client.activate(model::ChildId(1), [&](const Result<void>& done) { error = done.error().message; });
  turn();
  EXPECT_EQ(error, "the engine cannot be reached");
}

TEST_F(EngineClientTest, NonsenseEndsTheConnection) {
  EXPECT_EQ(io::send_message(engine.get(), Bytes{1, 2, 3}), io::SendStatus::kSent);
  turn();
  EXPECT_FALSE(client.connected());
  ASSERT_EQ(events.size(), 1U);
}

}  // namespace
}  // namespace cygnet::sadb
