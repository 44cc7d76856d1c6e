// SPDX-License-Identifier: Apache-2.0
// CREATE_CHILD_SA for further children and for rekeying them (RFC 7296 sections 1.3.1, 1.3.3, 2.8.1 and 2.25.1).
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/beside.h"
#include "ike/v2/clones.h"
#include "ike/v2/collision.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr std::size_t kNonceOctets = 32;
constexpr unsigned kMostTemporaryFailures = 12;
// How long the peer may take to delete what it replaced.
constexpr Duration kDeletePatience = std::chrono::seconds(90);

const model::Child* config_of(const Task& task, const IkeSa& sa) {
  if (task.about == About::kRekeyChild) {
    const auto* old = sa.find_child(task.child);
    return old == nullptr ? nullptr : old->config();
  }
  for (const auto& child : task.want.connection->children) {
    if (child.name == task.want.child) return &child;
  }
  return nullptr;
}

// Those that only fade are bounded by what was there before them, clones (RFC 9611) by most_clones().
bool has_room(const IkeSa& sa, const model::Connection& connection) {
  const auto has = std::count_if(sa.children.begin(), sa.children.end(), [&](const auto& child) {
    return !child->resource && child->state != ChildState::kFading && child->connection->name == connection.name;
  });
  return static_cast<std::size_t>(has) < connection.max_children;
}

// A rekeyed child stays until the peer deletes it: whoever rekeys without end and deletes nothing gets no more.
bool has_room_for_another(const World& world, const IkeSa& sa, const ChildSa& old) {
  const auto* config = old.config();
  const std::size_t most =
      old.resource && config != nullptr ? most_clones(world, *old.connection, *config) : old.connection->max_children;
  const auto has = std::count_if(sa.children.begin(), sa.children.end(), [&](const auto& child) {
    return child->resource.has_value() == old.resource.has_value() && child->connection->name == old.connection->name &&
           (!old.resource || child->name == old.name);
  });
  return static_cast<std::size_t>(has) < 2 * most + 2;
}

std::string group_name(model::KeGroup group) {
  return model::to_string(model::Transform{model::TransformType::kKeyExchange, static_cast<std::uint16_t>(group), 0});
}

// ---- our request

void send_child_request(World& world, IkeSa& sa) {
  auto& task = *sa.task;
  const auto* old = task.about == About::kRekeyChild ? sa.find_child(task.child) : nullptr;
  task.new_spi = world.new_esp_spi(old != nullptr ? *old->connection : *task.want.connection);
  task.nonce = world.random.bytes(kNonceOctets);
  const auto* head = old == nullptr && task.want.resource ? find_head(sa, task.want) : nullptr;
  auto request = old != nullptr    ? request_rekey(world, sa, *old, task.new_spi)
                 : head != nullptr ? request_clone(world, sa, *head, task.new_spi, *task.want.resource)
                                   : request_child(world, sa, task.want, *config_of(task, sa), task.new_spi,
                                                   model::ChildKeyExchange::kNegotiate);
  wi::Payloads payloads;
  // RFC 7296 section 1.3.3: "the SPI the exchange initiator would expect in inbound ESP or AH packets".
  if (old != nullptr)
    payloads.emplace_back(notify_child(wi::NotifyType::kRekeySa, old->spi_in, old->algorithms.protocol()));
  for (auto& n : request.notifies) payloads.emplace_back(std::move(n));
  payloads.push_back(std::move(request.sa));
  payloads.emplace_back(wi::NoncePayload{task.nonce});
  if (task.own) payloads.emplace_back(wi::KePayload{task.group, task.own->public_value});
  payloads.push_back(std::move(request.tsi_payload));
  payloads.push_back(std::move(request.tsr_payload));
  task.offered = std::move(request.offered);
  task.tsi = std::move(request.tsi);
  task.tsr = std::move(request.tsr);
  world.report(sa, Severity::kInfo, old != nullptr ? "child-rekey-sent" : "child-sent",
               "sent CREATE_CHILD_SA request to " + sa.peer() +
                   (old != nullptr    ? " to rekey child " + old->name
                    : head != nullptr ? " for clone " + std::to_string(*task.want.resource) + " of child " + head->name
                                      : " for child " + task.want.child));
  // The peer may send on it as soon as it has answered, while our half of the keys is still being computed.
  world.act(ExpectSpi{task.new_spi});
  send_request(world, sa, wi::ExchangeType::kCreateChildSa, payloads);
}

