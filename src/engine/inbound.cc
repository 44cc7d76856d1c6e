// SPDX-License-Identifier: Apache-2.0
// The way of a packet in (RFC 4301 section 5.2, RFC 4303 section 3.4). A burst takes each step together, so that memory
// is waited for once and not once a packet:
//   1. process      cut UDP_GRO datagrams into ESP packets
//   2. find_all     the SAs by SPI
//   3. take_esp     sizes, infer the sequence number, look into the replay window
//   4. flush        the ciphers open; neighbours of one SA at once
//   5. finish_esp   ICV good? then move the window, note that the SA lives, take off the trailer
//   6. finish_tunnel or finish_transport
//                   the inner packet; ECN, selectors, MSS
//   7. deliver      merge TCP segments, hand to the device
#include <algorithm>
#include <span>
#include <utility>

#include "engine/ah.h"
#include "engine/beet.h"
#include "engine/coalesce.h"
#include "engine/ecn.h"
#include "engine/inbound_run.h"
#include "engine/inbound_transport.h"
#include "engine/path_mtu.h"
#include "engine/selectors.h"
#include "engine/state.h"
#include "wire/ah_header.h"
#include "wire/esp_header.h"
#include "wire/ip_checksum.h"
#include "wire/ip_fast.h"
#include "wire/ip_packet.h"
#include "wire/ipcomp_header.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"
#include "wire/udp_header.h"

namespace cygnet::engine {
namespace {

constexpr Duration kUnknownSpiPause = std::chrono::seconds(1);
constexpr std::uint32_t kUnknownSpisASecond = 64;
constexpr std::size_t kMaxIpOctets = 65535;

}  // namespace

void InboundRun::process_urgent() {
  only_urgent_ = true;
  process();
}

void InboundRun::process() {
  for (std::uint32_t index = 0; index < packets_.size(); ++index) {
    const auto& packet = packets_[index];
    if (packet.ah) {
      only_urgent_ ? drop(index, DropReason::kNoBuffer, packet.bytes) : take_ah(packet.bytes, index);
      continue;
    }
    if (packet.segment_octets == 0 || packet.bytes.empty()) {
      add_piece(packet.bytes, index);
      continue;
    }
    for (auto rest = packet.bytes; !rest.empty();) {
      const auto esp = rest.first(std::min(packet.segment_octets, rest.size()));
      rest = rest.subspan(esp.size());
      add_piece(esp, index);
    }
  }
  run_pieces(true);
}

void InboundRun::add_piece(MutableByteView esp, std::uint32_t index, bool inside_ah) {
  __builtin_prefetch(esp.data());
  lane_.burst.pieces[pieces_++] = {.esp = esp, .index = index, .inside_ah = inside_ah};
  if (pieces_ == kBurst) run_pieces(false);
}

void InboundRun::run_pieces(bool last) {
  const std::size_t count = std::exchange(pieces_, 0);
  if (jobs_ + count > kMostCipherBurst) flush(false);
  state_.done(Stage::kParse);
  find_all(count);
  state_.done(Stage::kLookUp);
  const auto taken = state_.any_urgent && out_.parts_urgent() ? take_urgent(count) : 0;
  if (taken == 0 && !only_urgent_) {
    for (std::size_t i = 0; i < count; ++i) take_esp(lane_.burst.pieces[i], lane_.burst.sas[i]);
  } else {
    take_rest(count, taken);
  }
  state_.done(Stage::kPrepare);
  // What goes to ciphers elsewhere goes there together.
  if (lane_.flies && !last) return;
  flush(last);
  state_.done(Stage::kFinish);
}

// traffic=latency: opened and delivered before the others, and by this thread. Which they were, a bit each.
std::uint32_t InboundRun::take_urgent(std::size_t count) {
  static_assert(kBurst <= 32);
  auto& burst = lane_.burst;
  std::uint32_t taken = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (burst.sas[i] != nullptr && burst.sas[i]->urgent) taken |= 1U << i;
  }
  if (taken == 0) return 0;
  favour(true);
  const std::size_t before = jobs_;
  for (std::size_t i = 0; i < count; ++i) {
    if ((taken >> i & 1U) != 0) take_esp(burst.pieces[i], burst.sas[i]);
  }
  open_jobs(before, jobs_);
  finish_jobs(before, std::exchange(jobs_, before));
  favour(false);
  out_.tell_urgent(now_);
  return taken;
}

