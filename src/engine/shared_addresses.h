// SPDX-License-Identifier: Apache-2.0
#pragma once

// Several peers behind one NAT in transport mode (RFC 3948 section 5.2): to this machine they all have the NAT's
// address, and each thinks the ports are its own. Whose a flow is tells the SA that it came through: it is remembered,
// and a port that another peer uses already becomes one that is free, there and back. Bounded.
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class SharedAddresses {
 public:
  static constexpr std::size_t kMostFlows = 1U << 17U;
  static constexpr std::size_t kMostOfPeer = 4096;
  static constexpr Duration kIdle = std::chrono::minutes(5);  // RFC 4787 section 4.3: what NATs keep
  static constexpr Duration kIdleOfMany = std::chrono::seconds(30);

  struct Flow {
    IpAddress local;
    IpAddress remote;
    std::uint8_t protocol = 0;
    std::uint16_t local_port = 0;
    std::uint16_t remote_port = 0;  // ICMP echo: the identifier
    auto operator<=>(const Flow&) const = default;
    // packet: what info was parsed from. inbound: from remote to local.
    [[nodiscard]] static Flow of(ByteView packet, const wire::IpPacketInfo& info, bool inbound);
    // Only of these the port can be changed.
    [[nodiscard]] bool has_ports() const {
      return protocol == wire::protocol::kTcp || protocol == wire::protocol::kUdp;
    }
  };
  struct Owner {
    Endpoint peer;                  // where ESP in UDP comes from
    std::uint16_t remote_port = 0;  // as the peer has it
  };

  // A packet of this peer: the remote port that it has on this machine. Nothing: another peer has the flow and there is
  // no other port, or too many flows are remembered. lives: whether there is still an SA with a peer.
  [[nodiscard]] std::optional<std::uint16_t> on_inbound(const Endpoint& peer, const Flow& flow, Instant now,
                                                        const std::function<bool(const Endpoint&)>& lives);
  // flow as this machine sees it. Nothing: nobody has spoken of it lately.
  [[nodiscard]] std::optional<Owner> owner_of(const Flow& flow, Instant now);
  void move(const Endpoint& from, const Endpoint& to);
  [[nodiscard]] std::size_t size() const { return flows_.size(); }

 private:
  struct Entry {
    Owner owner;
    Instant last_used{};
  };
  using Entries = std::map<Flow, Entry>;
  struct Alias {
    Endpoint peer;
    Flow flow;  // as the peer has it
    auto operator<=>(const Alias&) const = default;
  };

  [[nodiscard]] bool has_room(const Endpoint& peer) const;
  [[nodiscard]] bool may_remember(const Endpoint& peer, Instant now);
  void remember(const Flow& seen, const Owner& owner, Instant now);
  Entries::iterator forget(Entries::iterator it);
  [[nodiscard]] std::optional<std::uint16_t> take_free_port(const Endpoint& peer, Flow flow, Instant now,
                                                            const std::function<bool(const Endpoint&)>& lives);

  Entries flows_;  // by what this machine sees
  std::map<Alias, std::uint16_t> aliases_;
  std::map<Endpoint, std::size_t> of_peer_;
  std::uint16_t next_port_ = 0;
  Instant swept_{};
};

// Changes the source or destination port of a TCP or UDP packet, and its checksum with it (RFC 1624). partial: the
// checksum holds the pseudo-header's sum only.
void set_port(MutableByteView packet, const wire::IpPacketInfo& info, bool source, std::uint16_t port, bool partial);

}  // namespace cygnet::engine
