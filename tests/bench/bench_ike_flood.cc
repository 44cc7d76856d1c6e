// SPDX-License-Identifier: Apache-2.0
// What a spoofed IKE_SA_INIT request costs the responder: while it still opens a half-open IKE SA, once it asks for a
// cookie, with a puzzle, and beyond the limit. `./dev bench ike-flood`. No sockets; nothing is computed for what is
// half-open.
#include <benchmark/benchmark.h>

#include "ike/endpoint.h"
#include "support/connections.h"
#include "wire/ike/message.h"

namespace cygnet {
namespace {

namespace wi = wire::ike;

Bytes request() {
  wi::Message message;
  message.header.exchange = wi::ExchangeType::kIkeSaInit;
  message.header.initiator = true;
  message.header.spi_i = IkeSpi(1);
  wi::SaPayload sa;
  sa.proposals.resize(1);
  sa.proposals[0].number = 1;
  sa.proposals[0].proposal = test::ike_proposal();
  message.payloads.emplace_back(std::move(sa));
  message.payloads.emplace_back(wi::KePayload{model::KeGroup::kX25519, Bytes(32, 9)});
  message.payloads.emplace_back(wi::NoncePayload{Bytes(32, 7)});
  return wi::serialize_message(message);
}

// known: connections with an address each, beside the one that takes anybody.
void flood(benchmark::State& state, const model::Setup& setup, std::size_t opened) {
  SeededRandom random(1);
  ike::EndpointSettings settings;
  settings.setup = setup;
  ike::IkeEndpoint endpoint(settings, random);
  std::vector<model::Connection> connections;
  const auto known = static_cast<std::size_t>(state.range(0));
  for (std::size_t i = 0; i < known; ++i) {
    auto c = test::mirrored(test::tunnel("c" + std::to_string(i)));
    c.remote.host.address = IpAddress::v4(0x0a000000U + static_cast<std::uint32_t>(i));
    connections.push_back(std::move(c));
  }
  auto anybody = test::mirrored(test::tunnel("anybody"));
  anybody.remote.host = {};
  connections.push_back(std::move(anybody));
  const Instant now{std::chrono::hours(1)};
  endpoint.configure(now, std::move(connections), {});
  auto bytes = request();
  std::uint64_t number = 1;
  const auto send = [&] {
    store_be64(bytes.data(), ++number);
    const ike::Path path{{test::address("198.51.100.1"), 500},
                         {IpAddress::v4(0x64400000U | static_cast<std::uint32_t>(number & 0x3fffffU)), 500},
                         false};
    endpoint.handle_datagram(now, path, bytes);
    benchmark::DoNotOptimize(endpoint.take_actions());
  };
  for (std::size_t i = 0; i < opened; ++i) send();
  for (auto _ : state) send();
  state.counters["half_open"] = static_cast<double>(endpoint.counters().half_open);
  state.counters["cookies"] = static_cast<double>(endpoint.counters().cookies_sent);
}

model::Setup setup(std::uint32_t cookies, std::uint32_t puzzles, std::uint32_t limit) {
  model::Setup out;
  out.cookie_threshold = cookies;
  out.puzzle_threshold = puzzles;
  out.half_open_limit = limit;
  return out;
}

void half_open(benchmark::State& state) { flood(state, setup(1'000'000, 0, 1'000'000), 0); }
void cookie(benchmark::State& state) { flood(state, setup(100, 0, 5000), 100); }
void puzzle(benchmark::State& state) { flood(state, setup(100, 100, 5000), 100); }

BENCHMARK(half_open)->Arg(1)->Arg(10000)->Iterations(5000)->Unit(benchmark::kMicrosecond);
BENCHMARK(cookie)->Arg(1)->Arg(10000)->Unit(benchmark::kMicrosecond);
BENCHMARK(puzzle)->Arg(1)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace cygnet