void InboundRun::take_rest(std::size_t count, std::uint32_t taken) {
  for (std::size_t i = 0; i < count; ++i) {
    if ((taken >> i & 1U) != 0) continue;
    const auto& piece = lane_.burst.pieces[i];
    only_urgent_ ? drop(piece.index, DropReason::kNoBuffer, piece.esp) : take_esp(piece, lane_.burst.sas[i]);
  }
}

void InboundRun::favour(bool urgent) {
  if (out_.favours() == (urgent && out_.parts_urgent())) return;
  if (!coalescer_.flush()) state_.count(DropReason::kNoBuffer);
  out_.favour(urgent);
}

void InboundRun::find_all(std::size_t count) {
  auto& burst = lane_.burst;
  for (std::size_t i = 0; i < count; ++i) {
    const auto esp = burst.pieces[i].esp;
    // RFC 4303 section 2.1: SPI 0 is never on the wire; we have no SA with it.
    burst.spis[i] = esp.size() < wire::kEspHeaderOctets ? Spi{0} : wire::esp_spi(esp.data());
  }
  const std::span sas(burst.sas.data(), count);
  state_.sad.find_inbound(std::span(burst.spis).first(count), sas);
  for (const auto* sa : sas) {
    if (sa != nullptr) prefetch_sa(sa);
  }
  for (const auto* sa : sas) {
    if (sa != nullptr) __builtin_prefetch(sa->replay.near_top(), 1);
  }
}

void InboundRun::on_no_sa(const EspPiece& piece) {
  const auto index = piece.index;
  if (piece.esp.size() < wire::kEspHeaderOctets) {
    drop(index, DropReason::kTruncated, piece.esp);
    return;
  }
  const Spi spi = wire::esp_spi(piece.esp.data());
  if (!state_.expected.empty() && state_.expected.hold(spi, piece.esp, packets_[index], now_)) {
    out_.add(index, Held{});
    return;
  }
  on_unknown_spi(spi, packets_[index]);
  drop(index, DropReason::kUnknownSpi, piece.esp);
}

void InboundRun::take_esp(const EspPiece& piece, InboundSa* sa) {
  const auto esp = piece.esp;
  const auto index = piece.index;
  if (sa == nullptr) {
    on_no_sa(piece);
    return;
  }
  sa_ = sa;
  if (sa->dead) {
    drop(index, DropReason::kSaExpired, esp);
    return;
  }
  if (sa->with_ah) {
    drop_error(index, DropReason::kWrongProtocol, esp);
    return;
  }
  // RFC 4301 section 5.2 step 4: the protection that came off must be what the policy asks for.
  if (sa->inside_ah && !piece.inside_ah) {
    drop_error(index, DropReason::kNotBundled, esp);
    return;
  }
  if (sa->diet) {
    take_diet(esp, index);
    return;
  }
  const std::size_t around = wire::kEspHeaderOctets + sa->iv_octets + sa->icv_octets;
  if (esp.size() < around + sa->block_octets) {
    drop_error(index, DropReason::kTruncated, esp);
    return;
  }
  if ((esp.size() - around) % sa->block_octets != 0) {
    drop_error(index, DropReason::kBadPadding, esp);
    return;
  }
  const std::uint64_t sequence = sa->replay.infer(wire::esp_sequence_low(esp.data()));
  const auto fresh = sa->replay.check(sequence);
  if (fresh != ReplayWindow::Verdict::kFresh) {
    drop_replayed(index, fresh, esp);
    return;
  }
  auto& burst = lane_.burst;
  burst.index_of_job[jobs_] = index;
  burst.opening[jobs_] = sa;
  burst.jobs[jobs_++] = {esp.data(), esp.size(), sequence, false};
}

