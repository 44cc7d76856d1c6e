// SPDX-License-Identifier: Apache-2.0

// What the command line asks.
#include <algorithm>

#include "control/describe.h"
#include "daemon/ike_role/ike_process.h"
#include "ike/v2/transitions.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kDownPatience = std::chrono::seconds(5);
constexpr Duration kRekeyPatience = std::chrono::seconds(20);

bool same_child(const std::string& asked, const std::string& child) { return asked.empty() || asked == child; }

}  // namespace

void IkeProcess::on_request(ClientId client, const control::Request& request) {
  if (!begun_ || ending_) {
    done(client, false, ending_ ? "cygnetd is shutting down" : "cygnetd is starting; try again in a moment");
    return;
  }
  std::visit([&](const auto& r) { answer(client, r); }, request);
  pump();
}

void IkeProcess::done(ClientId client, bool ok, std::string message, control::Data data) {
  control_->send(client, control::Done{.ok = ok, .message = std::move(message), .data = std::move(data)});
}

void IkeProcess::done_when_in_place(ClientId client, bool ok, std::string message, const std::string& connection) {
  ordered_.push_back({.engine = engines_.asked(),
                      .network = network_asked_,
                      .datagram = {},
                      .client = client,
                      .answer = {.ok = ok, .message = std::move(message), .data = {}},
                      .connection = connection});
  send_what_may_go();
}

// Who waits to hear that a tunnel is up hears that it is not.
void IkeProcess::fail_answers(const std::string& connection, const std::string& why) {
  for (auto& next : ordered_) {
    if (next.client == 0 || next.connection != connection) continue;
    next.answer.ok = false;
    next.answer.message += (next.answer.message.empty() ? "" : "\n") + why;
  }
  for (auto& waiting : waiting_) {
    if (waiting.what != Waiting::For::kUp || waiting.connection != connection) continue;
    waiting.failed = true;
    waiting.messages += (waiting.messages.empty() ? "" : "\n") + why;
  }
}

void IkeProcess::on_client_gone(ClientId client) {
  std::erase_if(waiting_, [&](const Waiting& w) { return w.client == client; });
}

bool IkeProcess::known(ClientId client, const std::string& connection, const std::string& child, bool usable) {
  if (const auto it = unusable_.find(connection); usable && it != unusable_.end()) {
    done(client, false, it->second);
    return false;
  }
  const auto* found = find_configured(connection);
  if (found == nullptr) {
    std::string names;
    for (const auto& c : configuration_.conf.connections) {
      names += (names.empty() ? "" : ", ") + c.name;
    }
    const auto& ignored = configuration_.conf.ignored;
    const bool is_ignored = std::ranges::find(ignored, connection) != ignored.end();
    done(client, false,
         is_ignored
             ? "connection '" + connection + "' has auto=ignore (or no auto=): write auto=add and run `cygnet reload`"
             : "there is no connection '" + connection + "'; there are: " + (names.empty() ? "none" : names) +
                   " (after a change of the configuration: cygnet reload)");
    return false;
  }
  if (!child.empty() && find_child(connection, child) == nullptr) {
    std::string names;
    for (const auto& c : found->children) {
      names += (names.empty() ? "" : ", ") + c.name;
    }
    done(client, false, "connection '" + connection + "' has no child '" + child + "'; it has: " + names);
    return false;
  }
  return true;
}

void IkeProcess::answer(ClientId client, const control::UpRequest& request) {
  if (!known(client, request.connection, request.child)) {
    return;
  }
  Waiting waiting{
      .what = Waiting::For::kUp, .client = client, .connection = request.connection, .child = request.child};
  for (const auto& child : find_connection(request.connection)->children) {
    if (same_child(request.child, child.name)) {
      waiting.children_left.insert(child.name);
    }
  }
  waiting_.push_back(std::move(waiting));
  endpoint_->initiate(clock_.monotonic(), request.connection, request.child);
}

// Of all children asked for, each ends once; the last one's end is the answer.
void IkeProcess::on_initiation_done(Waiting& waiting, const ike::InitiationDone& action) {
  if (action.child.empty()) {
    waiting.children_left.clear();
  } else if (waiting.children_left.erase(action.child) == 0) {
    return;
  }
  waiting.failed = waiting.failed || !action.ok;
  if (!action.message.empty()) {
    waiting.messages += (waiting.messages.empty() ? "" : "\n") + action.message;
  }
}

void IkeProcess::answer(ClientId client, const control::DownRequest& request) {
  if (!known(client, request.connection, request.child)) {
    return;
  }
  endpoint_->terminate(clock_.monotonic(), request.connection, request.child);
  apply(policies_.release(request.connection, request.child));
  waiting_.push_back({.what = Waiting::For::kDown,
                      .client = client,
                      .connection = request.connection,
                      .child = request.child,
                      .deadline = clock_.monotonic() + kDownPatience});
}

