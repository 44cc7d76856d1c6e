// SPDX-License-Identifier: Apache-2.0
#pragma once

// Somebody on the way who sees every datagram, knows no key, and sends what he likes: old messages again, from
// elsewhere too, mangled ones, and unprotected answers and errors that look as if the peer had sent them.
#include <cstdint>
#include <deque>
#include <optional>

#include "base/random.h"
#include "ike/actions.h"

namespace cygnet::sim {

struct Forgery {
  Duration after{};
  std::size_t to = 0;
  ike::Path path;  // as the receiver sees it
  Bytes bytes;
};

class Attacker {
 public:
  explicit Attacker(std::uint64_t seed) : random_(seed) {}
  // A datagram that arrives at `to`; delays: no copy from elsewhere overtakes it.
  void see(std::size_t to, const ike::Path& path, const Bytes& bytes);
  [[nodiscard]] std::optional<Forgery> strike(Duration slowest);

 private:
  struct Seen {
    std::size_t to;
    ike::Path path;
    Bytes bytes;
  };
  [[nodiscard]] Bytes mangled(Bytes bytes);
  [[nodiscard]] Bytes false_answer(const Bytes& seen);
  SeededRandom random_;
  std::deque<Seen> seen_;
};

}  // namespace cygnet::sim
