// SPDX-License-Identifier: Apache-2.0
#pragma once

// The engine's PF_KEY socket, and the one for programs that speak NETLINK_XFRM: both lead to one database, which is
// lent the engine here. It has an epoll set of its own; the packet loop watches that as one descriptor.
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/engine_role/lent_sockets.h"
#include "daemon/engine_role/message_port.h"
#include "daemon/role_messages.h"
#include "engine/engine.h"
#include "io/clock.h"
#include "io/fd.h"
#include "io/local_addresses.h"
#include "sadb/pfkey/server.h"
#include "sadb/xfrm_server/server.h"

namespace cygnet::daemon {

// The engine as PfkeyServer sees it.
class PfkeyEngineAdapter final : public sadb::PfkeyEngine {
 public:
  // device: where clear text appears, and where routes lead.
  // foreign_spis: bits of SPIs that are the kernel's.
  PfkeyEngineAdapter(engine::Engine& engine, std::string device, std::optional<io::LocalAddresses> addresses,
                     std::uint32_t foreign_spis = 0)
      : engine_(engine), device_(std::move(device)), addresses_(std::move(addresses)), foreign_spis_(foreign_spis) {}

  [[nodiscard]] Result<void> install_sa(const model::SaSpec& spec, Instant now) override;
  [[nodiscard]] Result<void> remove_sa(model::Direction direction, Spi spi, model::ChildId child) override;
  [[nodiscard]] Result<void> update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                              bool udp_encapsulation) override;
  [[nodiscard]] Result<void> set_selectors(model::ChildId child, const model::TrafficSelectors& local,
                                           const model::TrafficSelectors& remote, bool paired) override;
  [[nodiscard]] std::optional<model::SaCounters> counters(model::Direction direction,
                                                          model::ChildId child) const override;
  [[nodiscard]] Result<void> install_policy(const model::PolicySpec& spec) override;
  [[nodiscard]] Result<void> remove_policy(model::PolicyId id) override;
  void acquire_failed(model::PolicyId id) override;
  [[nodiscard]] bool spi_in_use(Spi spi) const override;
  [[nodiscard]] std::uint32_t foreign_spis() const override { return foreign_spis_; }
  void expect_spi(Spi spi, Instant now) override;
  [[nodiscard]] bool supports(model::EncryptionId encryption, std::uint16_t bits,
                              model::IntegrityId integrity) const override;
  [[nodiscard]] bool is_local(const IpAddress& address) const override;
  void lead_into_device(const IpPrefix& source, const IpPrefix& destination, bool wanted) override;
  void say_of_clear_text(const model::TrafficSelector& remote, const model::TrafficSelector& local, std::uint32_t order,
                         bool allowed, bool wanted) override;

  [[nodiscard]] std::optional<io::LocalAddresses>& addresses() { return addresses_; }
  // Routes that the monitor is to set or to take back, in order.
  [[nodiscard]] std::deque<NetworkRequest>& route_requests() { return routes_; }

 private:
  engine::Engine& engine_;
  std::string device_;
  std::optional<io::LocalAddresses> addresses_;
  std::uint32_t foreign_spis_;
  mutable std::map<std::tuple<model::EncryptionId, std::uint16_t, model::IntegrityId>, bool> tried_;
  std::map<IpPrefix, unsigned> led_;  // policies that lead to each network
  std::map<std::tuple<model::TrafficSelector, model::TrafficSelector, std::uint32_t, bool>, unsigned> clear_text_;
  std::deque<NetworkRequest> routes_;
};

// What the service needs of the process around it.
struct PfkeyHost {
  std::vector<std::string> devices;
  int monitor = -1;
  std::uint32_t foreign_spis = 0;  // bits of SPIs that are the kernel's
  // For programs that share a UDP port with the engine.
  LentSockets::Begin begin_socket;
  LentSockets::End end_socket;
};

class PfkeyService {
 public:
  // Before privileges go: what a sandbox forbids is opened here. Without addresses (no netlink) nothing is local.
  // xfrm: the socket for programs that speak NETLINK_XFRM.
  [[nodiscard]] static std::unique_ptr<PfkeyService> open(engine::Engine& engine, io::UniqueFd pfkey, io::UniqueFd xfrm,
                                                          PfkeyHost host, Logger& log);
  [[nodiscard]] int fd() const { return epoll_.get(); }
  void on_ready(Instant now);
  [[nodiscard]] Instant next_deadline() const;
  // Events of the engine, time, and what is to be sent.
  void end_of_turn(Instant now);

 private:
  PfkeyService(engine::Engine& engine, PfkeyEngineAdapter adapter, io::UniqueFd pfkey, io::UniqueFd xfrm,
               PfkeyHost host, Logger& log);
  [[nodiscard]] sadb::PfkeyTime time(Instant now) const { return {now, clock_.wall_seconds()}; }
  void watch(int fd);
  [[nodiscard]] bool on_wrap_message(MessagePort::ClientId client, io::Message& message);
  void ask_for_routes();
  [[nodiscard]] static bool is_ours(const engine::Event& event);

  engine::Engine& engine_;
  PfkeyEngineAdapter adapter_;
  io::UniqueFd epoll_;
  int monitor_;
  Logger& log_;
  io::SystemRandom random_;
  io::SystemClock clock_;
  sadb::PfkeyServer server_;
  sadb::XfrmServer xfrm_server_;
  MessagePort port_;
  MessagePort xfrm_port_;
  LentSockets lent_;
  bool monitor_full_ = false;
  bool worked_ = false;  // something happened that may have left messages to send
};

}  // namespace cygnet::daemon
