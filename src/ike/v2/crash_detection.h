// SPDX-License-Identifier: Apache-2.0
#pragma once

// When one end has lost its state and the other has not: INVALID_SPI and INVALID_IKE_SPI (RFC 7296 sections 1.5 and
// 2.21.4), and tokens that prove the loss (RFC 6290). What is not protected is a hint and ends nothing, except with the
// token.
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// Our token for this IKE SA, if we make any.
void add_crash_token(const World& world, const IkeSa& sa, wire::ike::Payloads& payloads);
// The peer's.
void read_crash_token(IkeSa& sa, const wire::ike::Payloads& payloads);
// After a rekey: RFC 6290 section 4.3 has its initiator tell the new token in an exchange of its own, as it does not
// know the SPIs any earlier.
void queue_crash_token(const World& world, const IkeSa& old, IkeSa& fresh);

// A message came for an IKE SA that is not here.
void on_unknown_ike_sa(World& world, const Path& path, const wire::ike::Message& message);
// Without protection, for an IKE SA that is.
void on_unprotected(World& world, IkeSa& sa, const Path& path, const wire::ike::Message& message);
// ESP came for an SPI that is not here.
void on_unknown_spi(World& world, Spi spi, const Endpoint& local, const Endpoint& remote, bool udp);
// The peer says, protected, that it does not have this SA of ours.
void on_spi_disowned(World& world, IkeSa& sa, const wire::ike::NotifyPayload& notify);

}  // namespace cygnet::ike::v2
