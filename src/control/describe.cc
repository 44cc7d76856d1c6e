// SPDX-License-Identifier: Apache-2.0
#include "control/describe.h"

namespace cygnet::control {
namespace {

std::string proposals_text(const std::vector<model::Proposal>& proposals) {
  std::string text;
  for (const auto& proposal : proposals) {
    if (!text.empty()) text += ", ";
    text += model::to_config(proposal);
  }
  return text;
}

// Selectors as configured: none means the end's own address, whatever it turns out to be.
std::string selectors_text(const model::TrafficSelectors& selectors) {
  return selectors.empty() ? "dynamic" : model::to_string(selectors);
}

std::string identity_text(const model::End& end) {
  if (end.id) return end.id->to_string();
  if (end.id_any) return "%any";
  return end.host.has_address() ? end.host.address.to_string() : "%any";
}

std::string_view encapsulation_text(model::Encapsulation encapsulation) {
  switch (encapsulation) {
    case model::Encapsulation::kAuto: return "auto";
    case model::Encapsulation::kForce: return "yes";
    case model::Encapsulation::kNever: return "no";
  }
  return "auto";
}

}  // namespace

std::string_view to_string(model::Mode mode) {
  switch (mode) {
    case model::Mode::kTunnel: return "tunnel";
    case model::Mode::kTransport: return "transport";
    case model::Mode::kBeet: return "beet";
  }
  return "unknown";
}

std::string_view to_string(model::StartAction start) {
  switch (start) {
    case model::StartAction::kIgnore: return "ignore";
    case model::StartAction::kAdd: return "add";
    case model::StartAction::kOnDemand: return "ondemand";
    case model::StartAction::kStart: return "start";
  }
  return "ignore";
}

std::string_view to_string(model::PolicyAction action) {
  switch (action) {
    case model::PolicyAction::kProtect: return "protect";
    case model::PolicyAction::kBypass: return "bypass";
    case model::PolicyAction::kDiscard: return "discard";
  }
  return "discard";
}

ListedConnection describe(const model::Connection& connection) {
  ListedConnection out;
  out.name = connection.name;
  out.source = connection.source;
  out.local = connection.local.host.to_string();
  out.remote = connection.remote.host.to_string();
  out.local_id = identity_text(connection.local);
  out.remote_id = identity_text(connection.remote);
  out.proposals = proposals_text(connection.proposals);
  out.encapsulation = encapsulation_text(connection.encapsulation);
  for (const auto& child : connection.children) {
    out.children.push_back({child.name, std::string(to_string(child.mode)), selectors_text(child.local),
                            selectors_text(child.remote), proposals_text(child.proposals),
                            std::string(to_string(child.start)), child.device});
  }
  return out;
}

ListedPolicy describe(const model::PolicySpec& policy) {
  ListedPolicy out;
  out.id = policy.id.value;
  out.order = policy.order;
  out.action = to_string(policy.action);
  out.acquire = policy.acquire;
  out.local = selectors_text(policy.local);
  out.remote = selectors_text(policy.remote);
  out.mode = to_string(policy.mode);
  out.device = policy.device;
  out.connection = policy.connection;
  out.child = policy.child_name;
  return out;
}

}  // namespace cygnet::control
