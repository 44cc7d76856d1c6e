// SPDX-License-Identifier: Apache-2.0

// What the IKE endpoint asks for, done.
#include <algorithm>
#include <iterator>
#include <tuple>

#include "daemon/ike_role/ike_process.h"
#include "daemon/pool_prefixes.h"
#include "ike/puzzle.h"
#include "sadb/archive.h"
#include "sadb/kernel/translate.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kActionsKept = 1024;  // room for as many stays between turns
constexpr Duration kForgotten = std::chrono::minutes(5);
constexpr unsigned kLongestPauseBits = 6;  // 64 s
constexpr Duration kUsageGathering = std::chrono::milliseconds(200);

// What is configured is routed in any case, up or not.
bool takes_all_of_them(const model::Child& child) { return child.start != model::StartAction::kAdd; }

}  // namespace

void IkeProcess::pump() {
  if (!endpoint_ || std::exchange(pumping_, true)) {
    return;
  }
  take_key_results();
  first_engine_.hold();
  kernel_engine_.hold();
  for (endpoint_->take_actions(actions_); !actions_.empty(); endpoint_->take_actions(actions_)) {
    for (auto& action : actions_) {
      std::visit([this](auto& a) { perform(std::move(a)); }, action);
    }
  }
  if (actions_.capacity() > kActionsKept) actions_ = {};
  pumping_ = false;
  key_queue_.start();
  keep_leases();
  let_moved_go();
  check_waiting();
  set_timer();
  // Last what wakes the monitor and the engines, ours and the peer's: they take the CPU at once.
  send_network_requests();
  first_engine_.release();
  kernel_engine_.release();
  send_what_may_go();
}

void IkeProcess::pump_soon() {
  if (std::exchange(pump_posted_, true)) return;
  loop_.post([this] {
    pump_posted_ = false;
    pump();
  });
}

void IkeProcess::set_timer() {
  keys_.flush();
  tokens_.flush();
  const auto deadline = endpoint_->next_deadline();
  // One that comes early finds nothing to do and is set anew: cheaper than a system call whenever a deadline moves
  // back.
  if (timer_ != 0 && timer_at_ <= deadline) {
    return;
  }
  loop_.cancel(timer_);
  timer_ = 0;
  timer_at_ = deadline;
  if (deadline != kNever) {
    timer_ = loop_.at(deadline, [this] {
      timer_ = 0;
      endpoint_->on_timer(clock_.monotonic());
      pump();
    });
  }
}

void IkeProcess::log_failed(const Result<void>& done, const char* what, const std::string& connection) {
  if (!done && !ending_) {
    log_.warning(connection.empty() ? "engine" : connection, what + (": " + done.error().message));
  }
}

sadb::Done IkeProcess::or_log(const char* what, std::string connection) {
  return [this, what, connection = std::move(connection)](const Result<void>& done) {
    log_failed(done, what, connection);
  };
}

sadb::Done IkeProcess::counted(const char* what) {
  return [this, what, number = engines_.ask()](const Result<void>& done) {
    log_failed(done, what, {});
    engines_.acknowledge(number);
    pump_soon();
  };
}

void IkeProcess::perform(ike::SendDatagram&& action) {
  if (action.at_once) {
    at_once_.push_back(std::move(action));
    return;
  }
  ordered_.push_back({.engine = engines_.asked(), .network = network_asked_, .datagram = std::move(action)});
}

void IkeProcess::send_what_may_go() {
  auto datagrams = std::exchange(at_once_, {});
  // At the end nobody may answer any more.
  while (!ordered_.empty() &&
         (ending_ || (engines_.has_all_to(ordered_.front().engine) && ordered_.front().network <= network_done_))) {
    auto next = std::move(ordered_.front());
    ordered_.pop_front();
    if (next.client != 0) {
      control_->send(next.client, next.answer);
    } else {
      datagrams.push_back(std::move(next.datagram));
    }
  }
  send_all(datagrams);
}

void IkeProcess::perform(const ike::PuzzleJob& action) {
  auto result = std::make_shared<ike::PuzzleResult>();
  puzzle_pool_.run(
      [this, job = action, result] {
        auto keys = ike::solve_puzzle(job.prf, job.difficulty, job.text, [this] { return puzzles_wanted_.load(); });
        *result = keys ? ike::PuzzleResult{job.job, std::move(*keys), {}}
                       : ike::PuzzleResult{job.job, {}, keys.error().message};
      },
      [this, result] {
        if (!ending_) {
          endpoint_->on_puzzle_done(clock_.monotonic(), *result);
          pump();
        }
      });
}