void task_done(World& world, IkeSa& sa) {
  if (sa.task && !sa.task->new_spi.is_zero() && sa.find_child(sa.task->child) == nullptr) {
    const auto spi = sa.task->new_spi;
    const bool in_use =
        std::any_of(sa.children.begin(), sa.children.end(), [&](const auto& c) { return c->spi_in == spi; });
    if (!in_use) world.esp_spis.erase(spi);
  }
  sa.task.reset();
  world.touch(sa);
  world.checkpoint(sa);
}

void queue_delete(IkeSa& sa, model::ChildId child, Spi orphan = {}, bool orphan_is_ah = false) {
  Task task;
  task.about = About::kDeleteChild;
  task.child = child;
  task.orphan_spi = orphan;
  task.orphan_is_ah = orphan_is_ah;
  sa.queue.push_back(std::move(task));
}

// What the peer has made for the task under way, and we will not have.
void queue_delete_of_new(IkeSa& sa) {
  const auto& offered = sa.task->offered;
  queue_delete(sa, {}, sa.task->new_spi, !offered.empty() && offered.front().protocol == model::Protocol::kAh);
}

// The peer made the same thing at the same time, and its lowest nonce is higher: ours is the redundant one.
// RFC 7296 section 2.8.1: "the SA created with the lowest of the four nonces ... SHOULD be closed by the endpoint that
// created it". It is never installed here, so nothing was sent on it.
void give_way(World& world, IkeSa& sa, const ChildTerms& terms) {
  auto& task = *sa.task;
  world.report(sa, Severity::kInfo, "collision-lost",
               "both ends made child " + terms.child + " at the same time: the peer's stays, ours is closed");
  queue_delete_of_new(sa);
  if (auto* theirs = sa.find_child(task.collision->child)) {
    if (task.collision->old_deleted) activate(world, sa, *theirs);
  }
  if (task.about == About::kNewChild)
    want_succeeded(world, task.want, "child " + terms.child + " is up (the peer was faster)");
}

void retire_collided(World& world, IkeSa& sa, const ChildSa& winner) {
  auto* theirs = sa.find_child(sa.task->collision->child);
  if (theirs == nullptr) return;
  world.report(sa, Severity::kInfo, "collision-won",
               "both ends made child " + winner.name + " at the same time: ours stays");
  theirs->state = ChildState::kRekeyed;
  theirs->replaced_by = winner.id;
  theirs->rekey_at = theirs->activate_at = kNever;
  theirs->remove_at = world.now + kDeletePatience;
}

// The peer made it and deleted it again before we heard of it.
void stillborn(World& world, IkeSa& sa, const ChildTerms& terms) {
  auto& task = *sa.task;
  const std::string reason = "deleted by " + sa.peer();
  world.report(sa, Severity::kNotice, "child-deleted",
               "child " + terms.child + " " + reason + " as soon as it was made");
  if (task.about == About::kNewChild) return want_failed(world, std::move(task.want), reason);
  auto* old = sa.find_child(task.child);
  if (old == nullptr || old->state == ChildState::kFading) return;
  const ChildSa copy = *old;
  queue_delete(sa, {}, old->spi_in, old->algorithms.is_ah());
  remove_child(world, sa, copy.id, reason, false);
  after_child_loss(world, copy, Aftermath::kKeepUp);
}

// Somebody here took down what was being made, or rekeyed, while the peer was asked: it is not installed.
bool is_given_up(const IkeSa& sa) {
  const auto& task = *sa.task;
  if (task.about == About::kNewChild) return task.want.given_up;
  const auto* old = sa.find_child(task.child);
  return old != nullptr && old->state == ChildState::kDeleting && !old->replaced_by;
}

// RFC 7296 section 2.9: the peer narrows as it wishes, and need not heed the packet that asked. What is up already is
// not made a second time for each packet.
bool is_there_already(const IkeSa& sa, const ChildWant& want, const ChildTerms& terms) {
  return std::ranges::any_of(sa.children, [&](const auto& c) {
    return c->serves(want.connection->name, want.child, want.resource) && model::covers(c->local, terms.local) &&
           model::covers(c->remote, terms.remote);
  });
}

