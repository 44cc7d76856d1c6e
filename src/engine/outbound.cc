// SPDX-License-Identifier: Apache-2.0
// The way of a packet out (RFC 4301 section 5.1, RFC 4303 section 3.3). A burst takes each step together, so that
// memory is waited for once and not once a packet:
//   1. parse_all    parse the packets, find their flows' places
//   2. look_up_all  flow cache, else SPD and SAD
//   3. act          DISCARD, BYPASS, PROTECT; without SA: hold and ask, or drop. Those of SAs with traffic=latency go
//                   through all that follows before the others
//   4. protect      complete checksums, clamp the MSS, compare with the path: whole, segments, fragments, or "too big"
//   5. begin_esp    lifetimes, sequence number, a place in the arena; header, padding and trailer
//   6. SendGroup    neighbours of one size become one send
//   7. flush        the ciphers seal; neighbours of one SA at once
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "engine/beet.h"
#include "engine/fragment.h"
#include "engine/outbound_sending.h"
#include "engine/outbound_shape.h"
#include "engine/path_mtu.h"
#include "engine/segment.h"
#include "engine/send_group.h"
#include "engine/state.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"

namespace cygnet::engine {
namespace {

class OutboundRun {
 public:
  OutboundRun(EngineState& state, Instant now, Verdicts& out)
      : state_(state), lane_(*state.lane), now_(now), out_(out) {}
  OutboundRun(const OutboundRun&) = delete;
  OutboundRun& operator=(const OutboundRun&) = delete;
  ~OutboundRun() {
    send_all_tfs();
    flush(false);
    out_.tell_urgent(now_);
    out_.favour(false);
  }

  // apart: the last thing to do is left to the ciphers, and the turn given up before it.
  void process(std::span<OutPacket> packets, bool apart = false);
  // One packet by itself: what was held, or put together from fragments.
  void process(const OutPacket& packet, std::uint32_t index, Instant since, bool reassembled = false);
  void send_dummy(OutboundSa& sa, ByteView content);
  void finish_jobs(std::size_t count);
  void send_tfs(OutboundSa& sa);

 private:
  void parse_all(std::span<OutPacket> packets);
  void look_up_all(std::size_t count);
  [[nodiscard]] FlowTarget look_up(const Parsed& packet, const FlowKey& key);
  void classify_all(std::size_t missed);
  [[nodiscard]] FlowTarget target_of(Policy* policy, const PacketSelectors& selectors) const;
  [[nodiscard]] std::uint32_t act_on_urgent(std::size_t first, std::size_t count, std::uint64_t changes);
  void act_on(std::size_t first, std::size_t i, std::uint64_t changes);
  void act(Parsed& packet, const FlowTarget& target);
  void wait_for_sa(const Parsed& packet, Policy& policy);
  void protect(Parsed& packet, OutboundSa& selected, const Policy* policy);
  void reassemble(const Parsed& packet);
  void seal_segments(const Parsed& packet, OutboundSa& sa);
  void seal_oversize(const Parsed& packet, OutboundSa& sa);
  void seal_whole(const Parsed& packet, OutboundSa& sa, bool dont_fragment);
  void seal_fragments(const Parsed& packet, OutboundSa& sa);
  [[nodiscard]] bool seal_smaller(OutboundSa& sa, ByteView payload, std::uint8_t next_header, const OuterWay& way);
  // Where the payload goes. With `from` it stays there until it is sealed, and its trailer is written behind it.
  [[nodiscard]] std::uint8_t* begin_esp(OutboundSa& sa, std::size_t payload_octets, std::uint8_t next_header,
                                        const OuterWay& way, std::uint8_t* from = nullptr);
  void send_all_tfs();
  void on_refused(const crypto::EspJob& job);
  [[nodiscard]] Sending sending() const { return {state_, now_, out_, lane_, index_}; }
  void drop(DropReason reason, ByteView data = {}) { state_.drop(out_, index_, reason, data); }
  void flush(bool apart);

