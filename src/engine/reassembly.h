// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reassembly of IP fragments, bounded in octets and time. Needed in transport mode, "ESP is
// applied only to whole IP datagrams (not to IP fragments)" (RFC 4303 section 3.3.4), and
// where policies look at ports (fragment_policy.h). Outer fragments are put together by the kernel before its raw and
// UDP sockets see them.
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/drop_reason.h"
#include "base/time.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

class Reassembly {
 public:
  Reassembly(std::size_t max_octets, Duration timeout) : max_octets_(max_octets), timeout_(timeout) {}

  struct Outcome {
    std::optional<DropReason> dropped;  // this fragment and all that belongs to it (count tells how many)
    std::size_t dropped_fragments = 0;
    Bytes whole;  // not empty: the packet, its header as the first fragment's, without fragment header or flags
  };
  // fragment: accepted by parse_ip_packet and a fragment.
  [[nodiscard]] Outcome add(ByteView fragment, const wire::IpPacketInfo& info, Instant now);
  // Fragments of packets that waited too long.
  [[nodiscard]] std::size_t expire(Instant now);
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] std::size_t octets() const { return octets_; }

 private:
  struct Key {
    IpAddress source;
    IpAddress destination;
    std::uint32_t identification = 0;
    std::uint8_t protocol = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Piece {
    std::uint32_t first = 0;
    Bytes payload;
    [[nodiscard]] std::uint32_t end() const { return first + static_cast<std::uint32_t>(payload.size()); }
  };
  struct Datagram {
    Instant since{};
    Bytes header;           // of the fragment at offset 0, up to where fragment data begins
    std::uint32_t end = 0;  // of the payload; 0: last fragment not seen
    std::uint32_t have = 0;
    std::vector<Piece> pieces;  // by offset, no two overlap
  };
  using Datagrams = std::map<Key, Datagram>;

  std::size_t forget(Datagrams::iterator it);
  [[nodiscard]] static bool fits(const Datagram& datagram, std::uint32_t first, std::uint32_t end, bool last);
  [[nodiscard]] static Bytes join(const Datagram& datagram);

  std::size_t max_octets_;
  Duration timeout_;
  Datagrams datagrams_;
  std::size_t octets_ = 0;
};

}  // namespace cygnet::engine
