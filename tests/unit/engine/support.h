// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets built by hand, and two gateways whose engines talk to each other in memory.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "crypto/esp_cipher.h"
#include "engine/engine.h"
#include "wire/esp_header.h"
#include "wire/ip_checksum.h"
#include "wire/ip_packet.h"
#include "wire/ipv4_header.h"
#include "wire/ipv6_header.h"
#include "wire/tcp_header.h"

namespace cygnet::engine::test {

using namespace std::chrono_literals;

[[nodiscard]] inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

struct IpOptions {
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // octets
  std::uint16_t id = 0x1234;
};

[[nodiscard]] inline Bytes ip_packet(std::string_view source, std::string_view destination, std::uint8_t protocol,
                                     ByteView payload, const IpOptions& options = {}) {
  const auto from = ip(source);
  Bytes packet;
  if (from.is_v4()) {
    packet.resize(20);
    wire::write_ipv4_header(packet.data(), {.tos = options.tos,
                                            .total_octets = static_cast<std::uint16_t>(20 + payload.size()),
                                            .identification = options.id,
                                            .dont_fragment = options.dont_fragment,
                                            .ttl = options.ttl,
                                            .protocol = protocol,
                                            .source = from,
                                            .destination = ip(destination)});
    if (options.more_fragments || options.fragment_offset != 0) {
      wire::set_ipv4_word(
          packet.data(), 6,
          static_cast<std::uint16_t>((options.more_fragments ? 0x2000 : 0) | (options.fragment_offset / 8)));
    }
  } else {
    packet.resize(40);
    wire::write_ipv6_header(packet.data(), {.traffic_class = options.tos,
                                            .payload_octets = static_cast<std::uint16_t>(payload.size()),
                                            .next_header = protocol,
                                            .hop_limit = options.ttl,
                                            .source = from,
                                            .destination = ip(destination)});
  }
  append(packet, payload);
  return packet;
}

// Fills in the TCP or UDP checksum of a whole packet.
inline void fill_checksum(Bytes& packet) {
  const auto info = wire::parse_ip_packet(packet).value();
  const std::size_t field = info.header_octets + (info.protocol == wire::protocol::kTcp ? 16U : 6U);
  store_be16(&packet[field], 0);
  const auto upper = ByteView(packet).subspan(info.header_octets);
  const auto sum = wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet), info.protocol,
                                           static_cast<std::uint32_t>(upper.size()));
  auto checksum = static_cast<std::uint16_t>(~wire::checksum_fold(wire::checksum_add(sum, upper)));
  if (checksum == 0 && info.protocol == wire::protocol::kUdp) checksum = 0xffff;
  store_be16(&packet[field], checksum);
}

// Over the pseudo-header and the transport part: true if the TCP or UDP checksum is right.
[[nodiscard]] inline bool checksum_right(ByteView packet) {
  const auto info = wire::parse_ip_packet(packet).value();
  const auto upper = packet.subspan(info.header_octets, info.payload_octets());
  const auto sum = wire::pseudo_header_sum(wire::source_octets(packet), wire::destination_octets(packet), info.protocol,
                                           static_cast<std::uint32_t>(upper.size()));
  return wire::checksum_fold(wire::checksum_add(sum, upper)) == 0xffff;
}

[[nodiscard]] inline Bytes pattern(std::size_t octets, std::uint8_t first = 0) {
  Bytes b(octets);
  for (std::size_t i = 0; i < octets; ++i) b[i] = static_cast<std::uint8_t>(first + i * 7);
  return b;
}

[[nodiscard]] inline Bytes udp_packet(std::string_view source, std::string_view destination, std::size_t payload_octets,
                                      const IpOptions& options = {}, std::uint16_t source_port = 40001,
                                      std::uint16_t destination_port = 40002) {
  Bytes udp(8);
  store_be16(&udp[0], source_port);
  store_be16(&udp[2], destination_port);
  store_be16(&udp[4], static_cast<std::uint16_t>(8 + payload_octets));
  append(udp, pattern(payload_octets));
  auto packet = ip_packet(source, destination, wire::protocol::kUdp, udp, options);
  fill_checksum(packet);
  return packet;
}

struct TcpOptions {
  std::uint16_t source_port = 40001;
  std::uint16_t destination_port = 40002;
  std::uint32_t sequence = 1000;
  std::uint8_t flags = wire::tcp_flag::kAck;
  Bytes options;  // a multiple of four octets
  Bytes payload;
};

