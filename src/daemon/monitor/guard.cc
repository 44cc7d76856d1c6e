// SPDX-License-Identifier: Apache-2.0
// The monitor watches over what it has set: clear text that is refused, routes that others take away, and what ike may
// ask for.
#include <algorithm>
#include <csignal>
#include <utility>

#include "daemon/monitor/monitor.h"
#include "io/clock.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kRouteSettleTime = std::chrono::milliseconds(100);
constexpr Duration kLookAtGate = std::chrono::milliseconds(900);
constexpr Duration kBetweenSettlements = std::chrono::milliseconds(100);
constexpr int kTimesTheirCost = 4;  // as long as that it waits after one that took long

}  // namespace

void Monitor::on_route_changes() {
  const auto changes = io::drain_route_changes(route_changes_.get(), network_->ours());
  addresses_changed_ = addresses_changed_ || changes.addresses;
  if (changes.ours) {
    repairs_.on_touched();
    repair_network();
  }
  if (std::exchange(routes_dirty_, true)) return;
  // What is no network of ours any more must not be left to the default route.
  if (std::exchange(addresses_changed_, false)) network_->on_network_changed();
  loop_.after(std::max(kRouteSettleTime, kTimesTheirCost * look_took_), [this] {
    routes_dirty_ = false;
    if (shutting_down_) return;
    const auto begun = io::SystemClock::now();
    if (std::exchange(addresses_changed_, false)) {
      network_->on_network_changed();
    } else {
      network_->on_routes_changed();
    }
    look_took_ = io::SystemClock::now() - begun;
    settle_gate();
    if (esp_path_) esp_path_->on_network_changed();
    send(ike_, NetworkChanged{});
  });
}

// What the kernel refuses is tried again by watch_clear_text().
void Monitor::repair_network() {
  const auto now = io::SystemClock::now();
  if (!network_->all_there()) repairs_.on_unmet(now);
  const auto due = repairs_.due();
  if (due > now) {
    if (!repairs_.touched() || std::exchange(repair_awaited_, true)) return;
    loop_.after(due - now, [this] {
      repair_awaited_ = false;
      if (!shutting_down_) repair_network();
    });
    return;
  }
  const bool anew = network_->repair();
  const auto done = io::SystemClock::now();
  repairs_.on_repaired(done, network_->all_there(), done - now);
  settle_gate();
  if (!anew) return;
  // Its descriptor of the device leads nowhere any more.
  if (engine_.pid != 0) (void)::kill(engine_.pid, SIGKILL);
}

// A thousand policies may come in a thousand messages, and each time the packet filter is told everything.
void Monitor::settle_gate() {
  if (!network_->gate_unsettled() || settling_) return;
  settling_ = true;
  const auto early = next_settlement_ - io::SystemClock::now();
  loop_.after(std::max(early, Duration{}), [this] {
    settling_ = false;
    if (shutting_down_) return;
    const auto begun = io::SystemClock::now();
    network_->settle_gate();
    const auto done = io::SystemClock::now();
    next_settlement_ = done + std::max(kBetweenSettlements, kTimesTheirCost * (done - begun));
    if (network_->gate().has_more()) settle_gate();
  });
}

void Monitor::watch_clear_text() {
  loop_.after(kLookAtGate, [this] {
    if (shutting_down_) return;
    network_->gate().look();
    settle_gate();
    repair_network();
    tell_clear_text();
    tell_pools();
    network_->look_for_covered_links(io::SystemClock::now());
    tell_covered_links();
    watch_clear_text();
  });
}

void Monitor::tell_clear_text() {
  const auto& gate = network_->gate();
  const ClearTextRefused now{.problem = gate.problem(),
                             .packets = gate.refused(),
                             .outward_problem = gate.outward_problem(),
                             .held = gate.held()};
  if (now == clear_text_told_) return;
  if (now.held != 0 && !std::exchange(held_told_, true))
    log_.warning("network",
                 "packets for what a tunnel protects were about to leave in the clear by another device, and were "
                 "refused: a program binds its sockets to a device, or somebody took routes away. `cygnet status` "
                 "counts them");
  clear_text_told_ = now;
  send(ike_, clear_text_told_);
}

void Monitor::tell_pools() {
  if (network_->pool_ways() == pools_told_.list) return;
  pools_told_.list = network_->pool_ways();
  send(ike_, pools_told_);
}

void Monitor::tell_covered_links() {
  if (network_->covered_links() == links_told_.list) return;
  links_told_.list = network_->covered_links();
  send(ike_, links_told_);
}

void Monitor::use_bounds(const Loaded& loaded) {
  const auto use = [&](const model::Connection& c) { bounds_[c.name] = bounds_of(c); };
  if (loaded.change) {
    for (const auto& name : loaded.change->removed) bounds_.erase(name);
    for (const auto& connection : loaded.change->fresh) use(connection);
  } else {
    bounds_.clear();
    for (const auto& connection : loaded.configuration.conf.connections) use(connection);
  }
  NetworkBounds all;
  for (const auto& [name, bounds] : bounds_) {
    all.addresses.insert(all.addresses.end(), bounds.addresses.begin(), bounds.addresses.end());
    all.proxied.insert(all.proxied.end(), bounds.proxied.begin(), bounds.proxied.end());
    all.pools.insert(all.pools.end(), bounds.pools.begin(), bounds.pools.end());
    all.covered.insert(all.covered.end(), bounds.covered.begin(), bounds.covered.end());
    all.assigned_addresses = all.assigned_addresses || bounds.assigned_addresses;
  }
  network_->set_bounds(std::move(all));
  settle_gate();
}

}  // namespace cygnet::daemon
