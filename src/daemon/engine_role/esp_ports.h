// SPDX-License-Identifier: Apache-2.0
#pragma once

// Plain ESP past the kernel's stack (esp-path=xdp): the engine's end of the AF_XDP sockets that the monitor opened, and
// what the monitor told of the ways to peers. A packet for which something is missing goes by the raw socket, and so
// does one now and then for each peer: the kernel then asks whether the neighbour is still there.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "daemon/role_messages.h"
#include "engine/packet.h"
#include "io/ether_frame.h"
#include "io/outer_socket.h"
#include "io/poller.h"
#include "io/xdp_port.h"
#include "sadb/backend.h"

namespace cygnet::daemon {

class EspPorts {
 public:
  static constexpr std::uint32_t kFirstToken = 0x40000000;  // of the poller; all from here on are ours
  static constexpr std::size_t kMostInterfaces = 4;
  static constexpr std::size_t kMostQueues = 8;
  static constexpr Duration kBetweenSocketTurns = std::chrono::seconds(2);
  static constexpr Duration kBetweenClearings = std::chrono::seconds(10);  // of a table that has become full
  using Ask = std::function<void(const WantNextHops&)>;

  // Both live longer. ask: the monitor.
  EspPorts(io::Poller& poller, Logger& log, Ask ask);

  // What the monitor says of interfaces and ways; anything else is left alone.
  void on_monitor(const FromMonitor& message, std::vector<io::UniqueFd> fds);

  enum class Way : std::uint8_t {
    kSent,      // nothing more to do, or lost: see flush()
    kBySocket,  // not known how else
    kInOrder    // by the socket, but what was sent before has not left yet
  };
  [[nodiscard]] Way send(const engine::SendToPeer& send, Instant now);
  // Everything leaves. How many packets were lost since the last time: the interface took none.
  [[nodiscard]] std::size_t flush();

  // What has come there, until give_back(); and how many frames were none that we take.
  [[nodiscard]] std::span<const io::ReceivedDatagram> receive(std::uint32_t token, std::size_t& malformed);
  void give_back(std::uint32_t token);

  [[nodiscard]] std::vector<sadb::EspInterface> statistics() const;

 private:
  using Key = WantNextHops::Way;
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      const std::hash<IpAddress> hash;
      return hash(key.local) * 31 + hash(key.remote);
    }
  };
  struct Interface {
    std::uint32_t index = 0;
    sadb::EspInterface counted;
    std::vector<std::unique_ptr<io::XdpPort>> queues;  // sent is through the first
  };
  struct Hop {
    Interface* interface = nullptr;  // null: by the socket
    io::EspHeaders headers;
    std::size_t mtu = 0;
    Instant socket_turn = Instant::min();
    bool told = false;
  };
  void add(const EspInterface& interface, std::vector<io::UniqueFd> fds);
  void remove(std::uint32_t index);
  void learn(const NextHop& told);
  [[nodiscard]] Interface* find(std::uint32_t index);
  [[nodiscard]] io::XdpPort* port_of(std::uint32_t token);
  [[nodiscard]] Hop& hop_of(const Key& key, Instant now);
  void send_pieces(const engine::SendToPeer& send, Hop& hop);

  io::Poller& poller_;
  Logger& log_;
  Ask ask_;
  std::vector<std::unique_ptr<Interface>> interfaces_;  // kMostInterfaces places, which tokens name
  std::unordered_map<Key, Hop, KeyHash> hops_;          // at most kMostNextHops
  Hop none_;                                            // of peers that found no room
  Instant cleared_{};
  std::vector<io::ReceivedDatagram> received_;
  Interface* receiving_ = nullptr;
  std::size_t lost_ = 0;
  std::uint16_t identification_ = 0;
};

}  // namespace cygnet::daemon