  EngineState& state_;
  Lane& lane_;
  Instant now_;
  Verdicts& out_;
  std::uint32_t index_ = Verdict::kNoPacket;  // of the packet being worked on
  Instant since_;                             // when it came
  std::size_t jobs_ = 0;
  SendGroup group_;
  std::vector<OutboundSa*> tfs_;  // have got packets
};

void OutboundRun::process(std::span<OutPacket> packets, bool apart) {
  since_ = now_;
  for (std::size_t first = 0; first < packets.size(); first += kBurst) {
    const auto burst = packets.subspan(first, std::min(kBurst, packets.size() - first));
    parse_all(burst);
    state_.done(Stage::kParse);
    look_up_all(burst.size());
    state_.done(Stage::kLookUp);
    const auto changes = state_.regions.changes();
    const auto done = state_.any_urgent && out_.parts_urgent() ? act_on_urgent(first, burst.size(), changes) : 0;
    for (std::size_t i = 0; i < burst.size(); ++i) {
      if ((done >> i & 1U) == 0) act_on(first, i, changes);
    }
    send_all_tfs();
    state_.done(Stage::kPrepare);
    flush(apart && first + kBurst >= packets.size());
    state_.done(Stage::kCipher);
  }
}

// traffic=latency: sealed and sent before the others of the burst, which may be many octets. Which they were, a bit
// each.
std::uint32_t OutboundRun::act_on_urgent(std::size_t first, std::size_t count, std::uint64_t changes) {
  static_assert(kBurst <= 32);
  std::uint32_t done = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* sa = lane_.burst.parsed[i].sound ? lane_.burst.targets[i].sa : nullptr;
    if (sa == nullptr || !sa->urgent) continue;
    done |= 1U << i;
    act_on(first, i, changes);
  }
  if (done == 0) return 0;
  send_all_tfs();
  flush(false);
  out_.tell_urgent(now_);
  group_ = {};  // what it would have gone on with has left
  return done;
}

inline void OutboundRun::act_on(std::size_t first, std::size_t i, std::uint64_t changes) {
  index_ = static_cast<std::uint32_t>(first + i);
  auto& packet = lane_.burst.parsed[i];
  if (!packet.sound) {
    drop(packet.refused, packet.bytes);
    return;
  }
  // A packet before this one may have brought an SA to its end.
  if (state_.regions.changes() != changes) lane_.burst.targets[i] = look_up(packet, lane_.burst.keys[i]);
  act(packet, lane_.burst.targets[i]);
}

void OutboundRun::process(const OutPacket& packet, std::uint32_t index, Instant since, bool reassembled) {
  index_ = index;
  since_ = since;
  Parsed parsed;
  parse(packet, reassembled, parsed);
  if (!parsed.sound) {
    drop(parsed.refused, parsed.bytes);
    return;
  }
  act(parsed, look_up(parsed, FlowKey::of(parsed.bytes, parsed.info, parsed.device)));
}

void OutboundRun::parse_all(std::span<OutPacket> packets) {
  for (const auto& packet : packets) __builtin_prefetch(packet.bytes.data());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    auto& parsed = lane_.burst.parsed[i];
    parse(packets[i], false, parsed);
    if (!parsed.sound) continue;
    lane_.burst.keys[i] = FlowKey::of(parsed.bytes, parsed.info, parsed.device);
    lane_.burst.places[i] = state_.flows.place(lane_.burst.keys[i]);
  }
}

void OutboundRun::look_up_all(std::size_t count) {
  auto& burst = lane_.burst;
  std::size_t missed = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!burst.parsed[i].sound) continue;
    const auto* known = state_.flows.find(burst.keys[i], burst.places[i]);
    if (known == nullptr) {
      burst.missed[missed++] = static_cast<std::uint32_t>(i);
      continue;
    }
    ++state_.statistics.flow_cache_hits;
    burst.targets[i] = *known;
    if (known->sa != nullptr) prefetch_sa(known->sa);
  }
  if (missed != 0) classify_all(missed);
}

void OutboundRun::classify_all(std::size_t missed) {
  auto& burst = lane_.burst;
  state_.statistics.flow_cache_misses += missed;
  for (std::size_t m = 0; m < missed; ++m) {
    const auto& packet = burst.parsed[burst.missed[m]];
    burst.selectors[m] = PacketSelectors::of(packet.bytes, packet.info, model::Direction::kOutbound);
    burst.devices[m] = packet.device;
  }
  state_.spd.find(std::span(burst.selectors).first(missed), std::span(burst.devices).first(missed),
                  std::span(burst.policies).first(missed));
  for (std::size_t m = 0; m < missed; ++m) {
    const auto i = burst.missed[m];
    burst.targets[i] = target_of(burst.policies[m], burst.selectors[m]);
    if (burst.targets[i].sa != nullptr) prefetch_sa(burst.targets[i].sa);
    state_.flows.insert(burst.keys[i], burst.places[i], burst.targets[i]);
  }
}