void IkeProcess::perform(ike::auth::AuthJob&& action) {
  // Verifying needs no secret.
  if (std::holds_alternative<ike::auth::SignatureVerify>(action.what)) {
    verifier_->verify(std::move(action), [this](const ike::auth::AuthResult& result) { on_auth_results({result}); });
    return;
  }
  const auto* signature = std::get_if<ike::auth::SignatureProve>(&action.what);
  (signature != nullptr && tokens_.holds(signature->key_id) ? tokens_ : keys_).ask(std::move(action));
}

void IkeProcess::on_auth_results(const std::vector<ike::auth::AuthResult>& results) {
  if (ending_ || endpoint_ == nullptr) return;
  for (const auto& result : results) endpoint_->on_auth_done(clock_.monotonic(), result);
  pump_soon();
}

void IkeProcess::perform(ike::InstallSa&& action) {
  auto spec = std::move(action.spec);
  if (const auto* child = find_child(spec.connection, spec.child_name)) sadb::kernel::apply_terms(*child, spec);
  policy::Changes changes;
  if (spec.direction == model::Direction::kOutbound) {
    std::tie(spec.policy, changes) = policies_.on_sa_installing(spec);
  }
  children_[spec.child] = {spec.connection, spec.child_name, spec.device};
  auto done = [this, child = spec.child, connection = spec.connection,
               number = engines_.ask()](const Result<void>& result) {
    if (!result && !ending_) on_refused(child, connection, "an SA was not installed: " + result.error().message);
    engines_.acknowledge(number);
    pump_soon();
  };
  engine_.install_sa(spec, std::move(done));
  // The SA before its policy: a waiting packet that meets the new policy must find the SA.
  apply(changes);
  // A policy that was there before may be without its route: nobody has asked for it since.
  if (const auto* policy = policies_.find(spec.policy); policy != nullptr && routes_.lacks_something(policy->id))
    add_routes(*policy);
}

// It would count as up and carry nothing. An engine that is gone is another story. Where the engine goes on refusing,
// the next attempt would come at once: the pauses grow.
void IkeProcess::on_refused(model::ChildId child, const std::string& connection, const std::string& why) {
  auto& refused = refused_[connection];
  const auto now = clock_.monotonic();
  if (now - std::exchange(refused.last, now) > kForgotten) refused.times = 0;
  const auto times = refused.times++;
  const auto message = why + "; its tunnel is taken down";
  log_.error(connection, message);
  fail_answers(connection, message);
  tell_followers({.time_s = clock_.wall_seconds(),
                  .severity = Severity::kError,
                  .connection = connection,
                  .peer = {},
                  .event = "sa-refused",
                  .message = message});
  if (!first_engine_.connected()) return;
  const auto pause = times == 0 ? Duration{} : std::chrono::seconds(1U << std::min(times, kLongestPauseBits));
  loop_.after(pause, [this, child, why] {
    if (ending_ || endpoint_ == nullptr) return;
    endpoint_->on_child_refused(clock_.monotonic(), child, why);
    pump();
  });
}

// The monitor tries it again, and refuses the packets meanwhile. But a tunnel that is up without its route or address
// carries nothing.
void IkeProcess::on_unplaced(const Routes::Unplaced& unplaced) {
  for (const auto& [id, why] : unplaced) {
    const auto* policy = policies_.find(id);
    if (policy == nullptr) continue;
    const auto connection = policy->connection;
    const auto children = policies_.children_of(id);
    for (const auto child : children) {
      if (without_routes_.insert(child).second) on_refused(child, connection, why);
    }
    if (children.empty() && unplaced_told_.insert(connection).second)
      log_.error(connection, why + ": its tunnel cannot be used until that is there");
  }
  if (routes_.lacks_nothing()) unplaced_told_.clear();
}

void IkeProcess::perform(const ike::RemoveSa& action) {
  auto changes =
      action.direction == model::Direction::kOutbound ? policies_.on_sa_removed(action.child) : policy::Changes{};
  // Whoever stands in for it first: its packets need not wait.
  apply({.install = std::exchange(changes.install, {}), .remove = {}});
  // An SA whose lifetime ended is gone already: no news.
  engine_.remove_sa(action.direction, action.spi, action.child, {});
  apply(changes);
}

void IkeProcess::perform(const ike::ActivateChild& action) { engine_.activate(action.child, {}); }

void IkeProcess::perform(const ike::UpdateChildEndpoints& action) {
  engine_.update_endpoints(action.child, action.local, action.remote, action.udp_encapsulation, action.keepalive_s,
                           or_log("a peer's new address was not taken", {}));
}