void InboundRun::on_unknown_spi(Spi spi, const InPacket& packet) {
  const auto slot = std::hash<IpAddress>{}(packet.remote.address) * 0x9e3779b97f4a7c15ULL >> 56U;
  auto& told = state_.unknown_spi_told[slot];
  if (told != Instant{} && now_ - told < kUnknownSpiPause) return;
  if (state_.unknown_spi_refilled == Instant::min() || now_ - state_.unknown_spi_refilled >= kUnknownSpiPause) {
    state_.unknown_spi_refilled = now_;
    state_.unknown_spi_tokens = kUnknownSpisASecond;
  }
  if (state_.unknown_spi_tokens == 0) return;
  --state_.unknown_spi_tokens;
  told = now_;
  state_.raise(UnknownSpiEvent{spi, packet.local, packet.remote, packet.udp});
}

void InboundRun::flush(bool last) {
  const std::size_t count = std::exchange(jobs_, 0);
  const bool apart = apart_ && prepare_apart<InboundSa>(std::span(lane_.burst.opening).first(count));
  if (lane_.flies && last) {
    lane_.under_way.jobs = count;
    return;
  }
  if (apart && !lane_.flies) state_.give_turn();
  open_jobs(0, count);
  if (apart && !lane_.flies) state_.take_turn(lane_);
  state_.done(Stage::kCipher);
  finish_jobs(0, count);
}

void InboundRun::open_jobs(std::size_t from, std::size_t to) {
  const auto sas = std::span<InboundSa* const>(lane_.burst.opening).subspan(from, to - from);
  const auto jobs = std::span(lane_.burst.jobs).subspan(from, to - from);
  KeysAhead ahead(sas, jobs);
  for (std::size_t i = 0; i < sas.size();) {
    sa_ = sas[i];
    std::size_t end = i + 1;
    while (end < sas.size() && sas[end] == sa_) ++end;
    if (sa_->worker == nullptr) sa_->begin();
    ahead.fetch(end);
    sa_->worker->open(jobs.subspan(i, end - i));
    i = end;
  }
}

void InboundRun::finish_jobs(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    sa_ = lane_.burst.opening[i];
    finish_esp(lane_.burst.jobs[i], lane_.burst.index_of_job[i]);
  }
}

// False: that was too much, and the SA is at its end.
bool InboundRun::count_received(std::size_t payload_octets) {
  auto& sa = *sa_;
  const bool quiet = sa.is_quiet(payload_octets);
  if (!quiet && (sa.packets >= sa.limits.hard_packets || sa.bytes + payload_octets > sa.limits.hard_bytes)) {
    state_.kill(sa);
    return false;
  }
  sa.packets += 1;
  sa.bytes += payload_octets;
  sa.last_used = now_;
  if (!quiet && (sa.packets >= sa.limits.soft_packets || sa.bytes >= sa.limits.soft_bytes)) state_.report_soft(sa);
  return true;
}

void InboundRun::finish_esp(const crypto::EspJob& job, std::uint32_t index) {
  const MutableByteView esp{job.esp, job.octets};
  if (!job.ok) {
    drop_error(index, DropReason::kIntegrityFailed, esp);
    return;
  }
  if (sa_->dead) {
    drop(index, DropReason::kSaExpired, esp);
    return;
  }
  const bool newest = job.sequence > sa_->replay.top();
  const auto fresh = sa_->replay.commit(job.sequence);
  if (fresh != ReplayWindow::Verdict::kFresh) {
    drop_replayed(index, fresh, esp);
    return;
  }
  note_alive(packets_[index], newest);
  const auto clear = esp.subspan(wire::kEspHeaderOctets + sa_->iv_octets,
                                 job.octets - wire::kEspHeaderOctets - sa_->iv_octets - sa_->icv_octets);
  const std::size_t pad = clear[clear.size() - 2];
  std::uint8_t next_header = clear[clear.size() - 1];
  // Padding content is covered by the ICV; only its length can contradict the packet.
  if (pad + wire::kEspTrailerOctets > clear.size()) {
    drop_error(index, DropReason::kBadPadding, esp);
    return;
  }
  auto payload = clear.first(clear.size() - wire::kEspTrailerOctets - pad);
  if (!count_received(payload.size())) {
    drop(index, DropReason::kSaExpired, esp);
    return;
  }
  if (sa_->aggfrag) {
    finish_aggfrag(job.sequence, payload, next_header, index);
    return;
  }
  if (next_header == wire::protocol::kIpcomp && !expand(payload, next_header, index)) return;
  // RFC 4303 section 2.6: "a receiver MUST be prepared to discard these packets, without indicating an error".
  if (next_header == wire::protocol::kNoNextHeader) {
    drop(index, DropReason::kDummy, esp);
  } else if (sa_->tunnel) {
    finish_tunnel(payload, next_header, index);
  } else {
    finish_transport(payload, next_header, index);
  }
}

