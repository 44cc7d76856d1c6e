// SPDX-License-Identifier: Apache-2.0
#pragma once

// The packet engine (RFC 4301, RFC 4303): SAD, SPD, ESP in bursts. Pure: bytes, time and randomness in, verdicts out.
// Driven from one thread, or by several in turns (engine/lane.h). The way of a packet: outbound.cc and inbound.cc.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/drop_reason.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "engine/events.h"
#include "engine/packet.h"
#include "model/sa_spec.h"

namespace cygnet::engine {

struct EngineSettings {
  std::uint32_t link_mtu = 1500;           // outer path MTU assumed before anything is learned
  std::size_t flow_cache_entries = 16384;  // rounded up to a power of two
  std::size_t max_sas = 1U << 20U;         // both directions together
  std::size_t max_policies = 1U << 21U;
  std::size_t hold_packets_per_policy = 64;  // waiting for an SA
  std::size_t hold_packets = 4096;
  std::size_t hold_octets = 16U << 20U;
  std::uint32_t hold_timeout_s = 30;
  std::uint32_t path_mtu_age_s = 600;         // RFC 1191 section 6.3: try a larger size after ten minutes
  std::size_t reassembly_octets = 1U << 20U;  // fragments of whole packets for transport mode
  std::uint32_t reassembly_timeout_s = 30;
  std::size_t max_events = 65536;  // further ones are merged or forgotten until take_events()
};

struct Statistics {
  DropCounters drops{};
  // Clear-text packets and octets that left sealed, or arrived and were accepted.
  std::uint64_t packets_out = 0, bytes_out = 0, packets_in = 0, bytes_in = 0, bypassed = 0, acquires = 0;
  std::uint64_t flow_cache_hits = 0, flow_cache_misses = 0, events_lost = 0;
};

struct SaState {
  model::SaSpec spec;
  model::SaCounters counters;
  std::uint32_t path_mtu = 0;   // outbound: outer path MTU in use
  std::uint32_t inner_mtu = 0;  // outbound: largest clear-text packet that fits
};

struct Usage {
  Spi spi;
  Instant inbound{};  // Instant{}: never
  Instant outbound{};
};

struct Dump {
  std::vector<SaState> sas;
  std::vector<model::PolicySpec> policies;  // in the order they are looked at
};

// What would happen to a packet, without sending it.
struct Explanation {
  bool found = false;
  model::PolicySpec policy;       // if found
  std::vector<SaState> outbound;  // SAs that serve it, the one in use first; keys blanked
  std::string verdict;            // "protect", "bypass", "discard", "acquire", or a drop reason's name
};

// An ICMP "fragmentation needed" or ICMPv6 "packet too big" that the network sent about an outer packet.
struct OuterTooBig {
  Endpoint remote;  // destination of the outer packet; port with udp
  bool udp = false;
  ByteView quoted_esp;  // what was quoted from the ESP header on; with fewer than its 8 octets nothing is believed
  std::uint32_t mtu = 0;
  // From the IP packet quoted inside an ICMP error. Nothing if it is neither ESP nor ESP in UDP.
  [[nodiscard]] static std::optional<OuterTooBig> parse(ByteView quoted_packet, std::uint32_t mtu);
};

// The steps that a burst takes together, in this order. kParse: cut and parsed; kLookUp: flow cache, SPD, SAD;
// kPrepare: out: counters, sequence number, header and verdict; in: the replay window; kCipher; kFinish (in): window,
// trailer, selectors, verdict.
enum class Stage : std::uint8_t { kParse, kLookUp, kPrepare, kCipher, kFinish };
inline constexpr std::size_t kStages = 5;
// Told after each step; for benchmarks.
class StageObserver {
 public:
  virtual ~StageObserver() = default;
  virtual void on_stage_done(Stage stage) = 0;
};

struct EngineState;
struct Lane;
class Turn;

class Engine {
 public:
  Engine(EngineSettings settings, Random& random);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Number of a device by name; made up on first use (at most 65535).
  DeviceId device_id(std::string_view name);
  [[nodiscard]] std::string_view device_name(DeviceId id) const;
  // The devices take UDP super-packets (Linux 6.2): datagrams of a flow that come together are delivered together.
  void devices_take_udp_trains(bool do_they);

