// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/lifecycle.h"

#include <algorithm>

#include "ike/v2/beside.h"
#include "ike/v2/configuration.h"
#include "ike/v2/fragments.h"
#include "ike/v2/gate.h"
#include "ike/v2/gateways.h"
#include "ike/v2/handlers.h"
#include "ike/v2/match.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/request.h"
#include "ike/v2/serialize_state.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr Duration kFirstRetry = std::chrono::seconds(2);
constexpr Duration kLongestRetry = std::chrono::seconds(60);
// Ten thousand connections that all start at once come up soonest, and keep nobody waiting, a few at a time: both ends
// then work on handshakes that end, and not on ones that were given up. Those that a person asks for do not wait.
constexpr std::size_t kMostInitiating = 128;
// Long enough for what is queued between wire and engine; the peer stopped sending before it said so.
constexpr Duration kFade = std::chrono::seconds(5);

const model::Child* child_config(const ChildWant& want) {
  for (const auto& child : want.connection->children) {
    if (child.name == want.child) return &child;
  }
  return nullptr;
}

Duration backoff(World& world, std::uint32_t tries) {
  auto delay = kFirstRetry;
  for (std::uint32_t i = 0; i < tries && delay < kLongestRetry; ++i) delay *= 2;
  return jitter(world.random, std::min(delay, kLongestRetry), 25);
}

bool already_up(const World& world, const ChildWant& want) {
  const auto sas = world.sas_of(want.connection->name);
  return std::any_of(sas.begin(), sas.end(), [&](const IkeSa* sa) {
    return (sa->state == State::kEstablished || sa->state == State::kRekeyed) && sa->serves(want);
  });
}

bool is_up_without_it(const World& world, ChildWant want) {
  if (!want.narrow_to) return false;
  want.narrow_to.reset();
  return already_up(world, want);
}

void forget_data_plane(World& world, ChildSa& child) {
  remove_outbound(world, child);
  world.act(RemoveSa{model::Direction::kInbound, child.spi_in, child.id});
  world.esp_spis.erase(child.spi_in);
  world.child_owner.erase(child.id);
  world.claims.remove(child.id, child.remote);
}

// The IKE SA that carries on what this child carried; null: none.
IkeSa* heir_of(World& world, const IkeSa& sa, const ChildSa& child, bool lives_on) {
  if (lives_on) {
    const auto* twin = find_twin(world, sa, child);
    return twin == nullptr ? nullptr : world.find_owner(twin->id);
  }
  return sa.replaced_by && child.announced_down ? world.find_sa(*sa.replaced_by) : nullptr;
}

// The IKE SA goes and its child with it, but what the peer sent before it knew may still be on its way: the child fades
// under the IKE SA that carries on.
void bequeath(World& world, IkeSa& heir, std::unique_ptr<ChildSa> child, const std::string& reason) {
  auto& taken = *child;
  world.child_owner[taken.id] = heir.local_spi();
  heir.children.push_back(std::move(child));
  fade_child(world, heir, taken, reason, true);
  world.checkpoint(heir);
}

// What the configuration holds packets for anyway needs no word.
void hold_after_loss(World& world, const ChildSa& child, Aftermath aftermath) {
  if (aftermath != Aftermath::kPeerDead && aftermath != Aftermath::kPeerRestarted) return;
  if (!child.connection || child.resource || world.find_connection(child.connection->name) != child.connection) return;
  const auto action = child.connection->dpd_action;
  const auto* config = child.config();
  if (config == nullptr || config->start != model::StartAction::kAdd) return;
  // A peer that comes from anywhere brings it up again. Where each of many has a part of what is written, what one had
  // is not held for all of them.
  if (!can_initiate(*child.connection) && (config->remote.empty() || !model::covers(child.remote, config->remote)))
    return;
  if (action != model::DeadPeerAction::kHold && action != model::DeadPeerAction::kRestart) return;
  world.act(HoldChild{child.connection->name, child.name});
}

void drop_child(World& world, IkeSa& sa, const std::string& reason, Aftermath aftermath) {
  auto owned = std::move(sa.children.back());
  sa.children.pop_back();
  auto& child = *owned;
  const bool mattered = child.usable() && !child.announced_down;
  // The same child on a newer IKE SA carries on: there is nothing to mourn.
  const bool lives_on = mattered && use_twin(world, sa, child);
  auto* heir = heir_of(world, sa, child, lives_on);
  if (heir != nullptr && heir != &sa && heir->state == State::kEstablished)
    return bequeath(world, *heir, std::move(owned), reason);
  if (mattered && !lives_on) hold_after_loss(world, child, aftermath);
  forget_data_plane(world, child);
  announce_down(world, child, reason, lives_on);
  if (mattered && !lives_on) after_child_loss(world, child, aftermath);
}