// RFC 4302 section 3.4. The whole packet is there: AH covers the header in front of it. One packet after the other: the
// digests of AH gain nothing from each other.
void InboundRun::take_ah(MutableByteView packet, std::uint32_t index) {
  const auto outer = wire::parse_ip_packet(packet);
  if (outer) packet = packet.first(outer->total_octets);
  const auto at = wire::find_ah(packet);
  if (!outer || !at) {
    drop(index, outer ? DropReason::kTruncated : DropReason::kMalformedIp, packet);
    return;
  }
  const auto* ah = packet.data() + *at;
  sa_ = state_.sad.find_inbound(wire::ah_spi(ah));
  if (sa_ == nullptr) {
    on_unknown_spi(wire::ah_spi(ah), packets_[index]);
    drop(index, DropReason::kUnknownSpi, packet);
    return;
  }
  if (sa_->dead || !sa_->with_ah) {
    drop_error(index, sa_->dead ? DropReason::kSaExpired : DropReason::kWrongProtocol, packet);
    return;
  }
  const std::uint64_t sequence = sa_->replay.infer(wire::ah_sequence_low(ah));
  if (const auto fresh = sa_->replay.check(sequence); fresh != ReplayWindow::Verdict::kFresh) {
    drop_replayed(index, fresh, packet);
    return;
  }
  switch (sa_->ah->verify(packet, *at, sequence)) {
    case AhTransform::Outcome::kGood: break;
    case AhTransform::Outcome::kBad: return drop_error(index, DropReason::kIntegrityFailed, packet);
    case AhTransform::Outcome::kUnknownOption: return drop_error(index, DropReason::kUnknownOption, packet);
    case AhTransform::Outcome::kBadLength: return drop_error(index, DropReason::kBadPadding, packet);
  }
  const bool newest = sequence > sa_->replay.top();
  (void)sa_->replay.commit(sequence);
  note_alive(packets_[index], newest);
  const auto payload = packet.subspan(*at + wire::ah_octets_of(ah[1]));
  if (!count_received(payload.size())) {
    drop(index, DropReason::kSaExpired, packet);
  } else if (sa_->tunnel) {
    finish_tunnel(payload, ah[0], index);
  } else if (ah[0] == wire::protocol::kEsp) {
    add_piece(payload, index, true);
  } else {
    finish_ah_transport(packet, *at, index);
  }
}

// The packet as it was before AH, its own headers in front.
void InboundRun::finish_ah_transport(MutableByteView packet, std::size_t ah_at, std::uint32_t index) {
  const auto whole = strip_ah(packet, ah_at);
  const auto info = wire::parse_ip_packet(whole);
  if (!info) {
    drop_error(index, DropReason::kInnerMalformed, whole);
  } else if (!within_selectors(whole, *info)) {
    drop_error(index, DropReason::kSelectorMismatch, whole);
  } else {
    deliver(whole, *info, index);
  }
}

// RFC 3173: payload and next header become those that were compressed.
bool InboundRun::expand(MutableByteView& payload, std::uint8_t& next_header, std::uint32_t index) {
  // The CPI may be that of another SA: all of ours say the same, DEFLATE. A peer whose SAs of IPComp and ESP are apart
  // (Linux) may send with the new one of the former inside the old one of the latter for a moment when it rekeys.
  const auto cpi = payload.size() > wire::kIpcompHeaderOctets ? load_be16(payload.data() + 2) : std::uint16_t{0};
  const bool agreed = sa_->spec.ipcomp_cpi != 0 && payload.size() > wire::kIpcompHeaderOctets &&
                      (cpi == sa_->spec.ipcomp_cpi || wire::is_negotiated_cpi(cpi)) &&
                      payload[0] != wire::protocol::kIpcomp;
  auto* room = agreed ? out_.allocate(kMaxIpOctets) : nullptr;
  if (room == nullptr) {
    drop_error(index, agreed ? DropReason::kNoBuffer : DropReason::kBadCompression, payload);
    return false;
  }
  const auto octets = state_.ipcomp.decompress(payload.subspan(wire::kIpcompHeaderOctets), {room, kMaxIpOctets});
  out_.shrink(kMaxIpOctets - octets);
  if (octets == 0) {
    drop_error(index, DropReason::kBadCompression, payload);
    return false;
  }
  next_header = payload[0];
  payload = {room, octets};
  return true;
}

