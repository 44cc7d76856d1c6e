// SPDX-License-Identifier: Apache-2.0

// Names of peers: who is asked for them, and when. Where a tunnel holds everything back, the questions would be held
// back as well: as long as one must be asked where such a tunnel leads, the monitor lets questions for names out, and
// nothing else.
#include <algorithm>
#include <utility>

#include "daemon/ike_role/ike_process.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kNameInterval = std::chrono::seconds(60);
constexpr Duration kUnknownInterval = std::chrono::seconds(5);  // where a connection waits for a name

bool waits_for_a_name(const model::Connection& waiting) {
  const auto unknown = [](const model::HostSpec& host) {
    return host.kind == model::HostSpec::Kind::kName && !host.resolved;
  };
  return unknown(waiting.local.host) || unknown(waiting.remote.host);
}

}  // namespace

void IkeProcess::look_up_names_of(const std::string& connection) {
  const auto& all = configuration_.conf.connections;
  const auto it = std::ranges::find(all, connection, &model::Connection::name);
  const auto named = [](const model::End& end) { return end.host.kind == model::HostSpec::Kind::kName; };
  if (it == all.end() || (!named(it->local) && !named(it->remote))) {
    return;
  }
  look_up_names({*it});
}

void IkeProcess::look_up_names_later() {
  const auto waits = [](const auto& waiting) { return waits_for_a_name(waiting.second); };
  loop_.after(std::ranges::any_of(waiting_connections_, waits) ? kUnknownInterval : kNameInterval, [this] {
    if (ending_) return;
    const auto now = clock_.monotonic();
    const bool all = now >= all_names_asked_ + kNameInterval;
    if (all) all_names_asked_ = now;
    // One that nobody answers for does not have the others asked as often.
    std::vector<model::Connection> whose;
    for (const auto& connection : configuration_.conf.connections) {
      const auto waiting = waiting_connections_.find(connection.name);
      if (all || (waiting != waiting_connections_.end() && waits_for_a_name(waiting->second)))
        whose.push_back(connection);
    }
    look_up_names(std::move(whose));
    look_up_names_later();
  });
}

void IkeProcess::look_up_names(std::vector<model::Connection> connections, std::function<void()> done) {
  if (questions_out_) {
    // Others may be asked by now.
    routes_.let_questions_out(true);
    name_questions_.push_back(
        {.network = network_asked_, .connections = std::move(connections), .done = std::move(done)});
    pump_soon();
    return;
  }
  hosts_->resolve(connections, std::move(done));
}

void IkeProcess::ask_what_may_be_asked() {
  while (!name_questions_.empty() && name_questions_.front().network <= network_done_) {
    auto question = std::move(name_questions_.front());
    name_questions_.pop_front();
    hosts_->resolve(question.connections, std::move(question.done));
  }
}

void IkeProcess::find_askers() {
  askers_.clear();
  askers_when_dead_.clear();
  for (const auto& connection : configuration_.conf.connections) {
    if (in_kernel(connection.name)) continue;
    if (policy::holds_its_questions(connection)) {
      askers_.insert(connection.name);
    } else if (policy::holds_its_questions_when_dead(connection)) {
      askers_when_dead_.insert(connection.name);
    }
  }
  let_questions_out();
}

// Whose last attempt failed may have its peer somewhere else by now.
void IkeProcess::let_questions_out() {
  const auto asks = [this](const std::string& name) {
    const auto waiting = waiting_connections_.find(name);
    return waiting == waiting_connections_.end() ? last_errors_.contains(name) : waits_for_a_name(waiting->second);
  };
  const bool wanted =
      std::ranges::any_of(askers_, asks) ||
      std::ranges::any_of(askers_when_dead_, [&](const auto& name) { return policies_.is_held(name) && asks(name); });
  if (wanted == questions_out_) return;
  questions_out_ = wanted;
  routes_.let_questions_out(wanted);
}

}  // namespace cygnet::daemon
