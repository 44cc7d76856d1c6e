// SPDX-License-Identifier: Apache-2.0
#include "engine/packet.h"

#include <algorithm>
#include <cstring>

namespace cygnet::engine {
namespace {

// struct virtio_net_hdr: flags, gso_type, then four 16-bit words in host byte order.
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kGsoEcn = 0x80;  // the first segment carries CWR: ours follows from the flags anyway
constexpr std::size_t kMaxSlices = 16384;

[[nodiscard]] std::uint16_t load_host16(const std::uint8_t* p) {
  std::uint16_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}
void store_host16(std::uint8_t* p, std::uint16_t v) { std::memcpy(p, &v, sizeof v); }

}  // namespace

std::optional<Offload> Offload::parse(ByteView vnet_header) {
  if (vnet_header.size() < kVnetOctets) return std::nullopt;
  Offload o;
  o.needs_checksum = (vnet_header[0] & kNeedsChecksum) != 0;
  switch (vnet_header[1] & ~kGsoEcn) {
    case 0: o.gso = Gso::kNone; break;
    case 1: o.gso = Gso::kTcpV4; break;
    case 4: o.gso = Gso::kTcpV6; break;
    case 5: o.gso = Gso::kUdp; break;
    default: return std::nullopt;
  }
  o.header_octets = load_host16(&vnet_header[2]);
  o.segment_octets = load_host16(&vnet_header[4]);
  o.checksum_start = load_host16(&vnet_header[6]);
  o.checksum_offset = load_host16(&vnet_header[8]);
  return o;
}

void Offload::serialize(std::uint8_t* vnet_header) const {
  vnet_header[0] = needs_checksum ? kNeedsChecksum : 0;
  vnet_header[1] = static_cast<std::uint8_t>(gso);
  store_host16(vnet_header + 2, header_octets);
  store_host16(vnet_header + 4, segment_octets);
  store_host16(vnet_header + 6, checksum_start);
  store_host16(vnet_header + 8, checksum_offset);
}

std::size_t DeliverToDevice::octets() const {
  std::size_t n = 0;
  for (const auto& slice : slices) n += slice.size();
  return n;
}

Bytes DeliverToDevice::gather() const {
  Bytes all;
  all.reserve(octets());
  for (const auto& slice : slices) append(all, slice);
  return all;
}

Verdicts::Verdicts(std::size_t arena_octets)
    : arena_(std::make_unique_for_overwrite<std::uint8_t[]>(arena_octets)),
      capacity_(arena_octets),
      slices_(std::make_unique<ByteView[]>(kMaxSlices)) {
  list_.reserve(1024);
}

void Verdicts::clear() {
  list_.clear();
  urgent_.clear();
  used_ = 0;
  slices_used_ = 0;
}

Verdict& Verdicts::add(std::uint32_t packet, Action action) {
  return (favours_ ? urgent_ : list_).emplace_back(packet, action);
}

std::span<ByteView> Verdicts::add_slices(std::span<const ByteView> slices) {
  if (slices.size() > kMaxSlices - slices_used_) return {};
  auto* at = slices_.get() + slices_used_;
  std::ranges::copy(slices, at);
  slices_used_ += slices.size();
  return {at, slices.size()};
}

}  // namespace cygnet::engine
