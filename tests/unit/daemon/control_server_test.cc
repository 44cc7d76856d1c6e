// SPDX-License-Identifier: Apache-2.0
#include "daemon/ike_role/control_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "io/process.h"
#include "io/unix_socket.h"

namespace cygnet::daemon {
namespace {

class ControlServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto listener = io::listen_stream(path, 0600);
    ASSERT_TRUE(listener) << listener.error().message;
    server = std::make_unique<ControlServer>(
        loop, std::move(*listener),
        [this](ControlServer::ClientId id, control::Request request) { requests.emplace_back(id, std::move(request)); },
        [this](ControlServer::ClientId id) { gone.push_back(id); });
  }
  void TearDown() override { io::remove_file(path); }

  io::UniqueFd connect() {
    auto fd = io::connect_stream(path);
    EXPECT_TRUE(fd);
    return fd ? std::move(*fd) : io::UniqueFd{};
  }
  void turn() {
    loop.after(std::chrono::milliseconds(30), [this] { loop.stop(); });
    loop.restart();
    loop.run();
  }
  static void write(const io::UniqueFd& fd, ByteView bytes) {
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Everything up to the end of the stream, as responses.
  static std::vector<control::Response> read_all(const io::UniqueFd& fd) {
    control::FrameReader reader(control::kMaxResponse);
    std::vector<control::Response> out;
    Bytes buffer(65536);
    for (ssize_t n = ::recv(fd.get(), buffer.data(), buffer.size(), 0); n > 0;
         n = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) {
      reader.feed(ByteView(buffer).first(static_cast<std::size_t>(n)));
      for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
        out.push_back(*control::decode_response(**frame));
      }
    }
    return out;
  }

  const std::string path = "/tmp/cygnet-control-test-" + std::to_string(::getpid());
  io::EventLoop loop;
  std::vector<std::pair<ControlServer::ClientId, control::Request>> requests;
  std::vector<ControlServer::ClientId> gone;
  std::unique_ptr<ControlServer> server;
};

TEST_F(ControlServerTest, ARequestInPiecesIsAnsweredLineByLine) {
  const auto client = connect();
  const auto bytes = control::frame(control::encode(control::Request{control::UpRequest{"office", ""}}));
  for (const auto octet : bytes) {
    write(client, {&octet, 1});
    turn();
  }
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(std::get<control::UpRequest>(requests[0].second).connection, "office");
  server->send(requests[0].first, control::Progress{.message = "one"});
  server->send(requests[0].first, control::Done{.ok = true, .message = "up"});
  turn();
  const auto answers = read_all(client);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(std::get<control::Progress>(answers[0]).message, "one");
  EXPECT_EQ(std::get<control::Done>(answers[1]).message, "up");
  EXPECT_EQ(gone.size(), 1U);
}

TEST_F(ControlServerTest, NonsenseIsAnsweredWithTheReason) {
  const auto client = connect();
  write(client, control::frame("{\"what\":1}"));
  turn();
  EXPECT_TRUE(requests.empty());
  const auto answers = read_all(client);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_FALSE(std::get<control::Done>(answers[0]).ok);
}

TEST_F(ControlServerTest, ALengthBeyondAllBoundsEndsTheConnection) {
  const auto client = connect();
  write(client, Bytes{0xff, 0xff, 0xff, 0xff, 'x'});
  turn();
  EXPECT_TRUE(read_all(client).empty());
  EXPECT_EQ(gone.size(), 1U);
}

TEST_F(ControlServerTest, WhoDoesNotReadIsDropped) {
  const auto client = connect();
  write(client, control::frame(control::encode(control::Request{control::MonitorRequest{}})));
  turn();
  ASSERT_EQ(requests.size(), 1U);
  const control::Progress large{.message = std::string(1 << 20, 'x')};
  for (int i = 0; i < 100; ++i) server->send(requests[0].first, large);
  // Whoever sends may be walking through those who listen: they change later.
  EXPECT_TRUE(gone.empty());
  turn();
  EXPECT_EQ(gone, std::vector{requests[0].first});
}

TEST_F(ControlServerTest, ALongAnswerArrivesWhole) {
  const auto client = connect();
  write(client, control::frame(control::encode(control::Request{control::ListRequest{}})));
  turn();
  ASSERT_EQ(requests.size(), 1U);
  server->send(requests[0].first, control::Done{.ok = true, .message = std::string(5 << 20, 'y')});
  std::vector<control::Response> answers;
  std::thread reader([&] { answers = read_all(client); });
  for (int i = 0; i < 100 && gone.empty(); ++i) {
    turn();
  }
  reader.join();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(std::get<control::Done>(answers[0]).message.size(), 5U << 20U);
}

}  // namespace
}  // namespace cygnet::daemon