[[nodiscard]] inline Bytes tcp_packet(std::string_view source, std::string_view destination, const TcpOptions& t,
                                      const IpOptions& options = {.dont_fragment = true}) {
  Bytes tcp(20);
  store_be16(&tcp[0], t.source_port);
  store_be16(&tcp[2], t.destination_port);
  store_be32(&tcp[4], t.sequence);
  store_be32(&tcp[8], 0x55667788);
  tcp[12] = static_cast<std::uint8_t>((20 + t.options.size()) / 4 << 4);
  tcp[13] = t.flags;
  store_be16(&tcp[14], 8192);
  append(tcp, t.options);
  append(tcp, t.payload);
  auto packet = ip_packet(source, destination, wire::protocol::kTcp, tcp, options);
  fill_checksum(packet);
  return packet;
}

// What a test needs of a verdict list, copied out so that the list may be reused.
struct Sent {
  SendToPeer way;          // data points nowhere
  std::vector<Bytes> esp;  // its ESP packets
};
struct Delivered {
  DeviceId device = 0;
  Offload offload;
  Bytes packet;
};
struct Outcome {
  std::vector<Sent> sent;
  std::vector<Delivered> delivered;
  std::vector<DropReason> dropped;
  std::vector<Bytes> bypassed;
  std::size_t held = 0;

  [[nodiscard]] std::vector<Bytes> esp() const {
    std::vector<Bytes> all;
    for (const auto& s : sent) all.insert(all.end(), s.esp.begin(), s.esp.end());
    return all;
  }
  [[nodiscard]] std::vector<Bytes> packets() const {
    std::vector<Bytes> all;
    for (const auto& d : delivered) all.push_back(d.packet);
    return all;
  }
};

[[nodiscard]] inline Outcome outcome_of(std::span<const Verdict> verdicts) {
  Outcome o;
  for (const auto& verdict : verdicts) {
    if (const auto* send = std::get_if<SendToPeer>(&verdict.action)) {
      Sent sent{*send, {}};
      for (auto rest = send->data; !rest.empty();) {
        const auto piece = rest.first(std::min(rest.size(), send->segment_octets));
        sent.esp.emplace_back(piece.begin(), piece.end());
        rest = rest.subspan(piece.size());
      }
      o.sent.push_back(std::move(sent));
    } else if (const auto* deliver = std::get_if<DeliverToDevice>(&verdict.action)) {
      o.delivered.push_back({deliver->device, deliver->offload, deliver->gather()});
    } else if (const auto* drop = std::get_if<Drop>(&verdict.action)) {
      o.dropped.push_back(drop->reason);
    } else if (const auto* bypass = std::get_if<Bypass>(&verdict.action)) {
      o.bypassed.emplace_back(bypass->data.begin(), bypass->data.end());
    } else {
      ++o.held;
    }
  }
  return o;
}

[[nodiscard]] inline Outcome outcome_of(const Verdicts& verdicts) { return outcome_of(verdicts.list()); }

// One engine and its network side.
class Gateway {
 public:
  explicit Gateway(std::uint64_t seed, const EngineSettings& settings = {}) : random_(seed), engine(settings, random_) {
    device = engine.device_id("ipsec0");
  }

  Outcome send_all(std::vector<Bytes> packets, const Offload& offload = {}) {
    std::vector<OutPacket> burst;
    burst.reserve(packets.size());
    for (auto& p : packets) burst.push_back({p, offload, device});
    verdicts_.clear();
    engine.process_outbound(burst, now, verdicts_);
    return outcome_of(verdicts_);
  }
  Outcome send(Bytes packet, const Offload& offload = {}) { return send_all({std::move(packet)}, offload); }

  Outcome receive_all(std::vector<Bytes> esp) {
    std::vector<InPacket> burst;
    burst.reserve(esp.size());
    for (auto& e : esp) burst.push_back({e, 0, from_local, from_remote, from_udp, outer_tos, from_ah});
    verdicts_.clear();
    engine.process_inbound(burst, now, verdicts_);
    return outcome_of(verdicts_);
  }
  Outcome receive(Bytes esp) { return receive_all({std::move(esp)}); }

  Outcome tick(Duration step = {}) {
    now += step;
    verdicts_.clear();
    engine.on_timer(now, verdicts_);
    return outcome_of(verdicts_);
  }