void uncount(World& world, IkeSa& sa) {
  if (sa.counted) --world.counters.established;
  sa.counted = false;
}

void fail_wants(World& world, IkeSa& sa, const std::string& reason, bool may_retry) {
  std::vector<ChildWant> wants;
  if (sa.handshake) {
    world.esp_spis.erase(sa.handshake->child_spi);
    for (auto& want : sa.handshake->wants)
      if (!want.given_up) wants.push_back(std::move(want));
    sa.handshake->wants.clear();
  }
  const auto take = [&](Task& task) {
    if (!task.new_spi.is_zero()) world.esp_spis.erase(task.new_spi);
    if (task.about == About::kNewChild) wants.push_back(std::move(task.want));
  };
  // An IKE SA that is being made by a rekey must be known, or it could not be deleted.
  const bool successor_coming = sa.alive() && sa.task && sa.task->about == About::kRekeyIke && !sa.task->nonce.empty();
  if (sa.task) take(*sa.task);
  for (auto& task : sa.queue) take(task);
  if (!successor_coming) sa.task.reset();
  sa.queue.clear();
  for (auto& want : wants) {
    // What was asked of a new IKE SA beside it the old one still has.
    if (sa.made_beside && is_up_without_it(world, want)) continue;
    want_failed(world, std::move(want), reason, may_retry);
  }
}

}  // namespace

IkeSa* begin_ike_sa(World& world, ChildWant want) {
  const auto connection = want.connection;
  auto sa = std::make_unique<IkeSa>();
  sa->initiator = sa->began_here = true;
  sa->spi_i = world.new_ike_spi();
  sa->connection = connection;
  sa->path = path_of(world, *connection);
  sa->local_id = own_identity(*connection, sa->path.local.address);
  sa->state = State::kInitGenerating;
  sa->handshake = std::make_unique<Handshake>();
  auto& h = *sa->handshake;
  h.offered = connection->proposals;
  const auto groups = model::groups_of(h.offered);
  const auto child = want.child;
  if (groups.empty()) {
    want_failed(world, std::move(want), "connection " + connection->name + " has no key exchange group in ike=", false);
    return nullptr;
  }
  h.group = groups.front();
  h.groups_tried.push_back(h.group);
  h.wants.push_back(std::move(want));
  auto& added = world.add_sa(std::move(sa));
  world.report(added, Severity::kInfo, "initiating",
               "initiating " + connection->name + " to " + added.peer() + " for child " + child);
  world.order_job(added, About::kInit, h.group, std::nullopt, std::nullopt);
  return &added;
}

void want_child(World& world, ChildWant want) {
  const auto* child = child_config(want);
  if (child == nullptr) return want_failed(world, std::move(want), "no such child", false);
  // What was to come back until it is up still is, whoever asks for it meanwhile and fails.
  for (const auto& waiting : world.retries.take(want.connection->name, want.child))
    want.keep_trying = want.keep_trying || waiting.keep_trying;
  if (already_up(world, want)) return want_succeeded(world, want, "child " + want.child + " is up already");
  if (!can_initiate(*want.connection)) {
    const auto& host = want.connection->remote.host;
    const bool name = host.kind == model::HostSpec::Kind::kName;
    return want_failed(world, std::move(want),
                       name ? "the address of " + host.name + " is not known yet: does the name resolve?"
                            : "the peer's address is not known (right=%any): only the peer can bring this up",
                       name);
  }
  auto* sa = find_shared_sa(world, *want.connection);
  if (sa == nullptr) {
    (void)begin_ike_sa(world, std::move(want));
    return;
  }
  if (auto* same = sa->find_want(want.connection->name, want.child)) {  // its InitiationDone is still to come
    same->keep_trying = same->keep_trying || want.keep_trying;
    return;
  }
  world.touch(*sa);
  if (sa->handshake) {
    sa->handshake->wants.push_back(std::move(want));
    return;
  }
  Task task;
  task.about = About::kNewChild;
  task.want = std::move(want);
  sa->queue.push_back(std::move(task));
  start_next_task(world, *sa);
}

void want_succeeded(World& world, const ChildWant& want, const std::string& message) {
  if (want.resource || want.given_up) return;  // nobody asked for it by name, or does any more
  world.retries.drop(want.connection->name, want.child);
  world.act(InitiationDone{want.connection->name, want.child, true, false, message});
}