// The ICV was good: the peer has the SA, and this is where it sends from.
void InboundRun::note_alive(const InPacket& packet, bool newest) {
  if (sa_->look_at_sibling) {
    sa_->look_at_sibling = false;
    if (sa_->sibling != nullptr && sa_->sibling->spec.standby) {
      sa_->sibling->spec.standby = false;
      state_.schedule(*sa_->sibling);
      state_.held_may_go();
      state_.came_into_use(*sa_->sibling);
      state_.raise(ChildActivatedEvent{sa_->spec.child});
    }
  }
  // RFC 7296 section 2.23: only "the newest" valid packet tells, so that a delayed or copied one moves nothing.
  if (newest && packet.udp && sa_->udp) note_remote(packet);
}

void InboundRun::note_remote(const InPacket& packet) {
  const auto tag = tag_of(packet.remote);
  if (tag != 0 ? tag == sa_->remote_tag : packet.remote == sa_->spec.remote) {
    if (sa_->moved) sa_->reported_remote = {};
    sa_->moved = false;
  } else if (packet.remote != sa_->reported_remote) {
    sa_->reported_remote = packet.remote;
    sa_->moved = true;
    state_.raise(PeerMovedEvent{sa_->spec.child, packet.remote, packet.local});
  }
}

void InboundRun::finish_tunnel(MutableByteView payload, std::uint8_t next_header, std::uint32_t index) {
  if (next_header != wire::protocol::kIpv4 && next_header != wire::protocol::kIpv6) {
    drop_error(index, DropReason::kBadNextHeader, payload);
    return;
  }
  wire::IpPacketInfo info;
  if (!wire::parse_ip_packet(payload, info) || info.is_v4() != (next_header == wire::protocol::kIpv4)) {
    drop_error(index, DropReason::kInnerMalformed, payload);
    return;
  }
  // RFC 4303 section 2.7: what follows the inner packet is traffic flow confidentiality padding.
  const auto inner = payload.first(info.total_octets);
  // RFC 4301 section 5.2 step 4: the packet must be within the selectors of the SA it came through.
  if (!within_selectors(inner, info)) {
    drop_error(index, DropReason::kSelectorMismatch, inner);
    return;
  }
  // RFC 9347 section 3.1: outer packets of IP-TFS carry no ECN for what is in them.
  if (sa_->ecn && !sa_->aggfrag && !apply_outer_ecn(inner, info, packets_[index].tos)) {
    drop(index, DropReason::kEcnDropped, inner);
    return;
  }
  deliver(inner, info, index);
}

bool InboundRun::apply_outer_ecn(MutableByteView inner, wire::IpPacketInfo& info, std::uint8_t outer_tos) const {
  const auto forwarded = decapsulate_ecn(ecn_of(info.tos), ecn_of(outer_tos));
  if (!forwarded) return false;
  const auto tos = static_cast<std::uint8_t>((info.tos & wire::kDscpMask) | static_cast<std::uint8_t>(*forwarded));
  if (tos == info.tos) return true;
  if (info.is_v4()) {
    wire::set_ipv4_tos(inner.data(), tos);
  } else {
    wire::set_ipv6_traffic_class(inner.data(), tos);
  }
  info.tos = tos;
  return true;
}

bool InboundRun::within_selectors(ByteView packet, const wire::IpPacketInfo& info) const {
  if (sa_->has_box) {
    return info.is_v4() && sa_->box.holds(load_be32(packet.data() + 16), load_be32(packet.data() + 12));
  }
  return within(PacketSelectors::of(packet, info, model::Direction::kInbound), sa_->spec);
}