FlowTarget OutboundRun::target_of(Policy* policy, const PacketSelectors& selectors) const {
  FlowTarget target{.policy = policy};
  if (policy != nullptr && policy->spec.action == model::PolicyAction::kProtect) {
    target.sa = state_.select_sa(*policy, selectors);
  }
  return target;
}

FlowTarget OutboundRun::look_up(const Parsed& packet, const FlowKey& key) {
  const auto place = state_.flows.place(key);
  if (const auto* known = state_.flows.find(key, place)) {
    ++state_.statistics.flow_cache_hits;
    return *known;
  }
  ++state_.statistics.flow_cache_misses;
  const auto selectors = PacketSelectors::of(packet.bytes, packet.info, model::Direction::kOutbound);
  const auto target = target_of(state_.spd.find(selectors, packet.device), selectors);
  state_.flows.insert(key, place, target);
  return target;
}

void OutboundRun::act(Parsed& packet, const FlowTarget& target) {
  if (packet.info.fragment && state_.fragments.wants_whole_packets()) {
    reassemble(packet);
    return;
  }
  // Most packets have an SA; its policy need not be looked at then.
  if (target.sa != nullptr) {
    auto& sa = target.sa->for_thread(lane_.number);
    out_.favour(sa.urgent);
    if (sa.dead) {
      drop(DropReason::kSaExpired, packet.bytes);
    } else {
      protect(packet, sa, target.policy);
    }
    return;
  }
  out_.favour(false);
  // RFC 4301 section 4.4.1: what no entry covers is discarded.
  if (target.policy == nullptr) {
    drop(DropReason::kPolicyDiscard, packet.bytes);
    return;
  }
  switch (target.policy->spec.action) {
    case model::PolicyAction::kDiscard: drop(DropReason::kPolicyDiscard, packet.bytes); break;
    case model::PolicyAction::kBypass: pass_in_clear(sending(), packet); break;
    case model::PolicyAction::kProtect: wait_for_sa(packet, *target.policy); break;
  }
}

void OutboundRun::wait_for_sa(const Parsed& packet, Policy& policy) {
  if (!policy.spec.acquire) {
    drop(DropReason::kNoSa, packet.bytes);
    return;
  }
  if (state_.holding.push(policy.spec.id, packet.bytes, packet.offload, packet.device, since_)) {
    out_.add(index_, Held{policy.spec.id});
  } else {
    drop(DropReason::kAcquireQueueFull, packet.bytes);
  }
  // Whatever became of the question, an SA for other addresses or none, packets that go on coming ask again.
  if (now_ < policy.acquire_again) return;
  policy.acquire_again = now_ + Policy::kAcquireAgain;
  ++state_.statistics.acquires;
  const auto side = [&](const IpAddress& address, std::uint16_t port) {
    model::TrafficSelector selector = model::TrafficSelector::of(IpRange::of(address));
    selector.protocol = packet.info.protocol;
    if (packet.info.has_ports) selector.port_first = selector.port_last = port;
    return selector;
  };
  state_.raise(AcquireEvent{policy.spec.id, side(wire::source_address(packet.bytes), packet.info.source_port),
                            side(wire::destination_address(packet.bytes), packet.info.destination_port)});
}

void OutboundRun::protect(Parsed& packet, OutboundSa& selected, const Policy* policy) {
  if (selected.transport && packet.info.fragment) {
    reassemble(packet);
    return;
  }
  auto* const sharer = selected.transport && selected.udp && selected.spec.mode == model::Mode::kTransport
                           ? sa_of_sharer(sending(), packet, selected)
                           : &selected;
  if (sharer == nullptr) return;
  auto& sa = *sharer;
  if (sa.transport) {
    if (!sa.with_ah && !fits_transport(packet)) {
      drop(DropReason::kPolicyDiscard, packet.bytes);
      return;
    }
  }
  if (state_.bundles != 0 && policy != nullptr && !policy->spec.ah_group.is_zero()) {
    protect_with_bundle(sending(), packet, sa, policy->spec.ah_group);
    return;
  }
  if (sa.with_ah) {
    protect_with_ah(sending(), packet, sa);
    return;
  }
  if (sa.diet) return protect_with_diet(sending(), packet, sa);
  if (sa.aggfrag) {
    if (queue_for_tfs(sending(), packet, sa) && std::ranges::find(tfs_, &sa) == tfs_.end()) tfs_.push_back(&sa);
    return;
  }
  if (packet.offload.gso != Offload::Gso::kNone) {
    seal_segments(packet, sa);
    return;
  }
  if (!complete_checksum(packet.bytes, packet.offload)) {
    drop(DropReason::kMalformedIp, packet.bytes);
    return;
  }
  if (sa.clamp_mss && packet.info.protocol == wire::protocol::kTcp && !packet.info.fragment) {
    (void)wire::clamp_tcp_mss(packet.bytes.subspan(packet.info.header_octets),
                              mss_for(sa.inner_mtu, packet.info.family));
  }
  if (packet.info.total_octets <= sa.inner_mtu) {
    seal_whole(packet, sa, outer_way(packet, sa).dont_fragment);
  } else {
    seal_oversize(packet, sa);
  }
}