void want_failed(World& world, ChildWant want, const std::string& message, bool may_retry) {
  if (want.given_up) return;  // that was said when it was given up
  ++world.counters.negotiations_failed;
  if (want.resource) return;  // ask_for_clones() looks after it
  // What is up is not taken for down because of one packet, and nobody waits for it: the next one asks again.
  if (is_up_without_it(world, want)) {
    const auto& [local, remote] = *want.narrow_to;
    world.act(InitiationDone{
        .connection = want.connection->name, .child = want.child, .message = message, .refused_packet = remote});
    return;
  }
  const auto* child = child_config(want);
  ++want.tries;
  const auto tries = want.connection->keying_tries;
  const bool persistent = child != nullptr && (child->start == model::StartAction::kStart || want.keep_trying);
  const bool loaded = world.find_connection(want.connection->name) == want.connection;
  const bool again = may_retry && persistent && loaded && (tries == 0 || want.tries < tries);
  std::string text = message;
  if (again) {
    const auto delay = backoff(world, want.tries - 1);
    text +=
        "; trying again in " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(delay).count()) + " s";
    world.act(InitiationDone{want.connection->name, want.child, false, true, text});
    try_later(world, std::move(want), delay);
    return;
  }
  world.act(InitiationDone{want.connection->name, want.child, false, false, text});
}

void try_later(World& world, ChildWant want, Duration delay) {
  const auto at = world.now + delay;
  world.retries.put(std::move(want), at);
}

void run_retries(World& world) {
  const auto free = kMostInitiating - std::min(world.initiating, kMostInitiating);
  for (auto& want : world.retries.take_due(world.now, free)) want_child(world, std::move(want));
}

// With as many on their way as may be, the end of one of them is what the others wait for.
Instant next_retry(const World& world) { return world.initiating >= kMostInitiating ? kNever : world.retries.next(); }

void remove_outbound(World& world, ChildSa& child) {
  if (!child.outbound_installed) return;
  child.outbound_installed = false;
  world.act(RemoveSa{model::Direction::kOutbound, child.spi_out, child.id});
}

void announce_down(World& world, ChildSa& child, const std::string& reason, bool replaced) {
  if (child.announced_down) return;
  child.announced_down = true;
  world.act(ChildDown{child.connection->name, child.name, child.id, replaced, reason});
}

void remove_child(World& world, IkeSa& sa, model::ChildId id, const std::string& reason, bool replaced) {
  auto* child = sa.find_child(id);
  if (child == nullptr) return;
  forget_data_plane(world, *child);
  announce_down(world, *child, reason, replaced);
  std::erase_if(sa.children, [&](const auto& c) { return c->id == id; });
  world.touch(sa);
}

void fade_child(World& world, IkeSa& sa, ChildSa& child, const std::string& reason, bool replaced) {
  remove_outbound(world, child);
  announce_down(world, child, reason, replaced);
  child.state = ChildState::kFading;
  child.remove_at = world.now + kFade;
  child.rekey_at = child.expires_at = child.activate_at = kNever;
  world.touch(sa);
}

void activate(World& world, IkeSa& sa, ChildSa& child) {
  if (child.activate_at == kNever) return;
  child.activate_at = kNever;
  world.touch(sa);
  if (child.outbound_installed) world.act(ActivateChild{child.id});
}

void after_child_loss(World& world, const ChildSa& child, Aftermath aftermath) {
  if (aftermath == Aftermath::kForget || !child.connection || child.resource) return;
  ChildWant want;
  want.connection = world.find_connection(child.connection->name);
  want.child = child.name;
  // After a reload the new configuration decides, and it was asked already.
  if (want.connection != child.connection) return;
  const auto* config = child.config();
  const bool keep_up = config != nullptr && config->start == model::StartAction::kStart;
  const bool restarted = aftermath == Aftermath::kPeerRestarted;
  const bool restart = (aftermath == Aftermath::kPeerDead || restarted) &&
                       child.connection->dpd_action == model::DeadPeerAction::kRestart;
  if ((!keep_up && !restart) || !can_initiate(*child.connection)) return;
  want.keep_trying = true;
  const auto sas = world.sas_of(child.connection->name);
  if (std::ranges::any_of(sas,
                          [&](const IkeSa* sa) { return sa->state == State::kEstablished && sa->has_sibling(child); }))
    want.narrow_to = child.some_packet();
  try_later(world, std::move(want), restarted ? Duration(0) : jitter(world.random, std::chrono::seconds(1), 50));
}

bool is_half_open(const IkeSa& sa) {
  if (sa.initiator) return false;
  return sa.state == State::kAnswering || sa.state == State::kInitAnswered || sa.state == State::kInitGuarded ||
         sa.state == State::kGuardDeriving || sa.state == State::kVerifying || sa.state == State::kProving;
}

