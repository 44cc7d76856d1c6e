// SPDX-License-Identifier: Apache-2.0
// Arbitrary packets with arbitrary offload words from the device into an engine with SAs. All that leaves must open
// again at the peer, in bursts, with ciphers elsewhere as in single packets, and no clear text may leave.
#include "engine/engine.h"
#include "fuzz/engine_flights.h"
#include "fuzz/engine_world.h"
#include "model/sa_spec.h"
#include "wire/ip_checksum.h"
#include "wire/ip_packet.h"

namespace cygnet::engine::fuzz {
namespace {

struct Read {
  Bytes bytes;
  Offload offload;
};

// One step: a control octet, a vnet header if bit 0 is set, two octets of length, the octets.
//   bit 1: mend the IPv4 header checksum and the lengths, so that more packets get through the parser
std::vector<Read> read_script(ByteReader in) {
  std::vector<Read> all;
  while (in.remaining() >= 3 && all.size() < 96) {
    const auto control = in.u8();
    Read read;
    if ((control & 1) != 0) {
      const auto offload = Offload::parse(in.take(Offload::kVnetOctets));
      if (!offload) continue;
      read.offload = *offload;
      read.offload.segment_octets |= 64;  // thousands of tiny segments only cost time
    }
    const std::size_t wanted = in.u16() % 9000;
    const auto octets = in.take(std::min(wanted, in.remaining()));
    read.bytes.assign(octets.begin(), octets.end());
    if ((control & 2) != 0 && read.bytes.size() >= 40) {
      if ((read.bytes[0] >> 4) == 4) {
        read.bytes[0] = 0x45;
        store_be16(&read.bytes[2], static_cast<std::uint16_t>(read.bytes.size()));
        store_be16(&read.bytes[10], 0);
        store_be16(&read.bytes[10], wire::internet_checksum(ByteView(read.bytes).first(20)));
      } else {
        store_be16(&read.bytes[4], static_cast<std::uint16_t>(read.bytes.size() - 40));
      }
    }
    all.push_back(std::move(read));
  }
  return all;
}

// What leaves is opened by the peer at once; the clear text it finds.
void open_at_peer(std::span<const Verdict> verdicts, Engine& peer, Verdicts& opened, std::vector<Bytes>& arrived) {
  for (const auto& verdict : verdicts) {
    require(!std::holds_alternative<Bypass>(verdict.action), "nothing leaves in the clear");
    const auto* send = std::get_if<SendToPeer>(&verdict.action);
    if (send == nullptr) continue;
    Bytes data(send->data.begin(), send->data.end());
    InPacket packet{data, send->segment_octets, send->remote, send->local, send->udp, 0};
    opened.clear();
    peer.process_inbound({&packet, 1}, kWorldTime, opened);
    collect_delivered(opened, arrived);
  }
}

enum class How { kSingle, kBurst, kFlights, kUrgent };

std::vector<Bytes> run(std::vector<Read> reads, How how, DropCounters& drops) {
  SeededRandom random(1);
  Engine engine(kWorldSettings, random);
  Engine peer(kWorldSettings, random);
  build_world(engine, how == How::kUrgent);
  build_world(peer);
  Verdicts verdicts(4U << 20U);
  Verdicts opened(1U << 20U);
  std::vector<OutPacket> packets;
  // In bursts there is room behind the packets, as in the device's buffers: sealed out of it, single ones by a copy.
  const std::size_t tailroom = how == How::kSingle ? 0 : 40;
  for (auto& read : reads) {
    const std::size_t octets = read.bytes.size();
    read.bytes.resize(octets + tailroom);
    packets.push_back({.bytes = MutableByteView(read.bytes).first(octets),
                       .offload = read.offload,
                       .device = engine.device_id("ipsec0"),
                       .tailroom = tailroom});
  }
  std::vector<Bytes> arrived;
  if (how == How::kFlights || how == How::kUrgent) {
    fly<OutPacket>(engine, Way::kOut, packets, 13,
                   [&](std::span<const Verdict> sent) { open_at_peer(sent, peer, opened, arrived); });
  } else if (how == How::kBurst) {
    engine.process_outbound(packets, kWorldTime, verdicts);
    open_at_peer(verdicts.list(), peer, opened, arrived);
  } else {
    for (auto& packet : packets) {
      verdicts.clear();
      engine.process_outbound({&packet, 1}, kWorldTime, verdicts);
      open_at_peer(verdicts.list(), peer, opened, arrived);
    }
  }
  for (const auto reason :
       {DropReason::kIntegrityFailed, DropReason::kBadPadding, DropReason::kUnknownSpi, DropReason::kReplaySeen}) {
    require(peer.statistics().drops[static_cast<std::size_t>(reason)] == 0, "the peer opens all that was sealed");
  }
  drops = engine.statistics().drops;
  return arrived;
}

}  // namespace
}  // namespace cygnet::engine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cygnet;
  const auto reads = engine::fuzz::read_script(ByteReader({data, size}));
  DropCounters burst_drops{};
  DropCounters single_drops{};
  DropCounters flight_drops{};
  DropCounters urgent_drops{};
  using engine::fuzz::How;
  const auto burst = engine::fuzz::run(reads, How::kBurst, burst_drops);
  const auto single = engine::fuzz::run(reads, How::kSingle, single_drops);
  const auto flights = engine::fuzz::run(reads, How::kFlights, flight_drops);
  auto urgent = engine::fuzz::run(reads, How::kUrgent, urgent_drops);
  auto in_turn = single;
  engine::fuzz::transport_first(urgent);
  engine::fuzz::transport_first(in_turn);
  engine::fuzz::require(burst == single, "a burst sends what single packets send");
  engine::fuzz::require(burst_drops == single_drops, "a burst drops what single packets drop");
  engine::fuzz::require(flights == single, "ciphers elsewhere send what single packets send");
  engine::fuzz::require(flight_drops == single_drops, "ciphers elsewhere drop what single packets drop");
  engine::fuzz::require(urgent == in_turn, "traffic=latency sends what single packets send");
  engine::fuzz::require(urgent_drops == single_drops, "traffic=latency drops what single packets drop");
  return 0;
}
