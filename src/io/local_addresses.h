// SPDX-License-Identifier: Apache-2.0
#pragma once

// The addresses of this machine, kept up to date by the kernel. For a process that has nothing else to ask of it.
#include <optional>
#include <set>

#include "base/address.h"
#include "base/result.h"
#include "io/fd.h"
#include "io/rtnetlink.h"

namespace cygnet::io {

class LocalAddresses {
 public:
  // Reads them for the first time. Both sockets stay open, so that this works in a sandbox later on.
  [[nodiscard]] static Result<LocalAddresses> open();
  // Turns readable when they change.
  [[nodiscard]] int fd() const { return changes_.get(); }
  // Reads them again. True: they are others than before.
  bool refresh();
  [[nodiscard]] bool contains(const IpAddress& address) const {
    return address.is_loopback() || addresses_.contains(address);
  }
  // One of them that lies in the prefix and is not of a link alone.
  [[nodiscard]] std::optional<IpAddress> within(const IpPrefix& prefix) const;

 private:
  LocalAddresses(RouteSocket asking, UniqueFd changes) : asking_(std::move(asking)), changes_(std::move(changes)) {}
  RouteSocket asking_;
  UniqueFd changes_;
  std::set<IpAddress> addresses_;
};

}  // namespace cygnet::io
