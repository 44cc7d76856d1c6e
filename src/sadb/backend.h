// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one way from the daemon down to an IPsec data plane, and the events that come up from it.
// Implementations: our own engine over a SEQPACKET socket (engine_client), and a recording one for tests.
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/drop_reason.h"
#include "base/result.h"
#include "base/strong.h"
#include "model/sa_spec.h"

namespace cygnet::sadb {

// ---- events from the data plane
struct Acquire {  // a packet met a PROTECT policy without SA; it is held by the engine (bounded queue, bounded time)
  model::PolicyId policy;
  model::TrafficSelector local;  // of that packet: single address, protocol and port
  model::TrafficSelector remote;
};
struct SaExpiring {  // soft lifetime by bytes or packets or age reached
  Spi spi;
  model::Direction direction{};
  model::ChildId child;
  bool hard = false;  // the engine has removed the SA
};
struct PeerMoved {  // a valid packet came from another address or port than the SA's remote one (NAT rebinding)
  model::ChildId child;
  Endpoint remote;
  Endpoint local;
};
struct ChildActivated {  // a standby outbound SA went into use: the peer sent on the new inbound SA
  model::ChildId child;
};
struct IkeDatagram {  // IKE found behind the non-ESP marker on the encapsulation port (marker removed)
  Endpoint local;
  Endpoint remote;
  Bytes bytes;
};
// ESP for an SPI that no SA here has (RFC 4303 section 3.4.2); some of them only.
struct UnknownSpi {
  Spi spi;
  Endpoint local;
  Endpoint remote;
  bool udp = false;
};
struct BackendLost {  // the data plane died; everything it held is gone
  std::string reason;
};
using Event = std::variant<Acquire, SaExpiring, PeerMoved, ChildActivated, IkeDatagram, BackendLost, UnknownSpi>;

struct SaState {
  model::SaSpec spec;  // keys included: this is how a restarted daemon adopts
  model::SaCounters counters;
};
// When both SAs of a child were last used; Instant{}: never.
struct Usage {
  Spi spi;  // inbound
  Instant inbound{};
  Instant outbound{};
};
struct Dump {
  std::vector<SaState> sas;
  std::vector<model::PolicySpec> policies;
  std::vector<std::pair<std::string, Bytes>> checkpoints;
};
// A thread of the engine.
struct EngineThread {
  std::string work;     // "packets" or "ciphers"
  bool pinned = false;  // it runs on this CPU only
  std::uint16_t cpu = 0;
  std::uint64_t cpu_ms = 0;  // what it has had of the CPUs
  std::uint32_t load = 0;    // percent of a CPU since somebody last asked
  bool operator==(const EngineThread&) const = default;
};
// Bursts whose ciphers worked on other threads; see engine::Flights::Counters.
struct HandOver {
  std::uint64_t batches = 0, waits = 0, full = 0, failed = 0;
  bool operator==(const HandOver&) const = default;
};
// An interface whose plain ESP goes past the kernel's stack (esp-path=xdp).
struct EspInterface {
  std::string name;
  std::uint64_t packets_in = 0, packets_out = 0;
  bool operator==(const EspInterface&) const = default;
};
struct Statistics {
  DropCounters drops{};
  std::uint64_t packets_out = 0, bytes_out = 0, packets_in = 0, bytes_in = 0, bypassed = 0, acquires = 0;
  std::vector<EngineThread> threads;  // of Cygnet's own engine
  HandOver ciphers;
  std::vector<EspInterface> esp_interfaces;
};
// `cygnet explain`: what would happen to this packet.
struct Explanation {
  bool found = false;
  model::PolicySpec policy;       // if found
  std::vector<SaState> outbound;  // SAs that serve it, the one in use first (keys blanked)
  std::string verdict;            // "protect", "bypass", "discard", "acquire", or a drop reason's name
};

using Done = std::function<void(Result<void>)>;

// Calls are queued and answered in order; Done (may be empty) runs from the event loop when the data plane
// acknowledged.
class SaBackend {
 public:
  virtual ~SaBackend() = default;
  virtual void install_sa(const model::SaSpec& spec,
                          Done done) = 0;  // replaces an SA with the same direction, SPI (and remote, if outbound)
  virtual void remove_sa(model::Direction direction, Spi spi, model::ChildId child, Done done) = 0;
  // An inbound SA with this SPI is on its way: packets that come first wait a moment.
  virtual void expect_spi(Spi spi, Done done) = 0;
  virtual void activate(model::ChildId child, Done done) = 0;  // standby -> in use
  virtual void update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                bool udp_encapsulation, std::uint32_t keepalive_s, Done done) = 0;
  virtual void install_policy(const model::PolicySpec& spec, Done done) = 0;  // replaces by id
  virtual void remove_policy(model::PolicyId id, Done done) = 0;
  virtual void acquire_failed(model::PolicyId id, Done done) = 0;  // held packets are dropped as acquire-timeout
  // Opaque state the daemon gets back after a crash. Held in memory only.
  virtual void put_checkpoint(const std::string& key, const Bytes& value, Done done) = 0;
  virtual void drop_checkpoint(const std::string& key, Done done) = 0;
  virtual void query_sas(bool with_keys, std::function<void(Result<Dump>)> done) = 0;
  // By inbound SPIs, at most kMaxItems; those that are not there are left out.
  virtual void query_usage(const std::vector<Spi>& spis, std::function<void(Result<std::vector<Usage>>)> done) = 0;
  virtual void query_statistics(std::function<void(Result<Statistics>)> done) = 0;
  virtual void explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
                       std::function<void(Result<Explanation>)> done) = 0;
  virtual void set_event_handler(std::function<void(Event)> handler) = 0;
};

}  // namespace cygnet::sadb
