// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/ike_sa.h"

#include <algorithm>

namespace cygnet::ike::v2 {

std::string_view to_string(State state) {
  switch (state) {
    case State::kNone: return "NONE";
    case State::kInitSolving: return "INIT_SOLVING";
    case State::kInitGenerating: return "INIT_GENERATING";
    case State::kInitSent: return "INIT_SENT";
    case State::kInitDeriving: return "INIT_DERIVING";
    case State::kAuthSent: return "AUTH_SENT";
    case State::kVerifying: return "VERIFYING";
    case State::kProving: return "PROVING";
    case State::kAnswering: return "ANSWERING";
    case State::kInitAnswered: return "INIT_ANSWERED";
    case State::kInitGuarded: return "INIT_GUARDED";
    case State::kGuardDeriving: return "GUARD_DERIVING";
    case State::kEstablished: return "ESTABLISHED";
    case State::kRekeyed: return "REKEYED";
    case State::kDeleting: return "DELETING";
    case State::kDead: return "DEAD";
  }
  return "?";
}

std::string_view to_string(About about) {
  switch (about) {
    case About::kNothing: return "-";
    case About::kInit: return "IKE SA";
    case About::kAuth: return "authentication";
    case About::kNewChild: return "new child";
    case About::kRekeyChild: return "child rekey";
    case About::kRekeyIke: return "IKE rekey";
    case About::kDeleteChild: return "child delete";
    case About::kDeleteIke: return "IKE delete";
    case About::kLiveness: return "liveness";
    case About::kPeerRequest: return "peer's request";
    case About::kUpdateAddresses: return "address update";
    case About::kRoutability: return "address check";
    case About::kToken: return "crash token";
  }
  return "?";
}

const model::Child* ChildSa::config() const { return connection ? connection->find_child(name) : nullptr; }

std::pair<model::TrafficSelector, model::TrafficSelector> ChildSa::some_packet() const {
  const auto one = [](const model::TrafficSelectors& selectors) {
    auto out = selectors.front();
    out.range.last = out.range.first;
    return out;
  };
  return {one(local), one(remote)};
}

ChildSa* IkeSa::find_child(model::ChildId id) const {
  for (const auto& child : children) {
    if (child->id == id) return child.get();
  }
  return nullptr;
}

ChildSa* IkeSa::find_child_out(Spi spi_out) const {
  for (const auto& child : children) {
    if (child->spi_out == spi_out && child->state != ChildState::kFading) return child.get();
  }
  return nullptr;
}

bool IkeSa::has_usable_child(const std::string& connection_name, const std::string& child_name,
                             std::optional<std::uint16_t> resource) const {
  return std::any_of(children.begin(), children.end(),
                     [&](const auto& c) { return c->serves(connection_name, child_name, resource); });
}

bool IkeSa::serves(const ChildWant& want) const {
  const bool any = !want.narrow_to || want.connection->local.requests_address();
  return std::any_of(children.begin(), children.end(), [&](const auto& c) {
    return c->serves(want.connection->name, want.child, want.resource) &&
           (any ||
            (model::covers(c->local, {want.narrow_to->first}) && model::covers(c->remote, {want.narrow_to->second})));
  });
}

bool IkeSa::has_sibling(const ChildSa& child) const {
  return std::ranges::any_of(
      children, [&](const auto& c) { return c->id != child.id && c->serves(child.connection->name, child.name); });
}

ChildWant* IkeSa::find_want(const std::string& connection_name, const std::string& child_name,
                            std::optional<std::uint16_t> resource) {
  const auto is_it = [&](const ChildWant& w) {
    return !w.given_up && w.resource == resource && w.connection->name == connection_name && w.child == child_name;
  };
  if (handshake) {
    const auto found = std::ranges::find_if(handshake->wants, is_it);
    if (found != handshake->wants.end()) return &*found;
  }
  const auto asks = [&](const Task& t) { return t.about == About::kNewChild && is_it(t.want); };
  if (task && asks(*task)) return &task->want;
  const auto queued = std::ranges::find_if(queue, asks);
  return queued == queue.end() ? nullptr : &queued->want;
}

Result<void> set_keys(IkeSa& sa, IkeKeys keys) {
  const crypto::IkeCipherSpec spec{sa.algorithms.encryption, sa.algorithms.encryption_bits, sa.algorithms.integrity};
  auto initiators = crypto::IkeCipher::create(spec, ByteView(keys.ei), ByteView(keys.ai));
  auto responders = crypto::IkeCipher::create(spec, ByteView(keys.er), ByteView(keys.ar));
  if (!initiators) return std::unexpected(initiators.error());
  if (!responders) return std::unexpected(responders.error());
  sa.seal.emplace(std::move(sa.initiator ? *initiators : *responders));
  sa.open.emplace(std::move(sa.initiator ? *responders : *initiators));
  sa.keys = std::move(keys);
  return {};
}

void forget_proof_keys(IkeSa& sa) { sa.keys.pi = sa.keys.pr = {}; }

}  // namespace cygnet::ike::v2
