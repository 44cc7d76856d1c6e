// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/path_mtu.h"
#include "engine/state.h"
#include "wire/esp_header.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {
namespace {

constexpr std::uint32_t kFirstSpi = 256;  // RFC 4303 section 2.1: 0 is local, 1 to 255 are reserved

[[nodiscard]] std::string hex_spi(Spi spi) {
  std::array<std::uint8_t, 4> b{};
  store_be32(b.data(), spi.value);
  return "0x" + to_hex(b);
}

// RFC 9347 section 5.1: "only defined for non-transport mode tunnels"; and its payload is the only one (section 2.3).
[[nodiscard]] Result<void> check_tfs(const model::SaSpec& spec) {
  if (!spec.iptfs.enabled) return {};
  if (spec.protocol == model::SaProtocol::kAh || spec.mode != model::Mode::kTunnel || spec.inside_ah) {
    return fail("IP-TFS is for ESP in tunnel mode (RFC 9347 section 5.1).");
  }
  if (spec.ipcomp_cpi != 0 || spec.tfc_octets != 0) {
    return fail("IP-TFS pads by itself and takes no compression beside it: set compress=no and tfc=0.");
  }
  if (spec.iptfs.congestion_control && spec.iptfs.bits_per_s == 0) {
    return fail("IP-TFS with congestion control needs the most that it may send: iptfs-rate=.");
  }
  if (spec.iptfs.reorder_window > TfsReceiver::kMostWindow) {
    return fail("iptfs-reorder-window= is at most " + std::to_string(TfsReceiver::kMostWindow) + ".");
  }
  return {};
}

[[nodiscard]] Result<void> check_diet(const model::SaSpec& spec) {
  if (!spec.diet.enabled) return {};
  if (spec.protocol == model::SaProtocol::kAh || spec.mode != model::Mode::kTunnel || spec.inside_ah) {
    return fail("Diet-ESP is built for ESP in tunnel mode.");
  }
  if (spec.ipcomp_cpi != 0 || spec.tfc_octets != 0 || spec.iptfs.enabled) {
    return fail("Diet-ESP takes no compression, padding or IP-TFS beside it.");
  }
  // "The ESP Pad Length and Padding fields are omitted only when ... esp_encr does not necessitate a specific block
  // size alignment" (draft-ietf-ipsecme-diet-esp-04, Clear Text ESP Compression).
  if (model::block_octets(spec.encryption) > 4) {
    return fail("Diet-ESP is built for ciphers without blocks: take AES-GCM, AES-CCM, AES-CTR or ChaCha20-Poly1305.");
  }
  if (spec.diet.sn_octets < 1 || spec.diet.sn_octets > wire::kEspSequenceOctets) {
    return fail("Diet-ESP sends 1 to 4 octets of the sequence number.");
  }
  if (!model::family_of(spec.local_selectors, spec.remote_selectors)) {
    return fail("Diet-ESP leaves the next header out: its traffic selectors must all be IPv4 or all IPv6.");
  }
  return {};
}

[[nodiscard]] Result<void> check_spec(const model::SaSpec& spec) {
  const std::string who = "SA " + hex_spi(spec.spi) + ": ";
  if (spec.spi.value < kFirstSpi) return fail(who + "SPIs below 256 are reserved (RFC 4303 section 2.1).");
  if (spec.local.address.family() != spec.remote.address.family()) {
    return fail(who + "its outer addresses are of different families; both must be IPv4 or both IPv6.");
  }
  if (spec.direction == model::Direction::kOutbound && spec.remote.address.is_unspecified()) {
    return fail(who + "it has no address to send to.");
  }
  if (spec.direction == model::Direction::kOutbound && spec.udp_encapsulation &&
      (spec.local.port == 0 || spec.remote.port == 0)) {
    return fail(who + "UDP encapsulation needs both ports.");
  }
  // What the engine does not do is refused by name: nobody shall believe in a protection that is not there.
  if (spec.protocol == model::SaProtocol::kAh && (spec.udp_encapsulation || spec.ipcomp_cpi != 0)) {
    return fail(who + (spec.udp_encapsulation ? "AH covers the addresses and cannot pass a NAT (RFC 3948 section 1)."
                                              : "AH takes no compression beside it: use ESP."));
  }
  if (spec.mode == model::Mode::kBeet) {
    const bool known = spec.inner_local.family() == spec.inner_remote.family() && !spec.inner_local.is_unspecified() &&
                       !spec.inner_remote.is_unspecified();
    if (spec.protocol == model::SaProtocol::kAh) return fail(who + "AH has no BEET mode.");
    if (!known) return fail(who + "BEET mode needs both inner addresses, of one family.");
  }
  // RFC 4303 section 2.7: "only if the payload's length can be told from what it is".
  if (spec.tfc_octets != 0 && (spec.protocol == model::SaProtocol::kAh || spec.mode != model::Mode::kTunnel)) {
    return fail(who + "traffic flow confidentiality padding is for ESP in tunnel mode (RFC 4303 section 2.7).");
  }
  if (spec.tfc_octets != 0 && spec.ipcomp_cpi != 0) {
    return fail(who + "what is compressed cannot be padded: set compress=no, or tfc=0.");
  }
  if (auto ok = check_tfs(spec); !ok) return fail(who + ok.error().message);
  if (auto ok = check_diet(spec); !ok) return fail(who + ok.error().message);
  if (spec.interface_id != 0 || spec.kernel_mark != model::SaMark{}) {
    return fail(who + "XFRM interfaces and marks of SAs are the kernel's: use engine=xfrm.");
  }
  if (spec.inside_ah && (spec.protocol == model::SaProtocol::kAh || spec.udp_encapsulation)) {
    return fail(who + "inside AH is ESP without UDP encapsulation.");
  }
  if (spec.nic_offload == model::NicOffload::kCrypto || spec.nic_offload == model::NicOffload::kPacket)
    return fail(who + "network cards work for the kernel only: nic-offload=no, or engine=xfrm.");
  for (const auto* selectors : {&spec.local_selectors, &spec.remote_selectors}) {
    for (const auto& selector : *selectors) {
      if (!selector.range.valid()) return fail(who + "traffic selector " + selector.to_string() + " is no range.");
    }
  }
  return {};
}

// The keys at work: one of the two.
struct Keyed {
  std::unique_ptr<crypto::EspCipher> cipher;
  std::unique_ptr<AhTransform> ah;
};

[[nodiscard]] Result<Keyed> key_up(const model::SaSpec& spec) {
  Keyed out;
  if (spec.protocol == model::SaProtocol::kAh) {
    auto ah = AhTransform::create(spec);
    if (!ah) return std::unexpected(ah.error());
    out.ah = std::move(*ah);
  } else {
    auto cipher = crypto::create_esp_cipher(spec);
    if (!cipher) return std::unexpected(cipher.error());
    out.cipher = std::move(*cipher);
  }
  return out;
}

template <typename Sa>
void fill(EngineState& state, Sa& sa, const model::SaSpec& spec, Keyed keyed, Instant now) {
  sa.spec = spec;
  if (keyed.ah != nullptr) {
    sa.icv_octets = static_cast<std::uint8_t>(keyed.ah->icv_octets());
    sa.ah = std::move(keyed.ah);
  } else {
    sa.iv_octets = static_cast<std::uint8_t>(keyed.cipher->iv_octets());
    sa.icv_octets = static_cast<std::uint8_t>(keyed.cipher->icv_octets());
    // RFC 4303 section 2.4: the trailer ends on a 4-octet boundary whatever the cipher's block.
    sa.block_octets = static_cast<std::uint8_t>(std::max<std::size_t>(4, keyed.cipher->block_octets()));
    sa.cipher = std::move(keyed.cipher);
  }
  sa.limits = SaLimits::of(spec);
  sa.installed = now;
  sa.serial = state.next_serial++;
}

template <typename Sa>
[[nodiscard]] model::SaCounters counters_of(const Sa& sa) {
  model::SaCounters counters{.packets = sa.packets,
                             .bytes = sa.bytes,
                             .errors = sa.errors,
                             .last_used = sa.last_used,
                             .installed = sa.installed};
  if constexpr (std::is_same_v<Sa, InboundSa>) {
    counters.sequence = sa.replay.top();
  } else {
    counters.sequence = sa.sequence;
    counters.standby = sa.spec.standby;
  }
  if (sa.tfs) counters.tfs = sa.tfs->counters();
  return counters;
}

[[nodiscard]] model::SaSpec copy_spec(const model::SaSpec& spec, bool with_keys) {
  auto copy = spec;
  if (!with_keys) {
    copy.encryption_key.clear();
    copy.integrity_key.clear();
  }
  return copy;
}

[[nodiscard]] SaState state_of(const EngineState& state, const OutboundSa& sa, bool with_keys) {
  return {copy_spec(sa.spec, with_keys), counters_of(sa), outer_path_mtu(sa, state.settings.link_mtu), sa.inner_mtu};
}

// A burst of a lane: what it finds stays while this lives, and its turn has ended after that.
class LaneBurst {
 public:
  LaneBurst(EngineState& state, Lane& lane) : state_(state), lane_(lane) {
    lane_.reader->resume();
    state_.take_turn(lane_);
    lane_.ticket = ++state_.tickets;
    lane_.after.fill(0);
  }
  LaneBurst(const LaneBurst&) = delete;
  LaneBurst& operator=(const LaneBurst&) = delete;
  ~LaneBurst() {
    if (lane_.held) state_.give_turn();
    lane_.reader->rest();
  }