bool holds_any(const std::vector<IpAddress>& addresses, const model::TrafficSelectors& selectors) {
  return std::ranges::any_of(addresses, [&](const IpAddress& a) {
    return std::ranges::any_of(selectors, [&](const auto& s) { return s.range.contains(a); });
  });
}

// Where no leftsubnet= is written a child is for our address: one for an address that we had before is of no use.
void close_outdated(World& world, IkeSa& sa, const ChildSa& fresh) {
  const auto* config = fresh.config();
  if (world.local_addresses.empty() || config == nullptr || !config->local.empty() ||
      fresh.connection->local.requests_address())
    return;
  std::vector<model::ChildId> outdated;
  for (const auto& child : sa.children) {
    const bool same = child->id != fresh.id && child->serves(fresh.connection->name, fresh.name);
    if (same && !holds_any(world.local_addresses, child->local)) outdated.push_back(child->id);
  }
  for (const auto id : outdated) {
    auto& child = *sa.find_child(id);
    child.state = ChildState::kDeleting;
    child.rekey_at = child.remove_at = kNever;
    queue_delete(sa, id);
  }
}

void child_is_there(World& world, IkeSa& sa, const ChildTerms& terms, const ChildKeys& keys) {
  auto& task = *sa.task;
  const bool rekey = task.about == About::kRekeyChild;
  if (is_given_up(sa)) return queue_delete_of_new(sa);
  if (std::find(task.gone.begin(), task.gone.end(), terms.peer_spi) != task.gone.end())
    return stillborn(world, sa, terms);
  if (task.collision && ours_is_redundant(task, *task.collision)) return give_way(world, sa, terms);
  if (!rekey && !sa.serves(task.want) && is_there_already(sa, task.want, terms)) {
    queue_delete_of_new(sa);
    return want_failed(world, std::move(task.want),
                       sa.peer() + " wants of child " + terms.child + " only what is up already: " +
                           model::to_string(terms.local) + " === " + model::to_string(terms.remote));
  }
  const auto replaces = rekey ? std::optional(task.child) : std::nullopt;
  auto& fresh =
      install_child(world, sa, terms, keys, {.spi_in = task.new_spi, .we_initiated = true, .replaces = replaces});
  if (task.collision) retire_collided(world, sa, fresh);
  if (!rekey) {
    close_outdated(world, sa, fresh);
    return want_succeeded(world, task.want, "child " + fresh.name + " up: " + child_words(fresh));
  }
  auto* old = sa.find_child(task.child);
  if (old == nullptr || old->state == ChildState::kFading) return;
  // RFC 7296 section 2.8: "when the new one is established, delete the old one".
  old->state = ChildState::kDeleting;
  old->replaced_by = fresh.id;
  old->rekey_at = old->remove_at = kNever;
  queue_delete(sa, old->id);
}

void finish_child(Turn& turn, ByteView shared_secret) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  auto terms = read_answer(world, sa, task.want.connection, task.want.child, task.offered, task.tsi, task.tsr,
                           model::ChildKeyExchange::kNegotiate, task.answer);
  if (terms) {
    terms->resource = task.want.resource;
    if (auto why = differs_from_head(sa, task, *terms)) terms = std::unexpected(std::move(*why));
  }
  if (terms) {
    const auto keys = derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d), ByteView(task.nonce),
                                        ByteView(task.peer_nonce), shared_secret);
    if (keys) {
      child_is_there(world, sa, *terms, *keys);
      return task_done(world, sa);
    }
    terms = std::unexpected(Refusal{{}, {}, "key-derivation-failed", keys.error().message});
  }
  world.report(sa, Severity::kError, terms.error().event, terms.error().message);
  queue_delete_of_new(sa);
  if (task.about == About::kNewChild) want_failed(world, std::move(task.want), terms.error().message);
  task_done(world, sa);
}

