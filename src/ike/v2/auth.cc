// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/auth.h"

#include <algorithm>

#include "ike/v2/gateways.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

bool same_ends(const IkeSa& a, const IkeSa& b) { return a.local_id == b.local_id && a.remote_id.matches(b.remote_id); }

// What one of them does to the other must have been proven as well as the other was: whoever fulfils the weaker rules
// of one connection has no say over another.
bool one_may_speak_for(const IkeSa& a, const IkeSa& b) {
  if (!a.connection || !b.connection || a.remote_id.type == model::IdType::kNull) return false;
  return a.connection->name == b.connection->name || same_rules(*a.connection, *b.connection);
}

void forget(World& world, IkeSa& sa, const std::string& event, const std::string& reason) {
  world.report(sa, Severity::kNotice, event, "forgetting an older IKE SA: " + reason);
  // Should the peer know it after all, it learns here that it is gone.
  wi::DeletePayload goodbye;
  goodbye.protocol = model::Protocol::kIke;
  if (sa.state == State::kEstablished) send_parting(world, sa, {goodbye});
  end_sa(world, sa, reason, Aftermath::kKeepUp);
}

// Established IKE SAs of the same two identities that lead to another address.
std::vector<IkeSa*> from_elsewhere(const World& world, const IkeSa& fresh) {
  std::vector<IkeSa*> out;
  for (auto* sa : world.sas_between(fresh.local_id, fresh.remote_id)) {
    if (sa != &fresh && sa->state == State::kEstablished && same_ends(*sa, fresh) && one_may_speak_for(fresh, *sa) &&
        sa->path.remote.address != fresh.path.remote.address)
      out.push_back(sa);
  }
  return out;
}

// Has the one IKE SA all children that the other has or is asking for? Several devices may share an identity: what the
// peer began counts as the same child only for the same traffic.
bool covers(const IkeSa& winner, const IkeSa& loser) {
  const bool both_ours = winner.began_here && loser.began_here;
  const auto has = [&](const ChildSa& c) {
    return std::ranges::any_of(winner.children, [&](const auto& w) {
      return w->usable() && w->name == c.name && w->connection->name == c.connection->name &&
             ((both_ours && !loser.has_sibling(c)) || (w->local == c.local && w->remote == c.remote));
    });
  };
  // Clones (RFC 9611) are looked after where their child is.
  const auto has_for_all = [&](ChildWant want) {
    want.resource.reset();
    return winner.serves(want);
  };
  const auto wants_more = [&](const Task& t) { return t.about == About::kNewChild && !has_for_all(t.want); };
  return std::ranges::all_of(loser.children, [&](const auto& c) { return !c->usable() || has(*c); }) &&
         std::ranges::none_of(loser.queue, wants_more) && !(loser.task && wants_more(*loser.task)) &&
         !(loser.handshake && std::ranges::any_of(loser.handshake->wants,
                                                  [&](const ChildWant& w) { return !w.given_up && !has_for_all(w); }));
}

bool carries_nothing(const IkeSa& sa) {
  return std::ranges::none_of(sa.children, [](const auto& c) { return c->usable(); });
}

}  // namespace

auth::PskQuery query_of(const IkeSa& sa, const model::Identity& local, const model::Identity& remote) {
  return {local, remote, sa.path.local.address, sa.path.remote.address};
}

Bytes octets_of(const IkeSa& sa, bool initiator, ByteView id_rest) {
  const auto& h = *sa.handshake;
  return initiator
             ? signed_octets(sa.algorithms.prf, ByteView(h.request), ByteView(h.nonce_r), ByteView(sa.keys.pi), id_rest)
             : signed_octets(sa.algorithms.prf, ByteView(h.response), ByteView(h.nonce_i), ByteView(sa.keys.pr),
                             id_rest);
}

bool is_first_contact(const World& world, const IkeSa& sa, const std::optional<model::Identity>& peer) {
  if (!peer || peer->type == model::IdType::kNull || sa.local_id.type == model::IdType::kNull) return false;
  const auto known = world.sas_between(sa.local_id, *peer);
  return std::none_of(known.begin(), known.end(), [&](const IkeSa* other) {
    return other->state == State::kEstablished && other->local_id == sa.local_id && other->remote_id.matches(*peer);
  });
}

void forget_older(World& world, IkeSa& fresh) {
  std::vector<IkeSa*> older;
  for (auto* sa : world.sas_between(fresh.local_id, fresh.remote_id)) {
    if (sa != &fresh && sa->established != Instant{} && same_ends(*sa, fresh) && one_may_speak_for(fresh, *sa))
      older.push_back(sa);
  }
  for (auto* sa : older) {
    const auto reason = sa->peer() + " started afresh (INITIAL_CONTACT)";
    hand_over_to_afresh(world, *sa, fresh, reason);
    forget(world, *sa, "initial-contact", reason);
  }
}