 private:
  EngineState& state_;
  Lane& lane_;
};

[[nodiscard]] Error no_such(model::ChildId child) {
  return {"The engine holds no SA of child " + std::to_string(child.value) + "."};
}

}  // namespace

Engine::Engine(EngineSettings settings, Random& random) : state_(std::make_unique<EngineState>(settings, random)) {}
Engine::~Engine() = default;

void Engine::devices_take_udp_trains(bool do_they) { state_->merges_udp = do_they; }

DeviceId Engine::device_id(std::string_view name) {
  auto& devices = state_->devices;
  const auto it = std::ranges::find(devices, name);
  if (it != devices.end()) return static_cast<DeviceId>(it - devices.begin());
  if (devices.size() > UINT16_MAX) return UINT16_MAX;
  devices.emplace_back(name);
  return static_cast<DeviceId>(devices.size() - 1);
}

std::string_view Engine::device_name(DeviceId id) const {
  return id < state_->devices.size() ? std::string_view(state_->devices[id]) : std::string_view();
}

Result<void> Engine::install_sa(const model::SaSpec& spec, Instant now) {
  if (auto ok = check_spec(spec); !ok) return ok;
  if (state_->sad.size() >= state_->settings.max_sas) {
    return fail("The engine holds " + std::to_string(state_->sad.size()) + " SAs and takes no more.");
  }
  auto keyed = key_up(spec);
  if (!keyed) return std::unexpected(keyed.error());
  if (spec.traffic == model::Traffic::kLatency) state_->any_urgent = true;
  if (spec.direction == model::Direction::kInbound) {
    auto sa = std::make_unique<InboundSa>(spec.replay_window, spec.esn);
    fill(*state_, *sa, spec, std::move(*keyed), now);
    sa->device = device_id(spec.device);
    // Installed again under its old keys: what was seen stays seen.
    const auto* old = state_->sad.find_inbound(spec.spi);
    if (old != nullptr && same_keys(old->spec, spec)) {
      sa->replay = old->replay;
      if (spec.iptfs == old->spec.iptfs) sa->tfs = old->tfs;
    } else if (spec.sequence != 0) {
      sa->replay.resume(spec.sequence);
    }
    if (spec.iptfs.enabled && !sa->tfs) {
      sa->tfs = std::make_shared<TfsReceiver>(spec.iptfs, sa->replay.top() + 1);
    }
    sa->refresh();
    state_->schedule(state_->sad.insert(std::move(sa)));
    if (!state_->expected.empty()) {
      auto waited = state_->expected.take(spec.spi);
      std::ranges::move(waited, std::back_inserter(state_->early));
    }
  } else {
    auto sa = std::make_unique<OutboundSa>();
    fill(*state_, *sa, spec, std::move(*keyed), now);
    sa->keepalive_at = now;
    // RFC 4106 section 3.1: an AEAD's IV "MUST NOT" repeat under one key; it is the sequence number, so that goes on.
    sa->sequence = spec.sequence;
    if (const auto* old = state_->sad.find_twin(spec); old != nullptr) {
      sa->sequence = std::max(spec.sequence, old->sequence);
      if (spec.iptfs == old->spec.iptfs) sa->tfs = old->tfs;
      sa->lane = old->lane;
      sa->lane_ticket = old->lane_ticket;
    }
    if (spec.iptfs.enabled && !sa->tfs) sa->tfs = std::make_shared<TfsSender>(spec.iptfs);
    sa->inner_mtu = derive_inner_mtu(*sa, state_->settings.link_mtu);
    sa->refresh();
    state_->schedule(state_->sad.insert(std::move(sa)));
    if (auto* inbound = state_->sad.inbound_of(spec.child)) inbound->look_at_sibling = true;
    state_->flows.fit(state_->sad.outbound_size());
    if (auto* policy = state_->spd.find(spec.policy)) policy->acquire_again = {};
    state_->held_may_go();
  }
  return {};
}

