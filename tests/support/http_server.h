// SPDX-License-Identifier: Apache-2.0
#pragma once

// A web server on loopback, on the event loop of the test itself.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "io/event_loop.h"
#include "io/fd.h"

namespace cygnet::test {

// Answers each connection with what the test says for its target, after the request has come whole.
class HttpServer {
 public:
  explicit HttpServer(io::EventLoop& loop) : loop_(loop), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    port = ntohs(address.sin_port);
    loop_.watch(listener_.get(), [this] { accept(); });
  }
  ~HttpServer() {
    loop_.unwatch(listener_.get());
    for (auto& [fd, text] : clients_) {
      loop_.unwatch(fd);
      ::close(fd);
    }
  }
  std::uint16_t port = 0;
  std::map<std::string, std::string> answers;  // by "GET /x"; none: silence
  std::vector<std::string> requests;

 private:
  void accept() {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) return;
    clients_[fd];
    loop_.watch(fd, [this, fd] { serve(fd); });
  }
  void serve(int fd) {
    std::array<char, 4096> buffer{};
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got > 0) clients_[fd].append(buffer.data(), static_cast<std::size_t>(got));
    const auto text = clients_[fd];
    if (got > 0 && text.find("\r\n\r\n") == std::string::npos) return;
    const auto it = answers.find(text.substr(0, text.find(" HTTP")));
    if (got > 0 && it == answers.end()) return;
    if (got > 0) {
      requests.push_back(text);
      EXPECT_EQ(::write(fd, it->second.data(), it->second.size()), static_cast<ssize_t>(it->second.size()));
    }
    loop_.unwatch(fd);
    ::close(fd);
    clients_.erase(fd);
  }

  io::EventLoop& loop_;
  io::UniqueFd listener_;
  std::map<int, std::string> clients_;
};

}  // namespace cygnet::test
