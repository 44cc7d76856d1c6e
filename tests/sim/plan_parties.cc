// SPDX-License-Identifier: Apache-2.0
// Who lives: two equals, or a gateway and its clients, and what each has configured.
#include "sim/plan.h"
#include "support/connections.h"

namespace cygnet::sim {
namespace {

model::Identity identity_of(const std::string& party) {
  std::string name = party + ".test";
  name[0] = static_cast<char>(name[0] - 'A' + 'a');
  return {model::IdType::kFqdn, to_bytes(name)};
}

void choose_children(Random& random, model::Connection& connection, std::size_t number, std::uint32_t most) {
  const std::string local = "10." + std::to_string(11 + number) + ".0.0/16";
  connection.children = {test::child(connection.name, local, "10.2.0.0/16")};
  const auto count = between(random, 1, most);
  for (std::uint32_t i = 1; i < count; ++i) {
    const std::string net = std::to_string(i + 2);
    connection.children.push_back(test::child("c" + net, local, "10." + net + ".0.0/16"));
  }
  for (auto& child : connection.children) {
    child.start = model::StartAction::kStart;
    child.lifetime_s = between(random, 60, 300);
    if (chance(random, 40)) {
      child.proposals = {test::esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                                            {model::KeGroup::kX25519},
                                            {model::EsnChoice::kYes, model::EsnChoice::kNo})};
    }
  }
}

model::Connection choose_connection(Random& random, std::size_t number, std::uint32_t most_children) {
  auto connection = test::tunnel(number == 0 ? "tun" : "tun" + std::to_string(number + 1));
  choose_children(random, connection, number, most_children);
  connection.ike_lifetime_s = between(random, 150, 900);
  connection.rekey_margin_s = between(random, 20, 25);
  connection.rekey_fuzz_percent = between(random, 0, 100);
  connection.keying_tries = 0;
  connection.dpd_delay_s = between(random, 10, 30);
  connection.dpd_action = model::DeadPeerAction::kRestart;
  connection.retransmit_first_ms = between(random, 300, 1000);
  connection.retransmit_timeout_ms = between(random, 12000, 20000);
  // Every second life speaks in fragments (RFC 7383); nothing more is drawn, so that old seeds stay what they were.
  if (connection.retransmit_first_ms % 2 == 0) {
    connection.fragmentation = model::Fragmentation::kYes;
    connection.fragment_octets = 150 + connection.retransmit_first_ms % 100;
  }
  return connection;
}

// Groups that one end likes and the other does not know yet: INVALID_KE_PAYLOAD in every kind of exchange.
void disagree_on_groups(model::Connection& a, model::Connection& b) {
  using model::KeGroup;
  const auto ike = [](std::vector<KeGroup> groups) {
    return test::ike_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone,
                              model::PrfId::kHmacSha2_256, std::move(groups));
  };
  const auto esp = [](std::vector<KeGroup> groups) {
    return test::esp_proposal(model::EncryptionId::kAesGcm16, 256, model::IntegrityId::kNone, std::move(groups),
                              {model::EsnChoice::kNo});
  };
  a.proposals = {ike({KeGroup::kX25519, KeGroup::kEcp256})};
  b.proposals = {ike({KeGroup::kEcp256})};
  for (auto& child : a.children) child.proposals = {esp({KeGroup::kEcp384, KeGroup::kX25519})};
  for (auto& child : b.children) child.proposals = {esp({KeGroup::kX25519})};
}

// Both ends have lifetimes, margins and checks of their own.
model::Connection other_end(Random& random, const model::Connection& a, bool starts) {
  auto b = test::mirrored(a);
  for (auto& child : b.children) {
    child.start = starts ? model::StartAction::kStart : model::StartAction::kAdd;
    // Equal lifetimes make both ends rekey at once: collisions without anybody's help.
    if (chance(random, 50)) child.lifetime_s = between(random, 60, 300);
  }
  if (chance(random, 50)) b.ike_lifetime_s = between(random, 150, 900);
  b.dpd_delay_s = between(random, 10, 30);
  b.dpd_action = starts ? model::DeadPeerAction::kRestart : model::DeadPeerAction::kClear;
  return b;
}