void again_later(World& world, IkeSa& sa) {
  Task again;
  again.about = sa.task->about;
  again.want = std::move(sa.task->want);
  again.child = sa.task->child;
  again.tries = sa.task->tries + 1;
  const auto wait = std::chrono::seconds(std::min(1U << std::min(again.tries, 5U), 30U));
  again.not_before = world.now + jitter(world.random, wait, 50);
  world.esp_spis.erase(sa.task->new_spi);
  sa.task.reset();
  sa.queue.push_back(std::move(again));
  world.touch(sa);
  world.checkpoint(sa);
}

// True if another group is worth a try; the job is ordered.
bool try_other_group(World& world, IkeSa& sa, const wi::NotifyPayload& error) {
  auto& task = *sa.task;
  if (error.data.size() != 2) return false;
  const auto group = static_cast<model::KeGroup>(load_be16(error.data.data()));
  const auto offered = model::groups_of(task.offered);
  if (std::find(offered.begin(), offered.end(), group) == offered.end()) return false;
  if (std::find(task.groups_tried.begin(), task.groups_tried.end(), group) != task.groups_tried.end()) return false;
  task.groups_tried.push_back(group);
  task.group = group;
  task.own.reset();
  world.esp_spis.erase(task.new_spi);
  world.report(sa, Severity::kInfo, "other-group-wanted",
               sa.peer() + " wants group " + group_name(group) + " for the child: trying again with it");
  world.order_job(sa, task.about, group, std::nullopt, std::nullopt);
  return true;
}

// Our rekey was refused for good.
void rekey_failed(World& world, IkeSa& sa, const wi::NotifyPayload& error) {
  auto* old = sa.find_child(sa.task->child);
  if (old == nullptr || old->replaced_by) return task_done(world, sa);
  const auto message = sa.peer() + " refused to rekey child " + old->name + ": " + diagnosis::meaning(error) + " (" +
                       wi::to_string(error.type) + ")";
  if (error.type == wi::NotifyType::kChildSaNotFound) {
    // RFC 7296 section 2.25: "A peer that receives a CHILD_SA_NOT_FOUND ... SHOULD silently delete the Child SA (if it
    // still exists) and send a request to create a new Child SA from scratch".
    world.report(sa, Severity::kNotice, "child-sa-not-found", message + ": making it anew");
    ChildWant want;
    want.connection = old->connection;
    want.child = old->name;
    want.keep_trying = true;
    const bool was_clone = old->resource.has_value();
    remove_child(world, sa, sa.task->child, "the peer does not have it any more", false);
    task_done(world, sa);
    // A clone (RFC 9611) is made anew when its head is looked after.
    if (was_clone) return;
    return want_child(world, std::move(want));
  }
  // One more attempt when half of what is left has passed; after that the child ends and comes up again.
  const auto left = old->expires_at == kNever ? Duration(std::chrono::minutes(5)) : old->expires_at - world.now;
  old->rekey_at = left > std::chrono::seconds(20) ? world.now + left / 2 : kNever;
  world.report(sa, Severity::kWarning, "child-rekey-refused", message);
  task_done(world, sa);
}

// ---- the peer's request

wi::Payloads refusal(wi::NotifyType type, Bytes data = {}) { return {notify(type, std::move(data))}; }

void answer(World& world, IkeSa& sa, const PeerRequest& request, const wi::Payloads& payloads) {
  send_response(world, sa, wi::ExchangeType::kCreateChildSa, request.id, payloads);
}

// The peer rekeys a child: which, and may it?
// Both ends rekey the old IKE SA, and the peer knows already that this one stays: its children are still to come here.
bool children_may_come(const World& world, const IkeSa& sa) {
  const auto* old = world.find_sa(sa.rival_of);
  return old != nullptr && old->task && old->task->collision && old->task->collision->ike_spi == sa.local_spi();
}

