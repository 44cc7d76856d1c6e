// SPDX-License-Identifier: Apache-2.0
#include "daemon/engine_role/lent_sockets.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>

namespace cygnet::daemon {
namespace {

struct Silent final : Logger {
  void write(const LogEntry&) override {}
};

class LentSocketsTest : public ::testing::Test {
 protected:
  Silent log;
  std::set<std::size_t> open;
  std::size_t next = 10;
  LentSockets lent{[this](io::OuterSocket) -> Result<std::size_t> {
                     open.insert(++next);
                     return next;
                   },
                   [this](std::size_t number) { open.erase(number); }, log};

  // A UDP socket on a port that the kernel chose, or on this one.
  static io::UniqueFd udp(int family, std::uint16_t& port, bool only_v6 = true) {
    io::UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (family == AF_INET6) {
      const int v6 = only_v6 ? 1 : 0;
      (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6, sizeof v6);
    }
    const auto any = IpAddress::any(family == AF_INET ? Family::kV4 : Family::kV6);
    const auto address = io::SocketAddress::of({any, port});
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(address.storage.data()), address.size), 0);
    sockaddr_storage bound{};
    socklen_t octets = sizeof bound;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &octets), 0);
    port = io::endpoint_of(&bound, octets)->port;
    return fd;
  }
  int lend(LentSockets::ClientId client, int family, std::uint16_t port, io::UniqueFd fd) {
    wire::xfrm::WrapMessage said;
    said.value = static_cast<std::uint32_t>(family);
    said.second = port;
    said.pid = 100 + client;
    said.sequence = 100;
    std::vector<io::UniqueFd> fds;
    if (fd) fds.push_back(std::move(fd));
    return lent.lend(client, said, fds);
  }
  int release(std::uint16_t port, std::uint32_t process = 101, std::uint32_t process_group = 100) {
    wire::xfrm::WrapMessage said;
    said.second = port;
    said.pid = process;
    said.sequence = process_group;
    return lent.release(said);
  }
};

TEST_F(LentSocketsTest, BeginWithTheirLenderAndEndWithIt) {
  std::uint16_t port = 0;
  auto fd = udp(AF_INET, port);
  EXPECT_EQ(lend(1, AF_INET, port, std::move(fd)), 0);
  EXPECT_EQ(open.size(), 1U);
  lent.on_gone(2);
  EXPECT_EQ(open.size(), 1U);
  lent.on_gone(1);
  EXPECT_TRUE(open.empty());
}

TEST_F(LentSocketsTest, APortIsGivenBack) {
  std::uint16_t port = 0;
  auto fd = udp(AF_INET, port);
  EXPECT_EQ(lend(1, AF_INET, port, std::move(fd)), 0);
  EXPECT_EQ(release(static_cast<std::uint16_t>(port ^ 1U)), ENOENT);
  EXPECT_EQ(release(port), 0);
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(release(port), ENOENT);
}

TEST_F(LentSocketsTest, APortIsGivenBackByItsProgramOnly) {
  std::uint16_t port = 0;
  auto fd = udp(AF_INET, port);
  EXPECT_EQ(lend(1, AF_INET, port, fd.duplicate()), 0);
  EXPECT_EQ(release(port, 200, 200), ENOENT);  // a second program
  EXPECT_EQ(open.size(), 1U);
  EXPECT_EQ(release(port, 102, 100), 0);  // another process of the first
  EXPECT_EQ(lend(1, AF_INET, port, fd.duplicate()), 0);
  EXPECT_EQ(release(port, 101, 101), 0);  // the process that lent it, a leader now
  EXPECT_TRUE(open.empty());
}

TEST_F(LentSocketsTest, WhatIsNoSuchSocketIsRefused) {
  std::uint16_t port = 0;
  EXPECT_EQ(lend(1, AF_INET, 4500, io::UniqueFd()), EINVAL);
  EXPECT_EQ(lend(1, AF_INET, 4500, io::UniqueFd(::socket(AF_INET, SOCK_STREAM, 0))), EINVAL);
  EXPECT_EQ(lend(1, AF_UNIX, 4500, io::UniqueFd(::socket(AF_UNIX, SOCK_DGRAM, 0))), EINVAL);
  auto fd = udp(AF_INET, port);
  EXPECT_EQ(lend(1, AF_INET, static_cast<std::uint16_t>(port ^ 1U), fd.duplicate()), EINVAL);
  EXPECT_EQ(lend(1, AF_INET6, port, fd.duplicate()), EINVAL);
  EXPECT_TRUE(open.empty());
}

TEST_F(LentSocketsTest, OneForBothFamiliesWantsOneForIpv4Beside) {
  std::uint16_t port = 0;
  auto both = udp(AF_INET6, port, false);
  EXPECT_EQ(lend(1, AF_INET6, port, both.duplicate()), EOPNOTSUPP);
  auto v4 = udp(AF_INET, port);
  EXPECT_EQ(lend(1, AF_INET, port, std::move(v4)), 0);
  EXPECT_EQ(lend(1, AF_INET6, port, both.duplicate()), 0);
  EXPECT_EQ(open.size(), 2U);
}

TEST_F(LentSocketsTest, AreBounded) {
  std::uint16_t port = 0;
  const auto fd = udp(AF_INET, port);
  for (std::size_t i = 0; i < LentSockets::kMostSockets; ++i) EXPECT_EQ(lend(1, AF_INET, port, fd.duplicate()), 0);
  EXPECT_EQ(lend(1, AF_INET, port, fd.duplicate()), EMFILE);
}

}  // namespace
}  // namespace cygnet::daemon