void OutboundRun::reassemble(const Parsed& packet) {
  if (!packet.info.is_v4() && packet.bytes[6] != wire::protocol::kFragment) {
    drop(DropReason::kPolicyDiscard, packet.bytes);
    return;
  }
  auto outcome = state_.reassembly.add(packet.bytes, packet.info, now_);
  if (outcome.dropped) {
    state_.count(*outcome.dropped, outcome.dropped_fragments - 1);
    drop(*outcome.dropped, packet.bytes);
    return;
  }
  if (outcome.whole.empty()) return;
  // The verdicts may point into the packet until they are cleared, so it moves into the arena.
  auto* whole = out_.allocate(outcome.whole.size());
  if (whole == nullptr) {
    drop(DropReason::kNoBuffer);
    return;
  }
  std::ranges::copy(outcome.whole, whole);
  process({.bytes = {whole, outcome.whole.size()}, .offload = {}, .device = packet.device}, index_, since_, true);
}

void OutboundRun::seal_segments(const Parsed& packet, OutboundSa& sa) {
  const auto plan = Segmentation::plan(packet.bytes, packet.info, packet.offload, sa.inner_mtu);
  if (!plan) {
    drop(DropReason::kMalformedIp, packet.bytes);
    return;
  }
  if (plan->packet_octets(0) > sa.inner_mtu) {
    tell_too_big(sending(), packet, sa.inner_mtu);
    return;
  }
  const bool tunnel = !sa.transport;
  const std::size_t outside = tunnel ? 0 : outside_octets(packet);
  // In transport mode IPv6 destination options would stand between the headers: the plan writes from TCP or UDP on.
  if (!tunnel && (outside != plan->ip_octets() || carries_options(packet, sa))) {
    drop(DropReason::kPolicyDiscard, packet.bytes);
    return;
  }
  const auto way = outer_way(packet, sa);
  const auto next_header = next_header_of(packet, sa);
  for (std::size_t i = 0; i < plan->count(); ++i) {
    if (sa.compress) {
      const auto segment = state_.ipcomp.scratch(plan->packet_octets(i) - outside);
      plan->write(i, segment.data(), tunnel);
      if (!seal_smaller(sa, segment, next_header, way)) return;
    } else {
      const std::size_t octets = plan->packet_octets(i) - outside;
      const std::size_t padding = tfc_padding(sa, octets);
      auto* payload = begin_esp(sa, octets + padding, next_header, way);
      if (payload == nullptr) return;
      plan->write(i, payload, tunnel);
      if (padding != 0) std::memset(payload + octets, 0, padding);
    }
    count_sent(state_, plan->packet_octets(i));
  }
}

bool OutboundRun::seal_smaller(OutboundSa& sa, ByteView payload, std::uint8_t next_header, const OuterWay& way) {
  const auto smaller = state_.ipcomp.compress(payload, next_header, sa.spec.ipcomp_cpi, sa.compressibility);
  if (!smaller.empty()) {
    payload = smaller;
    next_header = wire::protocol::kIpcomp;
  }
  auto* to = begin_esp(sa, payload.size(), next_header, way);
  if (to == nullptr) return false;
  std::memcpy(to, payload.data(), payload.size());
  return true;
}