  // ---- control
  // Replaces an SA with the same direction and SPI (and remote address, if outbound). Refuses what cannot be right.
  [[nodiscard]] Result<void> install_sa(const model::SaSpec& spec, Instant now);
  [[nodiscard]] Result<void> remove_sa(model::Direction direction, Spi spi, model::ChildId child);
  // An inbound SA with this SPI is on its way (its keys are being computed): packets for it wait for it, briefly.
  void expect_spi(Spi spi, Instant now);
  // When SAs were last used. Inbound SPIs; what is not there is left out. outbound: of the same child.
  [[nodiscard]] std::vector<Usage> usage(std::span<const Spi> spis) const;
  // A standby outbound SA goes into use.
  [[nodiscard]] Result<void> activate(model::ChildId child);
  // Both directions of the child: after NAT rebinding or MOBIKE. Another address family than before is fine.
  [[nodiscard]] Result<void> update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                              bool udp_encapsulation, std::uint32_t keepalive_s = 0);
  // What an inbound SA lets through; see SaSpec.
  [[nodiscard]] Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                                           const model::TrafficSelectors& remote, bool paired);
  [[nodiscard]] Result<void> install_policy(const model::PolicySpec& spec);  // replaces by id
  [[nodiscard]] Result<void> remove_policy(model::PolicyId id);
  // What the policy holds is dropped as acquire-timeout; the next packet raises Acquire again.
  [[nodiscard]] Result<void> acquire_failed(model::PolicyId id);
  // The MTU of the route to the peer, when the daemon knows it (netlink); 0 gives back the default.
  [[nodiscard]] Result<void> set_link_mtu(model::ChildId child, std::uint32_t mtu);
  // The network said an outer packet was too big. True if it was believed and lowered a path MTU.
  bool on_outer_too_big(const OuterTooBig& too_big, Instant now);

  // ---- packets. Verdicts are appended to out.
  void process_outbound(std::span<OutPacket> packets, Instant now, Verdicts& out);
  void process_inbound(std::span<InPacket> packets, Instant now, Verdicts& out);
  // While no more can wait for ciphers elsewhere: what SAs with traffic=latency have received; the rest is dropped as
  // no-buffer. `out` parts them.
  void process_inbound_urgent(std::span<InPacket> packets, Instant now, Verdicts& out);
  // ---- several threads (engine/lane.h). After share() everything else is called by whoever has taken the turn, and
  // packets go through lanes, one for each thread.
  void share(Turn& turn);
  // With the turn. Null: Lane::kMost are open.
  [[nodiscard]] Lane* open_lane();
  // Without the turn: they take and give it. At most 32 packets, so that other lanes are not kept waiting. What the
  // verdicts of process_outbound() and on_timer() send must leave behind what Lane::after names.
  void process_outbound(Lane& lane, std::span<OutPacket> packets, Instant now, Verdicts& out);
  void process_inbound(Lane& lane, std::span<InPacket> packets, Instant now, Verdicts& out);
  void on_timer(Lane& lane, Instant now, Verdicts& out);

  // ---- ciphers elsewhere (engine/flights.h), with one thread. Null: no more can be made.
  [[nodiscard]] Lane* open_flight();
  // All but what the ciphers have to do and what comes behind them: Lane::under_way says how many of the lane's jobs
  // are left. Packets, verdicts and what was found of SAs stay until finish(). Verdicts are appended by both.
  void begin_outbound(Lane& lane, std::span<OutPacket> packets, Instant now, Verdicts& out);
  void begin_inbound(Lane& lane, std::span<InPacket> packets, Instant now, Verdicts& out);
  void finish(Lane& lane);
  void abandon(Lane& lane);  // it will not be finished: the engine is about to end

  // RFC 4301 section 5.2 step 3 for a packet that came in the clear from elsewhere: nothing if a policy lets it pass,
  // else plaintext-refused, policy-discard or malformed-ip. Not counted as seen unless it is refused.
  [[nodiscard]] std::optional<DropReason> check_clear_inbound(ByteView packet);
  // RFC 4303 section 2.6: a packet of octets random ones that the peer discards; hides traffic patterns.
  [[nodiscard]] Result<void> send_dummy(model::ChildId child, std::size_t octets, Instant now, Verdicts& out);

  // ---- time. Call on_timer() when next_deadline() has come, and after control calls (held packets may be free to go).
  [[nodiscard]] Instant next_deadline() const;
  void on_timer(Instant now, Verdicts& out);

  // ---- seeing inside
  [[nodiscard]] std::vector<Event> take_events();
  // Only those that are wanted; the others stay, in their order.
  [[nodiscard]] std::vector<Event> take_events(const std::function<bool(const Event&)>& wanted);
  [[nodiscard]] bool has_events() const;
  [[nodiscard]] std::uint64_t events_raised() const;  // ever
  [[nodiscard]] Dump dump(bool with_keys) const;
  // One SA, keys blanked.
  [[nodiscard]] std::optional<SaState> sa_state(model::Direction direction, model::ChildId child) const;
  [[nodiscard]] const Statistics& statistics() const;
  // The daemon counts what happens outside (send-failed, device-full ...), so that one table tells all.
  void count_drop(DropReason reason, std::uint64_t packets = 1);
  void observe_stages(StageObserver* observer);  // nullptr: nobody
  // A packet from the first address (and port) of local to the first of remote.
  [[nodiscard]] Explanation explain(const model::TrafficSelector& local, const model::TrafficSelector& remote) const;

 private:
  std::unique_ptr<EngineState> state_;
};

}  // namespace cygnet::engine
