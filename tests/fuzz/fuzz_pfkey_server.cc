// SPDX-License-Identifier: Apache-2.0

// What clients send to the PF_KEY service, with a little time between datagrams: whatever it takes, a flush takes back.
#include <cstdlib>
#include <set>

#include "base/random.h"
#include "sadb/pfkey/server.h"

namespace {

using namespace cygnet;

// Takes everything, and remembers what it holds.
class Engine final : public sadb::PfkeyEngine {
 public:
  std::set<std::pair<model::Direction, std::uint64_t>> sas;
  std::set<std::uint32_t> policies;
  int routes = 0;

  Result<void> install_sa(const model::SaSpec& spec, Instant) override {
    if (spec.spi.value < 256 || !sadb::is_pfkey(spec.child)) std::abort();
    sas.insert({spec.direction, spec.child.value});
    return {};
  }
  Result<void> remove_sa(model::Direction direction, Spi, model::ChildId child) override {
    if (sas.erase({direction, child.value}) != 1) std::abort();
    return {};
  }
  Result<void> update_endpoints(model::ChildId, const Endpoint&, const Endpoint&, bool) override { return {}; }
  Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                             const model::TrafficSelectors& remote, bool) override {
    if (!sas.contains({model::Direction::kInbound, child.value}) || local.size() != remote.size()) std::abort();
    return {};
  }
  std::optional<model::SaCounters> counters(model::Direction direction, model::ChildId child) const override {
    if (!sas.contains({direction, child.value})) std::abort();
    return model::SaCounters{.packets = 1, .bytes = 100, .last_used = Instant{std::chrono::hours(1)}};
  }
  Result<void> install_policy(const model::PolicySpec& spec) override {
    if (!sadb::is_pfkey(spec.id)) std::abort();
    policies.insert(spec.id.value);
    return {};
  }
  Result<void> remove_policy(model::PolicyId id) override {
    if (policies.erase(id.value) != 1) std::abort();
    return {};
  }
  void acquire_failed(model::PolicyId) override {}
  bool spi_in_use(Spi) const override { return false; }
  void expect_spi(Spi, Instant) override {}
  bool supports(model::EncryptionId, std::uint16_t, model::IntegrityId) const override { return true; }
  bool is_local(const IpAddress& address) const override { return address.bytes().back() % 2 == 1; }
  void lead_into_device(const IpPrefix&, const IpPrefix&, bool wanted) override { routes += wanted ? 1 : -1; }
};

struct Silent final : Logger {
  void write(const LogEntry&) override {}
};

void read_all(sadb::PfkeyServer& server, sadb::PfkeyServer::ClientId id, sadb::PfkeyTime time) {
  while (const auto bytes = server.next(id, time)) {
    if (!wire::pfkey::Message::parse(*bytes)) std::abort();
    server.sent(id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Engine engine;
  SeededRandom random(1);
  Silent log;
  sadb::PfkeyServer server(engine, random, log);
  sadb::PfkeyTime time{Instant{std::chrono::hours(2)}, 1'700'000'000};
  const auto writer = server.add_client("writer").value();
  const auto reader = server.add_client("reader").value();
  ByteReader rest({data, size});
  while (rest.remaining() > 2) {
    const std::size_t octets = rest.u16() % 512;
    server.on_datagram(writer, rest.take(std::min(octets, rest.remaining())), time);
    if (octets % 3 == 0) read_all(server, writer, time);
    time.now += std::chrono::seconds(1);
    ++time.wall_s;
    server.on_timer(time);
    for (const auto& [direction, child] : std::set(engine.sas)) {
      if (octets % 7 == 0)
        (void)server.on_event(sadb::SaExpiring{Spi{}, direction, model::ChildId{child}, octets % 2 == 0}, time);
    }
    read_all(server, reader, time);
  }
  for (const auto type : {wire::pfkey::MessageType::kFlush, wire::pfkey::MessageType::kSpdFlush}) {
    wire::pfkey::Message flush;
    flush.header.type = type;
    server.on_datagram(writer, flush.serialize(), time);
  }
  read_all(server, writer, time);
  if (!engine.sas.empty() || !engine.policies.empty() || engine.routes != 0) std::abort();
  return 0;
}