std::expected<ChildSa*, wi::NotifyPayload> find_rekeyed(const World& world, const IkeSa& sa,
                                                        const wi::Payloads& request) {
  const auto* n = wi::find_notify(request, wi::NotifyType::kRekeySa);
  if (n == nullptr) return nullptr;
  const Spi spi(n->spi.size() == 4 ? load_be32(n->spi.data()) : 0U);
  auto* old = sa.find_child_out(spi);
  // RFC 7296 section 2.25.1: "a request to rekey a Child SA that does not exist": CHILD_SA_NOT_FOUND, with the SPI.
  if (old == nullptr) {
    // It may be the very child whose creation the peer has granted in an answer that is still on its way.
    const bool granted = sa.task && (sa.task->about == About::kNewChild || sa.task->about == About::kRekeyChild) &&
                         !sa.task->nonce.empty();
    return std::unexpected(granted || children_may_come(world, sa)
                               ? notify(wi::NotifyType::kTemporaryFailure)
                               : notify_child(wi::NotifyType::kChildSaNotFound, spi, n->protocol));
  }
  // "a request to rekey a Child SA that it is currently trying to close": TEMPORARY_FAILURE.
  if (old->state != ChildState::kInstalled) return std::unexpected(notify(wi::NotifyType::kTemporaryFailure));
  return old;
}

void note_collision(World& world, IkeSa& sa, ChildSa& fresh, ChildSa* old, const Bytes& peer_nonce,
                    const Bytes& own_nonce) {
  if (old != nullptr) {
    old->state = ChildState::kRekeyed;
    old->replaced_by = fresh.id;
    old->rekey_at = kNever;
    old->remove_at = world.now + kDeletePatience;
    std::erase_if(sa.queue, [&](const Task& t) { return t.about == About::kRekeyChild && t.child == old->id; });
  }
  // A request that is not yet sent is not sent any more once its key pair is there.
  if (!sa.task || sa.task->nonce.empty()) return;
  const bool same_rekey = old != nullptr && sa.task->about == About::kRekeyChild && sa.task->child == old->id;
  const bool same_new = old == nullptr && sa.task->about == About::kNewChild && !fresh.resource &&
                        !sa.task->want.resource && sa.task->want.child == fresh.name &&
                        sa.task->want.connection->name == fresh.connection->name;
  if (same_rekey || same_new) sa.task->collision = Collision{peer_nonce, own_nonce, fresh.id, IkeSpi(), false};
}

}  // namespace

void begin_child_task(World& world, IkeSa& sa) {
  auto& task = *sa.task;
  const auto* config = config_of(task, sa);
  if (config == nullptr) {
    if (task.about == About::kNewChild)
      want_failed(world, std::move(task.want), "the child is no longer configured", false);
    sa.task.reset();
    return start_next_task(world, sa);
  }
  if (task.about == About::kRekeyChild) {
    task.want.connection = sa.find_child(task.child)->connection;
    task.want.child = config->name;
    task.want.resource = sa.find_child(task.child)->resource;
  }
  const auto groups = model::groups_of(config->proposals);
  if (groups.empty()) return send_child_request(world, sa);
  if (task.group == model::KeGroup::kNone) task.group = groups.front();
  task.groups_tried.push_back(task.group);
  world.order_job(sa, task.about, task.group, std::nullopt, std::nullopt);
}

Outcome on_child_key_ready(Turn& turn) {
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  // The peer may have been faster: rekeyed it, deleted it, or brought it up.
  const auto* old = sa.find_child(task.child);
  const bool settled =
      task.about == About::kRekeyChild
          ? old == nullptr || !old->usable()
          : task.want.given_up || sa.serves(task.want) || (task.want.resource && find_head(sa, task.want) == nullptr);
  if (settled || !turn.job->own) {
    if (settled && task.about == About::kNewChild)
      want_succeeded(turn.world, task.want, "child " + task.want.child + " is up (the peer was faster)");
    if (!settled && task.about == About::kNewChild)
      want_failed(turn.world, std::move(task.want), "cannot make a key pair: " + turn.job->error);
    task_done(turn.world, sa);
    return Outcome::kNext;
  }
  task.own = turn.job->own;
  send_child_request(turn.world, sa);
  return Outcome::kNext;
}

