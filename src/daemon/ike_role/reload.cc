// SPDX-License-Identifier: Apache-2.0

// Another configuration while tunnels are up. Of thousands of connections mostly one is new or different: no more than
// that is read, and taken up by the tables, anew.
#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include "daemon/ike_role/ike_process.h"

namespace cygnet::daemon {

namespace {

constexpr Duration kSoon = std::chrono::seconds(1);  // keys has said by then which private keys there are

// A line more above it in the file changes nothing about a connection.
bool is_same(const model::Connection& known, model::Connection& fresh) {
  const auto source = std::exchange(fresh.source, known.source);
  const bool same = known == fresh;
  fresh.source = source;
  return same;
}

using Places = std::unordered_map<std::string_view, std::size_t>;

Places places_of(const std::vector<model::Connection>& connections) {
  Places out;
  out.reserve(connections.size());
  for (std::size_t i = 0; i < connections.size(); ++i) out.emplace(connections[i].name, i);
  return out;
}

// Leaves in `known` the connections that `order` names: from `fresh` where it is there, else what was known. False, and
// nothing is done, if one is in neither. What stays where it stood is not touched.
bool put_in_order(std::vector<model::Connection>& known, std::vector<model::Connection> fresh,
                  const std::vector<std::string>& order) {
  std::vector<model::Connection*> sources;
  sources.reserve(order.size());
  {
    const auto places = places_of(known);
    const auto fresh_places = places_of(fresh);
    for (const auto& name : order) {
      if (const auto at = fresh_places.find(name); at != fresh_places.end()) {
        sources.push_back(&fresh[at->second]);
      } else if (const auto old = places.find(name); old != places.end()) {
        sources.push_back(&known[old->second]);
      } else {
        return false;
      }
    }
  }
  if (std::ranges::equal(known, order, {}, &model::Connection::name)) {
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (sources[i] != &known[i]) known[i] = std::move(*sources[i]);
    }
    return true;
  }
  std::vector<model::Connection> out;
  out.reserve(order.size());
  for (auto* source : sources) out.push_back(std::move(*source));
  known = std::move(out);
  return true;
}

}  // namespace

void IkeProcess::on_new_configuration(const NewConfiguration& message, const std::vector<io::UniqueFd>& fds) {
  if (!begun_) {
    tell_reloaded(fail("cygnetd is starting; try again in a moment"));
    return;
  }
  auto reload = take_configuration(message, fds);
  if (!reload) {
    tell_reloaded(std::unexpected(reload.error()));
    return;
  }
  // What is new is held back at once, whether its names are known or not.
  if (reload->only) {
    apply_change(*reload);
  } else {
    apply_configuration();
    look_at_routes_again();
  }
  watch_certificates(kSoon);
  pump();
  look_up_names(configuration_.conf.connections, [this, report = std::move(reload->report)] { tell_reloaded(report); });
}

Result<IkeProcess::Reload> IkeProcess::take_configuration(const NewConfiguration& message,
                                                          const std::vector<io::UniqueFd>& fds) {
  if (!message.error.empty()) return fail(message.error);
  auto files = read_bundle(fds);
  if (!files) return std::unexpected(files.error());
  Reload reload;
  auto change = reloader_.reload(start_.config_path, *files);
  if (change) name_interfaces(start_.engines, change->fresh);
  if (!change || !take_change(std::move(*change), reload)) {
    auto loaded = load(*files);
    if (!loaded) return std::unexpected(loaded.error());
    if (auto taken = take_interfaces(start_.engines, *loaded); !taken) return std::unexpected(taken.error());
    reload = take_whole(std::move(*loaded));
  }
  auto& report = reload.report;
  for (const auto& d : configuration_.conf.diagnostics) report.warnings.push_back(config::to_line(d));
  secrets_warnings_ = message.secrets_warnings;
  report.warnings.insert(report.warnings.end(), secrets_warnings_.begin(), secrets_warnings_.end());
  use_log_level();
  on_demand_.forget_all();
  log_.notice("config", "reloaded: " + std::to_string(report.added.size()) + " added, " +
                            std::to_string(report.changed.size()) + " changed, " +
                            std::to_string(report.removed.size()) + " removed, " +
                            std::to_string(report.unchanged.size()) + " unchanged");
  return reload;
}

IkeProcess::Reload IkeProcess::take_whole(config::LoadedConfiguration fresh) {
  Reload reload;
  std::map<std::string, const model::Connection*> old;
  for (const auto& c : configuration_.conf.connections) old[c.name] = &c;
  for (auto& c : fresh.connections) {
    const auto it = old.find(c.name);
    auto& list = it == old.end()           ? reload.report.added
                 : is_same(*it->second, c) ? reload.report.unchanged
                                           : reload.report.changed;
    list.push_back(c.name);
    old.erase(c.name);
  }
  for (const auto& [name, connection] : old) reload.report.removed.push_back(name);
  configuration_.conf = std::move(fresh);
  return reload;
}