void end_sa(World& world, IkeSa& sa, const std::string& reason, Aftermath aftermath, bool replaced) {
  if (!sa.alive()) return;
  drop_fragments(world, sa);
  const bool was_up = sa.established != Instant{};
  if (!sa.stands_in_for.is_zero()) beside_ended(world, sa);
  std::vector<ChildWant> elsewhere;
  if (was_up ? aftermath == Aftermath::kPeerDead : aftermath != Aftermath::kForget)
    elsewhere = leave_gateway(world, sa, was_up);
  if (is_half_open(sa)) {
    leave_half_open(world, sa);
  }
  uncount(world, sa);
  sa.state = State::kDead;
  sa.outstanding.reset();
  sa.end_reason = reason;
  while (!sa.children.empty()) drop_child(world, sa, reason, aftermath);
  give_addresses_back(world, sa);
  fail_wants(world, sa, reason, aftermath != Aftermath::kForget);
  for (auto& want : elsewhere) want_child(world, std::move(want));
  if (was_up) {
    world.act(IkeDown{sa.name(), sa.spi_i, sa.spi_r, replaced, reason});
    world.act(DropCheckpoint{checkpoint_key(sa)});
  }
  world.touch(sa);
}

void delete_ike_sa(World& world, IkeSa& sa, const std::string& reason, Aftermath aftermath) {
  if (sa.state == State::kDead || sa.state == State::kDeleting || sa.doomed) return;
  if (sa.state != State::kEstablished && sa.state != State::kRekeyed) return end_sa(world, sa, reason, aftermath);
  // What a newer IKE SA has taken over receives here until the peer confirms.
  const bool only_drains = sa.replaced_by && std::none_of(sa.children.begin(), sa.children.end(), [](const auto& c) {
                             return c->usable() || c->outbound_installed;
                           });
  while (!only_drains && !sa.children.empty()) drop_child(world, sa, reason, aftermath);
  fail_wants(world, sa, reason, aftermath != Aftermath::kForget);
  sa.end_reason = reason;
  sa.rekey_at = sa.expires_at = sa.reauth_at = sa.authenticated_until = kNever;
  uncount(world, sa);
  world.report(sa, Severity::kInfo, "ike-delete-sent", "deleting the IKE SA with " + sa.peer() + ": " + reason);
  world.touch(sa);
  if (sa.outstanding || sa.task) {
    // A peer whose window is one looks at no later request before it has seen this one.
    sa.doomed = true;
    world.checkpoint(sa);
    return;
  }
  send_ike_delete(world, sa);
}

void send_ike_delete(World& world, IkeSa& sa) {
  sa.doomed = false;
  sa.state = State::kDeleting;
  Task task;
  task.about = About::kDeleteIke;
  sa.task = std::move(task);
  wi::DeletePayload payload;
  payload.protocol = model::Protocol::kIke;
  send_request(world, sa, wi::ExchangeType::kInformational, {payload});
}

void hand_over_to_afresh(World& world, IkeSa& old, IkeSa& fresh, const std::string& reason) {
  for (auto& owned : std::exchange(old.children, {})) {
    auto& child = *owned;
    if (!child.usable() || child.announced_down) {
      old.children.push_back(std::move(owned));
      continue;
    }
    world.child_owner[child.id] = fresh.local_spi();
    fresh.children.push_back(std::move(owned));
    after_child_loss(world, child, Aftermath::kKeepUp);
    fade_child(world, fresh, child, reason, false);
  }
}

void inherit(World& world, IkeSa& from, IkeSa& to) {
  for (auto& child : from.children) {
    world.child_owner[child->id] = to.local_spi();
    to.children.push_back(std::move(child));
  }
  from.children.clear();
  for (auto& task : from.queue) to.queue.push_back(std::move(task));
  from.queue.clear();
  if (!from.assigned.addresses.empty()) to.assigned = std::exchange(from.assigned, {});
  to.doomed = from.doomed;
  if (from.doomed) to.end_reason = from.end_reason;
  from.doomed = false;
  from.replaced_by = to.local_spi();
  // What an older one still receives fades under `to` then.
  for (auto* older : world.sas_between(from.local_id, from.remote_id)) {
    if (older->replaced_by == from.local_spi()) older->replaced_by = to.local_spi();
  }
  if (to.mobility.unproven) {
    // The check of the peer's address died with the old IKE SA.
    Task check;
    check.about = About::kRoutability;
    to.queue.push_front(std::move(check));
  }
  follow_beside(world, from, to);
  // An older collision is still to be settled with `from`: with `to` then, which lives on in its place.
  if (auto* rival = world.find_sa(from.rival_of); rival != nullptr && rival != &to) {
    if (rival->task && rival->task->collision && rival->task->collision->ike_spi == from.local_spi()) {
      rival->task->collision->ike_spi = to.local_spi();
      to.rival_of = from.rival_of;
    }
  }
  world.touch(from);
  world.touch(to);
}

}  // namespace cygnet::ike::v2
