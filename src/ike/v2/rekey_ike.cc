// SPDX-License-Identifier: Apache-2.0
// CREATE_CHILD_SA for the IKE SA itself (RFC 7296 sections 1.3.2, 2.8.2, 2.18 and 2.25.2).
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/collision.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"
#include "model/selection.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr std::size_t kNonceOctets = 32;
constexpr unsigned kMostTemporaryFailures = 12;
constexpr Duration kDeletePatience = std::chrono::seconds(90);

Bytes spi_octets(IkeSpi spi) {
  Bytes out(8);
  store_be64(out.data(), spi.value);
  return out;
}

std::vector<model::Proposal> understood(const wi::SaPayload& sa) {
  std::vector<model::Proposal> out;
  for (const auto& p : sa.proposals) out.push_back(p.understood());
  return out;
}

std::string group_name(model::KeGroup group) {
  return model::to_string(model::Transform{model::TransformType::kKeyExchange, static_cast<std::uint16_t>(group), 0});
}

// IKE SAs that were rekeyed and that the peer has not deleted yet; collisions leave two.
constexpr std::ptrdiff_t kMostWaiting = 4;

void task_done(World& world, IkeSa& sa) {
  sa.task.reset();
  world.touch(sa);
  world.checkpoint(sa);
}

// The successor of `old`: same peer, fresh keys and message IDs.
std::unique_ptr<IkeSa> successor(const World& world, const IkeSa& old, bool initiator, IkeSpi spi_i, IkeSpi spi_r,
                                 const model::ChosenIke& algorithms) {
  auto sa = std::make_unique<IkeSa>();
  sa->state = State::kEstablished;
  sa->initiator = initiator;
  sa->began_here = old.began_here;
  sa->made_beside = old.made_beside;
  sa->settled = old.settled;
  sa->spi_i = spi_i;
  sa->spi_r = spi_r;
  sa->path = old.path;
  sa->nat_local = old.nat_local;
  sa->nat_remote = old.nat_remote;
  sa->udp_encapsulation = old.udp_encapsulation;
  sa->peer_speaks_nat_t = old.peer_speaks_nat_t;
  sa->fragmentation = old.fragmentation;
  sa->peer_fragment_octets = old.peer_fragment_octets;
  sa->small_path = old.small_path;
  sa->mobility = old.mobility;
  sa->connection = old.connection;
  sa->local_id = old.local_id;
  sa->remote_id = old.remote_id;
  sa->algorithms = algorithms;
  sa->established = world.now;
  sa->rekeys = old.rekeys + 1;
  sa->authenticated_until = old.authenticated_until;
  sa->reauth_at = old.reauth_at;
  sa->failback_at = old.failback_at;
  return sa;
}

struct NewKeys {
  ByteView nonce_i, nonce_r, shared_secret;
};

Result<void> key_successor(const IkeSa& old, IkeSa& fresh, const NewKeys& k) {
  const auto seed = rekeyed_skeyseed(old.algorithms.prf, ByteView(old.keys.d), k.nonce_i, k.nonce_r, k.shared_secret);
  auto keys = derive_ike_keys(fresh.algorithms, ByteView(seed), k.nonce_i, k.nonce_r, fresh.spi_i, fresh.spi_r);
  if (!keys) return std::unexpected(keys.error());
  auto set = set_keys(fresh, std::move(*keys));
  forget_proof_keys(fresh);
  return set;
}

// From here on `from` only waits to be deleted by whoever is due to.
void retire(World& world, IkeSa& from) {
  from.state = State::kRekeyed;
  from.rekey_at = kNever;
  from.give_up_at = world.now + kDeletePatience;
  from.counted = false;
  world.touch(from);
}

void take_over(World& world, IkeSa& from, IkeSa& to) {
  inherit(world, from, to);
  to.counted = from.counted;
  retire(world, from);
  world.act(IkeUp{to.name(), to.spi_i, to.spi_r, to.initiator});
  world.report(to, Severity::kNotice, "ike-rekeyed",
               "IKE SA with " + to.peer() + " rekeyed: " + model::to_string(to.algorithms));
  world.checkpoint(to);
  world.checkpoint(from);
}

void refuse(World& world, IkeSa& sa, MessageId id, wi::NotifyType type, Bytes data = {}) {
  send_response(world, sa, wi::ExchangeType::kCreateChildSa, id, {notify(type, std::move(data))});
}

