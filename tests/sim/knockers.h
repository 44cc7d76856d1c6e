// SPDX-License-Identifier: Apache-2.0
#pragma once

// A crowd of strangers who begin IKE SAs with those who answer, do the work that they are first asked for, and then
// send rubbish: what puzzles before IKE_AUTH are made for (RFC 8019 section 7.2).
#include <cstdint>
#include <map>
#include <optional>

#include "base/random.h"
#include "ike/actions.h"
#include "sim/attacker.h"
#include "wire/ike/message.h"

namespace cygnet::sim {

class Knockers {
 public:
  explicit Knockers(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] static bool is_one(const IpAddress& address);
  // A datagram that arrives at `to`: they learn from it what to ask for.
  void see(std::size_t to, const ike::Path& path, const Bytes& bytes);
  // The next one begins. None: they do not know how yet.
  [[nodiscard]] std::optional<Forgery> knock(std::size_t to);
  // What one of them says to what it was told.
  [[nodiscard]] std::optional<Forgery> go_on(std::size_t to, const ike::SendDatagram& heard);

 private:
  static constexpr std::size_t kMostWaiting = 64;
  struct Example {
    Endpoint at;
    wire::ike::Message request;
  };
  [[nodiscard]] Forgery say(std::size_t to, const ike::Path& path, const wire::ike::Message& message);

  SeededRandom random_;
  std::uint64_t count_ = 0;
  std::map<std::size_t, Example> examples_;              // of IKE_SA_INIT, by whom it goes to
  std::map<std::uint64_t, wire::ike::Message> waiting_;  // their requests, by initiator's SPI: the oldest first
};

}  // namespace cygnet::sim