// Some clients of a gateway have no network of their own but an address from its pool (RFC 7296 section 2.19), which
// has room for all and one more. Nothing is drawn for it, so that old seeds stay what they were.
bool gets_address(const Plan& plan, const model::Connection& a) {
  return plan.parties.size() > 2 && !plan.both_start && a.retransmit_first_ms % 3 == 0;
}

void give_address(model::Connection& a, model::Connection& b) {
  a.local.request_ip4 = true;
  const auto prefix = *IpPrefix::parse("10.9.0.0/29");
  b.remote.pools = {{model::usable_range(prefix), prefix.to_string()}};
  for (auto& child : a.children) child.local = {};
  for (auto& child : b.children) child.remote = {};
}

model::SharedSecret secret_of(const Party& a, const Party& b, std::string_view text) {
  model::SharedSecret out = test::secret(text);
  out.ids = {identity_of(a.name), identity_of(b.name)};
  return out;
}

void set_host(model::End& end, const Party& party) {
  end.host.address = party.address;
  end.id = identity_of(party.name);
}

void join(Random& random, Plan& plan, std::size_t client, bool groups_differ) {
  auto& a = plan.parties[client];
  auto& b = plan.parties.back();
  auto of_a = choose_connection(random, client, plan.parties.size() > 2 ? 2 : 3);
  set_host(of_a.local, a);
  set_host(of_a.remote, b);
  auto of_b = other_end(random, of_a, plan.both_start);
  if (groups_differ) disagree_on_groups(of_a, of_b);
  if (gets_address(plan, of_a)) give_address(of_a, of_b);
  if (a.behind_nat) of_b.remote.host = {};  // whoever proves to be a.test
  Link link{of_a.name, client, plan.parties.size() - 1, {}, a.behind_nat};
  for (const auto& child : of_a.children) link.children.push_back(child.name);
  const std::string secret = "s3cret of " + a.name;
  a.secrets.push_back(secret_of(a, b, secret));
  b.secrets.push_back(secret_of(a, b, secret));
  a.connections.push_back(std::move(of_a));
  b.connections.push_back(std::move(of_b));
  plan.links.push_back(std::move(link));
}

// Somebody who knows how A is configured, and a secret of his own.
void add_impostor(Plan& plan) {
  Party party;
  party.name = "X";
  party.address = test::address("192.0.2.66");
  party.impostor = true;
  party.connections = plan.parties[0].connections;
  party.connections[0].local.host.address = party.address;
  party.secrets = {secret_of(plan.parties[0], plan.parties[plan.links[0].answers], "something else")};
  plan.parties.push_back(std::move(party));
}

}  // namespace

void choose_parties(Random& random, Plan& plan, std::optional<Feature> only) {
  const bool gateway = chance(random, 25);
  std::uint32_t clients = between(random, 2, 5);
  if (only == Feature::kPair || (only != Feature::kGateway && !gateway)) clients = 1;
  for (std::uint32_t i = 0; i < clients; ++i) {
    Party party;
    party.name = std::string(1, static_cast<char>('A' + i));
    party.behind_nat = plan.nat && (i == 0 || chance(random, 70));
    const std::string prefix = party.behind_nat ? "10.0.0." : "192.0.2.";
    party.address = test::address(prefix + std::to_string(i + 1));
    plan.parties.push_back(std::move(party));
  }
  Party last;
  last.name = std::string(1, static_cast<char>('A' + clients));
  last.address = test::address("198.51.100.1");
  plan.parties.push_back(std::move(last));
  // What is offered in IKE_SA_INIT belongs to the address of a peer, not to its identity: all differ, or none.
  const bool groups_differ = chance(random, 15);
  for (std::uint32_t i = 0; i < clients; ++i) join(random, plan, i, groups_differ);
  const bool impostor = chance(random, 30);
  if (plan.nat && !plan.strict && (impostor || only == Feature::kImpostor)) add_impostor(plan);
}

}  // namespace cygnet::sim
