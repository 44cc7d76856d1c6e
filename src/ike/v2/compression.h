// SPDX-License-Identifier: Apache-2.0
#pragma once

// IPComp between the ends of a child (RFC 7296 section 2.22): who offers it, who may take it, under which CPI.
#include "ike/v2/world.h"
#include "wire/ike/message.h"
#include "wire/ike/notify_payload.h"

namespace cygnet::ike::v2 {

// Ours, for packets that come in with this SPI.
[[nodiscard]] std::uint16_t cpi_of(Spi spi);
[[nodiscard]] wire::ike::NotifyPayload ipcomp_supported(Spi spi_in);
// The CPI of the peer's offer or acceptance of DEFLATE; 0: none that is usable.
[[nodiscard]] std::uint16_t ipcomp_of(const wire::ike::Payloads& message);

// Whether what carries this connection's packets can compress those between these selectors. In the kernel the SA of
// ESP is in transport mode inside the tunnel of IPComp, and takes packets of one address family: that of its own ends.
[[nodiscard]] bool can_compress(const World& world, const IkeSa& sa, const model::Connection& connection,
                                const model::TrafficSelectors& local, const model::TrafficSelectors& remote);

}  // namespace cygnet::ike::v2