Result<void> Engine::remove_sa(model::Direction direction, Spi spi, model::ChildId child) {
  if (direction == model::Direction::kInbound) {
    auto* sa = state_->sad.find_inbound(spi);
    if (sa == nullptr || sa->spec.child != child) return std::unexpected(no_such(child));
    state_->sad.erase(*sa);
  } else {
    auto* sa = state_->sad.outbound_of(child);
    if (sa == nullptr || sa->spec.spi != spi) return std::unexpected(no_such(child));
    state_->sad.erase(*sa);
  }
  return {};
}

void Engine::expect_spi(Spi spi, Instant now) {
  if (state_->sad.find_inbound(spi) == nullptr) state_->expected.expect(spi, now);
}

std::vector<Usage> Engine::usage(std::span<const Spi> spis) const {
  std::vector<Usage> out;
  out.reserve(spis.size());
  for (const auto spi : spis) {
    const auto* sa = state_->sad.find_inbound(spi);
    if (sa == nullptr) continue;
    out.push_back({spi, sa->last_used, sa->sibling == nullptr ? Instant{} : sa->sibling->last_used});
  }
  return out;
}

Result<void> Engine::activate(model::ChildId child) {
  auto* sa = state_->sad.outbound_of(child);
  if (sa == nullptr) return std::unexpected(no_such(child));
  sa->spec.standby = false;
  state_->schedule(*sa);
  state_->held_may_go();
  state_->came_into_use(*sa);
  return {};
}

