// SPDX-License-Identifier: Apache-2.0
#include "sadb/engine_client.h"

#include <gtest/gtest.h>

#include <deque>

#include "sadb/packing.h"

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
    if (requests.empty()) {
      turn();
      io::Message datagram;
      EXPECT_EQ(io::receive_message(engine.get(), datagram), io::ReceiveStatus::kMessage);
      const auto messages = unpack(datagram.bytes);
      EXPECT_TRUE(messages);
      ++datagrams;
      for (const auto& message : *messages) {
        auto decoded = decode_request(message);
        EXPECT_TRUE(decoded);
        requests.push_back(std::move(*decoded));
      }
    }
    auto next = std::move(requests.front());
    requests.pop_front();
    return next;
  }
  void send(const std::vector<Bytes>& messages) {
    Bytes datagram;
    for (const auto& message : messages) {
      pack(datagram, message);
    }
    EXPECT_EQ(io::send_message(engine.get(), datagram), io::SendStatus::kSent);
  }
  void reply(std::uint32_t request, const Reply& message) { send({encode(request, message)}); }
  void turn() {
    loop.after(std::chrono::milliseconds(20), [this] { loop.stop(); });
    loop.restart();
    loop.run();
  }

  io::EventLoop loop;
  EngineClient client{loop};
  io::UniqueFd engine;
  std::vector<Event> events;
  std::deque<std::pair<std::uint32_t, Request>> requests;
  int datagrams = 0;
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

TEST_F(EngineClientTest, WhatIsHeldGoesWhenItIsReleased) {
  io::Message datagram;
  client.hold();
  client.activate(model::ChildId(1), {});
  turn();
  EXPECT_EQ(io::receive_message(engine.get(), datagram), io::ReceiveStatus::kNothing);
  client.activate(model::ChildId(2), {});
  client.release();
  ASSERT_EQ(io::receive_message(engine.get(), datagram), io::ReceiveStatus::kMessage);
  const auto messages = unpack(datagram.bytes);
  ASSERT_TRUE(messages);
  EXPECT_EQ(messages->size(), 2U);
  // As ever afterwards.
  client.activate(model::ChildId(3), {});
  EXPECT_EQ(std::get<ActivateRequest>(next_request().second).child, model::ChildId(3));
}

TEST_F(EngineClientTest, WhatComesUpTogetherTravelsTogether) {
  std::vector<std::string> log;
  client.set_batch_handler([&] { log.emplace_back("batch"); });
  for (std::uint64_t i = 1; i <= 3; ++i) {
    client.activate(model::ChildId(i), [&](const Result<void>&) { log.emplace_back("done"); });
  }
  const auto first = next_request();
  const auto second = next_request();
  const auto third = next_request();
  EXPECT_EQ(datagrams, 1);
  EXPECT_EQ(std::get<ActivateRequest>(third.second).child, model::ChildId(3));
  send({encode(first.first, Reply{Acknowledgement{}}), encode(Event{ChildActivated{model::ChildId(5)}}),
        encode(second.first, Reply{Acknowledgement{}})});
  turn();
  EXPECT_EQ(log, (std::vector<std::string>{"done", "done", "batch"}));
  EXPECT_EQ(events.size(), 1U);
}

TEST_F(EngineClientTest, MoreThanFitsIntoOneDatagramTakesSeveral) {
  const Bytes value(30000);
  for (int i = 0; i < 3; ++i) {
    client.put_checkpoint("ike/" + std::to_string(i), value, {});
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(std::get<PutCheckpointRequest>(next_request().second).key, "ike/" + std::to_string(i));
  }
  EXPECT_EQ(datagrams, 2);
}

// A crash must find the newest state of an IKE SA, or none.
TEST_F(EngineClientTest, ACheckpointThatIsTooLongTakesTheOlderOneAway) {
  std::vector<std::string> log;
  const auto note = [&](const Result<void>& done) { log.push_back(done ? "kept" : done.error().message); };
  client.put_checkpoint("ike/1", Bytes(kMaxCheckpoint + 1), note);
  const auto dropped = next_request();
  EXPECT_EQ(std::get<DropCheckpointRequest>(dropped.second).key, "ike/1");
  reply(dropped.first, Acknowledgement{});
  turn();
  EXPECT_EQ(log, (std::vector<std::string>{"the state of ike/1 is too long to be kept"}));
}

// An IKE SA with hundreds of children.
TEST_F(EngineClientTest, ALongCheckpointTravelsInPiecesBothWays) {
  Bytes value(150000);
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::uint8_t>(i % 251);
  std::vector<std::string> log;
  client.put_checkpoint("ike/1", value,
                        [&](const Result<void>& done) { log.push_back(done ? "kept" : done.error().message); });
  Bytes seen;
  for (bool more = true; more;) {
    const auto request = next_request();
    const auto& put = std::get<PutCheckpointRequest>(request.second);
    EXPECT_EQ(put.key, "ike/1");
    EXPECT_EQ(put.offset, seen.size());
    seen.insert(seen.end(), put.value.begin(), put.value.end());
    more = put.more;
    EXPECT_TRUE(log.empty());
    reply(request.first, Acknowledgement{more ? "" : "it does not fit"});
  }
  turn();
  EXPECT_EQ(seen, value);
  EXPECT_EQ(datagrams, 3);
  EXPECT_EQ(log, (std::vector<std::string>{"it does not fit"}));

  std::optional<Dump> got;
  client.query_sas(true, [&](Result<Dump> dump) { got = dump ? std::move(*dump) : Dump{}; });
  const auto asked = next_request();
  Dump dump;
  dump.checkpoints = {{"ike/0", Bytes(10, 1)}, {"ike/1", value}, {"ike/2", Bytes(10, 2)}};
  for (const auto& piece : encode_dump(asked.first, dump)) send({piece});
  turn();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->checkpoints, dump.checkpoints);
}

TEST(Packing, RefusesLengthsThatAreNotRight) {
  Bytes datagram;
  pack(datagram, Bytes{1, 2, 3});
  pack(datagram, Bytes{4});
  const auto messages = unpack(datagram);
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 2U);
  EXPECT_EQ(Bytes((*messages)[0].begin(), (*messages)[0].end()), (Bytes{1, 2, 3}));
  EXPECT_EQ(Bytes((*messages)[1].begin(), (*messages)[1].end()), Bytes{4});
  for (std::size_t n = 1; n < datagram.size(); ++n) {
    if (n != 7) {
      EXPECT_FALSE(unpack(ByteView(datagram).first(n))) << n;
    }
  }
  EXPECT_FALSE(unpack(Bytes{0, 0, 0, 0}));
  EXPECT_FALSE(unpack(Bytes{0xff, 0xff, 0xff, 0xff, 1}));
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
  send({encode(Event{ChildActivated{model::ChildId(5)}})});
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
