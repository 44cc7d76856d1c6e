// SPDX-License-Identifier: Apache-2.0
#pragma once

// NAT detection (RFC 7296 section 2.23).
#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// What connection and circumstances want.
[[nodiscard]] model::Encapsulation wish(const IkeSa& sa);
// SHA-1( SPIi | SPIr | IP | Port ).
[[nodiscard]] Bytes nat_hash(IkeSpi spi_i, IkeSpi spi_r, const Endpoint& endpoint);
// Appends NAT_DETECTION_SOURCE_IP and _DESTINATION_IP; with kForce the source is untrue on purpose, so that both ends
// take UDP encapsulation; with kNever nothing is appended.
void add_nat_detection(World& world, wire::ike::Payloads& payloads, IkeSpi spi_i, IkeSpi spi_r, const Path& path,
                       model::Encapsulation encapsulation);
// Reads the peer's notifications and sets what sa knows about NATs and encapsulation.
void read_nat_detection(IkeSa& sa, const wire::ike::Payloads& payloads, IkeSpi spi_i, IkeSpi spi_r, const Path& path);
// Moves the initiator to the encapsulation port if a NAT was found.
void move_to_nat_port(World& world, IkeSa& sa);
// "no NAT", "NAT in front of us", …
[[nodiscard]] std::string nat_words(const IkeSa& sa);

}  // namespace cygnet::ike::v2