// This IKE SA stays in use, whatever state the table has for the end of a rekey.
Outcome rekey_failed(Turn& turn, const std::string& message) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  world.report(sa, Severity::kWarning, "ike-rekey-failed", message);
  if (yield_to_peers_rekey(world, sa)) return Outcome::kStay;
  // One more attempt when half of what is left has passed; after that the IKE SA ends and comes up again.
  const auto left = sa.expires_at == kNever ? Duration(std::chrono::minutes(5)) : sa.expires_at - world.now;
  sa.rekey_at = left > std::chrono::seconds(20) ? world.now + left / 2 : kNever;
  task_done(world, sa);
  return Outcome::kStay;
}

void again_later(World& world, IkeSa& sa) {
  Task again;
  again.about = About::kRekeyIke;
  again.tries = sa.task->tries + 1;
  again.not_before =
      world.now + jitter(world.random, std::chrono::seconds(std::min(1U << std::min(again.tries, 5U), 30U)), 50);
  sa.task.reset();
  sa.queue.push_back(std::move(again));
  world.touch(sa);
  world.checkpoint(sa);
}

// Both ends rekeyed the IKE SA: one of the two new ones stays and inherits the children.
void settle_collision(World& world, IkeSa& sa, IkeSa& ours, IkeSa& theirs, bool ours_loses) {
  auto& winner = ours_loses ? theirs : ours;
  auto& loser = ours_loses ? ours : theirs;
  world.report(sa, Severity::kInfo, ours_loses ? "collision-lost" : "collision-won",
               std::string("both ends rekeyed the IKE SA at the same time: ") +
                   (ours_loses ? "the peer's stays" : "ours stays"));
  take_over(world, sa, winner);
  retire(world, loser);
  loser.replaced_by = winner.local_spi();
  // RFC 7296 section 2.8.2: each end closes what it created: the loser its redundant SA, the winner the old one.
  delete_ike_sa(world, ours_loses ? loser : sa, "rekeyed", Aftermath::kForget);
  start_next_task(world, winner);
}

}  // namespace

bool yield_to_peers_rekey(World& world, IkeSa& sa) {
  if (!sa.task || sa.task->about != About::kRekeyIke || !sa.task->collision) return false;
  auto* theirs = world.find_sa(sa.task->collision->ike_spi);
  if (theirs == nullptr || theirs->state != State::kEstablished) return false;
  sa.task.reset();
  sa.outstanding.reset();
  take_over(world, sa, *theirs);
  start_next_task(world, *theirs);
  return true;
}

void begin_ike_rekey_task(World& world, IkeSa& sa) {
  auto& task = *sa.task;
  const auto groups = model::groups_of(sa.connection->proposals);
  if (task.group == model::KeGroup::kNone) {
    const bool same = std::find(groups.begin(), groups.end(), sa.algorithms.group) != groups.end();
    task.group = same || groups.empty() ? sa.algorithms.group : groups.front();
  }
  task.groups_tried.push_back(task.group);
  world.order_job(sa, About::kRekeyIke, task.group, std::nullopt, std::nullopt);
}

Outcome on_ike_rekey_key_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!turn.job->own) return rekey_failed(turn, "cannot make a key pair: " + turn.job->error);
  auto& task = *sa.task;
  task.own = turn.job->own;
  task.nonce = world.random.bytes(kNonceOctets);
  task.new_ike_spi = world.new_ike_spi();
  task.offered = sa.connection->proposals;
  wi::SaPayload offer;
  std::uint8_t number = 1;
  for (const auto& proposal : task.offered) {
    wi::SaProposal p;
    p.number = number++;
    p.spi = spi_octets(task.new_ike_spi);
    p.proposal = proposal;
    offer.proposals.push_back(std::move(p));
  }
  world.report(sa, Severity::kInfo, "ike-rekey-sent",
               "sent CREATE_CHILD_SA request to " + sa.peer() + " to rekey the IKE SA");
  send_request(world, sa, wi::ExchangeType::kCreateChildSa,
               {std::move(offer), wi::NoncePayload{task.nonce}, wi::KePayload{task.group, task.own->public_value}});
  return Outcome::kNext;
}

Outcome on_ike_rekey_answer(Turn& turn) {
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  request_answered(turn.world, sa);
  const auto& answer = *wi::find_payload<wi::SaPayload>(*turn.payloads);
  const auto& ke = *wi::find_payload<wi::KePayload>(*turn.payloads);
  const auto chosen =
      answer.proposals.size() == 1 ? model::accept_ike(answer.proposals[0].proposal, task.offered) : std::nullopt;
  if (!chosen || answer.proposals[0].spi.size() != 8 || load_be64(answer.proposals[0].spi.data()) == 0 ||
      ke.group != chosen->group || ke.group != task.group) {
    return rekey_failed(turn, sa.peer() + "'s answer to our rekey is not acceptable");
  }
  task.answer = *turn.payloads;
  task.peer_nonce = wi::find_payload<wi::NoncePayload>(*turn.payloads)->data;
  turn.world.order_job(sa, About::kRekeyIke, task.group, task.own, ke.data);
  return Outcome::kNext;
}

