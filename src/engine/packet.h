// SPDX-License-Identifier: Apache-2.0
#pragma once

// What goes into the engine and what comes out of it: packets with their offload words, and verdicts.
//
// Out: the caller reads a packet from the TUN device (behind a virtio-net header, so it may be one TCP super-packet of
// 64 KiB) and hands it in as OutPacket. The engine cuts it to the path's size, writes the pieces next to each other
// with one stride into the arena of Verdicts, and seals them there in place: one SendToPeer is one sendmsg with
// UDP_SEGMENT. In: a datagram of UDP_GRO (many ESP packets of one size) is an InPacket; the pieces are opened in place,
// and consecutive TCP segments come out as one DeliverToDevice whose slices are one writev to the TUN device.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/drop_reason.h"
#include "base/time.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

// Number of a device, given by Engine::device_id().
using DeviceId = std::uint16_t;

// The offload words of a virtio-net header (VIRTIO 1.2, section 5.1.6), as the TUN device uses it.
struct Offload {
  enum class Gso : std::uint8_t { kNone = 0, kTcpV4 = 1, kTcpV6 = 4, kUdp = 5 };
  static constexpr std::size_t kVnetOctets = 10;  // struct virtio_net_hdr; TUNSETVNETHDRSZ default

  bool needs_checksum = false;  // VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum field holds the pseudo-header's sum only
  Gso gso = Gso::kNone;
  std::uint16_t header_octets = 0;    // hdr_len: a hint, never trusted
  std::uint16_t segment_octets = 0;   // gso_size: transport payload of each segment
  std::uint16_t checksum_start = 0;   // from the first octet of the IP packet
  std::uint16_t checksum_offset = 0;  // from checksum_start

  // Reads the 10 octets in host byte order (the TUN default). Unknown GSO types give nothing: drop the packet.
  [[nodiscard]] static std::optional<Offload> parse(ByteView vnet_header);
  // Writes kVnetOctets octets.
  void serialize(std::uint8_t* vnet_header) const;
  bool operator==(const Offload&) const = default;
};

// A packet read from a device.
struct OutPacket {
  MutableByteView bytes;  // whole IP packet; the engine may change it
  Offload offload;
  DeviceId device = 0;
  // Octets behind the packet that the engine may write too: with 32 it seals out of this buffer and copies nothing.
  std::size_t tailroom = 0;
};

// A datagram from the network: one ESP packet, or several of UDP_GRO.
struct InPacket {
  // From the first ESP header on (UDP header removed); with AH the whole IP packet. Opened in place.
  MutableByteView bytes;
  std::size_t segment_octets = 0;  // UDP_GRO: size of each ESP packet but the last; 0: it is one
  Endpoint local;                  // where it arrived; port 0 with plain ESP
  Endpoint remote;
  bool udp = false;      // came encapsulated (RFC 3948)
  std::uint8_t tos = 0;  // TOS or traffic class of the outer header (for ECN)
  bool ah = false;
};

// Send these octets to the peer. Unless whole, data holds one or more ESP packets of segment_octets each, the last
// maybe shorter.
struct SendToPeer {
  Endpoint local;  // source address and, with udp, port
  Endpoint remote;
  bool whole_packet = false;   // data is an IP packet with its header, to be sent as it is (AH)
  bool udp = false;            // true: UDP (UDP_SEGMENT if there are several). false: protocol 50, one datagram each
  bool dont_fragment = false;  // outer DF; with IPv6 false means: the kernel may fragment
  std::uint8_t tos = 0;        // outer TOS / traffic class
  std::optional<std::uint32_t> mark;  // unset: the daemon's own mark
  ByteView data;
  std::size_t segment_octets = 0;
  [[nodiscard]] std::size_t segments() const {
    return segment_octets == 0 ? 1 : (data.size() + segment_octets - 1) / segment_octets;
  }
};

// Write this to the device: virtio-net header, then the slices in order (one writev). The slices lie in the input's
// buffers or in the arena.
struct DeliverToDevice {
  DeviceId device = 0;
  Offload offload;
  std::span<const ByteView> slices;
  [[nodiscard]] std::size_t octets() const;
  [[nodiscard]] Bytes gather() const;  // a copy in one piece, for tests and captures
};

// A BYPASS policy: the packet may travel in the clear, unchanged.
struct Bypass {
  DeviceId device = 0;
  ByteView data;
};