std::string unique_fault(const World& world, const IkeSa& fresh, bool initial_contact) {
  if (world.settings.setup.unique_ids != model::UniqueIds::kKeep || initial_contact) return {};
  const auto others = from_elsewhere(world, fresh);
  if (others.empty()) return {};
  return "'" + fresh.remote_id.to_string() + "' at " + fresh.peer() + " is connected from " + others.front()->peer() +
         " already, and uniqueids=keep refuses a second one: end the other first, or write uniqueids=replace";
}

std::string crowd_fault(const World& world, const IkeSa& fresh, bool initial_contact) {
  const auto& setup = world.settings.setup;
  const std::size_t most = setup.ike_sas_per_identity;
  // The older ones end in a moment.
  const bool alone = initial_contact && setup.unique_ids != model::UniqueIds::kNever;
  if (most == 0 || alone) return {};
  // All nobodies have one name: it is their address that tells them apart.
  const bool nobody = fresh.remote_id.type == model::IdType::kNull;
  const auto around =
      nobody ? world.sas_at(fresh.path.remote.address) : world.sas_between(fresh.local_id, fresh.remote_id);
  const auto has = std::ranges::count_if(around, [&](const IkeSa* sa) {
    return sa != &fresh && sa->state == State::kEstablished && same_ends(*sa, fresh) &&
           (!nobody || sa->path.remote.address == fresh.path.remote.address);
  });
  if (static_cast<std::size_t>(has) < most) return {};
  return "'" + fresh.remote_id.to_string() + "' at " + fresh.peer() + " has " + std::to_string(has) +
         " IKE SAs already, as many as ike-sas-per-identity= allows: end some of them (cygnet down), or raise it in "
         "config setup";
}

void enforce_unique(World& world, IkeSa& fresh, bool initial_contact) {
  const auto rule = world.settings.setup.unique_ids;
  if (rule == model::UniqueIds::kNever) return;
  if (initial_contact) return forget_older(world, fresh);
  if (rule != model::UniqueIds::kReplace) return;
  for (auto* sa : from_elsewhere(world, fresh)) {
    forget(world, *sa, "replaced-by-newer",
           "'" + fresh.remote_id.to_string() + "' has connected from " + fresh.peer() + " (uniqueids=replace)");
  }
}

void drop_redundant(World& world, IkeSa& fresh) {
  for (auto* other : world.sas_between(fresh.local_id, fresh.remote_id)) {
    if (other == &fresh || other->state != State::kEstablished || !same_ends(*other, fresh)) continue;
    if (!one_may_speak_for(fresh, *other)) continue;
    // Two that this end began are two attempts to replace an older one, or one of them has lost all it had; two that
    // the peer began are its own affair.
    const bool both_beside = other->made_beside && fresh.made_beside;
    if (other->began_here == fresh.began_here &&
        !(other->settled && fresh.settled && (both_beside || carries_nothing(*other) || carries_nothing(fresh))))
      continue;
    // A collision between the two is still to be settled.
    if (world.find_sa(other->rival_of) != nullptr || world.find_sa(fresh.rival_of) != nullptr) continue;
    // One of them is there to replace the other, in its time.
    if (fresh.stands_in_for == other->local_spi() || other->stands_in_for == fresh.local_spi()) continue;
    auto* loser = other->spi_i < fresh.spi_i ? other : &fresh;
    auto* winner = loser == &fresh ? other : &fresh;
    if (!covers(*winner, *loser)) {
      // The other way round, once nothing more will come to it.
      std::swap(winner, loser);
      if (!loser->settled || !covers(*winner, *loser)) continue;
    }
    if (!loser->began_here) continue;
    const std::string reason = "another IKE SA made at the same time has all its children, and stays";
    auto* stand_in = world.find_sa(loser->stand_in);
    if (stand_in != nullptr && stand_in != winner) {
      // What was to replace it goes with it, unless it has more to carry: then it stands for itself.
      stand_in->stands_in_for = loser->stand_in = IkeSpi();
      if (covers(*winner, *stand_in)) delete_ike_sa(world, *stand_in, reason, Aftermath::kForget);
    }
    delete_ike_sa(world, *loser, reason, Aftermath::kForget);
    return;
  }
}

void establish(World& world, IkeSa& sa, const std::string& with) {
  sa.state = State::kEstablished;
  sa.established = world.now;
  sa.last_inbound = world.now;
  sa.give_up_at = kNever;
  plan_lifetime(world, sa);
  arrive_at_gateway(world, sa);
  ++world.counters.established;
  sa.counted = true;
  world.report(sa, Severity::kNotice, "ike-up",
               "authenticated peer as '" + sa.remote_id.to_string() + "' with " + with);
  world.act(IkeUp{sa.name(), sa.spi_i, sa.spi_r, sa.initiator});
}

}  // namespace cygnet::ike::v2