bool IkeProcess::is_down(const Waiting& waiting) const {
  for (const auto& sa : endpoint_->status(waiting.connection)) {
    if (waiting.child.empty() && sa.connection == waiting.connection) {
      return false;
    }
    for (const auto& child : sa.children) {
      const auto owner = children_.find(child.id);
      if (owner != children_.end() && owner->second.connection == waiting.connection &&
          same_child(waiting.child, child.name)) {
        return false;
      }
    }
  }
  return true;
}

void IkeProcess::on_rekeyed(const std::string& connection, const std::string& child, bool ike_sa) {
  for (auto& waiting : waiting_) {
    if (waiting.what == Waiting::For::kRekey && waiting.connection == connection && waiting.ike_sa == ike_sa &&
        same_child(waiting.child, child)) {
      waiting.over = true;
    }
  }
}

void IkeProcess::answer(ClientId client, const control::RekeyRequest& request) {
  if (!known(client, request.connection, request.child)) {
    return;
  }
  const auto sas = endpoint_->status(request.connection);
  const bool ike_up = std::ranges::any_of(sas, [&](const auto& sa) { return sa.connection == request.connection; });
  const bool child_up = std::ranges::any_of(sas, [&](const auto& sa) {
    return std::ranges::any_of(sa.children, [&](const auto& child) {
      const auto owner = children_.find(child.id);
      return owner != children_.end() && owner->second.connection == request.connection &&
             same_child(request.child, child.name);
    });
  });
  if (request.ike_sa ? !ike_up : !child_up) {
    done(client, false, "connection '" + request.connection + "' is not up: there is nothing to rekey");
    return;
  }
  waiting_.push_back({.what = Waiting::For::kRekey,
                      .client = client,
                      .connection = request.connection,
                      .child = request.child,
                      .deadline = clock_.monotonic() + kRekeyPatience,
                      .ike_sa = request.ike_sa});
  endpoint_->rekey(clock_.monotonic(), request.connection, request.child, request.ike_sa);
}

namespace {

void add_threads(const sadb::Statistics& statistics, control::StatusReport& status) {
  for (const auto& t : statistics.threads) {
    status.threads.push_back(
        {.work = t.work, .pinned = t.pinned, .cpu = t.cpu, .cpu_ms = t.cpu_ms, .load_percent = t.load});
  }
  const auto& c = statistics.ciphers;
  status.ciphers = {.batches = c.batches, .waits = c.waits, .full = c.full, .failed = c.failed};
  for (const auto& e : statistics.esp_interfaces) {
    status.esp_interfaces.push_back({.name = e.name, .packets_in = e.packets_in, .packets_out = e.packets_out});
  }
}

}  // namespace

void IkeProcess::answer(ClientId client, const control::StatusRequest& request) {
  if (request.summary) {
    done(client, true, "", make_summary());
    return;
  }
  if (!request.connection.empty() && !known(client, request.connection, "", false)) {
    return;
  }
  engine_.query_sas(false, [this, client, only = request.connection](const Result<sadb::Dump>& dump) {
    engine_.query_statistics([this, client, status = make_status(dump, only)](const auto& statistics) mutable {
      if (statistics) add_threads(*statistics, status);
      done(client, true, "", std::move(status));
    });
  });
}

void IkeProcess::answer(ClientId client, const control::ListRequest& /*request*/) {
  engine_.query_sas(false, [this, client](const Result<sadb::Dump>& dump) {
    control::ListReport report;
    for (const auto& written : configuration_.conf.connections) {
      const auto* connection = find_configured(written.name);
      report.connections.push_back(control::describe(connection == nullptr ? written : *connection));
    }
    if (dump) {
      for (const auto& policy : dump->policies) {
        report.policies.push_back(control::describe(policy));
      }
    }
    done(client, static_cast<bool>(dump), dump ? "" : dump.error().message, std::move(report));
  });
}

void IkeProcess::answer(ClientId client, const control::ReloadRequest& /*request*/) {
  waiting_.push_back({.what = Waiting::For::kReload, .client = client});
  tell_monitor(WantReload{});
}

void IkeProcess::answer(ClientId client, const control::ExplainRequest& request) {
  const auto port = request.port;
  const model::TrafficSelector local{IpRange::of(request.source), request.protocol, 0, 65535};
  const model::TrafficSelector remote{IpRange::of(request.destination), request.protocol, port.value_or(0),
                                      port.value_or(65535)};
  engine_.explain(local, remote, [this, client, request](const Result<sadb::Explanation>& explanation) {
    if (!explanation) {
      done(client, false, explanation.error().message);
    } else {
      done(client, true, "", make_explanation(request, *explanation));
    }
  });
}

