// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/match.h"

#include <algorithm>

#include "ike/v2/gateways.h"
#include "model/selection.h"

namespace cygnet::ike::v2 {
namespace {

// 0: does not fit; more: fits more exactly.
int address_rank(const model::HostSpec& host, const IpAddress& address) {
  if (host.has_address()) return host.address == address ? 2 : 0;
  return host.kind == model::HostSpec::Kind::kAny || host.kind == model::HostSpec::Kind::kDefaultRoute ? 1 : 0;
}

int path_rank(const model::Connection& c, const Path& path) {
  int remote = address_rank(c.remote.host, path.remote.address);
  for (const auto& host : c.remote.alternatives) {
    if (host.has_address()) remote = std::max(remote, address_rank(host, path.remote.address));
  }
  const int local = address_rank(c.local.host, path.local.address);
  return remote == 0 || local == 0 ? 0 : 4 * remote + local;
}

constexpr int kNamed = 100000;

int identity_rank(const model::Connection& c, const model::Identity& peer) {
  if (peer.is_pattern()) return 0;  // a rule for many is nobody's name
  const auto expected = expected_identity(c);
  if (!expected) return 1;
  if (expected->matches(peer)) return kNamed;
  // A wildcard: behind whoever is named exactly, and behind one that leaves less open.
  constexpr std::size_t kLongest = 65535;
  return expected->covers(peer) ? 2 + static_cast<int>(std::min(expected->data.size(), kLongest)) : 0;
}

// The chosen algorithms as the only offer: does the connection allow them?
bool allows(const model::Connection& c, const model::ChosenIke& chosen) {
  model::Proposal offer{model::Protocol::kIke, {}};
  offer.transforms.push_back(
      {model::TransformType::kEncryption, static_cast<std::uint16_t>(chosen.encryption), chosen.encryption_bits});
  offer.transforms.push_back({model::TransformType::kPrf, static_cast<std::uint16_t>(chosen.prf), 0});
  if (chosen.integrity != model::IntegrityId::kNone) {
    offer.transforms.push_back({model::TransformType::kIntegrity, static_cast<std::uint16_t>(chosen.integrity), 0});
  }
  offer.transforms.push_back({model::TransformType::kKeyExchange, static_cast<std::uint16_t>(chosen.group), 0});
  return model::select_ike({offer}, c.proposals, model::KeGroup::kNone).has_value();
}

// May this connection have children on this (established) IKE SA of another one?
bool may_share(const model::Connection& c, const IkeSa& sa) {
  // Identities alone do not make two connections one: a weaker rule of one must not open the other.
  if (sa.connection && !same_rules(c, *sa.connection)) return false;
  // What is for anybody is not for whom a connection names: it was made to say what this one may have.
  if (sa.connection && identity_rank(c, sa.remote_id) < identity_rank(*sa.connection, sa.remote_id)) return false;
  if (path_rank(c, sa.path) == 0 || identity_rank(c, sa.remote_id) == 0 || !allows(c, sa.algorithms)) return false;
  const auto own = own_identity(c, sa.path.local.address);
  if (own == sa.local_id) return true;
  // By one certificate, whose names are all ours.
  return sa.connection && c.local.id_any && sa.connection->local.id_any &&
         own == own_identity(*sa.connection, sa.path.local.address);
}

std::vector<ConnectionPtr> in_order(std::vector<std::pair<int, ConnectionPtr>> ranked) {
  std::erase_if(ranked, [](const auto& r) { return r.first == 0; });
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<ConnectionPtr> out;
  out.reserve(ranked.size());
  for (auto& r : ranked) out.push_back(std::move(r.second));
  return out;
}

}  // namespace

std::vector<ConnectionPtr> by_address(const World& world, const Path& path) {
  std::vector<std::pair<int, ConnectionPtr>> ranked;
  for (const auto& c : world.connections) {
    if (const int rank = path_rank(*c, path); rank != 0) ranked.emplace_back(rank, c);
  }
  return in_order(std::move(ranked));
}

bool can_initiate(const model::Connection& connection) { return !gateways_of(connection).empty(); }

IpAddress local_address_of(const World& world, const model::Connection& connection, const IpAddress& remote) {
  const auto family = remote.family();
  const auto& host = connection.local.host;
  if (!host.has_address()) return IpAddress::any(family);
  if (host.address.family() == family) return host.address;
  // What was looked up is for the first of the peer's addresses. Of the other family the only one is meant.
  std::optional<IpAddress> only;
  for (const auto& address : world.local_addresses) {
    if (address.family() != family || address.is_link_local()) continue;
    if (only) return IpAddress::any(family);
    only = address;
  }
  return only.value_or(IpAddress::any(family));
}

Path path_of(const World& world, const model::Connection& connection) {
  Path path;
  path.remote = {gateway_of(world, connection), connection.remote.ike_port};
  path.local.address = local_address_of(world, connection, path.remote.address);
  // RFC 7296 section 2.23: "Port 4500 is reserved for UDP-encapsulated ESP and IKE": whoever says another port than 500
  // means the one with the marker.
  path.marked = connection.remote.ike_port != 500;
  path.local.port = path.marked ? world.settings.setup.nat_port : world.settings.setup.ike_port;
  return path;
}

model::Identity own_identity(const model::Connection& connection, const IpAddress& local) {
  if (connection.local.auth == model::AuthMethod::kNull) return {};  // RFC 7619 section 2.1: ID_NULL
  if (connection.local.id) return *connection.local.id;
  return model::Identity::of(connection.local.host.has_address() ? connection.local.host.address : local);
}

model::Identity own_identity(const World& world, const model::Connection& connection, const IpAddress& local,
                             const model::Identity* asked_for) {
  auto own = own_identity(connection, local);
  const bool open = connection.local.auth == model::AuthMethod::kSignature && connection.local.id_any;
  if (asked_for == nullptr || asked_for->is_pattern() || !open) return own;
  const auto* certificate = world.credentials.find_certificate(connection.local.certificate);
  return certificate != nullptr && certificate->carries(*asked_for) ? *asked_for : own;
}

std::optional<model::Identity> expected_identity(const model::Connection& connection) {
  if (connection.remote.auth == model::AuthMethod::kNull) return model::Identity{};
  if (connection.remote.id_any) return std::nullopt;
  if (connection.remote.id) return connection.remote.id;
  if (connection.remote.host.has_address()) return model::Identity::of(connection.remote.host.address);
  return std::nullopt;
}

model::Identity shown_identity(const model::Identity& claimed, wire::ike::AuthMethodId method) {
  return method == wire::ike::AuthMethodId::kNull ? model::Identity{} : claimed;
}

bool accepts_identity(const model::Connection& connection, const model::Identity& peer) {
  return identity_rank(connection, peer) != 0;
}

std::vector<ConnectionPtr> naming(const World& world, const IkeSa& sa, const model::Identity& peer,
                                  const model::Identity* asked_for) {
  std::vector<std::pair<int, ConnectionPtr>> ranked;
  int nearest = 0;
  for (const auto& c : world.connections_expecting(peer)) {
    const int path = path_rank(*c, sa.path);
    const int identity = identity_rank(*c, peer);
    if (path == 0 || identity < nearest) continue;
    if (asked_for != nullptr && !own_identity(world, *c, sa.path.local.address, asked_for).matches(*asked_for))
      continue;
    if (identity > nearest) ranked.clear();
    nearest = identity;
    if (identity != 0) ranked.emplace_back(path, c);
  }
  return in_order(std::move(ranked));
}

std::vector<ConnectionPtr> by_identity(const World& world, const IkeSa& sa, const model::Identity& peer,
                                       const model::Identity* asked_for) {
  auto out = naming(world, sa, peer, asked_for);
  std::erase_if(out, [&](const ConnectionPtr& c) { return !allows(*c, sa.algorithms); });
  return out;
}

bool same_rules(const model::Connection& a, const model::Connection& b) {
  const auto& x = a.remote;
  const auto& y = b.remote;
  return x.auth == y.auth && x.certificate == y.certificate && x.public_key == y.public_key &&
         x.authority == y.authority && x.same_authority == y.same_authority && x.groups == y.groups &&
         x.revocation == y.revocation && a.local.auth == b.local.auth && a.local.certificate == b.local.certificate &&
         a.local.public_key == b.local.public_key;
}

std::vector<ConnectionPtr> sharing(const World& world, const IkeSa& sa) {
  std::vector<ConnectionPtr> out;
  if (sa.connection) out.push_back(sa.connection);
  for (const auto& c : world.connections_expecting(sa.remote_id)) {
    if (sa.connection && c->name == sa.connection->name) continue;
    if (may_share(*c, sa)) out.push_back(c);
  }
  return out;
}

IkeSa* find_shared_sa(const World& world, const model::Connection& connection) {
  IkeSa* on_its_way = nullptr;
  auto candidates = world.sas_of(connection.name);
  const auto& local = connection.local;
  if (local.id || local.host.has_address()) {
    for (auto* sa : world.sas_with_peer(connection.remote.host.address, own_identity(connection, {})))
      candidates.push_back(sa);
  } else {
    // Which identity it shows depends on the path.
    for (auto* sa : world.sas_at(connection.remote.host.address)) candidates.push_back(sa);
  }
  for (auto* sa : candidates) {
    if (sa->doomed) continue;
    // What the peer's rekey made of an IKE SA that was taken down meanwhile goes with it.
    if (const auto* elder = world.find_sa(sa->rival_of); elder != nullptr && elder->doomed) continue;
    // Addresses are asked for in IKE_AUTH (RFC 7296 section 2.19): on an IKE SA that the peer began there is none.
    const bool established = sa->state == State::kEstablished;
    if (established && local.requests_address() && sa->assigned.addresses.empty()) continue;
    if (!sa->connection || sa->path.remote.address != connection.remote.host.address) {
      // A peer behind a NAT that changed its address, or one of unknown address, is known by its connection alone.
      if (!sa->connection || sa->connection->name != connection.name) continue;
    }
    if (sa->state == State::kEstablished) {
      if (sa->connection->name == connection.name || may_share(connection, *sa)) return sa;
    } else if (sa->initiator && sa->handshake) {
      const auto& first = *sa->connection;
      const bool same_peer =
          first.name == connection.name || (first.local == connection.local && first.remote == connection.remote &&
                                            first.proposals == connection.proposals);
      if (same_peer) on_its_way = sa;
    }
  }
  return on_its_way;
}

}  // namespace cygnet::ike::v2