void OutboundRun::seal_whole(const Parsed& packet, OutboundSa& sa, bool dont_fragment) {
  const std::size_t outside = sa.transport ? outside_octets(packet) : 0;
  MutableByteView payload = packet.bytes.subspan(outside);
  const bool with_options = carries_options(packet, sa);
  if (with_options) {
    const auto room = state_.ipcomp.scratch(payload.size() + kMostBeetOctets);
    payload = room.first(write_beet_payload(room.data(), packet.bytes, outside));
  }
  auto way = outer_way(packet, sa);
  way.dont_fragment = dont_fragment;
  if (sa.compress) {
    if (seal_smaller(sa, payload, next_header_of(packet, sa), way)) count_sent(state_, packet.bytes.size());
    return;
  }
  // The trailer has at most a block and two octets; four are written at least.
  const std::size_t padding = tfc_padding(sa, payload.size());
  const bool stays = sa.seals_from_elsewhere && packet.tailroom >= kSealTailroom && padding == 0 && !with_options;
  auto* to = begin_esp(sa, payload.size() + padding, next_header_of(packet, sa), way, stays ? payload.data() : nullptr);
  if (to == nullptr) return;
  if (!stays) std::memcpy(to, payload.data(), payload.size());
  if (padding != 0) std::memset(to + payload.size(), 0, padding);
  count_sent(state_, packet.bytes.size());
}

void OutboundRun::seal_oversize(const Parsed& packet, OutboundSa& sa) {
  if (outer_may_fragment(packet, sa)) {
    seal_whole(packet, sa, false);
  } else if (packet.info.is_v4() && !packet.info.dont_fragment && !sa.transport) {
    seal_fragments(packet, sa);
  } else {
    tell_too_big(sending(), packet, packet.info.is_v4() ? sa.inner_mtu : std::max(sa.inner_mtu, wire::kIpv6MinimumMtu));
  }
}

void OutboundRun::seal_fragments(const Parsed& packet, OutboundSa& sa) {
  const auto plan = Ipv4Fragmentation::plan(packet.bytes, packet.info, sa.inner_mtu);
  if (!plan) {
    tell_too_big(sending(), packet, sa.inner_mtu);
    return;
  }
  const auto way = outer_way(packet, sa);
  for (std::size_t i = 0; i < plan->count(); ++i) {
    const std::size_t padding = tfc_padding(sa, plan->packet_octets(i));
    auto* payload = begin_esp(sa, plan->packet_octets(i) + padding, wire::protocol::kIpv4, way);
    if (payload == nullptr) return;
    plan->write(i, payload);
    if (padding != 0) std::memset(payload + plan->packet_octets(i), 0, padding);
    count_sent(state_, plan->packet_octets(i));
  }
}

std::uint8_t* OutboundRun::begin_esp(OutboundSa& sa, std::size_t payload_octets, std::uint8_t next_header,
                                     const OuterWay& way, std::uint8_t* from) {
  if (!may_send(sending(), sa, payload_octets)) return nullptr;
  const std::size_t pad = wire::esp_pad_octets(payload_octets, sa.block_octets);
  const std::size_t octets =
      wire::kEspHeaderOctets + sa.iv_octets + payload_octets + pad + wire::kEspTrailerOctets + sa.icv_octets;
  auto* esp = octets <= kMaxDatagramOctets ? out_.allocate(octets) : nullptr;
  if (esp == nullptr) {
    drop(DropReason::kNoBuffer);
    return nullptr;
  }
  if (jobs_ == lane_.most_jobs) flush(false);
  if (lane_.shared) lane_.queue_behind(sa);
  const std::uint64_t sequence = ++sa.sequence;
  wire::write_esp_header(esp, sa.spi, sequence);
  auto* payload = esp + wire::kEspHeaderOctets + sa.iv_octets;
  write_trailer((from != nullptr ? from : payload) + payload_octets, pad, next_header);
  lane_.burst.sealing[jobs_] = &sa;
  lane_.burst.jobs[jobs_++] = {esp, octets, sequence, false, from};
  group_.add(out_, index_, sa, {esp, octets}, way);
  count_for_sa(sending(), sa, payload_octets);
  return payload;
}

void OutboundRun::flush(bool apart) {
  auto& burst = lane_.burst;
  const std::size_t count = std::exchange(jobs_, 0);
  const bool shareable = apart && prepare_apart<OutboundSa>(std::span(burst.sealing).first(count));
  if (apart && lane_.flies) {
    lane_.under_way.jobs = count;
    return;
  }
  if (shareable) state_.give_turn();
  KeysAhead ahead(std::span<OutboundSa* const>(burst.sealing).first(count), burst.jobs);
  for (std::size_t i = 0; i < count;) {
    auto* sa = burst.sealing[i];
    std::size_t end = i + 1;
    while (end < count && burst.sealing[end] == sa) ++end;
    const std::span jobs(burst.jobs.data() + i, end - i);
    if (sa->worker == nullptr) sa->begin();
    ahead.fetch(end);
    sa->worker->seal(jobs);
    for (const auto& job : jobs) {
      if (!job.ok) on_refused(job);
    }
    i = end;
  }
}

