// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the engine fuzzers play with: a tunnel and a transport SA with fixed keys, and policies for both.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "engine/segment.h"
#include "model/sa_spec.h"
#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"

namespace cygnet::engine::fuzz {

inline constexpr Instant kWorldTime{std::chrono::hours(1)};

// A small cache: making an engine is most of what a run costs.
inline constexpr EngineSettings kWorldSettings{.flow_cache_entries = 64};

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// The peer's outbound SA and our inbound one are the same but for their direction; tunnel SAs have ESN.
inline model::SaSpec world_sa(model::Mode mode, model::Direction direction) {
  const bool tunnel = mode == model::Mode::kTunnel;
  model::SaSpec s;
  s.direction = direction;
  s.spi = Spi{tunnel ? 0x1001U : 0x1002U};
  s.child = model::ChildId{tunnel ? 1ULL : 2ULL};
  s.policy = model::PolicyId{tunnel ? 1U : 2U};
  s.mode = mode;
  s.local = {*IpAddress::parse("192.0.2.2"), 4500};
  s.remote = {*IpAddress::parse("192.0.2.1"), 4500};
  s.udp_encapsulation = tunnel;
  s.encryption = tunnel ? model::EncryptionId::kAesGcm16 : model::EncryptionId::kNull;
  s.encryption_bits = tunnel ? 128 : 0;
  s.integrity = tunnel ? model::IntegrityId::kNone : model::IntegrityId::kHmacSha2_256_128;
  s.encryption_key.assign(tunnel ? 20 : 0, 7);
  s.integrity_key.assign(tunnel ? 0 : 32, 9);
  s.esn = tunnel;
  s.replay_window = 64;
  if (tunnel) {
    s.local_selectors = {*model::TrafficSelector::parse("10.0.0.0/8"), *model::TrafficSelector::parse("2001:db8::/32")};
    s.remote_selectors = s.local_selectors;
  } else {
    s.local_selectors = {*model::TrafficSelector::parse("192.0.2.2")};
    s.remote_selectors = {*model::TrafficSelector::parse("192.0.2.1")};
  }
  return s;
}

// urgent_transport: the transport SAs have traffic=latency.
inline void build_world(Engine& engine, bool urgent_transport = false) {
  (void)engine.device_id("ipsec0");
  for (const auto mode : {model::Mode::kTunnel, model::Mode::kTransport}) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound}) {
      auto sa = world_sa(mode, direction);
      if (urgent_transport && mode == model::Mode::kTransport) sa.traffic = model::Traffic::kLatency;
      require(engine.install_sa(sa, kWorldTime).has_value(), "SA installs");
    }
    const auto sa = world_sa(mode, model::Direction::kOutbound);
    model::PolicySpec p;
    p.id = sa.policy;
    p.local = sa.local_selectors;
    p.remote = sa.remote_selectors;
    p.mode = mode;
    require(engine.install_policy(p).has_value(), "policy installs");
  }
  // Diet-ESP, inbound alone.
  auto diet = world_sa(model::Mode::kTunnel, model::Direction::kInbound);
  diet.spi = Spi{0x1003};
  diet.child = model::ChildId{3};
  diet.local_selectors = diet.remote_selectors = {*model::TrafficSelector::parse("10.0.0.0/8")};
  diet.diet = {.enabled = true, .sn_octets = 1};
  require(engine.install_sa(diet, kWorldTime).has_value(), "Diet-ESP SA installs");
}

inline model::TrafficSelectors selectors_of(const model::SaSpec& sa) {
  auto both = sa.local_selectors;
  both.insert(both.end(), sa.remote_selectors.begin(), sa.remote_selectors.end());
  return both;
}

// RFC 6864 section 4.1: with DF the identification means nothing, and merging makes new ones.
inline void forget_meaningless_id(Bytes& packet) {
  if ((packet[0] >> 4U) != 4U || (packet[6] & 0x40U) == 0) return;
  wire::set_ipv4_word(packet.data(), 4, 0);
}

// Those of the transport SAs first; what one SA carries stays in its order.
inline void transport_first(std::vector<Bytes>& packets) {
  const auto ends = selectors_of(world_sa(model::Mode::kTransport, model::Direction::kInbound));
  std::ranges::stable_partition(packets, [&](const Bytes& packet) {
    const auto source = wire::source_address(packet);
    return std::ranges::any_of(ends, [&](const auto& end) { return end.range.contains(source); });
  });
}

// Whole packets as a host behind the device sees them: merged ones are cut again. Every one must be sound.
inline void collect_delivered(std::span<const Verdict> verdicts, std::vector<Bytes>& packets) {
  for (const auto& verdict : verdicts) {
    const auto* deliver = std::get_if<DeliverToDevice>(&verdict.action);
    if (deliver == nullptr) continue;
    Bytes packet = deliver->gather();
    const auto info = wire::parse_ip_packet(packet);
    require(info.has_value() && info->total_octets == packet.size(), "what is delivered is one sound packet");
    if (deliver->offload.gso == Offload::Gso::kNone) {
      forget_meaningless_id(packet);
      packets.push_back(std::move(packet));
      continue;
    }
    const auto plan = Segmentation::plan(packet, *info, deliver->offload, 65535);
    require(plan.has_value() && plan->count() > 1, "what is merged can be cut again");
    for (std::size_t i = 0; i < plan->count(); ++i) {
      Bytes segment(plan->packet_octets(i));
      plan->write(i, segment.data(), true);
      forget_meaningless_id(segment);
      packets.push_back(std::move(segment));
    }
  }
}
inline void collect_delivered(const Verdicts& verdicts, std::vector<Bytes>& packets) {
  collect_delivered(verdicts.list(), packets);
}

}  // namespace cygnet::engine::fuzz
