// SPDX-License-Identifier: Apache-2.0
// What one tunnel costs the protocol alone: two endpoints in one thread, no sockets, no processes, real mathematics.
// `./dev bench ike-core`; each case makes its number of tunnels once and tells the CPU of either side for one set-up
// (`us_…`), of the last tenth of them (`late_us_…`: flat if nothing searches), and memory of one idle tunnel.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <ctime>
#include <deque>
#include <string>
#include <vector>

#include "crypto/key_exchange.h"
#include "ike/auth/local_keys.h"
#include "ike/endpoint.h"
#include "support/connections.h"

namespace cygnet {
namespace {

double thread_us() {
  timespec t{};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

ike::JobResult run_job(const ike::KeyExchangeJob& job) {
  ike::JobResult out{job.job, job.own, std::nullopt, {}};
  if (!out.own) {
    SeededRandom random(load_be64(job.seed.data()));
    if (job.peer_public) {
      auto both = *crypto::agree(job.group, random, *job.peer_public);
      out.own = std::move(both.own);
      out.shared_secret = std::move(both.shared_secret);
      return out;
    }
    out.own = *crypto::generate_key_pair(job.group, random);
  }
  if (job.peer_public) out.shared_secret = *crypto::derive_shared_secret(*out.own, *job.peer_public);
  return out;
}

// One side: what is not sent is performed on the spot, and its CPU is counted.
class Peer {
 public:
  Peer(std::uint64_t seed, const ike::EndpointSettings& settings) : random_(seed), endpoint_(settings, random_) {}

  void configure(Instant now, std::vector<model::Connection> connections) {
    auto secret = test::secret("a secret of some length");
    secret.ids.clear();
    keys_ = ike::auth::LocalKeys({{secret}, {}});
    endpoint_.configure(now, std::move(connections), {});
    settle(now);
  }
  void initiate(Instant now, const std::string& connection) {
    const double from = thread_us();
    endpoint_.initiate(now, connection, {});
    settle(now);
    cpu_us += thread_us() - from;
  }
  void receive(Instant now, const ike::SendDatagram& datagram) {
    const double from = thread_us();
    endpoint_.handle_datagram(now, {datagram.path.remote, datagram.path.local, datagram.path.marked}, datagram.bytes);
    settle(now);
    cpu_us += thread_us() - from;
  }
  [[nodiscard]] std::uint64_t established() const { return endpoint_.counters().established; }

  std::deque<ike::SendDatagram> out;
  double cpu_us = 0;
  std::uint64_t actions = 0;

 private:
  void settle(Instant now) {
    for (auto todo = endpoint_.take_actions(); !todo.empty(); todo = endpoint_.take_actions()) {
      actions += todo.size();
      for (auto& action : todo) {
        if (auto* datagram = std::get_if<ike::SendDatagram>(&action)) {
          out.push_back(std::move(*datagram));
        } else if (const auto* job = std::get_if<ike::KeyExchangeJob>(&action)) {
          endpoint_.on_job_done(now, run_job(*job));
        } else if (const auto* proof = std::get_if<ike::auth::AuthJob>(&action)) {
          endpoint_.on_auth_done(now, keys_.perform(*proof));
        }
      }
    }
  }

  SeededRandom random_;
  ike::IkeEndpoint endpoint_;
  ike::auth::LocalKeys keys_{{}};
};

std::string name_of(std::size_t i) { return "client" + std::to_string(i); }

// Clients with an identity and an address of their own behind one gateway; the gateway knows them by one connection.
std::vector<model::Connection> clients(std::size_t count) {
  std::vector<model::Connection> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto c = test::tunnel(name_of(i));
    c.local.id = model::Identity{model::IdType::kFqdn, to_bytes(name_of(i) + ".test")};
    const auto inner = "10." + std::to_string(64 + i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                       std::to_string(i % 256) + "/32";
    c.children = {test::child(c.name, inner, "10.2.0.0/16")};
    out.push_back(std::move(c));
  }
  return out;
}

model::Connection gateway() {
  auto c = test::mirrored(test::tunnel("gateway"));
  c.remote = {};
  c.remote.id_any = true;
  c.children = {test::child("gateway", "10.2.0.0/16", "10.0.0.0/8")};
  return c;
}

// As clients, each known to the gateway by name.
std::vector<model::Connection> known_clients(std::size_t count) {
  auto out = clients(count);
  for (auto& c : out) c = test::mirrored(c);
  return out;
}

void exchange(Instant now, Peer& a, Peer& b) {
  while (!a.out.empty() || !b.out.empty()) {
    for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
      if (from->out.empty()) continue;
      const auto datagram = std::move(from->out.front());
      from->out.pop_front();
      to->receive(now, datagram);
    }
  }
}

void set_up(benchmark::State& state, bool known) {
  const auto count = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    Instant now{std::chrono::hours(1)};
    ike::EndpointSettings settings;
    Peer a(1, settings);
    Peer b(2, settings);
    a.configure(now, clients(count));
    b.configure(now, known ? known_clients(count) : std::vector{gateway()});
    const auto before = mallinfo2().uordblks;
    double late_a = 0, late_b = 0;
    const auto late_from = count - count / 10;
    for (std::size_t i = 0; i < count; ++i) {
      if (i == late_from) {
        late_a = a.cpu_us;
        late_b = b.cpu_us;
      }
      now += std::chrono::milliseconds(1);
      a.initiate(now, name_of(i));
      exchange(now, a, b);
    }
    if (a.established() != count || b.established() != count) {
      state.SkipWithError("not all tunnels came up");
      return;
    }
    const auto n = static_cast<double>(count);
    const auto late_n = static_cast<double>(count - late_from);
    state.SetIterationTime((a.cpu_us + b.cpu_us) / 1e6);
    state.counters["us_initiator"] = a.cpu_us / n;
    state.counters["us_responder"] = b.cpu_us / n;
    state.counters["late_us_initiator"] = (a.cpu_us - late_a) / late_n;
    state.counters["late_us_responder"] = (b.cpu_us - late_b) / late_n;
    state.counters["actions_a_side"] = static_cast<double>(a.actions + b.actions) / n / 2;
    state.counters["bytes_both_sides"] = static_cast<double>(mallinfo2().uordblks - before) / n;
  }
}

void psk_roadwarriors(benchmark::State& state) { set_up(state, false); }
void psk_known_peers(benchmark::State& state) { set_up(state, true); }
BENCHMARK(psk_roadwarriors)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kSecond);
BENCHMARK(psk_known_peers)->Arg(1000)->Arg(10000)->Iterations(1)->UseManualTime()->Unit(benchmark::kSecond);

void key_exchange(benchmark::State& state) {
  const auto group = static_cast<model::KeGroup>(state.range(0));
  SeededRandom random(7);
  const auto peer = *crypto::generate_key_pair(group, random);
  for (auto _ : state) {
    const auto own = *crypto::generate_key_pair(group, random);
    benchmark::DoNotOptimize(crypto::derive_shared_secret(own, peer.public_value));
  }
}
BENCHMARK(key_exchange)->Arg(static_cast<int>(model::KeGroup::kX25519))->Arg(static_cast<int>(model::KeGroup::kEcp256));

}  // namespace
}  // namespace cygnet
