// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the addresses come from that a responder assigns (RFC 7296 section 2.19). The endpoint asks; whoever owns the
// pools implements it. Synchronous, and pure like everything here.
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/result.h"
#include "model/connection.h"
#include "model/identity.h"

namespace cygnet::ike {

class AddressSource {
 public:
  struct Question {
    const model::Connection& connection;  // its remote.pools
    const model::Identity& peer;          // authenticated
    IpAddress from;                       // the peer's outer address
    Family family{};
    std::optional<IpAddress> wish;  // the address the peer would like to have (again)
    std::uint64_t holder = 0;       // gives it back with this number
  };
  virtual ~AddressSource() = default;
  // The error is a sentence for our log.
  [[nodiscard]] virtual Result<IpAddress> assign(const Question& question) = 0;
  // After a restart: the holder has this address already.
  virtual void claim(const model::Identity& peer, const IpAddress& from, const IpAddress& address,
                     std::uint64_t holder) = 0;
  virtual void release(const IpAddress& address, std::uint64_t holder) = 0;
};

}  // namespace cygnet::ike