Outcome on_ike_rekey_secret_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  if (!turn.job->shared_secret)
    return rekey_failed(turn, "the public value of " + sa.peer() + " is not sound: " + turn.job->error);
  const auto& answer = *wi::find_payload<wi::SaPayload>(task.answer);
  const auto chosen = model::accept_ike(answer.proposals[0].proposal, task.offered);
  if (!chosen) return rekey_failed(turn, sa.peer() + "'s answer to our rekey is not acceptable");
  auto owned = successor(world, sa, true, task.new_ike_spi, IkeSpi(load_be64(answer.proposals[0].spi.data())), *chosen);
  const auto keyed =
      key_successor(sa, *owned, {ByteView(task.nonce), ByteView(task.peer_nonce), ByteView(*turn.job->shared_secret)});
  if (!keyed) return rekey_failed(turn, keyed.error().message);
  auto& fresh = world.add_sa(std::move(owned));
  plan_lifetime(world, fresh);
  read_crash_token(fresh, task.answer);
  queue_crash_token(world, sa, fresh);
  auto* theirs = task.collision ? world.find_sa(task.collision->ike_spi) : nullptr;
  const bool loses = theirs != nullptr && ours_is_redundant(task, *task.collision);
  sa.task.reset();
  if (theirs != nullptr && theirs->state == State::kEstablished) {
    settle_collision(world, sa, fresh, *theirs, loses);
  } else {
    take_over(world, sa, fresh);
    delete_ike_sa(world, sa, "rekeyed", Aftermath::kForget);
    start_next_task(world, fresh);
  }
  return Outcome::kStay;
}

Outcome on_ike_rekey_refused(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  request_answered(world, sa);
  const auto& error = *wi::find_error_notify(*turn.payloads);
  if (yield_to_peers_rekey(world, sa)) return Outcome::kStay;
  if (task.collision) {
    sa.task.reset();
    return Outcome::kNext;
  }
  if (error.type == wi::NotifyType::kTemporaryFailure && task.tries < kMostTemporaryFailures) {
    again_later(world, sa);
    return Outcome::kNext;
  }
  if (error.type == wi::NotifyType::kInvalidKePayload && error.data.size() == 2) {
    const auto group = static_cast<model::KeGroup>(load_be16(error.data.data()));
    const auto offered = model::groups_of(task.offered);
    const bool offered_it = std::find(offered.begin(), offered.end(), group) != offered.end();
    const bool tried = std::find(task.groups_tried.begin(), task.groups_tried.end(), group) != task.groups_tried.end();
    if (offered_it && !tried) {
      task.groups_tried.push_back(group);
      task.group = group;
      task.own.reset();
      world.report(sa, Severity::kInfo, "other-group-wanted",
                   sa.peer() + " wants group " + group_name(group) + " for the rekey: trying again with it");
      world.order_job(sa, About::kRekeyIke, group, std::nullopt, std::nullopt);
      return Outcome::kNext;
    }
  }
  return rekey_failed(turn, sa.peer() + " refused to rekey the IKE SA: " + diagnosis::meaning(error) + " (" +
                                wi::to_string(error.type) + ")");
}

Outcome on_ike_rekey_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto id = turn.header->message_id;
  // RFC 7296 section 2.25.1: "a request to rekey the IKE SA, and it is currently creating, rekeying, or closing a Child
  // SA of that IKE SA, it SHOULD reply with TEMPORARY_FAILURE".
  const bool busy = sa.task && (sa.task->about == About::kNewChild || sa.task->about == About::kRekeyChild ||
                                sa.task->about == About::kDeleteChild);
  // Whoever rekeys without end deletes the old ones first.
  const auto around = world.sas_between(sa.local_id, sa.remote_id);
  const auto waiting =
      std::count_if(around.begin(), around.end(), [&](const IkeSa* old) { return old->replaced_by == sa.local_spi(); });
  if (busy || waiting >= kMostWaiting) {
    refuse(world, sa, id, wi::NotifyType::kTemporaryFailure);
    return Outcome::kNext;
  }
  const auto offered = understood(*wi::find_payload<wi::SaPayload>(*turn.payloads));
  const auto& ke = *wi::find_payload<wi::KePayload>(*turn.payloads);
  const auto selected = model::select_ike(offered, sa.connection->proposals, ke.group);
  if (!selected) {
    world.report(sa, Severity::kError, "no-proposal-chosen",
                 diagnosis::proposal_difference(sa.peer(), offered, sa.connection->proposals, "ike", true));
    refuse(world, sa, id, wi::NotifyType::kNoProposalChosen);
    return Outcome::kNext;
  }
  const auto& spi = wi::find_payload<wi::SaPayload>(*turn.payloads)->proposals[selected->index].spi;
  if (spi.size() != 8 || load_be64(spi.data()) == 0) {
    refuse(world, sa, id, wi::NotifyType::kInvalidSyntax);
    return Outcome::kNext;
  }
  if (selected->chosen.group != ke.group) {
    Bytes wanted(2);
    store_be16(wanted.data(), static_cast<std::uint16_t>(selected->chosen.group));
    refuse(world, sa, id, wi::NotifyType::kInvalidKePayload, std::move(wanted));
    return Outcome::kNext;
  }
  sa.peer_request = PeerRequest{id, *turn.payloads, About::kRekeyIke};
  world.order_job(sa, About::kPeerRequest, ke.group, std::nullopt, ke.data);
  return Outcome::kNext;
}

