// SPDX-License-Identifier: Apache-2.0
#pragma once

// The daemon's control socket, as a client.
#include <functional>
#include <optional>
#include <string>

#include "control/frame.h"
#include "control/messages.h"
#include "io/fd.h"

namespace cygnet::cli {

enum class Trouble {
  kNobodyListens,  // nobody listens
  kNotAllowed,     // the socket is not for this user
  kBroken          // it answered nonsense, hung up or kept silent
};
struct ClientError {
  Trouble trouble = Trouble::kBroken;
  std::string message;
};

class Client {
 public:
  [[nodiscard]] static std::expected<Client, ClientError> connect(const std::string& run_dir);
  // Sends the request and hands Progress messages on until Done arrives. `timeout_s` without any message: an error; 0:
  // wait for ever.
  [[nodiscard]] std::expected<control::Done, ClientError> ask(
      const control::Request& request, unsigned timeout_s,
      const std::function<void(const control::Progress&)>& on_progress);

 private:
  explicit Client(io::UniqueFd socket) : socket_(std::move(socket)) {}
  [[nodiscard]] std::optional<ClientError> send(const control::Request& request);
  [[nodiscard]] std::optional<ClientError> receive_more(unsigned timeout_s);

  io::UniqueFd socket_;
  control::FrameReader reader_{control::kMaxResponse};
};

}  // namespace cygnet::cli