void IkeProcess::answer(ClientId client, const control::DropsRequest& /*request*/) {
  engine_.query_statistics([this, client](const Result<sadb::Statistics>& statistics) {
    if (!statistics) {
      done(client, false, statistics.error().message);
    } else {
      done(client, true, "", make_drops(*statistics));
    }
  });
}

void IkeProcess::answer(ClientId client, const control::MonitorRequest& request) {
  waiting_.push_back({.what = Waiting::For::kMonitor, .client = client, .connection = request.connection});
}

void IkeProcess::answer(ClientId client, const control::DebugKeysRequest& /*request*/) {
  if (!configuration_.conf.setup.allow_key_export) {
    done(client, false,
         "keys are not handed out: write allow-key-export=yes into config setup of " + start_.config_path +
             " and restart cygnetd, if you know that whoever reads them reads everything");
    return;
  }
  engine_.query_sas(true, [this, client](const Result<sadb::Dump>& dump) {
    done(client, static_cast<bool>(dump), dump ? "" : dump.error().message,
         dump ? control::Data(make_keys(*dump)) : control::Data{});
  });
}

void IkeProcess::answer(ClientId client, const control::DebugTransitionsRequest& /*request*/) {
  done(client, true, "", control::TransitionsReport{ike::v2::print_transitions()});
}

void IkeProcess::answer(ClientId client, const control::DoctorRequest& /*request*/) {
  engine_.query_sas(false, [this, client](const Result<sadb::Dump>& dump) {
    auto status = make_status(dump, "");
    engine_.query_statistics(
        [this, client, status = std::move(status)](const Result<sadb::Statistics>& statistics) mutable {
          done(client, true, "",
               make_facts(std::move(status), statistics ? make_drops(*statistics) : control::DropsReport{}));
        });
  });
}

void IkeProcess::answer(ClientId client, const control::ShutdownRequest& /*request*/) {
  done(client, true, "cygnetd is shutting down");
  tell_monitor(WantShutDown{});
}

void IkeProcess::answer(ClientId client, const control::CertsRequest& /*request*/) {
  done(client, true, "", make_certs());
}

void IkeProcess::tell_followers(const control::Progress& progress) {
  for (const auto& waiting : waiting_) {
    const bool all = waiting.what == Waiting::For::kMonitor && waiting.connection.empty();
    if (all || (waiting.what != Waiting::For::kReload && waiting.connection == progress.connection)) {
      control_->send(waiting.client, progress);
    }
  }
}

// Clients whose event has come, or will not come any more.
void IkeProcess::check_waiting() {
  if (waiting_.empty()) {
    return;
  }
  const auto now = clock_.monotonic();
  std::vector<Waiting> still;
  for (auto& waiting : std::exchange(waiting_, {})) {
    const bool late = now >= waiting.deadline;
    if (waiting.what == Waiting::For::kUp && waiting.children_left.empty()) {
      done_when_in_place(waiting.client, !waiting.failed, waiting.messages, waiting.connection);
    } else if (waiting.what == Waiting::For::kDown && is_down(waiting)) {
      // That is no fault.
      if (waiting.child.empty()) last_errors_.erase(waiting.connection);
      done_when_in_place(waiting.client, true,
                         "'" + waiting.connection + (waiting.child.empty() ? "" : "/" + waiting.child) + "' is down");
    } else if (waiting.what == Waiting::For::kDown && late) {
      done(
          waiting.client, false,
          "'" + waiting.connection +
              "' is still there: the peer does not answer the delete; it is removed here once the peer counts as dead");
    } else if (waiting.what == Waiting::For::kRekey && waiting.over) {
      done_when_in_place(waiting.client, true, "'" + waiting.connection + "' has new keys");
    } else if (waiting.what == Waiting::For::kRekey && late) {
      done(waiting.client, false, "the rekey of '" + waiting.connection + "' did not end in time; see the lines above");
    } else {
      still.push_back(std::move(waiting));
      continue;
    }
  }
  waiting_.insert(waiting_.end(), std::make_move_iterator(still.begin()), std::make_move_iterator(still.end()));
  const bool timed = std::ranges::any_of(waiting_, [](const auto& w) { return w.deadline != kNever; });
  if (timed && !std::exchange(waiting_timer_, true)) {
    loop_.after(std::chrono::milliseconds(200), [this] {
      waiting_timer_ = false;
      check_waiting();
    });
  }
}

}  // namespace cygnet::daemon
