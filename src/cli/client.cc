// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cygnet::cli {
namespace {

ClientError no_connection(const std::string& path, const std::string& run_dir, int error) {
  if (error == EACCES || error == EPERM) {
    return {Trouble::kNotAllowed, "may not open " + path + ": permission denied; run cygnet as root (sudo cygnet …)"};
  }
  const std::string why = error == ENOENT         ? "there is no " + path
                          : error == ECONNREFUSED ? "nobody listens at " + path
                                                  : path + ": " + std::strerror(error);
  return {Trouble::kNobodyListens,
          "no cygnetd is running here: " + why +
              "\n  start it:    systemctl start cygnet, or: cygnetd --config FILE --secrets FILE --run-dir " + run_dir +
              "\n  or name the run directory of one that runs: --run-dir DIR, or CYGNET_RUN_DIR"};
}

}  // namespace

std::expected<Client, ClientError> Client::connect(const std::string& run_dir) {
  const auto path = run_dir + '/' + std::string(control::kSocketName);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return std::unexpected(ClientError{Trouble::kNobodyListens, "the run directory's name is too long: " + path});
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  io::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(ClientError{Trouble::kBroken, std::string("no socket: ") + std::strerror(errno)});
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::unexpected(no_connection(path, run_dir, errno));
  }
  return Client(std::move(socket));
}

std::optional<ClientError> Client::send(const control::Request& request) {
  const auto bytes = control::frame(control::encode(request));
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const auto n = ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ClientError{Trouble::kBroken, std::string("cygnetd hung up: ") + std::strerror(errno)};
    sent += static_cast<std::size_t>(n);
  }
  return std::nullopt;
}

std::optional<ClientError> Client::receive_more(unsigned timeout_s) {
  pollfd waiting{socket_.get(), POLLIN, 0};
  const int ready = ::poll(&waiting, 1, timeout_s == 0 ? -1 : static_cast<int>(timeout_s) * 1000);
  if (ready < 0 && errno == EINTR) return std::nullopt;
  if (ready == 0) {
    return ClientError{Trouble::kBroken, "cygnetd does not answer within " + std::to_string(timeout_s) +
                                             " s; look at its log, and at `cygnet doctor`"};
  }
  std::array<std::uint8_t, 65536> buffer;
  const auto n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EINTR) return std::nullopt;
  if (n <= 0)
    return ClientError{Trouble::kBroken, "cygnetd ended the conversation before it answered; look at its log"};
  reader_.feed({buffer.data(), static_cast<std::size_t>(n)});
  return std::nullopt;
}

std::expected<control::Done, ClientError> Client::ask(
    const control::Request& request, unsigned timeout_s,
    const std::function<void(const control::Progress&)>& on_progress) {
  if (auto error = send(request)) return std::unexpected(std::move(*error));
  for (;;) {
    const auto message = reader_.next();
    if (!message) return std::unexpected(ClientError{Trouble::kBroken, message.error().message});
    const auto& text = *message;
    if (!text) {
      if (auto error = receive_more(timeout_s)) return std::unexpected(std::move(*error));
      continue;
    }
    auto response = control::decode_response(*text);
    if (!response) return std::unexpected(ClientError{Trouble::kBroken, response.error().message});
    if (auto* done = std::get_if<control::Done>(&*response)) return std::move(*done);
    if (on_progress) on_progress(std::get<control::Progress>(*response));
  }
}

}  // namespace cygnet::cli