  [[nodiscard]] std::uint64_t drops(DropReason reason) const {
    return engine.statistics().drops[static_cast<std::size_t>(reason)];
  }
  template <typename T>
  [[nodiscard]] std::vector<T> events() {
    std::vector<T> found;
    for (auto& event : engine.take_events()) {
      if (auto* e = std::get_if<T>(&event)) found.push_back(*e);
    }
    return found;
  }

 private:
  SeededRandom random_;
  Verdicts verdicts_;

 public:
  Engine engine;
  DeviceId device = 0;
  Instant now{1h};
  // How what receive() is given arrived.
  Endpoint from_local;
  Endpoint from_remote;
  bool from_udp = false;
  bool from_ah = false;
  std::uint8_t outer_tos = 0;
};

struct TunnelOptions {
  model::SaProtocol protocol = model::SaProtocol::kEsp;  // kAh: set encryption to kNone
  model::EncryptionId encryption = model::EncryptionId::kAesGcm16;
  std::uint16_t encryption_bits = 128;
  model::IntegrityId integrity = model::IntegrityId::kNone;
  model::Mode mode = model::Mode::kTunnel;
  bool esn = false;
  bool udp = false;
  bool outer_v6 = false;
  std::uint32_t replay_window = 1024;
  bool ipcomp = false;
  std::uint32_t tfc_octets = 0;  // a's packets
  model::IpTfs iptfs;            // both ends
  model::DietEsp diet;           // both ends
  // With BEET: one address each, and the inner ones.
  std::vector<std::string> left = {"10.1.0.0/16", "2001:db8:1::/48"};   // a's side
  std::vector<std::string> right = {"10.2.0.0/16", "2001:db8:2::/48"};  // b's side
};

[[nodiscard]] inline model::TrafficSelectors selectors(const std::vector<std::string>& texts) {
  model::TrafficSelectors all;
  for (const auto& text : texts) all.push_back(model::TrafficSelector::parse(text).value());
  return all;
}

[[nodiscard]] inline SecretBytes key_of(std::size_t octets, std::uint8_t first) {
  const auto p = pattern(octets, first);
  return {p.begin(), p.end()};
}

// An ESP packet that says whatever the test wants. trailer: replaces the honest padding, pad length and next header.
[[nodiscard]] inline Bytes seal_by_hand(const model::SaSpec& spec, std::uint64_t sequence, ByteView payload,
                                        std::uint8_t next_header, const std::optional<Bytes>& trailer = {}) {
  const auto cipher = crypto::create_esp_cipher(spec).value();
  Bytes esp(8 + cipher->iv_octets());
  wire::write_esp_header(esp.data(), spec.spi, sequence);
  append(esp, payload);
  if (trailer) {
    append(esp, *trailer);
  } else {
    const auto pad = wire::esp_pad_octets(payload.size(), std::max<std::size_t>(4, cipher->block_octets()));
    Bytes honest(pad + 2);
    wire::write_esp_trailer(honest.data(), pad, next_header);
    append(esp, honest);
  }
  esp.resize(esp.size() + cipher->icv_octets());
  crypto::EspJob job{esp.data(), esp.size(), sequence, false};
  cipher->seal({&job, 1});
  EXPECT_TRUE(job.ok);
  return esp;
}

// What an ESP packet carries: payload without trailer, and the next header.
[[nodiscard]] inline std::pair<Bytes, std::uint8_t> open_by_hand(const model::SaSpec& spec, Bytes esp,
                                                                 std::uint64_t sequence) {
  const auto cipher = crypto::create_esp_cipher(spec).value();
  crypto::EspJob job{esp.data(), esp.size(), sequence, false};
  cipher->open({&job, 1});
  EXPECT_TRUE(job.ok);
  const auto clear =
      ByteView(esp).subspan(8 + cipher->iv_octets(), esp.size() - 8 - cipher->iv_octets() - cipher->icv_octets());
  const auto payload = clear.first(clear.size() - 2 - clear[clear.size() - 2]);
  return {Bytes(payload.begin(), payload.end()), clear.back()};
}

// Gateways a (192.0.2.1, 10.1/16) and b (192.0.2.2, 10.2/16) with an SA each way.
class TwoGateways : public ::testing::Test {
 protected:
  static constexpr Spi kSpiToB{0x1001};
  static constexpr Spi kSpiToA{0x2002};
  static constexpr model::PolicyId kPolicy{7};
  static constexpr model::ChildId kChild{42};

