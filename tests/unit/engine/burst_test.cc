// SPDX-License-Identifier: Apache-2.0
// Whatever the size of a burst, the engine does the same as with one packet a call: the same octets out, the same
// drops, the same counters.
#include <algorithm>
#include <map>
#include <random>

#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

using model::Direction;

// What came out, without what only says how it was packed: a send of three packets is three sends.
struct Effects {
  std::vector<std::string> sent;       // way and octets
  std::vector<std::string> delivered;  // offload words and octets
  std::vector<std::string> bypassed;
  std::map<DropReason, std::size_t> drops;
  std::size_t held = 0;
  bool operator==(const Effects&) const = default;

  void add(const Verdicts& verdicts) {
    const auto outcome = outcome_of(verdicts);
    for (const auto& send : outcome.sent) {
      const auto way = send.way.local.to_string() + '>' + send.way.remote.to_string() + (send.way.udp ? " udp " : " ") +
                       std::to_string(send.way.tos) + (send.way.dont_fragment ? " df " : " ") +
                       std::to_string(send.way.mark.value_or(0)) + ' ';
      for (const auto& esp : send.esp) sent.push_back(way + to_hex(esp));
    }
    for (const auto& d : outcome.delivered)
      delivered.push_back(std::to_string(d.offload.segment_octets) + ' ' + to_hex(d.packet));
    for (const auto& b : outcome.bypassed) bypassed.push_back(to_hex(b));
    for (const auto reason : outcome.dropped) ++drops[reason];
    held += outcome.held;
  }
};

struct Suite {
  model::EncryptionId encryption;
  std::uint16_t bits;
  model::IntegrityId integrity;
};
constexpr Suite kSuites[] = {
    {model::EncryptionId::kAesGcm16, 128, model::IntegrityId::kNone},
    {model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone},
    {model::EncryptionId::kChaCha20Poly1305, 0, model::IntegrityId::kNone},
    {model::EncryptionId::kAesCbc, 128, model::IntegrityId::kHmacSha2_256_128},
    {model::EncryptionId::kNull, 0, model::IntegrityId::kHmacSha2_512_256},
};
constexpr std::uint8_t kTunnels = 20;  // 10.2.N.0/24 and 2001:db8:2:N::/64 behind peer N

[[nodiscard]] model::SaSpec tunnel(std::uint8_t n, Direction direction) {
  const auto& suite = kSuites[n % std::size(kSuites)];
  model::SaSpec s;
  s.direction = direction;
  s.spi = Spi{0x1000U + n};
  s.child = model::ChildId{n + 1U};
  s.policy = model::PolicyId{n + 1U};
  const Endpoint near{ip("192.0.2.1"), 4500};
  const Endpoint far{IpAddress::v4(0xc6336400U + n), 4500};
  s.local = direction == Direction::kOutbound ? near : far;
  s.remote = direction == Direction::kOutbound ? far : near;
  s.udp_encapsulation = n % 3 != 0;
  s.encryption = suite.encryption;
  s.encryption_bits = suite.bits;
  s.integrity = suite.integrity;
  s.encryption_key = key_of(model::key_octets(suite.encryption, suite.bits) + model::salt_octets(suite.encryption), n);
  if (suite.integrity != model::IntegrityId::kNone)
    s.integrity_key = key_of(model::key_octets(suite.integrity), static_cast<std::uint8_t>(n + 1));
  s.esn = n % 2 == 0;
  s.replay_window = n % 4 == 1 ? 32 : 1024;
  s.clamp_mss = n % 5 != 0;
  s.copy_dscp = n % 7 != 0;
  s.df = n % 6 == 0 ? model::DfPolicy::kClear : model::DfPolicy::kCopy;
  if (n == 3) s.mark = 77;
  if (n == 4) s.lifetime.soft_packets = 10;
  if (n == 5) s.lifetime.hard_packets = 25;
  if (n == 6) s.lifetime.hard_bytes = 20000;
  const auto net = std::to_string(n);
  const auto ours = selectors({"10.1.0.0/16", "2001:db8:1::/48"});
  // Some with one range a side, as most SAs are.
  const auto theirs = n % 2 == 0 ? selectors({"10.2." + net + ".0/24", "2001:db8:2:" + net + "::/64"})
                                 : selectors({"10.2." + net + ".0/24"});
  s.local_selectors = direction == Direction::kOutbound ? (n % 2 == 0 ? ours : selectors({"10.1.0.0/16"})) : theirs;
  s.remote_selectors = direction == Direction::kOutbound ? theirs : (n % 2 == 0 ? ours : selectors({"10.1.0.0/16"}));
  return s;
}

