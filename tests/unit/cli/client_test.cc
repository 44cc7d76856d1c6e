// SPDX-License-Identifier: Apache-2.0
// The client against a daemon that says what the test wants.
#include "cli/client.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

namespace cygnet::cli {
namespace {

// Listens in a directory of its own, takes one connection, reads one request, writes the given octets and hangs up
// after `linger`.
class FakeDaemon {
 public:
  explicit FakeDaemon(Bytes answer, std::chrono::milliseconds linger = {})
      : answer_(std::move(answer)), linger_(linger) {
    char pattern[] = "/tmp/cygnet-test-XXXXXX";
    dir_ = ::mkdtemp(pattern);
    listener_ = io::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = dir_ + "/control.sock";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeDaemon() {
    thread_.join();
    std::filesystem::remove_all(dir_);
  }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;
  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] const std::optional<control::Request>& request() const { return request_; }

 private:
  void serve() {
    const io::UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
    control::FrameReader reader(control::kMaxRequest);
    std::array<std::uint8_t, 4096> buffer{};
    for (;;) {
      const auto n = ::recv(peer.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return;
      reader.feed({buffer.data(), static_cast<std::size_t>(n)});
      const auto message = reader.next();
      if (!message || !*message) continue;
      if (auto request = control::decode_request(**message)) request_ = *request;
      break;
    }
    // In small pieces, so that frames arrive torn.
    for (std::size_t at = 0; at < answer_.size(); at += 7) {
      (void)::send(peer.get(), answer_.data() + at, std::min<std::size_t>(7, answer_.size() - at), MSG_NOSIGNAL);
    }
    std::this_thread::sleep_for(linger_);
  }

  Bytes answer_;
  std::chrono::milliseconds linger_;
  std::string dir_;
  io::UniqueFd listener_;
  std::optional<control::Request> request_;
  std::thread thread_;
};

Bytes frames(const std::vector<control::Response>& responses) {
  Bytes out;
  for (const auto& response : responses) append(out, control::frame(control::encode(response)));
  return out;
}

TEST(Client, HandsProgressOnUntilDone) {
  std::vector<std::string> seen;
  std::optional<control::Request> request;
  {
    FakeDaemon daemon(frames({control::Progress{.message = "one"}, control::Progress{.message = "two"},
                              control::Done{false, "failed", {}}}));
    auto client = Client::connect(daemon.dir());
    ASSERT_TRUE(client);
    const auto done =
        client->ask(control::UpRequest{"net", ""}, 5, [&](const control::Progress& p) { seen.push_back(p.message); });
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->ok);
    EXPECT_EQ(done->message, "failed");
    request = daemon.request();
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<control::UpRequest>(*request).connection, "net");
}

ClientError error_against(Bytes answer, std::chrono::milliseconds linger = {}) {
  FakeDaemon daemon(std::move(answer), linger);
  auto client = Client::connect(daemon.dir());
  if (!client) return client.error();
  const auto done = client->ask(control::StatusRequest{}, 1, {});
  return done ? ClientError{} : done.error();
}

TEST(Client, TroubleIsNamed) {
  EXPECT_EQ(error_against({}).message, "cygnetd ended the conversation before it answered; look at its log");
  EXPECT_EQ(error_against(control::frame("nonsense")).message, "control message is no JSON object");
  EXPECT_EQ(error_against({0xff, 0xff, 0xff, 0xff}).message,
            "control message of 4294967295 octets; at most 268435456 are taken");
  EXPECT_EQ(error_against({}, std::chrono::milliseconds(1500)).message,
            "cygnetd does not answer within 1 s; look at its log, and at `cygnet doctor`");
}

TEST(Client, ASocketWithoutListenerIsNoDaemon) {
  std::string dir;
  {
    FakeDaemon daemon({});
    dir = daemon.dir();
    auto client = Client::connect(dir);
    ASSERT_TRUE(client);
    (void)client->ask(control::StatusRequest{}, 1, {});
  }
  const auto gone = Client::connect(dir);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().trouble, Trouble::kNobodyListens);
}

}  // namespace
}  // namespace cygnet::cli