Result<void> Engine::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                      bool udp_encapsulation, std::uint32_t keepalive_s) {
  auto* inbound = state_->sad.inbound_of(child);
  auto* outbound = state_->sad.outbound_of(child);
  if (inbound == nullptr && outbound == nullptr) return std::unexpected(no_such(child));
  if (local.address.family() != remote.address.family()) return fail("Both endpoints must be of one address family.");
  if (udp_encapsulation && (local.port == 0 || remote.port == 0)) return fail("UDP encapsulation needs both ports.");
  const auto is_ah = [](const SaCommon* sa) { return sa != nullptr && sa->ah != nullptr; };
  if (udp_encapsulation && (is_ah(inbound) || is_ah(outbound))) {
    return fail("AH covers the addresses and cannot pass a NAT (RFC 3948 section 1): use ESP.");
  }
  if (inbound != nullptr) {
    if (inbound->udp && udp_encapsulation) state_->shared.move(inbound->spec.remote, remote);
    inbound->spec.local = local;
    inbound->spec.remote = remote;
    inbound->spec.udp_encapsulation = udp_encapsulation;
    inbound->reported_remote = {};
    inbound->moved = false;
    inbound->refresh();
  }
  if (outbound != nullptr) {
    state_->sad.move_outbound(*outbound, local, remote);
    outbound->spec.udp_encapsulation = udp_encapsulation;
    outbound->spec.keepalive_s = keepalive_s;
    // What was learned about the old path says nothing about the new one.
    outbound->learned_mtu = 0;
    outbound->link_mtu = 0;
    outbound->inner_mtu = derive_inner_mtu(*outbound, state_->settings.link_mtu);
    outbound->refresh();
    state_->schedule(*outbound);
  }
  return {};
}

Result<void> Engine::set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                                   const model::TrafficSelectors& remote, bool paired) {
  auto* sa = state_->sad.inbound_of(child);
  if (sa == nullptr) return std::unexpected(no_such(child));
  sa->spec.local_selectors = local;
  sa->spec.remote_selectors = remote;
  sa->spec.paired_selectors = paired;
  sa->refresh();
  return {};
}

