// SPDX-License-Identifier: Apache-2.0
// Sockets that several threads have beside each other: a packet goes to one of them, and always to the same.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/outer_socket.h"

namespace cygnet::io {
namespace {

IpAddress loopback(Family family) {
  return family == Family::kV4 ? IpAddress::v4(0x7f000001U) : IpAddress::parse("::1").value_or(IpAddress{});
}

class SharedSockets : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  // SPIs of what waits at the socket.
  static std::vector<std::uint32_t> received(const OuterSocket& socket, std::size_t spi_at) {
    std::vector<std::uint32_t> spis;
    DatagramReceiver receiver(32);
    for (const auto& datagram : receiver.receive(socket)) spis.push_back(load_be32(datagram.bytes.data() + spi_at));
    return spis;
  }
};

TEST_P(SharedSockets, SpisAreDividedAmongRawSockets) {
  constexpr std::uint32_t kCount = 3;
  std::vector<OuterSocket> sockets;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    auto socket = open_esp(GetParam(), 0);
    ASSERT_TRUE(socket) << socket.error().message;
    ASSERT_TRUE(take_share_of_spis(*socket, i, kCount));
    sockets.push_back(std::move(*socket));
  }
  const auto sender = open_esp(GetParam(), 0);
  ASSERT_TRUE(sender);
  ASSERT_TRUE(take_share_of_spis(*sender, kCount, kCount));  // none
  DatagramSender sending;
  std::vector<Bytes> packets;
  for (std::uint32_t spi = 0x1000; spi < 0x1009; ++spi) {
    packets.emplace_back(64);
    store_be32(packets.back().data(), spi);
  }
  for (const auto& packet : packets) {
    const OutgoingDatagram out{.local = {}, .remote = {loopback(GetParam()), 0}, .data = packet};
    sending.send(*sender, {&out, 1}, [](const SendFailure& failure) { ADD_FAILURE() << failure.error; });
  }
  // 0x1000 = 4096 = 3 * 1365 + 1
  EXPECT_EQ(received(sockets[0], 0), (std::vector<std::uint32_t>{0x1002, 0x1005, 0x1008}));
  EXPECT_EQ(received(sockets[1], 0), (std::vector<std::uint32_t>{0x1000, 0x1003, 0x1006}));
  EXPECT_EQ(received(sockets[2], 0), (std::vector<std::uint32_t>{0x1001, 0x1004, 0x1007}));
  EXPECT_TRUE(received(*sender, 0).empty());
}

TEST_P(SharedSockets, APortIsSharedAmongOursAlone) {
  auto first = open_udp(GetParam(), 14517, 0, true, true);
  ASSERT_TRUE(first) << first.error().message;
  const auto second = open_udp(GetParam(), 14517, 0, true, true);
  ASSERT_TRUE(second) << second.error().message;
  const auto stranger = open_udp(GetParam(), 14517, 0, true);
  ASSERT_FALSE(stranger);
  EXPECT_NE(stranger.error().message.find("is in use"), std::string::npos);
  // Packets of one peer arrive at one of them, all of them.
  const auto sender = open_udp(GetParam(), 14518, 0, true);
  ASSERT_TRUE(sender);
  DatagramSender sending;
  const Bytes data(40, 1);
  for (int i = 0; i < 20; ++i) {
    const OutgoingDatagram out{.local = {}, .remote = {loopback(GetParam()), 14517}, .data = data};
    sending.send(*sender, {&out, 1}, [](const SendFailure& failure) { ADD_FAILURE() << failure.error; });
  }
  const auto octets = [](const OuterSocket& socket) {
    std::size_t sum = 0;
    DatagramReceiver receiver(32);
    for (const auto& datagram : receiver.receive(socket)) sum += datagram.bytes.size();
    return sum;
  };
  const auto at_first = octets(*first);
  const auto at_second = octets(*second);
  EXPECT_EQ(at_first + at_second, 20U * 40U);
  EXPECT_TRUE(at_first == 0 || at_second == 0);
}

TEST_P(SharedSockets, EspIsPartedBySpi) {
  constexpr std::uint32_t kOurs = 2;
  std::vector<OuterSocket> sockets;
  for (std::uint32_t i = 0; i <= kOurs; ++i) {
    auto socket = open_udp(GetParam(), 14519, 0, true, true);
    ASSERT_TRUE(socket) << socket.error().message;
    take_single_datagrams(socket->fd.get());
    sockets.push_back(std::move(*socket));
  }
  ASSERT_TRUE(part_by_spi(sockets.back(), kOurs, 0x80000000U));
  const auto sender = open_udp(GetParam(), 14520, 0, true);
  ASSERT_TRUE(sender);
  DatagramSender sending;
  const auto send = [&](const Bytes& packet) {
    const OutgoingDatagram out{.local = {}, .remote = {loopback(GetParam()), 14519}, .data = packet};
    sending.send(*sender, {&out, 1}, [](const SendFailure& failure) { ADD_FAILURE() << failure.error; });
  };
  // 0: the marker of IKE.
  for (const std::uint32_t spi : {0U, 0x1000U, 0x1001U, 0x7fffffffU, 0x80000000U, 0x80000001U, 0xffffffffU}) {
    Bytes packet(64);
    store_be32(packet.data(), spi);
    send(packet);
  }
  EXPECT_EQ(received(sockets[0], 0), (std::vector<std::uint32_t>{0, 0x1000}));
  EXPECT_EQ(received(sockets[1], 0), (std::vector<std::uint32_t>{0x1001, 0x7fffffff}));
  EXPECT_EQ(received(sockets[2], 0), (std::vector<std::uint32_t>{0x80000000, 0x80000001, 0xffffffff}));
  // A keepalive.
  send({0xff});
  DatagramReceiver receiver(4);
  EXPECT_EQ(receiver.receive(sockets[0]).size(), 1U);
}

TEST_P(SharedSockets, SpisOfTheKernelAreNobodys) {
  const auto socket = open_esp(GetParam(), 0);
  ASSERT_TRUE(socket) << socket.error().message;
  ASSERT_TRUE(take_share_of_spis(*socket, 0, 1, 0x80000000U));
  const auto sender = open_esp(GetParam(), 0);
  ASSERT_TRUE(sender);
  ASSERT_TRUE(take_share_of_spis(*sender, 1, 1));  // none
  DatagramSender sending;
  for (const std::uint32_t spi : {0x1000U, 0x80001000U, 0x7fffffffU}) {
    Bytes packet(64);
    store_be32(packet.data(), spi);
    const OutgoingDatagram out{.local = {}, .remote = {loopback(GetParam()), 0}, .data = packet};
    sending.send(*sender, {&out, 1}, [](const SendFailure& failure) { ADD_FAILURE() << failure.error; });
  }
  EXPECT_EQ(received(*socket, 0), (std::vector<std::uint32_t>{0x1000, 0x7fffffff}));
}

INSTANTIATE_TEST_SUITE_P(Families, SharedSockets, ::testing::Values(Family::kV4, Family::kV6),
                         [](const auto& tested) { return tested.param == Family::kV4 ? "v4" : "v6"; });

}  // namespace
}  // namespace cygnet::io