class BurstWorld {
 public:
  BurstWorld(Direction direction) : random_(5), engine(EngineSettings{}, random_), device(engine.device_id("ipsec0")) {
    for (std::uint8_t n = 0; n < kTunnels; ++n) {
      EXPECT_TRUE(engine.install_sa(tunnel(n, direction), now));
      const auto spec = tunnel(n, Direction::kOutbound);
      install({.id = spec.policy, .local = selectors({"10.1.0.0/16", "2001:db8:1::/48"}), .remote = wide(n)});
    }
    const auto here = selectors({"10.1.0.0/16"});
    install({.id = model::PolicyId{90},
             .action = model::PolicyAction::kBypass,
             .local = here,
             .remote = selectors({"10.3.0.0/16"})});
    install({.id = model::PolicyId{91},
             .action = model::PolicyAction::kDiscard,
             .local = here,
             .remote = selectors({"10.4.0.0/16"})});
    install({.id = model::PolicyId{92}, .local = here, .remote = selectors({"10.5.0.0/16"}), .acquire = true});
    install({.id = model::PolicyId{93}, .local = here, .remote = selectors({"10.6.0.0/16"})});
  }

  // tailroom: bytes have as many more behind them, which the engine may use.
  [[nodiscard]] Effects send(std::vector<std::pair<Bytes, Offload>> packets, std::size_t burst,
                             std::size_t tailroom = 0) {
    Effects effects;
    std::vector<OutPacket> out;
    for (auto& [bytes, offload] : packets) {
      const std::size_t octets = bytes.size();
      bytes.resize(octets + tailroom);
      out.push_back(
          {.bytes = MutableByteView(bytes).first(octets), .offload = offload, .device = device, .tailroom = tailroom});
    }
    for (std::size_t i = 0; i < out.size(); i += burst) {
      verdicts_.clear();
      engine.process_outbound(std::span(out).subspan(i, std::min(burst, out.size() - i)), now, verdicts_);
      effects.add(verdicts_);
    }
    return effects;
  }
  [[nodiscard]] Effects receive(std::vector<Bytes> packets, std::size_t burst) {
    Effects effects;
    std::vector<InPacket> in;
    for (auto& bytes : packets) {
      in.push_back(
          {.bytes = bytes, .local = {ip("198.51.100.1"), 4500}, .remote = {ip("192.0.2.1"), 4500}, .udp = true});
    }
    for (std::size_t i = 0; i < in.size(); i += burst) {
      verdicts_.clear();
      engine.process_inbound(std::span(in).subspan(i, std::min(burst, in.size() - i)), now, verdicts_);
      effects.add(verdicts_);
    }
    return effects;
  }
  // Counters of every SA.
  [[nodiscard]] std::vector<std::string> counters() const {
    std::vector<std::string> all;
    for (const auto& sa : engine.dump(false).sas) {
      const auto& c = sa.counters;
      all.push_back(std::to_string(sa.spec.spi.value) + ": " + std::to_string(c.packets) + ' ' +
                    std::to_string(c.bytes) + ' ' + std::to_string(c.errors) + ' ' + std::to_string(c.sequence));
    }
    return all;
  }

 private:
  [[nodiscard]] static model::TrafficSelectors wide(std::uint8_t n) {
    const auto net = std::to_string(n);
    return selectors({"10.2." + net + ".0/24", "2001:db8:2:" + net + "::/64"});
  }
  void install(const model::PolicySpec& policy) { EXPECT_TRUE(engine.install_policy(policy)); }
  SeededRandom random_;
  Verdicts verdicts_;

 public:
  Engine engine;
  DeviceId device;
  Instant now{1h};
};

class Burst : public ::testing::TestWithParam<std::size_t> {
 protected:
  [[nodiscard]] std::size_t any(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(dice_);
  }

  [[nodiscard]] std::pair<Bytes, Offload> any_packet() {
    const auto net = std::to_string(any(kTunnels));
    const auto host = std::to_string(1 + any(20));
    const auto kind = any(100);
    const auto here = "10.1.0." + host;
    const auto there = "10.2." + net + "." + host;
    const auto port = static_cast<std::uint16_t>(4000 + any(4));
    const auto tos = static_cast<std::uint8_t>(any(256));
    if (kind < 50) return {udp_packet(here, there, any(600), {.tos = tos}, port), {}};
    if (kind < 60) return {udp_packet(here, there, 1400 + any(800), {.dont_fragment = any(2) == 0}, port), {}};
    if (kind < 68) return {udp_packet("2001:db8:1::5", "2001:db8:2:" + net + "::9", any(1500), {.tos = tos}, port), {}};
    if (kind < 74) {
      return {tcp_packet(here, there,
                         {.sequence = static_cast<std::uint32_t>(any(100000)),
                          .flags = wire::tcp_flag::kAck | wire::tcp_flag::kPsh,
                          .payload = pattern(any(900))}),
              {}};
    }
    if (kind < 78) {
      return {tcp_packet(here, there, {.flags = wire::tcp_flag::kSyn, .options = {2, 4, 0x23, 0x00}}), {}};
    }
    if (kind < 82) {
      return {tcp_packet(here, there, {.payload = pattern(5000 + any(20000))}),
              {.needs_checksum = true,
               .gso = Offload::Gso::kTcpV4,
               .header_octets = 40,
               .segment_octets = 1200,
               .checksum_start = 20,
               .checksum_offset = 16}};
    }
    if (kind < 84) return {udp_packet(here, "10.3.0.1", any(100)), {}};
    if (kind < 86) return {udp_packet(here, "10.4.0.1", any(100)), {}};
    if (kind < 88) return {udp_packet(here, "10.5.0." + host, any(100)), {}};
    if (kind < 90) return {udp_packet(here, "10.6.0.1", any(100)), {}};
    if (kind < 92) return {udp_packet(here, there, 100, {.ttl = 0}), {}};
    if (kind < 94) return {udp_packet(here, there, 256, {.more_fragments = true, .fragment_offset = 512}), {}};
    auto broken = udp_packet(here, there, 60);
    if (kind < 97)
      broken[any(20)] ^= static_cast<std::uint8_t>(1 + any(255));
    else
      broken.resize(any(broken.size()));
    return {broken, {}};
  }

