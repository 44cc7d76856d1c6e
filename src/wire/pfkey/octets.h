// SPDX-License-Identifier: Apache-2.0
#pragma once

// PF_KEY never leaves the machine: its numbers are in the machine's own order, but for SPIs, ports and addresses.
#include "wire/host_order.h"
#include "wire/pfkey/constants.h"

namespace cygnet::wire::pfkey {

[[nodiscard]] constexpr std::size_t round_up(std::size_t octets) { return (octets + kWord - 1) / kWord * kWord; }

using Reader = HostReader;

class Writer : public HostWriter {
 public:
  void pad_to_word() { pad_to(kWord); }
};

}  // namespace cygnet::wire::pfkey
