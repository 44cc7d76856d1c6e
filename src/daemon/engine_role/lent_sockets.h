// SPDX-License-Identifier: Apache-2.0
#pragma once

// UDP sockets that programs under `cygnet wrap` share with the engine: ESP in UDP (RFC 3948) on a port of theirs. Each
// is lent over a connection to xfrm.sock and given back when that ends, or when the port is wanted again.
#include <functional>
#include <map>
#include <vector>

#include "base/log.h"
#include "io/outer_socket.h"
#include "io/unix_socket.h"
#include "wire/xfrm/wrap_message.h"

namespace cygnet::daemon {

class LentSockets {
 public:
  using ClientId = std::uint32_t;
  static constexpr std::size_t kMostSockets = 64;
  // Begins to receive from a socket; what it gives back ends that.
  using Begin = std::function<Result<std::size_t>(io::OuterSocket)>;
  using End = std::function<void(std::size_t)>;

  LentSockets(Begin begin, End end, Logger& log) : begin_(std::move(begin)), end_(std::move(end)), log_(log) {}
  // The errno of the answer; 0: done.
  [[nodiscard]] int lend(ClientId client, const wire::xfrm::WrapMessage& said, std::vector<io::UniqueFd>& fds);
  // By the program that lent it only: a second one that finds the port in use has no say over the first one's.
  [[nodiscard]] int release(const wire::xfrm::WrapMessage& said);
  void on_gone(ClientId client);

 private:
  struct Lent {
    ClientId client = 0;
    std::size_t number = 0;
    std::uint16_t port = 0;
    Family family = Family::kV4;
    std::uint32_t process = 0;
    std::uint32_t process_group = 0;
  };
  template <typename Which>
  void end_those(Which which);

  Begin begin_;
  End end_;
  Logger& log_;
  std::vector<Lent> sockets_;
};

}  // namespace cygnet::daemon
