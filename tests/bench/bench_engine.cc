// SPDX-License-Identifier: Apache-2.0
// How fast one core moves packets through the engine: clear text in, ESP out, and back.
#include <benchmark/benchmark.h>

#include "unit/engine/support.h"

namespace cygnet::engine::test {
namespace {

// The fixture of the unit tests, driven by hand.
class Pair final : public TwoGateways {
 public:
  void TestBody() override {}
  explicit Pair(const TunnelOptions& o) { connect(o); }
  using TwoGateways::a;
  using TwoGateways::b;
};

[[nodiscard]] TunnelOptions suite(std::int64_t index) {
  using enum model::EncryptionId;
  switch (index) {
    case 0: return {.encryption = kAesGcm16, .encryption_bits = 128, .udp = true, .replay_window = 1024};
    case 1: return {.encryption = kChaCha20Poly1305, .encryption_bits = 0, .udp = true};
    default:
      return {.encryption = kAesCbc,
              .encryption_bits = 128,
              .integrity = model::IntegrityId::kHmacSha2_256_128,
              .udp = true};
  }
}

constexpr const char* kNames[] = {"aes128gcm16", "chacha20poly1305", "aes128-sha256"};

void set_rate(benchmark::State& state, std::size_t octets, std::size_t packets) {
  state.SetBytesProcessed(static_cast<std::int64_t>(octets) * state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(packets) * state.iterations());
  state.SetLabel(kNames[state.range(0)]);
}

// Bursts of 32 datagrams of range(1) octets.
void BM_Outbound(benchmark::State& state) {
  Pair pair(suite(state.range(0)));
  const auto size = static_cast<std::size_t>(state.range(1));
  std::vector<Bytes> packets(32, udp_packet("10.1.0.5", "10.2.0.6", size - 28));
  std::vector<OutPacket> burst;
  for (auto& p : packets) burst.push_back({p, {}, pair.a.device});
  Verdicts verdicts;
  for (auto _ : state) {
    verdicts.clear();
    pair.a.engine.process_outbound(burst, pair.a.now, verdicts);
    benchmark::DoNotOptimize(verdicts.size());
  }
  set_rate(state, size * burst.size(), burst.size());
}
BENCHMARK(BM_Outbound)->ArgsProduct({{0, 1, 2}, {64, 512, 1400}});

// One TSO super-packet of 64 KiB, cut to 1398 octets of payload.
void BM_OutboundSuper(benchmark::State& state) {
  Pair pair(suite(state.range(0)));
  auto super = tcp_packet("10.1.0.5", "10.2.0.6", {.payload = pattern(64000)});
  OutPacket packet{super,
                   {.needs_checksum = true,
                    .gso = Offload::Gso::kTcpV4,
                    .segment_octets = 1388,
                    .checksum_start = 20,
                    .checksum_offset = 16},
                   pair.a.device};
  Verdicts verdicts;
  for (auto _ : state) {
    verdicts.clear();
    pair.a.engine.process_outbound({&packet, 1}, pair.a.now, verdicts);
    benchmark::DoNotOptimize(verdicts.size());
  }
  set_rate(state, super.size(), 47);
}
BENCHMARK(BM_OutboundSuper)->Arg(0)->Arg(1)->Arg(2);

// The same, arriving as UDP_GRO datagrams. Sealing anew each time is not counted.
void BM_InboundSuper(benchmark::State& state) {
  Pair pair(suite(state.range(0)));
  auto super = tcp_packet("10.1.0.5", "10.2.0.6", {.payload = pattern(64000)});
  OutPacket packet{super,
                   {.needs_checksum = true,
                    .gso = Offload::Gso::kTcpV4,
                    .segment_octets = 1388,
                    .checksum_start = 20,
                    .checksum_offset = 16},
                   pair.a.device};
  Verdicts sealed;
  Verdicts opened;
  for (auto _ : state) {
    state.PauseTiming();
    sealed.clear();
    opened.clear();
    pair.a.engine.process_outbound({&packet, 1}, pair.a.now, sealed);
    std::vector<InPacket> arrived;
    std::vector<Bytes> buffers;
    for (const auto& verdict : sealed) {
      const auto& send = std::get<SendToPeer>(verdict.action);
      buffers.emplace_back(send.data.begin(), send.data.end());
      arrived.push_back({buffers.back(), send.segment_octets, pair.b.from_local, pair.b.from_remote, true, 0});
    }
    state.ResumeTiming();
    pair.b.engine.process_inbound(arrived, pair.b.now, opened);
    benchmark::DoNotOptimize(opened.size());
  }
  set_rate(state, super.size(), 47);
}
BENCHMARK(BM_InboundSuper)->Arg(0)->Arg(1)->Arg(2);

// The first packet of a flow among many policies: what the classifier costs.
void BM_FirstPacketOfFlow(benchmark::State& state) {
  Pair pair(suite(0));
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(state.range(0)); ++i) {
    model::PolicySpec p;
    p.id = model::PolicyId{100 + i};
    p.local = selectors({"10.1.0.0/16"});
    p.remote = {model::TrafficSelector::of(IpPrefix{IpAddress::v4(0x0b000000U + i * 256U), 24})};
    if (!pair.a.engine.install_policy(p)) state.SkipWithError("policy refused");
  }
  Verdicts verdicts;
  std::uint32_t flow = 0;
  std::vector<Bytes> packets;
  for (std::uint16_t i = 0; i < 1024; ++i) packets.push_back(udp_packet("10.1.0.5", "10.2.0.6", 20));
  for (auto _ : state) {
    ++flow;
    auto& bytes = packets[flow % packets.size()];
    store_be32(bytes.data() + 20, flow);
    OutPacket packet{bytes, {}, pair.a.device};
    verdicts.clear();
    pair.a.engine.process_outbound({&packet, 1}, pair.a.now, verdicts);
  }
}
BENCHMARK(BM_FirstPacketOfFlow)->Arg(0)->Arg(100)->Arg(10000);

}  // namespace
}  // namespace cygnet::engine::test