Result<void> Engine::install_policy(const model::PolicySpec& spec) {
  if (state_->spd.find(spec.id) == nullptr && state_->spd.size() >= state_->settings.max_policies) {
    return fail("The engine holds " + std::to_string(state_->spd.size()) + " policies and takes no more.");
  }
  for (const auto* selectors : {&spec.local, &spec.remote}) {
    if (selectors->empty()) return fail("A policy needs selectors on both sides; 0.0.0.0/0 or ::/0 cover everything.");
    for (const auto& selector : *selectors) {
      if (!selector.range.valid()) return fail("Policy selector " + selector.to_string() + " is no range.");
    }
  }
  if (const auto* old = state_->spd.find(spec.id)) {
    state_->fragments.remove(old->spec);
    if (!old->spec.ah_group.is_zero()) --state_->bundles;
  }
  if (!spec.ah_group.is_zero()) ++state_->bundles;
  state_->fragments.add(spec);
  state_->spd.install(spec, spec.device.empty() ? DeviceId{0} : device_id(spec.device));
  state_->held_may_go();
  return {};
}

Result<void> Engine::remove_policy(model::PolicyId id) {
  const auto* policy = state_->spd.find(id);
  if (policy == nullptr) return fail("The engine holds no policy " + std::to_string(id.value) + ".");
  state_->fragments.remove(policy->spec);
  if (!policy->spec.ah_group.is_zero()) --state_->bundles;
  (void)state_->spd.remove(id);
  // What it held goes through the SPD again: another policy may cover it, and if none does it is discarded.
  state_->held_may_go();
  return {};
}

Result<void> Engine::acquire_failed(model::PolicyId id) {
  state_->count(DropReason::kAcquireTimeout, state_->holding.take(id).size());
  auto* policy = state_->spd.find(id);
  if (policy == nullptr) return fail("The engine holds no policy " + std::to_string(id.value) + ".");
  policy->acquire_again = {};
  return {};
}

Result<void> Engine::set_link_mtu(model::ChildId child, std::uint32_t mtu) {
  auto* sa = state_->sad.outbound_of(child);
  if (sa == nullptr) return std::unexpected(no_such(child));
  sa->link_mtu = mtu == 0 ? 0 : std::max(mtu, kMinPathMtuV4);
  sa->inner_mtu = derive_inner_mtu(*sa, state_->settings.link_mtu);
  return {};
}

bool Engine::on_outer_too_big(const OuterTooBig& too_big, Instant now) { return learn_path_mtu(*state_, too_big, now); }

void Engine::process_outbound(std::span<OutPacket> packets, Instant now, Verdicts& out) {
  run_outbound(*state_, packets, false, now, out);
}

void Engine::process_inbound(std::span<InPacket> packets, Instant now, Verdicts& out) {
  run_inbound(*state_, packets, false, now, out);
}

void Engine::process_inbound_urgent(std::span<InPacket> packets, Instant now, Verdicts& out) {
  run_inbound_urgent(*state_, packets, now, out);
}

void Engine::share(Turn& turn) { state_->turn = &turn; }

Lane* Engine::open_lane() {
  auto& lanes = state_->lanes;
  auto* reader = lanes.size() < Lane::kMost ? state_->epochs.join() : nullptr;
  if (reader == nullptr) return nullptr;
  reader->rest();
  lanes.push_back(std::make_unique<Lane>());
  auto& lane = *lanes.back();
  lane.number = static_cast<std::uint32_t>(lanes.size() - 1);
  lane.shared = true;
  lane.most_jobs = kMostCipherBurst;
  lane.reader = reader;
  state_->sad.spread_clones(lanes.size());
  return &lane;
}

void Engine::process_outbound(Lane& lane, std::span<OutPacket> packets, Instant now, Verdicts& out) {
  const LaneBurst burst(*state_, lane);
  run_outbound(*state_, packets, true, now, out);
}

void Engine::process_inbound(Lane& lane, std::span<InPacket> packets, Instant now, Verdicts& out) {
  const LaneBurst burst(*state_, lane);
  run_inbound(*state_, packets, true, now, out);
}

void Engine::on_timer(Lane& lane, Instant now, Verdicts& out) {
  const LaneBurst burst(*state_, lane);
  run_timers(*state_, now, out);
}

std::optional<DropReason> Engine::check_clear_inbound(ByteView packet) {
  const auto info = wire::parse_ip_packet(packet);
  std::optional<DropReason> refused;
  if (!info) {
    refused = DropReason::kMalformedIp;
  } else {
    const auto* policy = state_->spd.find(PacketSelectors::of(packet, *info, model::Direction::kInbound));
    if (policy == nullptr || policy->spec.action == model::PolicyAction::kDiscard) {
      refused = DropReason::kPolicyDiscard;
    } else if (policy->spec.action == model::PolicyAction::kProtect) {
      refused = DropReason::kPlainTextRefused;
    }
  }
  if (refused) state_->count(*refused);
  return refused;
}