void OutboundRun::finish_jobs(std::size_t count) {
  for (const auto& job : std::span(lane_.burst.jobs).first(count)) {
    if (!job.ok) on_refused(job);
  }
}

// The cipher refuses only what cannot be here. Should it, then clear text must not leave: the peer gets zeros.
void OutboundRun::on_refused(const crypto::EspJob& job) {
  wipe({job.esp + wire::kEspHeaderOctets, job.octets - wire::kEspHeaderOctets});
  if (lane_.shared && !lane_.held) state_.take_turn(lane_);
  state_.count(DropReason::kCipherFailed);
}

void OutboundRun::send_dummy(OutboundSa& sa, ByteView content) {
  // RFC 4303 section 2.6: "a protocol value of 59 ... a receiver MUST be prepared to discard these packets".
  out_.favour(sa.urgent);
  if (auto* payload = begin_esp(sa, content.size(), wire::protocol::kNoNextHeader, {.tos = 0, .dont_fragment = true})) {
    std::ranges::copy(content, payload);
  }
}

void OutboundRun::send_all_tfs() {
  for (auto* sa : std::exchange(tfs_, {})) send_tfs(*sa);
}

void OutboundRun::send_tfs(OutboundSa& sa) {
  auto& tfs = *sa.tfs;
  index_ = Verdict::kNoPacket;
  out_.favour(sa.urgent);
  auto turn = begin_tfs(state_, sa, now_);
  std::size_t sent = 0;
  for (; sent < TfsSender::kMostAtOnce && tfs.next(now_, turn.idle); ++sent) {
    auto* payload = begin_esp(sa, tfs.payload_octets(), wire::kAggfrag, turn.way);
    if (payload == nullptr) {
      state_.count(DropReason::kTfsQueueFull, tfs.forget(now_));
      break;
    }
    turn.carried = turn.carried || tfs.queued_octets() != 0;
    tfs.write(payload, now_, turn.heard);
  }
  if (sent == TfsSender::kMostAtOnce) tfs.catch_up(now_);
  end_tfs(state_, sa, turn, now_);
}

}  // namespace

void run_tfs(EngineState& state, OutboundSa& sa, Instant now, Verdicts& out) {
  OutboundRun run(state, now, out);
  run.send_tfs(sa);
}

void run_outbound(EngineState& state, std::span<OutPacket> packets, bool apart, Instant now, Verdicts& out) {
  OutboundRun run(state, now, out);
  run.process(packets, apart);
}

void finish_outbound(EngineState& state, Lane& lane) {
  OutboundRun run(state, lane.under_way.began, *lane.under_way.out);
  run.finish_jobs(std::exchange(lane.under_way.jobs, 0));
}

void release_held(EngineState& state, Instant now, Verdicts& out) {
  for (const auto id : state.holding.policies()) {
    auto packets = state.holding.take(id);
    OutboundRun run(state, now, out);
    for (auto& held : packets) {
      // Verdicts may point into what they were given: the arena outlives this call, the queue does not.
      auto* bytes = out.allocate(held.bytes.size());
      if (bytes == nullptr) {
        state.drop(out, Verdict::kNoPacket, DropReason::kNoBuffer);
        continue;
      }
      std::ranges::copy(held.bytes, bytes);
      run.process({.bytes = {bytes, held.bytes.size()}, .offload = held.offload, .device = held.device},
                  Verdict::kNoPacket, held.since);
    }
  }
}

Result<void> run_dummy(EngineState& state, OutboundSa& sa, std::size_t octets, Instant now, Verdicts& out) {
  if (octets > sa.inner_mtu)
    return fail("A dummy packet may have at most " + std::to_string(sa.inner_mtu) + " octets here.");
  if (sa.with_ah || sa.diet) return fail("AH and Diet-ESP have no dummy packets: use ESP, and set diet-esp=no.");
  const Bytes content = state.dummy_content.bytes(octets);
  OutboundRun run(state, now, out);
  run.send_dummy(sa, content);
  return {};
}

}  // namespace cygnet::engine
