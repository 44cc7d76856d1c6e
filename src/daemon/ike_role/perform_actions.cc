// SPDX-License-Identifier: Apache-2.0

// What the IKE endpoint asks for, done.
#include <algorithm>
#include <iterator>
#include <tuple>

#include "daemon/ike_role/ike_process.h"
#include "daemon/ike_role/key_jobs.h"
#include "ike/puzzle.h"
#include "sadb/archive.h"
#include "sadb/kernel/translate.h"

namespace cygnet::daemon {

namespace {

constexpr std::size_t kMarker = 4;      // RFC 7296 section 3.1: "four octets of zero" before IKE on port 4500
constexpr std::size_t kKeyThreads = 2;  // as pool_ has
constexpr std::size_t kMostKeyJobsTogether = 16;
constexpr std::size_t kActionsKept = 1024;  // room for as many stays between turns
constexpr Duration kUsageGathering = std::chrono::milliseconds(200);

}  // namespace

void IkeProcess::pump() {
  if (!endpoint_ || std::exchange(pumping_, true)) {
    return;
  }
  engine_.hold();
  for (endpoint_->take_actions(actions_); !actions_.empty(); endpoint_->take_actions(actions_)) {
    for (auto& action : actions_) {
      std::visit([this](auto& a) { perform(std::move(a)); }, action);
    }
  }
  if (actions_.capacity() > kActionsKept) actions_ = {};
  pumping_ = false;
  start_key_jobs();
  keep_leases();
  check_waiting();
  set_timer();
  // Last what wakes the monitor and the engines, ours and the peer's: they take the CPU at once.
  send_network_requests();
  engine_.release();
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

sadb::Done IkeProcess::or_log(std::string what) {
  return [this, what = std::move(what)](const Result<void>& done) {
    if (!done && !ending_) {
      log_.warning("engine", what + ": " + done.error().message);
    }
  };
}

sadb::Done IkeProcess::counted(sadb::Done then) {
  ++engine_asked_;
  return [this, then = std::move(then)](const Result<void>& done) {
    ++engine_done_;
    then(done);
    pump_soon();
  };
}

void IkeProcess::perform(ike::SendDatagram&& action) {
  if (action.at_once) {
    at_once_.push_back(std::move(action));
    return;
  }
  ordered_.push_back({.engine = engine_asked_, .network = network_asked_, .datagram = std::move(action)});
}

void IkeProcess::send_what_may_go() {
  auto datagrams = std::exchange(at_once_, {});
  // At the end nobody may answer any more.
  while (!ordered_.empty() &&
         (ending_ || (ordered_.front().engine <= engine_done_ && ordered_.front().network <= network_done_))) {
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

const io::OuterSocket* IkeProcess::socket_for(const ike::Path& path) const {
  const auto& setup = configuration_.conf.setup;
  const auto port = path.marked ? setup.nat_port : setup.ike_port;
  const auto socket = std::ranges::find_if(
      sockets_, [&](const auto& s) { return s.family == path.remote.address.family() && s.port == port; });
  return socket == sockets_.end() ? nullptr : &*socket;
}

// In order; those that leave through one socket after the other in one call.
void IkeProcess::send_all(const std::vector<ike::SendDatagram>& datagrams) {
  const io::OuterSocket* socket = nullptr;
  std::deque<Bytes> marked;
  std::vector<io::OutgoingDatagram> batch;
  std::vector<const ike::SendDatagram*> sources;  // of the batch
  const auto flush = [&] {
    if (socket == nullptr || batch.empty()) {
      return;
    }
    sender_.send(*socket, batch, [&](const io::SendFailure& failure) {
      // Whoever forges addresses that cannot be reached does not fill the log.
      if (sources[static_cast<std::size_t>(failure.what - batch.data())]->at_once) return;
      const auto& remote = failure.what->remote;
      log_.warning(remote.to_string(), "cannot send IKE from " + failure.what->local.to_string() + ": " +
                                           std::generic_category().message(failure.error) +
                                           " (is there a route? ip route get " + remote.address.to_string() + ")");
    });
    batch.clear();
    sources.clear();
    marked.clear();
  };
  for (const auto& one : datagrams) {
    const auto* next = socket_for(one.path);
    if (next == nullptr) {
      log_.warning(one.path.remote.to_string(), "cannot be reached: there is no socket of its address family");
      continue;
    }
    if (next != socket) {
      flush();
      socket = next;
    }
    ByteView bytes = one.bytes;
    if (one.path.marked) {
      auto& with_marker = marked.emplace_back(kMarker);
      append(with_marker, one.bytes);
      bytes = with_marker;
    }
    batch.push_back({.local = one.path.local, .remote = one.path.remote, .data = bytes});
    sources.push_back(&one);
  }
  flush();
}

void IkeProcess::perform(ike::KeyExchangeJob&& action) { key_jobs_.push_back(std::move(action)); }

// Those of one turn go to the threads in a few pieces: a way to another thread and back costs as much as a part of the
// mathematics.
void IkeProcess::start_key_jobs() {
  while (!key_jobs_.empty() && key_work_ < kKeyThreads) {
    const auto idle = kKeyThreads - key_work_;
    const auto count = std::min((key_jobs_.size() + idle - 1) / idle, kMostKeyJobsTogether);
    const auto last = key_jobs_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<ike::KeyExchangeJob> jobs(std::make_move_iterator(key_jobs_.begin()), std::make_move_iterator(last));
    key_jobs_.erase(key_jobs_.begin(), last);
    ++key_work_;
    auto results = std::make_shared<std::vector<ike::JobResult>>();
    pool_.run(
        [jobs = std::move(jobs), results] {
          results->reserve(jobs.size());
          for (const auto& job : jobs) results->push_back(run_key_job(job));
        },
        [this, results] {
          --key_work_;
          if (ending_) return;
          for (const auto& result : *results) endpoint_->on_job_done(clock_.monotonic(), result);
          pump_soon();
        });
  }
}

void IkeProcess::perform(const ike::PuzzleJob& action) {
  auto result = std::make_shared<ike::PuzzleResult>();
  pool_.run(
      [job = action, result] {
        auto keys = ike::solve_puzzle(job.prf, job.difficulty, job.cookie);
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

void IkeProcess::on_auth_results(std::vector<ike::auth::AuthResult> results) {
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
  engine_.install_sa(spec, counted(or_log("an SA of " + spec.connection + " was not installed")));
  // The SA before its policy: a waiting packet that meets the new policy must find the SA.
  apply(changes);
}

void IkeProcess::perform(const ike::RemoveSa& action) {
  // An SA whose lifetime ended is gone already: no news.
  engine_.remove_sa(action.direction, action.spi, action.child, {});
  if (action.direction == model::Direction::kOutbound) {
    apply(policies_.on_sa_removed(action.child));
  }
}

void IkeProcess::perform(const ike::ActivateChild& action) { engine_.activate(action.child, {}); }

void IkeProcess::perform(const ike::UpdateChildEndpoints& action) {
  engine_.update_endpoints(action.child, action.local, action.remote, action.udp_encapsulation, action.keepalive_s,
                           or_log("a peer's new address was not taken"));
}

void IkeProcess::perform(const ike::ExpectSpi& action) { engine_.expect_spi(action.spi, counted(or_log("expecting"))); }

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
  on_demand_.on_done(clock_.monotonic(), action.connection, action.child, true, false);
  if (action.replaces) {
    on_rekeyed(action.connection, action.child, false);
  }
}

void IkeProcess::perform(const ike::ChildDown& action) { children_.erase(action.id); }

void IkeProcess::perform(const ike::IkeUp& /*action*/) {}

void IkeProcess::perform(const ike::IkeDown& action) {
  if (action.replaced) {
    on_rekeyed(action.connection, "", true);
  }
}

void IkeProcess::perform(const ike::InitiationDone& action) {
  on_demand_.on_done(clock_.monotonic(), action.connection, action.child, action.ok, action.will_retry);
  if (action.ok) {
    last_errors_.erase(action.connection);
  } else {
    last_errors_[action.connection] = action.message;
    if (action.will_retry) {
      look_up_names_of(action.connection);
    }
    // Held packets need not wait for what does not come.
    if (!action.will_retry) {
      for (const auto id : policies_.acquiring(action.connection, action.child)) {
        engine_.acquire_failed(id, {});
      }
    }
  }
  for (auto& waiting : waiting_) {
    if (waiting.what == Waiting::For::kUp && waiting.connection == action.connection) {
      on_initiation_done(waiting, action);
    }
  }
}

void IkeProcess::perform(const ike::Report& action) {
  const std::string subject = action.connection.empty() ? action.peer : action.connection;
  log_.write({action.severity, subject, action.message});
  tell_followers({.time_s = clock_.wall_seconds(),
                  .severity = action.severity,
                  .connection = action.connection,
                  .peer = action.peer,
                  .event = action.event,
                  .message = action.message});
}

void IkeProcess::perform(const ike::Checkpoint& action) {
  engine_.put_checkpoint(action.key, action.value, counted(or_log("the state of an IKE SA will not outlive a crash")));
}

void IkeProcess::perform(const ike::DropCheckpoint& action) { engine_.drop_checkpoint(action.key, {}); }

// The engine must know a policy before a route brings it packets, and keep it until the route is gone.
void IkeProcess::apply(const policy::Changes& changes) {
  for (auto policy : changes.install) {
    if (const auto* child = find_child(policy.connection, policy.child_name)) {
      sadb::kernel::apply_terms(*child, policy);
    }
    engine_.install_policy(policy, or_log("policy " + std::to_string(policy.id.value) + " of " + policy.connection +
                                          " was not installed"));
    add_routes(policy);
  }
  for (const auto& policy : changes.remove) {
    routes_.remove(policy);
    engine_.remove_policy(policy.id, or_log("policy " + std::to_string(policy.id.value) + " of " + policy.connection +
                                            " was not removed"));
  }
}

void IkeProcess::add_routes(const model::PolicySpec& policy) {
  if (start_.kernel && !sadb::kernel::leads_through_device(policy)) return;
  const auto* connection = find_connection(policy.connection);
  const auto* child = find_child(policy.connection, policy.child_name);
  auto sources = connection == nullptr ? std::vector<IpAddress>{} : connection->local.source_ips;
  for (const auto& assigned : assigned_) {
    if (assigned.connection != policy.connection) continue;
    for (const auto& address : assigned.addresses) {
      const bool speaks = std::ranges::any_of(policy.local, [&](const auto& ts) { return ts.range.contains(address); });
      if (speaks && std::ranges::find(sources, address) == sources.end()) sources.push_back(address);
    }
  }
  routes_.add(policy, sources, own_addresses_, child == nullptr ? 0 : child->mtu,
              connection != nullptr && connection->proxy_arp);
}

}  // namespace cygnet::daemon