  std::mt19937_64 dice_{20261121};
};

TEST_P(Burst, OutboundIsWhatOnePacketACallGives) {
  std::vector<std::pair<Bytes, Offload>> packets;
  for (int i = 0; i < 3000; ++i) packets.push_back(any_packet());
  BurstWorld bursts(Direction::kOutbound);
  BurstWorld single(Direction::kOutbound);
  const auto effects = bursts.send(packets, GetParam());
  EXPECT_EQ(effects, single.send(packets, 1));
  // Nor does it matter where a packet is sealed from.
  BurstWorld roomy(Direction::kOutbound);
  EXPECT_EQ(effects, roomy.send(packets, GetParam(), 40));
  EXPECT_EQ(bursts.counters(), single.counters());
  EXPECT_EQ(bursts.engine.statistics().drops, single.engine.statistics().drops);
  EXPECT_EQ(bursts.engine.statistics().packets_out, single.engine.statistics().packets_out);
  EXPECT_EQ(bursts.engine.take_events().size(), single.engine.take_events().size());
  // The mixture holds something of everything.
  EXPECT_GT(effects.sent.size(), 2000U);
  EXPECT_GT(effects.held, 0U);
  EXPECT_GT(effects.bypassed.size(), 0U);
  for (const auto reason : {DropReason::kSaExpired, DropReason::kPolicyDiscard, DropReason::kNoSa, DropReason::kTooBig,
                            DropReason::kMalformedIp, DropReason::kTruncated, DropReason::kTtlExpired}) {
    EXPECT_TRUE(effects.drops.contains(reason)) << info(reason).name;
  }
}

TEST_P(Burst, InboundIsWhatOnePacketACallGives) {
  BurstWorld sender(Direction::kOutbound);
  std::vector<Bytes> esp;
  std::vector<Bytes> late;
  for (int i = 0; i < 3000; ++i) {
    auto packet = any_packet();
    if (packet.second.gso != Offload::Gso::kNone) continue;
    SCOPED_TRACE(i);
    std::vector<OutPacket> one{{packet.first, packet.second, sender.device}};
    Verdicts verdicts;
    sender.engine.process_outbound(one, sender.now, verdicts);
    for (auto& piece : outcome_of(verdicts).esp()) {
      const auto fate = any(40);
      if (fate == 0) continue;  // lost
      if (fate == 1) {          // damaged
        const auto at = any(piece.size());
        piece[at] ^= static_cast<std::uint8_t>(1 + any(255));
      }
      if (fate == 2) piece.resize(any(piece.size()));
      if (fate == 5 && !piece.empty()) piece[0] ^= 0x80;  // another SPI
      (fate == 4 ? late : esp).push_back(piece);
      if (fate == 3) esp.push_back(piece);  // doubled
    }
  }
  for (std::size_t i = 0; i < esp.size(); ++i)
    std::swap(esp[i], esp[i + any(std::min<std::size_t>(40, esp.size() - i))]);
  esp.insert(esp.end(), late.begin(), late.end());
  BurstWorld bursts(Direction::kInbound);
  BurstWorld single(Direction::kInbound);
  const auto effects = bursts.receive(esp, GetParam());
  EXPECT_EQ(effects, single.receive(esp, 1));
  EXPECT_EQ(bursts.counters(), single.counters());
  EXPECT_EQ(bursts.engine.statistics().drops, single.engine.statistics().drops);
  EXPECT_EQ(bursts.engine.statistics().packets_in, single.engine.statistics().packets_in);
  EXPECT_GT(effects.delivered.size(), 1000U);
  for (const auto reason : {DropReason::kReplaySeen, DropReason::kReplayOld, DropReason::kIntegrityFailed,
                            DropReason::kTruncated, DropReason::kUnknownSpi}) {
    EXPECT_TRUE(effects.drops.contains(reason)) << info(reason).name;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Burst, ::testing::Values(1, 2, 3, 7, 31, 32, 33, 64, 256));

}  // namespace
}  // namespace cygnet::engine::test
