// SPDX-License-Identifier: Apache-2.0
#pragma once

// Datagrams of IKE on their way to the socket. Those of one length that follow each other to the same peer become a
// train: the kernel takes it through routing, rules and filters as one packet and cuts it at the end (UDP_SEGMENT).
// Gateways that bring up many tunnels between each other send most of theirs so.
#include <deque>
#include <span>
#include <vector>

#include "ike/actions.h"
#include "io/outer_socket.h"

namespace cygnet::daemon {

// RFC 7296 section 3.1: "four octets of zero" before IKE on port 4500.
inline constexpr std::size_t kNonEspMarker = 4;
// Fits, with its headers, into whatever IPv6 passes through (RFC 8200 section 5: 1280 octets): a train of longer ones
// would be refused where a single datagram is fragmented.
inline constexpr std::size_t kLongestInTrain = 1232;

struct Trains {
  std::vector<io::OutgoingDatagram> cars;
  std::vector<const ike::SendDatagram*> sources;  // of each: the first datagram in it
  std::deque<Bytes> memory;                       // what `cars` look at, where a datagram's own octets do not do
};

// In the order given. All leave through one socket. What `datagrams` point at must outlive the result.
[[nodiscard]] Trains make_trains(std::span<const ike::SendDatagram* const> datagrams);

}  // namespace cygnet::daemon