  [[nodiscard]] static model::SaSpec spec(const TunnelOptions& o, bool from_a, model::Direction direction) {
    const bool local_is_a = from_a == (direction == model::Direction::kOutbound);
    model::SaSpec s;
    s.direction = direction;
    s.spi = from_a ? kSpiToB : kSpiToA;
    s.child = kChild;
    s.policy = kPolicy;
    s.connection = "office";
    s.protocol = o.protocol;
    s.mode = o.mode;
    const Endpoint a{ip(o.outer_v6 ? "2001:db8::1" : "192.0.2.1"), static_cast<std::uint16_t>(o.udp ? 4500 : 0)};
    const Endpoint b{ip(o.outer_v6 ? "2001:db8::2" : "192.0.2.2"), static_cast<std::uint16_t>(o.udp ? 4500 : 0)};
    s.local = local_is_a ? a : b;
    s.remote = local_is_a ? b : a;
    s.udp_encapsulation = o.udp;
    s.encryption = o.encryption;
    s.encryption_bits = o.encryption_bits;
    s.integrity = o.integrity;
    const auto seed = static_cast<std::uint8_t>(from_a ? 11 : 99);
    s.encryption_key =
        key_of(model::key_octets(o.encryption, o.encryption_bits) + model::salt_octets(o.encryption), seed);
    if (o.integrity != model::IntegrityId::kNone)
      s.integrity_key = key_of(model::key_octets(o.integrity), static_cast<std::uint8_t>(seed + 1));
    s.esn = o.esn;
    s.replay_window = o.replay_window;
    if (o.ipcomp) s.ipcomp_cpi = from_a ? 1000 : 2000;
    if (from_a && direction == model::Direction::kOutbound) s.tfc_octets = o.tfc_octets;
    s.iptfs = o.iptfs;
    s.diet = o.diet;
    if (o.mode == model::Mode::kBeet) {
      s.inner_local = ip(local_is_a ? o.left[0] : o.right[0]);
      s.inner_remote = ip(local_is_a ? o.right[0] : o.left[0]);
    }
    s.local_selectors = selectors(local_is_a ? o.left : o.right);
    s.remote_selectors = selectors(local_is_a ? o.right : o.left);
    return s;
  }

  [[nodiscard]] static model::PolicySpec policy(const TunnelOptions& o, bool at_a) {
    model::PolicySpec p;
    p.id = kPolicy;
    p.local = selectors(at_a ? o.left : o.right);
    p.remote = selectors(at_a ? o.right : o.left);
    p.mode = o.mode;
    return p;
  }

  void connect(const TunnelOptions& o = {}) {
    using enum model::Direction;
    ok(a.engine.install_policy(policy(o, true)));
    ok(b.engine.install_policy(policy(o, false)));
    ok(a.engine.install_sa(spec(o, true, kOutbound), a.now));
    ok(a.engine.install_sa(spec(o, false, kInbound), a.now));
    ok(b.engine.install_sa(spec(o, false, kOutbound), b.now));
    ok(b.engine.install_sa(spec(o, true, kInbound), b.now));
    const auto sa = spec(o, true, kOutbound);
    arrive(b, sa.remote, sa.local, o.udp);
    arrive(a, sa.local, sa.remote, o.udp);
    a.from_ah = b.from_ah = o.protocol == model::SaProtocol::kAh;
  }

  void disconnect() {
    using enum model::Direction;
    ok(a.engine.remove_sa(kOutbound, kSpiToB, kChild));
    ok(a.engine.remove_sa(kInbound, kSpiToA, kChild));
    ok(b.engine.remove_sa(kOutbound, kSpiToA, kChild));
    ok(b.engine.remove_sa(kInbound, kSpiToB, kChild));
  }

  static void arrive(Gateway& g, const Endpoint& local, const Endpoint& remote, bool udp) {
    g.from_local = local;
    g.from_remote = remote;
    g.from_udp = udp;
  }
  static void ok(const Result<void>& result) { ASSERT_TRUE(result) << result.error().message; }
  [[nodiscard]] static model::SaCounters counters(const Engine& engine, model::Direction direction) {
    for (const auto& sa : engine.dump(false).sas) {
      if (sa.spec.direction == direction) return sa.counters;
    }
    ADD_FAILURE() << "no such SA";
    return {};
  }

  Gateway a{1};
  Gateway b{2};
};

}  // namespace cygnet::engine::test