// The packet waits inside the engine for an SA of this policy; an Acquire event was raised if none was pending.
struct Held {
  model::PolicyId policy;
};

// Already counted in Statistics::drops. data: the packet as it was found, while its buffer lasts (may be empty).
struct Drop {
  DropReason reason{};
  ByteView data;
};

using Action = std::variant<SendToPeer, DeliverToDevice, Bypass, Held, Drop>;

struct Verdict {
  // Index into the input span of the packet that caused it (the first one, if several were merged);
  // kNoPacket for keepalives, released and generated packets.
  static constexpr std::uint32_t kNoPacket = UINT32_MAX;
  std::uint32_t packet = kNoPacket;
  Action action;

  Verdict(std::uint32_t of, Action what) : packet(of), action(what) {}
  template <typename T>
  Verdict(std::uint32_t of, std::in_place_type_t<T> type) : packet(of), action(type) {}
};

class Verdicts;

// Carries out at once what SAs with traffic=latency send and deliver, while the engine still works on the burst: reads
// and clears Verdicts::urgent(). Of the engine it calls count_drop() and on_outer_too_big() at most.
class UrgentSink {
 public:
  virtual ~UrgentSink() = default;
  virtual void on_urgent(Verdicts& verdicts, Instant now) = 0;
};

// Verdicts of one burst and the memory they point into. Make one per loop and reuse it: after the first bursts nothing
// is allocated. Everything stays valid until clear() (slices into input buffers: while those are untouched).
class Verdicts {
 public:
  // arena_octets: all that may be sent or generated between two clear(); beyond it packets are dropped as no-buffer.
  explicit Verdicts(std::size_t arena_octets = kDefaultArenaOctets);
  static constexpr std::size_t kDefaultArenaOctets = 4U << 20U;

  void clear();
  [[nodiscard]] const std::vector<Verdict>& list() const { return list_; }
  [[nodiscard]] auto begin() const { return list_.begin(); }
  [[nodiscard]] auto end() const { return list_.end(); }
  [[nodiscard]] std::size_t size() const { return list_.size(); }
  [[nodiscard]] bool empty() const { return list_.empty(); }

  // From now on those of SAs with traffic=latency stand apart, and the sink is told of them. Else, and with several
  // threads, they stand among the others.
  void part_urgent(UrgentSink& sink) { sink_ = &sink; }
  [[nodiscard]] const std::vector<Verdict>& urgent() const { return urgent_; }
  void clear_urgent() { urgent_.clear(); }

  // For the engine.
  [[nodiscard]] bool parts_urgent() const { return sink_ != nullptr; }
  // Where those that follow stand.
  void favour(bool urgent) { favours_ = urgent && sink_ != nullptr; }
  [[nodiscard]] bool favours() const { return favours_; }
  [[nodiscard]] std::size_t place() const { return favours_ ? urgent_.size() : list_.size(); }
  void tell_urgent(Instant now) {
    if (!urgent_.empty()) sink_->on_urgent(*this, now);
  }
  Verdict& add(std::uint32_t packet, Action action);
  // The same, made where it will stay.
  template <typename T>
  [[nodiscard]] T& emplace(std::uint32_t packet) {
    return std::get<T>((favours_ ? urgent_ : list_).emplace_back(packet, std::in_place_type<T>).action);
  }
  // Contiguous, uninitialized octets directly behind the previous allocation, or null when the arena is used up.
  [[nodiscard]] std::uint8_t* allocate(std::size_t octets) {
    if (octets > capacity_ - used_) return nullptr;
    auto* at = arena_.get() + used_;
    used_ += octets;
    return at;
  }
  // Gives back the last octets of the last allocation.
  void shrink(std::size_t octets) { used_ -= octets; }
  [[nodiscard]] std::span<ByteView> add_slices(std::span<const ByteView> slices);
  [[nodiscard]] Verdict* last() { return list_.empty() ? nullptr : &list_.back(); }
  [[nodiscard]] const std::uint8_t* arena_end() const { return arena_.get() + used_; }

 private:
  std::unique_ptr<std::uint8_t[]> arena_;
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::vector<Verdict> list_;
  std::vector<Verdict> urgent_;
  UrgentSink* sink_ = nullptr;
  bool favours_ = false;
  std::unique_ptr<ByteView[]> slices_;
  std::size_t slices_used_ = 0;
};

}  // namespace cygnet::engine
