// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sockets that face the network: UDP (IKE, ESP in UDP) and protocol 50, in bursts, with local addresses, TOS, DF,
// UDP_GRO, UDP_SEGMENT and the ICMP errors that come back (ip(7), ipv6(7), udp(7)).
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "io/fd.h"

namespace cygnet::io {

enum class OuterKind : std::uint8_t { kUdp, kEsp, kClear, kAh };

// What a socket is: needed to read what comes from it. Sent along when descriptors are passed.
struct OuterSocket {
  UniqueFd fd;
  OuterKind kind = OuterKind::kUdp;
  Family family = Family::kV4;
  std::uint16_t port = 0;  // UDP: the local port
};

// UDP on the wildcard address, with UDP_GRO. encapsulation: path MTU discovery, as ESP in UDP wants it.
// `port` taken: the message says so and names the usual suspects.
// one_of_several: others of ours have the port too, and the kernel gives each peer's packets to one of them.
[[nodiscard]] Result<OuterSocket> open_udp(Family family, std::uint16_t port, std::uint32_t mark, bool encapsulation,
                                           bool one_of_several = false);
// This raw socket takes only the packets whose SPI leaves the remainder `index` when divided by `count`: raw sockets
// all get a copy of everything, and each SA has to have one reader. Those with a bit of `none_with` are nobody's.
[[nodiscard]] Result<void> take_share_of_spis(const OuterSocket& socket, std::uint32_t index, std::uint32_t count,
                                              std::uint32_t none_with = 0);
// UDP sockets of one port, `count` of them ours and after these the kernel's (in the order in which they were bound):
// ESP whose SPI has a bit of `kernel_bit` goes to the last one, other ESP to that of ours whose turn its SPI is, and
// all else to the first.
[[nodiscard]] Result<void> part_by_spi(const OuterSocket& any_of_them, std::uint32_t count, std::uint32_t kernel_bit);
// Datagrams are not joined before they come: they could be meant for several sockets.
void take_single_datagrams(int udp_socket);
// Of another process: a UDP socket that is bound to this port. What it lacks is set.
[[nodiscard]] Result<OuterSocket> adopt_udp(UniqueFd fd, Family family, std::uint16_t port);
// An IPv6 socket that takes IPv4 as well.
[[nodiscard]] bool takes_both_families(const OuterSocket& socket);
// Raw protocol 50.
[[nodiscard]] Result<OuterSocket> open_esp(Family family, std::uint32_t mark);
// Raw protocol 51, to receive: what is sent leaves through open_clear(), because AH covers the IP header.
[[nodiscard]] Result<OuterSocket> open_ah(Family family, std::uint32_t mark);
// Sends whole IP packets, for BYPASS policies and AH (IPPROTO_RAW). Receives nothing.
[[nodiscard]] Result<OuterSocket> open_clear(Family family, std::uint32_t mark);

// ---- receiving
struct ReceivedDatagram {
  // UDP payload, or from the ESP header on, or (AH) the whole IP packet; valid until the next receive().
  MutableByteView bytes;
  Endpoint local;  // port 0 with protocol 50
  Endpoint remote;
  std::uint8_t tos = 0;
  std::size_t segment_octets = 0;  // UDP_GRO joined several datagrams of this size; 0: it is one
};

class DatagramReceiver {
 public:
  // Holds `burst` buffers of 64 KiB.
  explicit DatagramReceiver(std::size_t burst);
  ~DatagramReceiver();
  DatagramReceiver(DatagramReceiver&&) noexcept;
  DatagramReceiver& operator=(DatagramReceiver&&) noexcept;
  // What is there now, at most `burst`. Malformed and truncated ones are left out.
  [[nodiscard]] std::span<ReceivedDatagram> receive(const OuterSocket& socket);
  [[nodiscard]] bool filled() const { return filled_; }  // the last call used all buffers: there may be more

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool filled_ = false;
};

// An ICMP error (or the kernel's own refusal) about a datagram we sent.
struct OuterError {
  Endpoint remote;        // where it was going
  int error = 0;          // errno; EMSGSIZE: too big
  std::uint32_t mtu = 0;  // EMSGSIZE: what would fit
  bool local = false;     // from our own kernel, not from the network
  ByteView quoted;        // the payload as far as it was quoted (local ones: empty)
};
// Empties the error queue.
void read_errors(const OuterSocket& socket, const std::function<void(const OuterError&)>& on_error);

// ---- sending
struct OutgoingDatagram {
  Endpoint local;  // source address (unspecified: the kernel's choice); the port is the socket's
  Endpoint remote;
  ByteView data;
  std::size_t segment_octets = 0;  // UDP_SEGMENT: data is cut into pieces of this size; 0: one datagram
  std::uint8_t tos = 0;
  bool dont_fragment = false;
};

// Why datagrams were not sent.
struct SendFailure {
  int error = 0;
  std::size_t datagrams = 0;
  const OutgoingDatagram* what = nullptr;
};

class DatagramSender {
 public:
  DatagramSender();
  ~DatagramSender();
  DatagramSender(DatagramSender&&) noexcept;
  DatagramSender& operator=(DatagramSender&&) noexcept;
  // Sends all, in order, in as few calls as possible. Waits a little (milliseconds) when the socket is full: that slows
  // the sender down instead of losing packets. What fails is reported.
  void send(const OuterSocket& socket, std::span<const OutgoingDatagram> datagrams,
            const std::function<void(const SendFailure&)>& on_failure);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Both families as the kernel wants them.
struct SocketAddress {
  alignas(8) std::array<std::uint8_t, 28> storage{};
  std::uint32_t size = 0;
  [[nodiscard]] static SocketAddress of(const Endpoint& endpoint);
};
// Sixteen octets. A socket for both families, as programs may share theirs with us, writes IPv4 inside IPv6.
[[nodiscard]] IpAddress address_of_v6_socket(ByteView octets);
[[nodiscard]] std::optional<Endpoint> endpoint_of(const void* address, std::size_t size);

}  // namespace cygnet::io