Outcome on_child_answer(Turn& turn) {
  auto& sa = *turn.sa;
  auto& task = *sa.task;
  request_answered(turn.world, sa);
  task.answer = *turn.payloads;
  task.peer_nonce = wi::find_payload<wi::NoncePayload>(*turn.payloads)->data;
  const auto* ke = wi::find_payload<wi::KePayload>(*turn.payloads);
  const auto* sa_answer = wi::find_payload<wi::SaPayload>(*turn.payloads);
  const bool agreed = !sa_answer->proposals.empty() &&
                      !sa_answer->proposals[0].proposal.of(model::TransformType::kKeyExchange).empty() &&
                      sa_answer->proposals[0].proposal.of(model::TransformType::kKeyExchange)[0].id != 0;
  if (!agreed) {
    finish_child(turn, {});
    return Outcome::kNext;
  }
  if (ke == nullptr || !task.own || ke->group != task.group) {
    task.answer.clear();  // makes the answer unacceptable: the group agreed on has no public value
    finish_child(turn, {});
    return Outcome::kNext;
  }
  turn.world.order_job(sa, task.about, task.group, task.own, ke->data);
  return Outcome::kNext;
}

Outcome on_child_secret_ready(Turn& turn) {
  if (!turn.job->shared_secret) turn.sa->task->answer.clear();
  finish_child(turn, turn.job->shared_secret ? ByteView(*turn.job->shared_secret) : ByteView());
  return Outcome::kNext;
}

Outcome on_child_refused(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  request_answered(world, sa);
  auto& task = *sa.task;
  const auto& error = *wi::find_error_notify(*turn.payloads);
  const auto* old = task.about == About::kRekeyChild ? sa.find_child(task.child) : nullptr;
  const bool settled =
      is_given_up(sa) || (task.about == About::kRekeyChild && (old == nullptr || old->replaced_by.has_value()));
  if (settled) {
    // The peer rekeyed or deleted it while our request was on its way, or nobody wants it any more.
    task_done(world, sa);
    return Outcome::kNext;
  }
  if (error.type == wi::NotifyType::kTemporaryFailure && task.tries < kMostTemporaryFailures) {
    world.report(sa, Severity::kInfo, "temporary-failure",
                 sa.peer() + " is busy: asking again for the " + std::string(to_string(task.about)) + " in a moment");
    again_later(world, sa);
    return Outcome::kNext;
  }
  if (error.type == wi::NotifyType::kInvalidKePayload && try_other_group(world, sa, error)) return Outcome::kNext;
  if (task.about == About::kRekeyChild) {
    rekey_failed(world, sa, error);
    return Outcome::kNext;
  }
  if (task.collision && sa.find_child(task.collision->child) != nullptr) {
    want_succeeded(world, task.want, "child " + task.want.child + " is up (the peer was faster)");
  } else if (task.want.resource) {
    clone_refused(world, sa, error);
  } else {
    const auto why = explain_refusal(sa, error, task.offered, task.tsi, task.tsr);
    world.report(sa, Severity::kError, why.event, why.message);
    want_failed(world, std::move(task.want), why.message);
  }
  task_done(world, sa);
  return Outcome::kNext;
}

Outcome on_child_request(Turn& turn) {
  turn.sa->peer_request = PeerRequest{turn.header->message_id, *turn.payloads, About::kNewChild};
  answer_child_request(turn.world, *turn.sa, nullptr);
  return Outcome::kNext;
}

Outcome on_child_rekey_request(Turn& turn) {
  turn.sa->peer_request = PeerRequest{turn.header->message_id, *turn.payloads, About::kRekeyChild};
  answer_child_request(turn.world, *turn.sa, nullptr);
  return Outcome::kNext;
}