void IkeProcess::perform(const ike::ExpectSpi& action) {
  engine_.expect_spi(action.spi, counted("the engine did not note the SPI of an SA to come"));
}

// One question to the engine for all of a moment.
void IkeProcess::perform(const ike::QueryUsage& action) {
  usage_asked_.push_back(action);
  if (!std::exchange(usage_under_way_, true)) {
    loop_.after(kUsageGathering, [this] { ask_usage(); });
  }
}

void IkeProcess::ask_usage() {
  usage_under_way_ = false;
  auto asked = std::exchange(usage_asked_, {});
  for (std::size_t from = 0; from < asked.size() && !ending_; from += sadb::kMaxItems) {
    const auto n = std::min(asked.size() - from, sadb::kMaxItems);
    std::vector<Spi> spis;
    std::map<Spi, model::ChildId> children;
    for (const auto& question : std::span(asked).subspan(from, n)) {
      spis.push_back(question.inbound_spi);
      children[question.inbound_spi] = question.child;
    }
    engine_.query_usage(spis, [this, children = std::move(children)](const Result<std::vector<sadb::Usage>>& answer) {
      if (!answer || ending_) {
        return;
      }
      const auto now = clock_.monotonic();
      for (const auto& usage : *answer) {
        if (const auto it = children.find(usage.spi); it != children.end()) {
          endpoint_->on_usage(now, it->second, usage.inbound, usage.outbound);
        }
      }
      pump_soon();
    });
  }
}

void IkeProcess::perform(const ike::ChildUp& action) {
  last_errors_.erase(action.connection);
  let_questions_out();
  on_demand_.on_done(clock_.monotonic(), action.connection, action.child, true, false);
  if (is_what_was_held(action)) apply(policies_.release(action.connection, action.child));
  if (action.replaces) {
    on_rekeyed(action.connection, action.child, false);
  }
}

// Of peers that come from anywhere another one may have a part of what is written.
bool IkeProcess::is_what_was_held(const ike::ChildUp& action) const {
  const auto* connection = find_connection(action.connection);
  const auto* child = connection == nullptr ? nullptr : connection->find_child(action.child);
  return child == nullptr || connection->remote.host.kind != model::HostSpec::Kind::kAny ||
         model::covers(action.remote, child->remote);
}

void IkeProcess::perform(const ike::ChildDown& action) {
  children_.erase(action.id);
  without_routes_.erase(action.id);
}

bool IkeProcess::pass_on(model::PolicyId id) {
  const auto changes =
      policies_.pass_on(id, [this](const std::string& connection) { return find_connection(connection) != nullptr; });
  apply(changes);
  return !changes.install.empty();
}

void IkeProcess::perform(const ike::HoldChild& action) {
  const auto* connection = find_connection(action.connection);
  if (connection != nullptr) apply(policies_.hold(*connection, action.child));
}

void IkeProcess::perform(const ike::IkeUp& /*action*/) {}

void IkeProcess::perform(const ike::IkeDown& action) {
  if (action.replaced) {
    on_rekeyed(action.connection, "", true);
  }
}

void IkeProcess::perform(const ike::InitiationDone& action) {
  if (action.refused_packet) return on_refused_packet(action);
  on_demand_.on_done(clock_.monotonic(), action.connection, action.child, action.ok, action.will_retry);
  if (action.ok) {
    last_errors_.erase(action.connection);
    let_questions_out();
  } else {
    // Who waits to be called is not at fault because somebody asked for more.
    const auto* connection = find_connection(action.connection);
    const bool waits_for_calls = connection != nullptr && connection->remote.alternatives.empty() &&
                                 connection->remote.host.kind == model::HostSpec::Kind::kAny;
    if (!waits_for_calls) last_errors_[action.connection] = action.message;
    let_questions_out();
    if (action.will_retry) {
      look_up_names_of(action.connection);
    }
    // Held packets need not wait for what does not come: they ask whoever stands in for it.
    for (const auto id : policies_.acquiring(action.connection, action.child)) {
      if (!pass_on(id) && !action.will_retry) engine_.acquire_failed(id, {});
    }
  }
  tell_waiting(action);
}

void IkeProcess::on_refused_packet(const ike::InitiationDone& action) {
  const auto& remote = action.refused_packet->range.first;
  if (on_demand_.on_part_refused(clock_.monotonic(), action.connection, action.child, remote)) {
    log_.warning(action.connection, "the peer does not protect packets to " + remote.to_string() + " with child " +
                                        action.child + ", which is up for others: they are held back. " +
                                        action.message);
  }
  for (const auto id : policies_.acquiring(action.connection, action.child)) {
    engine_.acquire_failed(id, {});
  }
  // Who asked for the child by name has it.
  tell_waiting({.connection = action.connection,
                .child = action.child,
                .ok = true,
                .message = "child " + action.child + " is up"});
}

