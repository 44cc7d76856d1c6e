// SPDX-License-Identifier: Apache-2.0
#pragma once

// The routes and addresses that the engine's policies need, as requests to the monitor: each asked for once, however
// many policies share it, and given back with the last of them. Pure.
//
// What comes from a routed network in the clear is refused by the monitor. Where policies protect some protocols or
// ports only, it must be told more: that the rest of the network's traffic is clear (of the BYPASS policy), what is
// protected (of the PROTECT policies), and which other policies protect all of a network that overlaps with it.
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/messages.h"
#include "daemon/role_messages.h"
#include "model/sa_spec.h"

namespace cygnet::daemon {

// A child may place so many routes; in how many pieces a network is negotiated is the peer's choice.
inline constexpr std::size_t kMostRoutes = 256;
// The policy that is routed in place of one that would take more: its remote networks as configured, where those are
// fewer. What is in no SA of them comes to the engine, which drops it. Nothing: the policy itself is routed.
[[nodiscard]] std::optional<model::PolicySpec> coarser(const model::PolicySpec& policy,
                                                       const model::TrafficSelectors& configured);

class Routes {
 public:
  // Why policies are without a route or an address that they need.
  using Unplaced = std::map<model::PolicyId, std::string>;
  using Send = std::function<void(NetworkRequest)>;
  explicit Routes(Send send) : send_(std::move(send)) {}

  // What a policy needs: when it is installed or replaced, and again whenever something else here is not what it was;
  // what it needed before and does not need now is given back. source_ips: of its connection; own: addresses of this
  // machine. proxy: this machine answers for the policy's single remote addresses in the networks it is attached to.
  void add(const model::PolicySpec& policy, const std::vector<IpAddress>& source_ips, const std::vector<IpAddress>& own,
           std::uint32_t mtu, bool proxy = false);
  void remove(const model::PolicySpec& policy);
  // Networks whose addresses are refused while no peer has them, each with a device of ours: all there are from now on.
  void use_pools(std::map<IpPrefix, std::string> pools);
  // Questions for names may leave in the clear; asked again, the monitor looks anew whom they go to.
  void let_questions_out(bool out);
  // The monitor has answered. What it could not set is asked for again by the next policy that needs it, and by add().
  [[nodiscard]] Unplaced on_done(const NetworkDone& done);
  // It waits to be asked for again.
  [[nodiscard]] bool lacks_something(model::PolicyId policy) const;
  [[nodiscard]] bool lacks_nothing() const { return unplaced_ == 0; }
  [[nodiscard]] std::vector<control::RouteFact> facts() const;

 private:
  enum class What : std::uint8_t { kRoute, kAddress, kProxy, kClear };  // routes go first
  struct Traffic {
    model::TrafficSelector remote, local;
    auto operator<=>(const Traffic&) const = default;
  };
  struct Wanted {
    What what = What::kRoute;
    IpPrefix prefix;
    std::string device;
    auto operator<=>(const Wanted&) const = default;
  };
  struct Held {
    struct Way {
      std::optional<IpAddress> source;
      std::uint32_t mtu = 0;
      bool operator==(const Way&) const = default;
    };
    // Where several policies share a route the last of these decides: the newest with a source of its own, if there is
    // one. That is the policy of an SA whose address the peer has assigned, and not the one that waits for packets.
    std::map<std::pair<bool, model::PolicyId>, Way> users;
    Way asked;  // of the monitor
    std::uint32_t request = 0;
    bool unplaced = false;
    [[nodiscard]] const Way& wanted() const { return users.rbegin()->second; }
    void use(model::PolicyId policy, Way way);
    void let_go(model::PolicyId policy);
  };
  void give_back(const Wanted& wanted, model::PolicyId policy);
  void hold(const Wanted& wanted, model::PolicyId policy, std::optional<IpAddress> source, std::uint32_t mtu);
  [[nodiscard]] static NetworkRequest::What adding(What what);
  [[nodiscard]] static NetworkRequest::What removing(What what);
  void ask(const Wanted& wanted, Held& held);
  void mark(Held& held, bool unplaced);
  void add_protected(const model::PolicySpec& policy, const std::vector<IpAddress>& source_ips,
                     const std::vector<IpAddress>& own, std::uint32_t mtu, bool proxy);
  void add_guards(const model::PolicySpec& policy);
  void add_clear(const model::PolicySpec& policy);
  void guard(const Traffic& traffic, const std::string& device, model::PolicyId policy);
  void guard_all_of(const IpPrefix& prefix, const std::string& device, model::PolicyId policy);
  void remove_guards(const model::PolicySpec& policy);
  void each_overlapping(What what, const IpPrefix& prefix, const std::function<void(const Wanted&, const Held&)>& f);

  Send send_;
  std::map<Wanted, Held> held_;
  std::map<model::PolicyId, std::set<Wanted>> of_policy_;
  std::set<model::PolicyId> limited_;  // protect some protocols or ports only
  std::size_t clear_ = 0;              // of held_
  std::map<Traffic, std::set<model::PolicyId>> guards_;
  std::map<model::PolicyId, std::set<Traffic>> guards_of_;
  std::map<IpPrefix, std::string> pools_;
  std::deque<std::pair<std::uint32_t, Wanted>> asked_;  // routes and addresses without an answer yet
  std::size_t unplaced_ = 0;                            // of held_
  std::uint32_t next_request_ = 1;
};

// The source of packets that this machine itself sends to the policy's remote network: the configured address, or one
// of its own that the policy protects.
[[nodiscard]] std::optional<IpAddress> route_source(const model::PolicySpec& policy, Family family,
                                                    const std::vector<IpAddress>& source_ips,
                                                    const std::vector<IpAddress>& own);

}  // namespace cygnet::daemon
