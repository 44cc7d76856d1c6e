// SPDX-License-Identifier: Apache-2.0
#pragma once

// SAs in network cards (nic-offload=): the kernel has the card seal and open the packets. And SAs for single CPUs
// (RFC 9611). A kernel passes over what it does not know, so it is asked what became of them. Pure but for the port.
#include <expected>

#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel {

// NEWSA, as the SA asks for it: without a card, with one if it takes the SA (kAuto), or not at all without one
// (kCrypto, kPacket). One for a single CPU is that or is not there.
[[nodiscard]] std::expected<void, KernelError> add_sa(KernelPort& port, const model::SaSpec& spec,
                                                      const wire::xfrm::Message& message);

}  // namespace cygnet::sadb::kernel
