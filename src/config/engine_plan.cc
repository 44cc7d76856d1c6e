// SPDX-License-Identifier: Apache-2.0
#include "config/engine_plan.h"

#include <algorithm>
#include <set>

#include "model/engine_limits.h"

namespace cygnet::config {

namespace {

using model::EngineKind;
using model::TrafficSelector;
using model::TrafficSelectors;

std::string named(const model::Connection& connection) {
  return "connection " + connection.name + " (" + connection.source + ")";
}

// What an end sends and receives, as far as it is known.
TrafficSelectors selectors_of(const TrafficSelectors& written, const model::End& end) {
  if (!written.empty()) return written;
  TrafficSelectors out;
  for (const auto& pool : end.pools) {
    auto& selector = out.emplace_back(TrafficSelector::of(IpRange::all(pool.range.first.family())));
    selector.range = pool.range;
  }
  if (out.empty() && end.host.has_address()) out.push_back(TrafficSelector::of(IpRange::of(end.host.address)));
  return out;
}

bool meet(const TrafficSelector& a, const TrafficSelector& b) {
  if (a.range.first.family() != b.range.first.family()) return false;
  if (a.range.last < b.range.first || b.range.last < a.range.first) return false;
  if (a.protocol != 0 && b.protocol != 0 && a.protocol != b.protocol) return false;
  return a.port_first <= b.port_last && b.port_first <= a.port_last;
}

// Traffic of one child between one pair of its selectors.
struct Traffic {
  TrafficSelector local, remote;
  const model::Connection* connection = nullptr;
  bool kernel = false;
};

void add_traffic(const model::Connection& connection, bool kernel, std::vector<Traffic>& out) {
  for (const auto& child : connection.children) {
    // Only packets with its mark, or from somebody's interface, are this child's. Into one of ours routes lead.
    if (child.mark_out.mask != 0 || (child.interface_id_out != 0 && child.interface_number == 0)) continue;
    for (const auto& local : selectors_of(child.local, connection.local)) {
      for (const auto& remote : selectors_of(child.remote, connection.remote)) {
        out.push_back({local, remote, &connection, kernel});
        // Which end is ours has not been found out yet.
        if (kernel) out.push_back({remote, local, &connection, kernel});
      }
    }
  }
}

}  // namespace

EngineKind wanted_engine(const EnginePlan& plan, const model::Connection& connection) {
  return connection.engine.value_or(plan.usual);
}

bool in_kernel(const EnginePlan& plan, const model::Connection& connection) {
  auto engine = wanted_engine(plan, connection);
  if (engine == EngineKind::kAuto) engine = plan.automatic;
  return engine == EngineKind::kAuto ? !model::needs_kernel(connection).empty() : engine != EngineKind::kUser;
}

std::string_view word_of(EngineKind engine) {
  switch (engine) {
    case EngineKind::kUser: return "user";
    case EngineKind::kXfrm: return "xfrm";
    case EngineKind::kPfkey: return "pfkey";
    case EngineKind::kAuto: return "auto";
  }
  return "user";
}

std::string_view engine_word(const EnginePlan& plan, const model::Connection& connection) {
  return word_of(in_kernel(plan, connection) ? plan.language : EngineKind::kUser);
}

std::string why_not_apart(const EnginePlan& plan, const std::vector<model::Connection>& connections) {
  if (!plan.both()) return {};
  std::vector<Traffic> all;
  for (const auto& connection : connections) add_traffic(connection, in_kernel(plan, connection), all);
  std::ranges::sort(all,
                    [](const Traffic& a, const Traffic& b) { return a.remote.range.first < b.remote.range.first; });
  // Those of either side whose remote network may reach up to where we are.
  std::vector<const Traffic*> open[2];  // NOLINT(modernize-avoid-c-arrays)
  for (const auto& traffic : all) {
    auto& others = open[traffic.kernel ? 0 : 1];
    std::erase_if(others, [&](const Traffic* other) { return other->remote.range.last < traffic.remote.range.first; });
    for (const auto* other : others) {
      if (!meet(other->remote, traffic.remote) || !meet(other->local, traffic.local)) continue;
      const auto& kernel = traffic.kernel ? traffic : *other;
      const auto& user = traffic.kernel ? *other : traffic;
      return named(*kernel.connection) + ", which the kernel carries, and " + named(*user.connection) +
             ", which Cygnet's own engine carries, have traffic in common: " + kernel.local.to_string() + " to " +
             kernel.remote.to_string() + ". Give both the same engine=";
    }
    open[traffic.kernel ? 1 : 0].push_back(&traffic);
  }
  return {};
}

std::string why_not_running(const EnginePlan& plan, const std::vector<model::Connection>& connections) {
  for (const auto& connection : connections) {
    const auto wanted = wanted_engine(plan, connection);
    const bool kernel = in_kernel(plan, connection);
    const bool other_language =
        (wanted == EngineKind::kXfrm || wanted == EngineKind::kPfkey) && plan.kernel && wanted != plan.language;
    if (other_language) {
      return named(connection) + " has engine=" + std::string(word_of(wanted)) +
             ", and others have engine=" + std::string(word_of(plan.language)) +
             ": the kernel is driven in one language, write the same one";
    }
    if (kernel ? plan.kernel : plan.user) continue;
    return named(connection) + " is for " + (kernel ? "the kernel's IPsec" : "Cygnet's own engine") +
           " (engine=), which this cygnetd did not need when it was started: restart it";
  }
  return {};
}

Connections those_of(const EnginePlan& plan, const std::vector<model::Connection>& all, bool kernel) {
  Connections out;
  for (const auto& connection : all) {
    if (in_kernel(plan, connection) == kernel) out.push_back(&connection);
  }
  return out;
}

std::string why_not_user(const Connections& connections) {
  for (const auto* connection : connections) {
    if (const auto word = model::needs_kernel(*connection); !word.empty()) {
      return named(*connection) + " has " + word + ", which only the kernel's IPsec heeds (engine=xfrm)";
    }
  }
  return {};
}

std::string why_not_in_kernel(const model::Connection& connection, EngineKind language) {
  const bool pfkey = language == EngineKind::kPfkey;
  const auto cannot = [&](const std::string& why) {
    return named(connection) + " has " + why +
           (pfkey ? ", which cannot be asked of the kernel over PF_KEY"
                  : ", which is not built for the kernel's IPsec");
  };
  for (const auto& child : connection.children) {
    if (auto why = model::why_not_kernel(child); !why.empty()) return cannot(why);
  }
  const auto why = pfkey ? model::why_not_pfkey(connection) : std::string{};
  return why.empty() ? why : cannot(why);
}

std::string why_not_anywhere(const LoadedConfiguration& configuration) {
  const auto& all = configuration.connections;
  // An engine for each; auto is no fault.
  EnginePlan plan{.user = true, .kernel = true, .usual = configuration.setup.engine, .automatic = EngineKind::kAuto};
  const auto wants = [&](EngineKind engine) {
    return std::ranges::any_of(all, [&](const auto& c) { return wanted_engine(plan, c) == engine; });
  };
  if (wants(EngineKind::kPfkey) && plan.usual != EngineKind::kXfrm) plan.language = EngineKind::kPfkey;
  if (auto why = why_not_running(plan, all); !why.empty()) return why;
  if (auto why = why_not_user(those_of(plan, all, false)); !why.empty()) return "engine=user: " + why;
  for (const auto* connection : those_of(plan, all, true)) {
    if (auto why = why_not_in_kernel(*connection, plan.language); !why.empty()) return why;
  }
  auto settled = configuration;
  if (const auto taken = take_interfaces(plan, settled); !taken) return taken.error().message;
  return wants(EngineKind::kAuto) ? std::string{} : why_not_apart(plan, settled.connections);
}

// ---- XFRM interfaces
void name_interfaces(const EnginePlan& plan, std::vector<model::Connection>& connections) {
  for (auto& connection : connections) {
    if (!in_kernel(plan, connection)) continue;
    for (auto& child : connection.children) {
      if (child.interface_number == 0) continue;
      child.interface_id_in = child.interface_id_out = child.interface_number;
      child.device = "ipsec" + std::to_string(child.interface_number);
    }
  }
}

Result<void> take_interfaces(const EnginePlan& plan, LoadedConfiguration& configuration) {
  name_interfaces(plan, configuration.connections);
  auto& setup = configuration.setup;
  setup.interfaces.clear();
  std::set<std::string> tuns{setup.devices.front()};
  for (const auto& connection : configuration.connections) {
    const bool kernel = in_kernel(plan, connection);
    for (const auto& child : connection.children) {
      if (!kernel || child.interface_number == 0) {
        tuns.insert(child.device);
        continue;
      }
      const model::XfrmInterface wanted{child.device, child.interface_number};
      if (std::ranges::find(setup.interfaces, wanted) == setup.interfaces.end()) setup.interfaces.push_back(wanted);
    }
  }
  for (const auto& made : setup.interfaces) {
    if (tuns.contains(made.name)) {
      return fail("ipsec-interface=" + std::to_string(made.id) + ": " + made.name +
                  " is a device of Cygnet's own engine, too, and cannot be the kernel's XFRM interface: write another "
                  "number");
    }
    std::erase(setup.devices, made.name);
  }
  return {};
}

std::vector<std::string> device_names(const model::Setup& setup) {
  auto out = setup.devices;
  for (const auto& each : setup.interfaces) out.push_back(each.name);
  return out;
}

}  // namespace cygnet::config