void answer_child_request(World& world, IkeSa& sa, const JobResult* job) {
  const auto request = std::move(*sa.peer_request);
  sa.peer_request.reset();
  // RFC 7296 section 2.25.2: "a request to create or rekey a Child SA when it is currently rekeying the IKE SA":
  // TEMPORARY_FAILURE.
  if (sa.doomed || (sa.task && sa.task->about == About::kRekeyIke))
    return answer(world, sa, request, refusal(wi::NotifyType::kTemporaryFailure));
  const auto old = find_rekeyed(world, sa, request.payloads);
  if (!old) {
    world.report(sa, Severity::kInfo, "child-rekey-declined",
                 "declined to rekey a child for " + sa.peer() + ": " + wi::to_string(old.error().type));
    return answer(world, sa, request, {old.error()});
  }
  auto terms = choose_child(world, sa, request.payloads, model::ChildKeyExchange::kNegotiate, *old);
  if (!terms) {
    ++world.counters.negotiations_failed;
    world.report(sa, Severity::kError, terms.error().event, terms.error().message);
    return answer(world, sa, request, refusal(terms.error().notify, terms.error().data));
  }
  if (*old != nullptr) {
    // RFC 9611 section 4: "the rekeyed Child SA should be bound to the same resource(s)".
    terms->resource = (*old)->resource;
  } else if (auto why = admit_clone(world, sa, request.payloads, *terms)) {
    ++world.counters.negotiations_failed;
    world.report(sa, Severity::kWarning, why->event, why->message);
    return answer(world, sa, request, refusal(why->notify));
  }
  // RFC 7296 section 1.3, NO_ADDITIONAL_SAS: "the responder is unwilling to accept any more Child SAs on this IKE
  // SA".
  if (*old == nullptr && !terms->resource && !has_room(sa, *terms->connection)) {
    world.report(sa, Severity::kError, "too-many-children",
                 sa.peer() + " has " + std::to_string(terms->connection->max_children) + " children of connection " +
                     terms->connection->name + " already and asks for another: write a larger max-children= if it may");
    return answer(world, sa, request, refusal(wi::NotifyType::kNoAdditionalSas));
  }
  if (*old != nullptr && !has_room_for_another(world, sa, **old))
    return answer(world, sa, request, refusal(wi::NotifyType::kTemporaryFailure));
  const auto group = terms->algorithms.group;
  if (group != model::KeGroup::kNone && job == nullptr) {
    const auto* ke = wi::find_payload<wi::KePayload>(request.payloads);
    if (ke == nullptr || ke->group != group) {
      Bytes wanted(2);
      store_be16(wanted.data(), static_cast<std::uint16_t>(group));
      return answer(world, sa, request, refusal(wi::NotifyType::kInvalidKePayload, std::move(wanted)));
    }
    world.order_job(sa, About::kPeerRequest, group, std::nullopt, ke->data);
    sa.peer_request = request;
    return;
  }
  if (job != nullptr && (!job->shared_secret || !job->own)) {
    world.report(sa, Severity::kError, "key-exchange-failed",
                 "the public value of " + sa.peer() + " is not sound: " + job->error);
    return answer(world, sa, request, refusal(wi::NotifyType::kInvalidSyntax));
  }
  const auto& peer_nonce = wi::find_payload<wi::NoncePayload>(request.payloads)->data;
  const auto nonce = world.random.bytes(kNonceOctets);
  const auto keys =
      derive_child_keys(terms->algorithms, sa.algorithms.prf, ByteView(sa.keys.d), ByteView(peer_nonce),
                        ByteView(nonce), group == model::KeGroup::kNone ? ByteView() : ByteView(*job->shared_secret));
  if (!keys) return answer(world, sa, request, refusal(wi::NotifyType::kNoProposalChosen));
  const Spi spi_in = world.new_esp_spi(*terms->connection);
  std::optional<Duration> standby;
  if (*old != nullptr)
    standby = kRekeyPatience;
  else if (terms->resource || has_twin(world, sa, *terms))  // a clone's head carries what there is, meanwhile
    standby = kTwinPatience;
  auto& fresh = install_child(
      world, sa, *terms, *keys,
      {.spi_in = spi_in, .standby = standby, .replaces = *old != nullptr ? std::optional((*old)->id) : std::nullopt});
  note_collision(world, sa, fresh, *old, peer_nonce, nonce);
  wi::Payloads reply = answer_child(*terms, spi_in);
  // In the order of RFC 7296 section 1.3.1: SA, Nr, [KEr], TSi, TSr.
  const auto after_sa = std::find_if(reply.begin(), reply.end(),
                                     [](const wi::Payload& p) { return std::holds_alternative<wi::SaPayload>(p); }) +
                        1;
  wi::Payloads middle{wi::NoncePayload{nonce}};
  if (group != model::KeGroup::kNone) middle.emplace_back(wi::KePayload{group, job->own->public_value});
  reply.insert(after_sa, middle.begin(), middle.end());
  const bool further = *old == nullptr;
  answer(world, sa, request, reply);
  // With its last child, the IKE SA of the peer may have become equal to one of ours.
  if (further && sa.state == State::kEstablished) drop_redundant(world, sa);
}

}  // namespace cygnet::ike::v2