Result<void> Engine::send_dummy(model::ChildId child, std::size_t octets, Instant now, Verdicts& out) {
  auto* sa = state_->sad.outbound_of(child);
  if (sa == nullptr || sa->spec.standby) return std::unexpected(no_such(child));
  return run_dummy(*state_, *sa, octets, now, out);
}

Instant Engine::next_deadline() const { return first_deadline(*state_); }
void Engine::on_timer(Instant now, Verdicts& out) { run_timers(*state_, now, out); }

std::vector<Event> Engine::take_events() {
  std::vector<Event> taken(std::make_move_iterator(state_->events.begin()),
                           std::make_move_iterator(state_->events.end()));
  state_->events.clear();
  return taken;
}

std::vector<Event> Engine::take_events(const std::function<bool(const Event&)>& wanted) {
  const auto rest = std::stable_partition(state_->events.begin(), state_->events.end(),
                                          [&](const Event& event) { return !wanted(event); });
  std::vector<Event> taken(std::make_move_iterator(rest), std::make_move_iterator(state_->events.end()));
  state_->events.erase(rest, state_->events.end());
  return taken;
}

bool Engine::has_events() const { return !state_->events.empty(); }
std::uint64_t Engine::events_raised() const { return state_->events_raised; }

Dump Engine::dump(bool with_keys) const {
  Dump dump;
  state_->sad.for_each_inbound(
      [&](const InboundSa& sa) { dump.sas.push_back({copy_spec(sa.spec, with_keys), counters_of(sa), 0, 0}); });
  state_->sad.for_each_outbound([&](const OutboundSa& sa) { dump.sas.push_back(state_of(*state_, sa, with_keys)); });
  std::ranges::sort(dump.sas, {}, [](const SaState& s) { return std::pair{s.spec.child.value, s.spec.direction}; });
  for (const auto* policy : state_->spd.ordered()) dump.policies.push_back(policy->spec);
  return dump;
}

std::optional<SaState> Engine::sa_state(model::Direction direction, model::ChildId child) const {
  if (direction == model::Direction::kInbound) {
    const auto* sa = state_->sad.inbound_of(child);
    if (sa == nullptr) return std::nullopt;
    return SaState{copy_spec(sa->spec, false), counters_of(*sa), 0, 0};
  }
  const auto* sa = state_->sad.outbound_of(child);
  if (sa == nullptr) return std::nullopt;
  return state_of(*state_, *sa, false);
}

const Statistics& Engine::statistics() const { return state_->statistics; }
void Engine::observe_stages(StageObserver* observer) { state_->observer = observer; }
void Engine::count_drop(DropReason reason, std::uint64_t packets) { state_->count(reason, packets); }

Explanation Engine::explain(const model::TrafficSelector& local, const model::TrafficSelector& remote) const {
  const bool ports = !local.all_ports() || !remote.all_ports();
  const PacketSelectors packet{.local = local.range.first,
                               .remote = remote.range.first,
                               .protocol = remote.protocol != 0 ? remote.protocol : local.protocol,
                               .has_ports = ports && !local.opaque_ports() && !remote.opaque_ports(),
                               .local_port = local.port_first,
                               .remote_port = remote.port_first};
  Explanation answer;
  const auto* policy = state_->spd.find(packet);
  if (policy == nullptr) {
    answer.verdict = info(DropReason::kPolicyDiscard).name;
    return answer;
  }
  answer.found = true;
  answer.policy = policy->spec;
  if (policy->spec.action != model::PolicyAction::kProtect) {
    answer.verdict = policy->spec.action == model::PolicyAction::kBypass ? "bypass" : "discard";
    return answer;
  }
  const auto* used = state_->select_sa(*policy, packet);
  if (used != nullptr) answer.outbound.push_back(state_of(*state_, *used, false));
  state_->sad.for_each_serving(policy->spec.served_by(), [&](const OutboundSa& sa) {
    if (&sa != used) answer.outbound.push_back(state_of(*state_, sa, false));
  });
  if (used != nullptr) {
    answer.verdict = "protect";
  } else {
    answer.verdict = policy->spec.acquire ? "acquire" : std::string(info(DropReason::kNoSa).name);
  }
  return answer;
}

}  // namespace cygnet::engine
