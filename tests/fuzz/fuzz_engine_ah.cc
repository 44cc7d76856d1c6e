// SPDX-License-Identifier: Apache-2.0
// Hostile IP packets with AH (RFC 4302) into an engine with SAs of both modes and families. Half of them get a good ICV
// first, so that what stands behind it is reached. Whatever arrives, a burst and single packets give the same, and
// nothing is delivered that was not sealed.
#include <array>
#include <utility>

#include "engine/ah.h"
#include "engine/engine.h"
#include "fuzz/engine_world.h"
#include "model/sa_spec.h"
#include "wire/ah_header.h"
#include "wire/ip_checksum.h"

namespace cygnet::engine::fuzz {
namespace {

constexpr std::array<std::pair<model::Mode, bool>, 4> kKinds{{{model::Mode::kTunnel, false},
                                                              {model::Mode::kTransport, false},
                                                              {model::Mode::kTunnel, true},
                                                              {model::Mode::kTransport, true}}};

// SPIs 0x2000 to 0x2003, in the order of kKinds; those of IPv6 have ESN.
model::SaSpec ah_sa(std::size_t kind, model::Direction direction) {
  const auto [mode, v6] = kKinds[kind];
  model::SaSpec s;
  s.protocol = model::SaProtocol::kAh;
  s.direction = direction;
  s.spi = Spi{0x2000U + static_cast<std::uint32_t>(kind)};
  s.child = model::ChildId{kind + 1};
  s.policy = model::PolicyId{static_cast<std::uint32_t>(kind) + 1};
  s.mode = mode;
  s.local = {*IpAddress::parse(v6 ? "2001:db8::2" : "192.0.2.2"), 0};
  s.remote = {*IpAddress::parse(v6 ? "2001:db8::1" : "192.0.2.1"), 0};
  s.encryption = model::EncryptionId::kNone;
  s.encryption_bits = 0;
  s.integrity = model::IntegrityId::kHmacSha2_256_128;
  s.integrity_key.assign(32, 9);
  s.esn = v6;
  s.replay_window = 64;
  if (mode == model::Mode::kTunnel) {
    s.local_selectors = {*model::TrafficSelector::parse(v6 ? "2001:db8:2::/48" : "10.2.0.0/16")};
    s.remote_selectors = {*model::TrafficSelector::parse(v6 ? "2001:db8:1::/48" : "10.1.0.0/16")};
  } else {
    s.local_selectors = {*model::TrafficSelector::parse(v6 ? "2001:db8::2" : "192.0.2.2")};
    s.remote_selectors = {*model::TrafficSelector::parse(v6 ? "2001:db8::1" : "192.0.2.1")};
  }
  return s;
}

void build_ah_world(Engine& engine) {
  (void)engine.device_id("ipsec0");
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    for (const auto direction : {model::Direction::kInbound, model::Direction::kOutbound})
      require(engine.install_sa(ah_sa(kind, direction), kWorldTime).has_value(), "SA installs");
    const auto sa = ah_sa(kind, model::Direction::kOutbound);
    model::PolicySpec p;
    p.id = sa.policy;
    p.local = sa.local_selectors;
    p.remote = sa.remote_selectors;
    p.mode = sa.mode;
    require(engine.install_policy(p).has_value(), "policy installs");
  }
}

void mend_ip(Bytes& packet) {
  if (packet.size() < 40) return;
  if ((packet[0] >> 4U) == 6) return store_be16(&packet[4], static_cast<std::uint16_t>(packet.size() - 40));
  const std::size_t header = std::max<std::size_t>(5, packet[0] & 0x0fU) * 4;
  if (header > packet.size()) return;
  packet[0] = static_cast<std::uint8_t>(0x40U | (header / 4));
  store_be16(&packet[2], static_cast<std::uint16_t>(packet.size()));
  store_be16(&packet[10], 0);
  store_be16(&packet[10], wire::internet_checksum(ByteView(packet).first(header)));
}

// False: it stays as it is.
bool give_icv(Bytes& packet, std::array<std::unique_ptr<AhTransform>, kKinds.size()>& keys) {
  mend_ip(packet);
  if (!wire::parse_ip_packet(packet)) return false;
  const auto at = wire::find_ah(packet);
  if (!at || packet.size() - *at < wire::kAhFixedOctets) return false;
  const std::size_t kind = wire::ah_spi(&packet[*at]).value - 0x2000U;
  if (kind >= kKinds.size()) return false;
  const std::size_t octets = keys[kind]->header_octets(kKinds[kind].second ? Family::kV6 : Family::kV4);
  if (wire::ah_octets_of(packet[*at + 1]) != octets || packet.size() - *at < octets) return false;
  std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(*at + wire::kAhFixedOctets), octets - wire::kAhFixedOctets,
              std::uint8_t{0});
  return keys[kind]->seal(packet, *at, wire::ah_sequence_low(&packet[*at]));
}

// One step: a control octet (bit 0: with a good ICV), two octets of length, the whole IP packet.
std::vector<Bytes> read_script(ByteReader in, std::size_t& sealed) {
  std::array<std::unique_ptr<AhTransform>, kKinds.size()> keys;
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind)
    keys[kind] = AhTransform::create(ah_sa(kind, model::Direction::kOutbound)).value();
  std::vector<Bytes> all;
  while (in.remaining() >= 3 && all.size() < 64) {
    const auto control = in.u8();
    const auto octets = in.take(std::min<std::size_t>(in.u16() % 2048, in.remaining()));
    Bytes packet(octets.begin(), octets.end());
    if ((control & 1) != 0 && give_icv(packet, keys)) ++sealed;
    all.push_back(std::move(packet));
  }
  return all;
}

std::vector<Bytes> run(std::vector<Bytes> steps, bool as_burst, DropCounters& drops) {
  SeededRandom random(1);
  Engine engine(kWorldSettings, random);
  build_ah_world(engine);
  Verdicts verdicts(1U << 20U);
  std::vector<InPacket> packets;
  for (auto& step : steps) packets.push_back({.bytes = step, .local = {}, .remote = {}, .ah = true});
  std::vector<Bytes> delivered;
  if (as_burst) {
    engine.process_inbound(packets, kWorldTime, verdicts);
    collect_delivered(verdicts, delivered);
  } else {
    for (auto& packet : packets) {
      verdicts.clear();
      engine.process_inbound({&packet, 1}, kWorldTime, verdicts);
      collect_delivered(verdicts, delivered);
    }
  }
  drops = engine.statistics().drops;
  // As with ESP: a forgery under a number of the same burst is refused as one thing or the other.
  for (const auto from : {DropReason::kReplaySeen, DropReason::kReplayOld})
    drops[static_cast<std::size_t>(DropReason::kIntegrityFailed)] +=
        std::exchange(drops[static_cast<std::size_t>(from)], 0);
  return delivered;
}

}  // namespace
}  // namespace cygnet::engine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cygnet;
  std::size_t sealed = 0;
  const auto steps = engine::fuzz::read_script(ByteReader({data, size}), sealed);
  DropCounters burst_drops{};
  DropCounters single_drops{};
  const auto burst = engine::fuzz::run(steps, true, burst_drops);
  const auto single = engine::fuzz::run(steps, false, single_drops);
  engine::fuzz::require(burst == single, "a burst delivers what single packets deliver");
  engine::fuzz::require(burst_drops == single_drops, "a burst drops what single packets drop");
  engine::fuzz::require(burst.size() <= sealed, "nothing is delivered without a good ICV");
  return 0;
}