// False: the change does not fit to what is in force.
bool IkeProcess::take_change(config::ConfigurationChange change, Reload& reload) {
  auto& connections = configuration_.conf.connections;
  Reload out;
  std::vector<std::string> only;
  {
    const auto places = places_of(connections);
    for (auto& fresh : change.fresh) {
      const auto at = places.find(fresh.name);
      if (at != places.end() && is_same(connections[at->second], fresh)) continue;
      (at == places.end() ? out.report.added : out.report.changed).push_back(fresh.name);
      only.push_back(fresh.name);
    }
  }
  out.report.removed = std::move(change.removed);
  std::vector<std::string> order;
  order.reserve(change.order.size());
  for (auto& placed : change.order) order.push_back(std::move(placed.name));
  if (!put_in_order(connections, std::move(change.fresh), order)) return false;
  const std::set<std::string_view> different(only.begin(), only.end());
  for (std::size_t i = 0; i < connections.size(); ++i) {
    connections[i].source = std::move(change.order[i].source);
    if (!different.contains(connections[i].name)) out.report.unchanged.push_back(connections[i].name);
  }
  configuration_.conf.ignored = std::move(change.ignored);
  out.only = std::move(only);
  reload = std::move(out);
  return true;
}

void IkeProcess::apply_change(const Reload& reload) {
  const auto only = reload.only.value_or(std::vector<std::string>{});
  // Which end of a connection is ours may be another question now. And what changed may be what another one could not
  // be told apart from; what shares its ends with others does not come here (config/reload.h).
  if (hosts_->own_addresses() != own_addresses_ || some_ambiguous_) {
    apply_configuration();
    look_at_routes_again();
    return;
  }
  const auto& written = configuration_.conf.connections;
  const auto places = places_of(written);
  std::vector<model::Connection> changed;
  for (const auto& name : only) {
    if (const auto at = places.find(name); at != places.end()) changed.push_back(written[at->second]);
  }
  auto gone = reload.report.removed;
  std::erase_if(gone, [&](const auto& name) { return places.contains(name); });
  auto oriented = hosts_->orient_some(std::move(changed), gone);
  note_unusable(oriented);
  const auto forget = [this](const std::string& name) {
    unusable_.erase(name);
    waiting_connections_.erase(name);
  };
  std::ranges::for_each(only, forget);
  std::ranges::for_each(gone, forget);
  const auto holding = oriented.holding();
  for (auto& connection : oriented.waiting) waiting_connections_.emplace(connection.name, std::move(connection));
  for (auto& [name, why] : oriented.unusable) {
    gone.push_back(name);
    unusable_.insert_or_assign(name, why);
  }
  std::vector<std::string> order;
  order.reserve(written.size());
  for (const auto& connection : written) {
    if (!unusable_.contains(connection.name)) order.push_back(connection.name);
  }
  if (!put_in_order(connections_, oriented.connections, order)) {
    // What is in use is not what the change was made from.
    apply_configuration();
    look_at_routes_again();
    return;
  }
  connection_places_.clear();
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    connections_[i].source = written[places.at(connections_[i].name)].source;
    connection_places_.emplace(connections_[i].name, i);
  }
  use_waiting();
  use_engines();
  apply(policies_.reconfigure(holding, gone));
  refuse_unused_addresses();
  move_policies();
  find_askers();
  look_at_routes_of(only);
  endpoint_->reconfigure(clock_.monotonic(), std::move(oriented.connections), order);
}

void IkeProcess::note_unusable(const Hosts::Oriented& oriented) {
  for (const auto& [name, why] : oriented.unusable) {
    const auto known = unusable_.find(name);
    if (known != unusable_.end() && known->second == why) continue;
    if (oriented.asking.contains(name)) {
      log_.info(name, "not usable yet: " + why);
    } else {
      log_.warning(name, "not usable now: " + why);
    }
  }
}

void IkeProcess::tell_reloaded(const Result<control::ReloadReport>& report) {
  std::erase_if(waiting_, [&](const Waiting& w) {
    if (w.what != Waiting::For::kReload) return false;
    done(w.client, report.has_value(),
         report ? "reloaded" : "the configuration has errors; the old one stays in force\n" + report.error().message,
         report ? control::Data(*report) : control::Data{});
    return true;
  });
}

}  // namespace cygnet::daemon