void IkeProcess::tell_waiting(const ike::InitiationDone& action) {
  for (auto& waiting : waiting_) {
    if (waiting.what == Waiting::For::kUp && waiting.connection == action.connection) {
      on_initiation_done(waiting, action);
    }
  }
}

void IkeProcess::perform(const ike::Report& action) {
  // Most are read by nobody.
  if (action.severity >= configuration_.conf.setup.log_level) {
    log_.write({action.severity, action.connection.empty() ? action.peer : action.connection, action.message});
  }
  if (waiting_.empty()) return;
  tell_followers({.time_s = clock_.wall_seconds(),
                  .severity = action.severity,
                  .connection = action.connection,
                  .peer = action.peer,
                  .event = action.event,
                  .message = action.message});
}

void IkeProcess::perform(const ike::Checkpoint& action) {
  engine_.put_checkpoint(action.key, action.value, counted("the state of an IKE SA will not outlive a crash"));
}

void IkeProcess::perform(const ike::DropCheckpoint& action) { engine_.drop_checkpoint(action.key, {}); }

// The engine must know a policy before a route brings it packets, and keep it until the route is gone.
void IkeProcess::apply(const policy::Changes& changes) {
  for (const auto& policy : changes.install) install_policy(policy);
  for (const auto& policy : changes.remove) remove_policy(policy);
}

void IkeProcess::look_at_routes_again() {
  for (const auto* policy : policies_.all()) add_routes(*policy);
}

void IkeProcess::look_at_routes_of(const std::vector<std::string>& connections) {
  const std::set<std::string_view> meant(connections.begin(), connections.end());
  for (const auto* policy : policies_.all()) {
    if (meant.contains(policy->connection)) add_routes(*policy);
  }
}

void IkeProcess::refuse_unused_addresses() {
  std::map<IpPrefix, std::string> pools;
  for (const auto& connection : connections_) {
    if (connection.remote.pools.empty()) continue;
    const bool routed = std::ranges::all_of(connection.children, [&](const auto& child) {
      return wants_routes({.local = child.local,
                           .remote = child.remote,
                           .mode = child.mode,
                           .connection = connection.name,
                           .child_name = child.name});
    });
    if (!routed || connection.children.empty()) continue;
    for (const auto& pool : connection.remote.pools) {
      for (const auto& prefix : pool_prefixes(pool)) pools.emplace(prefix, connection.children.front().device);
    }
  }
  routes_.use_pools(std::move(pools));
}

void IkeProcess::add_routes(const model::PolicySpec& policy) {
  if (!wants_routes(policy)) return;
  const auto* connection = find_configured(policy.connection);
  const auto* child = find_child(policy.connection, policy.child_name);
  auto sources = connection == nullptr ? std::vector<IpAddress>{} : connection->local.source_ips;
  for (const auto& assigned : assigned_) {
    if (assigned.connection != policy.connection) continue;
    for (const auto& address : assigned.addresses) {
      const bool speaks = std::ranges::any_of(policy.local, [&](const auto& ts) { return ts.range.contains(address); });
      if (speaks && std::ranges::find(sources, address) == sources.end()) sources.push_back(address);
    }
  }
  const auto mtu = child == nullptr ? 0 : child->mtu;
  const bool proxy = connection != nullptr && connection->proxy_arp;
  const auto instead = connection == nullptr || child == nullptr
                           ? std::nullopt
                           : coarser(policy, policy::remote_selectors(*connection, *child));
  if (instead && !takes_all_of_them(*child)) {
    // More than was negotiated would be taken from where it is reached now.
    if (policy.action == model::PolicyAction::kProtect) {
      on_unplaced({{policy.id, "the networks that the peer has chosen come in more than " +
                                   std::to_string(kMostRoutes) + " pieces: write a rightsubnet= for it"}});
    }
    return;
  }
  if (instead && policy.action == model::PolicyAction::kProtect &&
      coarser_told_.emplace(policy.connection, policy.child_name).second) {
    log_.warning(policy.connection, "the networks that the peer agreed to for child " + policy.child_name +
                                        " come in more than " + std::to_string(kMostRoutes) +
                                        " pieces: " + model::to_string(instead->remote) +
                                        " is routed instead, and what is not in the SA is dropped");
  }
  routes_.add(instead ? *instead : policy, sources, own_addresses_, mtu, proxy);
}

}  // namespace cygnet::daemon