void InboundRun::finish_transport(MutableByteView payload, std::uint8_t next_header, std::uint32_t index) {
  const auto& arrived = packets_[index];
  ByteView options;
  const bool beet = sa_->spec.mode == model::Mode::kBeet;
  if (beet && next_header == kBeetPseudoHeader) {
    const auto parsed = parse_beet_payload(payload);
    if (!parsed || !sa_->spec.inner_local.is_v4()) {
      drop_error(index, DropReason::kInnerMalformed, payload);
      return;
    }
    next_header = parsed->next_header;
    options = parsed->options;
    payload = parsed->rest;
  }
  auto* packet = out_.allocate(wire::kIpv4HeaderOctets + kMostIpv4Options + payload.size());
  if (packet == nullptr) {
    drop(index, DropReason::kNoBuffer, payload);
    return;
  }
  std::size_t header = write_transport_header(packet, *sa_, next_header, options.size() + payload.size(), arrived.tos);
  header += add_options(packet, options);
  std::ranges::copy(payload, packet + header);
  const MutableByteView whole{packet, header + payload.size()};
  const auto info = wire::parse_ip_packet(whole);
  if (!info) {
    drop_error(index, DropReason::kInnerMalformed, payload);
    return;
  }
  if (!within_selectors(whole, *info)) {
    drop_error(index, DropReason::kSelectorMismatch, whole);
    return;
  }
  if (arrived.udp && !beet) {
    if (sa_->udp && !give_flow_to_sender(whole, *info, index)) return;
    mend_transport_checksum(whole, *info);
  }
  deliver(whole, *info, index);
}

void InboundRun::deliver(MutableByteView packet, const wire::IpPacketInfo& info, std::uint32_t index) {
  if (info.protocol == wire::protocol::kTcp && info.has_ports && !info.fragment) {
    const auto segment = packet.subspan(info.header_octets);
    if (segment.size() >= wire::kTcpHeaderOctets && (wire::tcp_flags(segment.data()) & wire::tcp_flag::kSyn) != 0 &&
        sa_->spec.clamp_mss) {
      // What comes back must fit the way out.
      if (sa_->sibling != nullptr) (void)wire::clamp_tcp_mss(segment, mss_for(sa_->sibling->inner_mtu, info.family));
    }
  }
  ++state_.statistics.packets_in;
  state_.statistics.bytes_in += packet.size();
  if (!coalescer_.add(packet, info, sa_->device, index)) drop(index, DropReason::kNoBuffer);
}

void run_inbound(EngineState& state, std::span<InPacket> packets, bool apart, Instant now, Verdicts& out) {
  InboundRun run(state, packets, apart, now, out);
  run.process();
}

void finish_inbound(EngineState& state, Lane& lane) {
  auto& under_way = lane.under_way;
  InboundRun run(state, under_way.packets, false, under_way.began, *under_way.out);
  run.finish_jobs(0, std::exchange(under_way.jobs, 0));
}

void run_inbound_urgent(EngineState& state, std::span<InPacket> packets, Instant now, Verdicts& out) {
  InboundRun run(state, packets, false, now, out);
  run.process_urgent();
}

void give_up_waiting(EngineState& state, InboundSa& sa, Instant now, Verdicts& out) {
  InboundRun run(state, {}, false, now, out);
  run.give_up_waiting(sa);
}

void release_early(EngineState& state, Instant now, Verdicts& out) {
  for (const auto& early : std::exchange(state.early, {})) {
    // Verdicts may point into what they were given: the arena outlives this call, the queue does not.
    auto* bytes = out.allocate(early.esp.size());
    if (bytes == nullptr) {
      state.drop(out, Verdict::kNoPacket, DropReason::kNoBuffer);
      continue;
    }
    std::ranges::copy(early.esp, bytes);
    InPacket packet{.bytes = {bytes, early.esp.size()},
                    .local = early.local,
                    .remote = early.remote,
                    .udp = early.udp,
                    .tos = early.tos};
    run_inbound(state, {&packet, 1}, false, now, out);
  }
}

}  // namespace cygnet::engine