void finish_ike_rekey_request(World& world, IkeSa& sa, const JobResult& job) {
  const auto request = std::move(*sa.peer_request);
  sa.peer_request.reset();
  if (!job.shared_secret || !job.own) return refuse(world, sa, request.id, wi::NotifyType::kInvalidSyntax);
  const auto& offer = *wi::find_payload<wi::SaPayload>(request.payloads);
  const auto& ke = *wi::find_payload<wi::KePayload>(request.payloads);
  const auto& peer_nonce = wi::find_payload<wi::NoncePayload>(request.payloads)->data;
  const auto selected = model::select_ike(understood(offer), sa.connection->proposals, ke.group);
  if (!selected) return refuse(world, sa, request.id, wi::NotifyType::kNoProposalChosen);
  const auto& accepted = offer.proposals[selected->index];
  const auto nonce = world.random.bytes(kNonceOctets);
  auto owned =
      successor(world, sa, false, IkeSpi(load_be64(accepted.spi.data())), world.new_ike_spi(), selected->chosen);
  if (!key_successor(sa, *owned, {ByteView(peer_nonce), ByteView(nonce), ByteView(*job.shared_secret)})) {
    return refuse(world, sa, request.id, wi::NotifyType::kNoProposalChosen);
  }
  auto& fresh = world.add_sa(std::move(owned));
  plan_lifetime(world, fresh);
  wi::SaPayload answer;
  wi::SaProposal proposal;
  proposal.number = accepted.number;
  proposal.spi = spi_octets(fresh.spi_r);
  proposal.proposal = selected->reply;
  answer.proposals.push_back(std::move(proposal));
  const bool collides = sa.task && sa.task->about == About::kRekeyIke && !sa.task->nonce.empty();
  if (sa.task && sa.task->about == About::kRekeyIke && !collides)
    sa.task.reset();  // our request was not sent yet, and need not be
  wi::Payloads reply{std::move(answer), wi::NoncePayload{nonce}, wi::KePayload{ke.group, job.own->public_value}};
  if (!sa.peer_token.empty()) add_crash_token(world, fresh, reply);
  // State first, all of it, then the checkpoints, then the datagram: a crash in between finds either the old or the
  // new.
  prepare_response(world, sa, wi::ExchangeType::kCreateChildSa, request.id, reply);
  if (collides) {
    // Who inherits the children is known when the answer to our own request is there.
    fresh.rival_of = sa.local_spi();
    sa.task->collision = Collision{peer_nonce, nonce, model::ChildId(), fresh.local_spi(), false};
    world.checkpoint(fresh);
    world.checkpoint(sa);
  } else {
    std::erase_if(sa.queue, [](const Task& t) { return t.about == About::kRekeyIke; });
    take_over(world, sa, fresh);
  }
  send_prepared(world, sa);
  if (!collides) start_next_task(world, fresh);
}

Outcome on_peer_secret_ready(Turn& turn) {
  auto& sa = *turn.sa;
  if (!sa.peer_request) return Outcome::kStay;
  if (sa.peer_request->about == About::kRekeyIke) {
    finish_ike_rekey_request(turn.world, sa, *turn.job);
  } else {
    answer_child_request(turn.world, sa, turn.job);
  }
  return Outcome::kStay;
}

Outcome on_request_while_replaced(Turn& turn) {
  // RFC 7296 section 2.25.2: an IKE SA that is being closed or was replaced takes no new work.
  refuse(turn.world, *turn.sa, turn.header->message_id, wi::NotifyType::kTemporaryFailure);
  return Outcome::kStay;
}

}  // namespace cygnet::ike::v2
