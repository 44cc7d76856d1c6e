// SPDX-License-Identifier: Apache-2.0
// The way of a Diet-ESP packet in: it becomes the ESP packet that it stands for, which is opened at once. One packet
// after the other: its devices are small.
#include <cstring>

#include "engine/diet.h"
#include "engine/inbound_run.h"
#include "wire/esp_header.h"

namespace cygnet::engine {
namespace {

// RFC 4303 appendix A3, "Handling Loss of Synchronization due to Significant Packet Loss", here of the octets that are
// not sent: every eighth packet that fails is tried with the next cycles of what is sent, a bounded number of them. A
// number in one of them was never seen, and the ICV covers all of it.
constexpr std::uint64_t kTryEvery = 8;
constexpr unsigned kMostCycles = 32;

bool open_as(InboundSa& sa, ByteView packet, MutableByteView esp, std::uint64_t sequence) {
  const std::size_t header = diet_header_octets(sa.spec.diet);
  wire::write_esp_header(esp.data(), sa.spi, sequence);
  std::memcpy(esp.data() + wire::kEspHeaderOctets, packet.data() + header, packet.size() - header);
  crypto::EspJob job{.esp = esp.data(), .octets = esp.size(), .sequence = sequence};
  sa.worker->open({&job, 1});
  return job.ok;
}

// sequence becomes the number that fits.
bool open_diet(InboundSa& sa, ByteView packet, MutableByteView esp, std::uint64_t& sequence) {
  if (sa.worker == nullptr) sa.begin();
  if (open_as(sa, packet, esp, sequence)) return true;
  const unsigned bits = sa.spec.diet.sn_octets * 8U;
  const std::uint64_t cycle = std::uint64_t{1} << bits;
  if (bits == 32 || (sa.errors + 1) % kTryEvery != 0) return false;
  for (unsigned i = 1; i <= kMostCycles; ++i) {
    const std::uint64_t later = sequence + i * cycle;
    if (!sa.spec.esn && later > UINT32_MAX) return false;
    if (open_as(sa, packet, esp, later)) {
      sequence = later;
      return true;
    }
  }
  return false;
}

}  // namespace

void InboundRun::take_diet(ByteView packet, std::uint32_t index) {
  const auto& diet = sa_->spec.diet;
  const std::size_t header = diet_header_octets(diet);
  const std::size_t before = wire::kEspHeaderOctets + sa_->iv_octets;
  if (packet.size() < header + sa_->iv_octets + sa_->icv_octets + 1) {
    drop_error(index, DropReason::kTruncated, packet);
    return;
  }
  std::uint64_t sequence = sa_->replay.infer_of(diet_sequence_low(packet, diet), diet.sn_octets * 8U);
  if (const auto fresh = sa_->replay.check(sequence); fresh != ReplayWindow::Verdict::kFresh) {
    drop_replayed(index, fresh, packet);
    return;
  }
  const std::size_t octets = packet.size() - header + wire::kEspHeaderOctets;
  auto* const esp = out_.allocate(octets);
  if (esp == nullptr) {
    drop(index, DropReason::kNoBuffer, packet);
    return;
  }
  if (!open_diet(*sa_, packet, {esp, octets}, sequence)) {
    drop_error(index, DropReason::kIntegrityFailed, packet);
    return;
  }
  const bool newest = sequence > sa_->replay.top();
  (void)sa_->replay.commit(sequence);
  note_alive(packets_[index], newest);
  const MutableByteView payload(esp + before, octets - before - sa_->icv_octets);
  if (!count_received(payload.size())) {
    drop(index, DropReason::kSaExpired, packet);
    return;
  }
  finish_tunnel(payload, diet_next_header(sa_->spec), index);
}

}  // namespace cygnet::engine
