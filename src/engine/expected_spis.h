// SPDX-License-Identifier: Apache-2.0
#pragma once

// Inbound SPIs that IKE has offered to a peer and whose SA is not there yet. The peer may send on it as soon as it has
// answered, while we still compute the keys: such packets wait a moment. SPIs that nobody announced get nothing.
#include <cstdint>
#include <map>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/strong.h"
#include "base/time.h"
#include "engine/packet.h"

namespace cygnet::engine {

struct EarlyPacket {
  Bytes esp;
  Endpoint local, remote;
  bool udp = false;
  std::uint8_t tos = 0;
  Instant since{};
};

class ExpectedSpis {
 public:
  static constexpr std::size_t kMostSpis = 4096;
  static constexpr std::size_t kMostPackets = 256;  // of all SPIs
  static constexpr std::size_t kMostOctets = 512UL * 1024;
  static constexpr Duration kPatience = std::chrono::seconds(1);  // of a packet
  static constexpr Duration kMemory = std::chrono::seconds(60);   // of an SPI: as long as a request is repeated

  // Beyond kMostSpis nothing is remembered: packets are dropped then, as without all this.
  void expect(Spi spi, Instant now);
  // False: not expected, or no room.
  [[nodiscard]] bool hold(Spi spi, ByteView esp, const InPacket& packet, Instant now);
  // The SA is there: what waited for it, oldest first. The SPI is expected no more.
  [[nodiscard]] std::vector<EarlyPacket> take(Spi spi);
  // Forgets what waited too long: the number of packets.
  std::size_t expire(Instant now);
  // Not later than when something is to be forgotten.
  [[nodiscard]] Instant next_deadline() const { return next_; }
  [[nodiscard]] bool empty() const { return spis_.empty(); }
  [[nodiscard]] std::size_t packets() const { return packets_; }

 private:
  struct Waiting {
    Instant until{};
    std::vector<EarlyPacket> packets;
  };
  void forget(const EarlyPacket& packet);

  std::map<Spi, Waiting> spis_;
  Instant next_ = kNever;
  std::size_t packets_ = 0;
  std::size_t octets_ = 0;
};

}  // namespace cygnet::engine
