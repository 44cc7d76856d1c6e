// SPDX-License-Identifier: Apache-2.0

// Unix sockets with descriptors, the event loop, UDP bursts with segmentation over loopback.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/random.h"
#include "io/clock.h"
#include "io/log_sink.h"
#include "io/outer_socket.h"
#include "io/process.h"
#include "io/unix_socket.h"

namespace cygnet::io {
namespace {

void turn(EventLoop& loop, Duration time = std::chrono::milliseconds(30)) {
  loop.after(time, [&] { loop.stop(); });
  loop.restart();
  loop.run();
}

TEST(UnixSocket, DescriptorsTravelWithTheirMessage) {
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  auto file = make_memory_file("test", "content");
  ASSERT_TRUE(file);
  const std::array fds{file->get()};
  EXPECT_EQ(send_message(pair->first.get(), to_bytes("hello"), fds), SendStatus::kSent);
  Message message;
  ASSERT_EQ(receive_message(pair->second.get(), message), ReceiveStatus::kMessage);
  EXPECT_EQ(message.bytes, to_bytes("hello"));
  ASSERT_EQ(message.fds.size(), 1U);
  EXPECT_EQ(read_memory_file(message.fds[0].get(), 100).value_or(""), "content");
  EXPECT_FALSE(read_memory_file(message.fds[0].get(), 3));
  EXPECT_EQ(receive_message(pair->second.get(), message), ReceiveStatus::kNothing);
  pair->first.reset();
  EXPECT_EQ(receive_message(pair->second.get(), message), ReceiveStatus::kClosed);
}

TEST(UnixSocket, ASealedMemoryFileCannotChange) {
  const auto file = make_memory_file("test", "content");
  ASSERT_TRUE(file);
  EXPECT_LT(::pwrite(file->get(), "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(file->get(), 1), 0);
}

TEST(UnixSocket, APathTooLongIsExplained) {
  const auto listener = listen_stream("/tmp/" + std::string(200, 'x'), 0600);
  ASSERT_FALSE(listener);
  EXPECT_NE(listener.error().message.find("choose a shorter run directory"), std::string::npos);
}

TEST(UnixSocket, AStaleFileIsReplacedALivingDaemonIsNot) {
  const std::string path = "/tmp/cygnet-io-test-" + std::to_string(::getpid());
  {
    const auto first = listen_stream(path, 0600);
    ASSERT_TRUE(first);
    const auto second = listen_stream(path, 0600);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another daemon answers"), std::string::npos);
  }
  EXPECT_TRUE(listen_stream(path, 0600));
  remove_file(path);
}

TEST(UnixSocket, WhatADyingDaemonStillHoldsIsWaitedFor) {
  const std::string path = "/tmp/cygnet-io-test-" + std::to_string(::getpid());
  auto first = listen_stream(path, 0600);
  ASSERT_TRUE(first);
  std::thread dying([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    first->reset();
  });
  const auto second = listen_stream(path, 0600);
  dying.join();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(connect_stream(path));
  remove_file(path);
}

TEST(Channel, KeepsOrderWhenTheSocketIsFull) {
  EventLoop loop;
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  std::vector<std::uint32_t> got;
  bool closed = false;
  Channel reader(
      loop, std::move(pair->second), [&](const Message& m) { got.push_back(load_be32(m.bytes.data())); },
      [&] { closed = true; });
  {
    Channel writer(loop, std::move(pair->first), [](const Message&) {}, [] {});
    for (std::uint32_t i = 0; i < 1000; ++i) {
      Bytes bytes(30000);
      store_be32(bytes.data(), i);
      ASSERT_TRUE(writer.send(std::move(bytes)));
    }
    for (int i = 0; i < 100 && got.size() < 1000; ++i) turn(loop);
  }
  turn(loop);
  ASSERT_EQ(got.size(), 1000U);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(got[i], i);
  EXPECT_TRUE(closed);
}

TEST(Channel, RefusesWhatIsBeyondItsBound) {
  EventLoop loop;
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  Channel writer(loop, std::move(pair->first), [](const Message&) {}, [] {}, 100000);
  int sent = 0;
  while (sent < 10000 && writer.send(Bytes(30000))) ++sent;
  EXPECT_LT(sent, 10000);
}

// Small messages take memory, too.
TEST(Channel, RefusesManySmallMessages) {
  EventLoop loop;
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  Channel writer(loop, std::move(pair->first), [](const Message&) {}, [] {}, 100000);
  int sent = 0;
  while (sent < 100000 && writer.send(Bytes(1))) ++sent;
  // What the socket itself has taken comes on top.
  EXPECT_LT(sent, 50000);
  EXPECT_TRUE(writer.open());
}

TEST(EventLoop, TimersRunInOrderAndCanBeCancelled) {
  EventLoop loop;
  std::string order;
  loop.after(std::chrono::milliseconds(10), [&] { order += "b"; });
  loop.after(std::chrono::milliseconds(1), [&] { order += "a"; });
  const auto cancelled = loop.after(std::chrono::milliseconds(5), [&] { order += "x"; });
  loop.at(SystemClock::now() - std::chrono::hours(1), [&] { order += "0"; });
  loop.cancel(cancelled);
  turn(loop, std::chrono::milliseconds(40));
  EXPECT_EQ(order, "0ab");
}

TEST(EventLoop, AWatchMayEndInItsOwnCallback) {
  EventLoop loop;
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  int calls = 0;
  loop.watch(pair->second.get(), [&] {
    ++calls;
    loop.unwatch(pair->second.get());
  });
  EXPECT_EQ(send_message(pair->first.get(), to_bytes("x")), SendStatus::kSent);
  turn(loop);
  EXPECT_EQ(calls, 1);
}

TEST(WorkPool, DoneRunsOnTheLoop) {
  EventLoop loop;
  WorkPool pool(loop, 2);
  std::thread::id worked;
  std::thread::id finished;
  pool.run([&] { worked = std::this_thread::get_id(); }, [&] { finished = std::this_thread::get_id(); });
  EXPECT_EQ(pool.pending(), 1U);
  turn(loop);
  EXPECT_EQ(finished, std::this_thread::get_id());
  EXPECT_NE(worked, finished);
  EXPECT_EQ(pool.pending(), 0U);
}

TEST(LogSink, NothingBreaksOutOfItsLine) { EXPECT_EQ(one_line("a\nb\x1b[31m\tc"), "a | b?[31m?c"); }

class Udp : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    auto one = open_udp(GetParam(), 0, 0, true);
    auto two = open_udp(GetParam(), 0, 0, true);
    ASSERT_TRUE(one && two);
    sender = std::move(*one);
    receiver = std::move(*two);
    SocketAddress address;
    socklen_t size = address.storage.size();
    ASSERT_EQ(::getsockname(receiver.fd.get(), reinterpret_cast<sockaddr*>(address.storage.data()), &size), 0);
    receiver.port = endpoint_of(address.storage.data(), size)->port;
    here = *IpAddress::parse(GetParam() == Family::kV4 ? "127.0.0.1" : "::1");
  }

  // Receives until the octets are there; pieces of joined datagrams one by one.
  std::vector<Bytes> receive(std::size_t datagrams) {
    std::vector<Bytes> out;
    DatagramReceiver burst(8);
    for (int i = 0; i < 200 && out.size() < datagrams; ++i) {
      for (const auto& d : burst.receive(receiver)) {
        last = d;
        const auto step = d.segment_octets == 0 ? d.bytes.size() : d.segment_octets;
        for (std::size_t at = 0; at < d.bytes.size(); at += step) {
          const auto piece = d.bytes.subspan(at, std::min(step, d.bytes.size() - at));
          out.emplace_back(piece.begin(), piece.end());
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return out;
  }

  OuterSocket sender, receiver;
  IpAddress here;
  ReceivedDatagram last;
};

TEST_P(Udp, ALargeGroupArrivesAsItsDatagrams) {
  SeededRandom random(3);
  const auto data = random.bytes(90 * 700 + 123);  // more than one UDP_SEGMENT call takes, and a short rest
  const OutgoingDatagram group{
      .local = {here, 0}, .remote = {here, receiver.port}, .data = data, .segment_octets = 700, .tos = 0xb8};
  DatagramSender out;
  out.send(sender, {&group, 1}, [](const SendFailure& f) { ADD_FAILURE() << f.error; });
  const auto got = receive(91);
  ASSERT_EQ(got.size(), 91U);
  Bytes joined;
  for (const auto& d : got) append(joined, d);
  EXPECT_EQ(joined, data);
  EXPECT_EQ(got.back().size(), 123U);
  EXPECT_EQ(last.tos, 0xb8);
  EXPECT_EQ(last.local, (Endpoint{here, receiver.port}));
  EXPECT_EQ(last.remote.address, here);
}

TEST_P(Udp, SeveralDatagramsKeepTheirOrder) {
  std::vector<Bytes> data;
  for (std::uint8_t i = 0; i < 200; ++i) data.emplace_back(static_cast<std::size_t>(i) + 1, i);
  std::vector<OutgoingDatagram> datagrams;
  for (std::size_t i = 0; i < data.size(); ++i) {
    datagrams.push_back(
        {.local = {here, 0}, .remote = {here, receiver.port}, .data = data[i], .dont_fragment = i % 3 == 0});
  }
  DatagramSender out;
  out.send(sender, datagrams, [](const SendFailure& f) { ADD_FAILURE() << f.error; });
  EXPECT_EQ(receive(200), data);
}

TEST_P(Udp, WhatIsTooBigIsToldWithItsSize) {
  const Bytes data(65400, 1);
  const OutgoingDatagram datagram{
      .local = {here, 0}, .remote = {here, receiver.port}, .data = data, .dont_fragment = true};
  const Bytes larger(65530, 1);
  const OutgoingDatagram impossible{
      .local = {here, 0}, .remote = {here, receiver.port}, .data = larger, .dont_fragment = true};
  DatagramSender out;
  std::vector<int> errors;
  out.send(sender, {&datagram, 1}, [&](const SendFailure& f) { errors.push_back(f.error); });
  out.send(sender, {&impossible, 1}, [&](const SendFailure& f) { errors.push_back(f.error); });
  EXPECT_EQ(errors, std::vector{EMSGSIZE});
}

INSTANTIATE_TEST_SUITE_P(Families, Udp, ::testing::Values(Family::kV4, Family::kV6));

TEST(SystemRandom, FillsAndDiffers) {
  SystemRandom random;
  EXPECT_NE(random.bytes(32), random.bytes(32));
}

}  // namespace
}  // namespace cygnet::io
