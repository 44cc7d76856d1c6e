// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/timers.h"

#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/auth.h"
#include "ike/v2/beside.h"
#include "ike/v2/clones.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/fragments.h"
#include "ike/v2/gateways.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/mobike.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// The data plane answers a question about use at once; if it does not, the peer is asked.
constexpr Duration kUsagePatience = std::chrono::seconds(1);

bool watches_peer(const IkeSa& sa) {
  return sa.state == State::kEstablished && !sa.outstanding && !sa.task && sa.connection &&
         sa.connection->dpd_delay_s != 0;
}

Instant liveness_due(const IkeSa& sa) {
  if (!watches_peer(sa)) return kNever;
  if (sa.usage_asked != kNever) return sa.usage_asked + kUsagePatience;
  // Up to a tenth early, each IKE SA another share of it: thousands that fell silent together are not asked together.
  const auto share = static_cast<std::int64_t>(sa.local_spi().value % 101);
  const Duration delay = std::chrono::seconds(sa.connection->dpd_delay_s);
  return sa.last_inbound + delay - delay / 1000 * share;
}

// The peer may not have our answer yet that made this child: it would not know what we are talking about.
bool too_early(const IkeSa& sa, const Task& task) {
  if (task.about == About::kRekeyIke) return sa.peer_request.has_value();  // RFC 7296 section 2.25.2
  if (task.about != About::kRekeyChild && task.about != About::kDeleteChild) return false;
  const auto* child = sa.find_child(task.child);
  return child != nullptr && child->activate_at != kNever;
}

// By the peer, whose request is being answered: what is asked for now would go down with this IKE SA, and waits for the
// new one.
bool is_being_rekeyed(const IkeSa& sa) { return sa.peer_request && sa.peer_request->about == About::kRekeyIke; }

Instant queue_due(const IkeSa& sa) {
  // A request on its way without a task was sent for a task that is gone: the queue waits for its end all the same.
  if (sa.state != State::kEstablished || sa.task || sa.outstanding || is_being_rekeyed(sa)) return kNever;
  Instant due = kNever;
  for (const auto& task : sa.queue) {
    if (!too_early(sa, task)) due = std::min(due, task.not_before);
  }
  return due;
}

Instant child_due(const ChildSa& child) {
  auto due = std::min({child.activate_at, child.remove_at});
  if (child.state != ChildState::kFading) due = std::min(due, child.expires_at);
  if (child.state == ChildState::kInstalled) due = std::min({due, child.rekey_at, child.clones_at});
  return due;
}

void gave_up(World& world, IkeSa& sa) {
  // The peer may be done with this IKE SA and never have seen our rekey: the one that its own made is asked next.
  if (yield_to_peers_rekey(world, sa)) return;
  if (outlives_silence(world, sa)) return;
  const auto& out = *sa.outstanding;
  const auto message = diagnosis::no_answer(sa.peer(), out.sent, world.now - out.first_sent, sa.path.marked);
  if (sa.state == State::kDeleting) {
    world.report(sa, Severity::kInfo, "delete-unanswered", sa.peer() + " did not confirm the end of the IKE SA");
    return end_sa(world, sa, sa.end_reason, Aftermath::kForget, sa.replaced_by.has_value());
  }
  const bool dead = sa.established != Instant{};
  world.report(sa, Severity::kError, dead ? "peer-dead" : "gave-up",
               (dead ? "giving the peer up: " : "giving up: ") + message);
  end_sa(world, sa, message, sa.doomed ? Aftermath::kForget : dead ? Aftermath::kPeerDead : Aftermath::kKeepUp);
}

void ask_for_rekey(World& world, IkeSa& sa, ChildSa& child) {
  child.rekey_at = kNever;
  Task task;
  task.about = About::kRekeyChild;
  task.child = child.id;
  sa.queue.push_back(std::move(task));
  world.touch(sa);
}

void on_child_timer(World& world, IkeSa& sa, ChildSa& child) {
  if (child.activate_at <= world.now) activate(world, sa, child);
  if (child.state == ChildState::kFading && child.remove_at <= world.now)
    return remove_child(world, sa, child.id, "rekeyed", true);
  if (child.state != ChildState::kFading && child.expires_at <= world.now) {
    world.report(sa, Severity::kWarning, "child-expired", "child " + child.name + " reached the end of its life");
    return close_child(world, sa, child, "its lifetime ended");
  }
  if (child.remove_at <= world.now) return close_child(world, sa, child, "rekeyed; the peer never deleted it");
  if (child.state == ChildState::kInstalled && child.clones_at <= world.now) ask_for_clones(world, sa, child);
  if (child.state == ChildState::kInstalled && child.rekey_at <= world.now) ask_for_rekey(world, sa, child);
}

void on_liveness_timer(World& world, IkeSa& sa) {
  const bool asked = sa.usage_asked != kNever;
  world.touch(sa);
  if (!asked) {
    // What made two IKE SAs of one pair equal may have happened while one of them was being rekeyed.
    if (sa.settled) drop_redundant(world, sa);
    if (sa.state != State::kEstablished || sa.doomed) return;
    for (const auto& child : sa.children) {
      if (!child->usable()) continue;
      world.act(QueryUsage{child->id, child->spi_in});
      sa.usage_asked = world.now;
    }
    if (sa.usage_asked != kNever) return;
  }
  sa.usage_asked = kNever;
  check_liveness(world, sa);
}

void on_lifetime_timer(World& world, IkeSa& sa) {
  if (sa.authenticated_until <= world.now) {
    const std::string reason = "the ends did not prove themselves anew in time (reauth=, RFC 4478)";
    world.report(sa, Severity::kWarning, "auth-expired", "the IKE SA with " + sa.peer() + " ends: " + reason);
    return delete_ike_sa(world, sa, reason, Aftermath::kKeepUp);
  }
  if (sa.expires_at <= world.now) {
    // Once: the Delete may have to wait for the request under way.
    sa.expires_at = sa.rekey_at = kNever;
    world.report(sa, Severity::kWarning, "ike-expired",
                 "the IKE SA with " + sa.peer() + " reached the end of its life");
    return delete_ike_sa(world, sa, "its lifetime ended", Aftermath::kKeepUp);
  }
  if (sa.failback_at <= world.now) try_first_gateway(world, sa);
  if (sa.reauth_at <= world.now) {
    sa.reauth_at = kNever;
    const bool unheard = sa.unheard_since != kNever;
    (void)begin_beside(world, sa, {unheard ? "because this one gets no answer" : "to authenticate again", false, {}});
  }
  if (sa.rekey_at <= world.now) {
    sa.rekey_at = kNever;
    Task task;
    task.about = About::kRekeyIke;
    sa.queue.push_back(std::move(task));
  }
}

// Nothing is left to be asked for now: what the IKE SA was made for is there.
void settle(World& world, IkeSa& sa) {
  settle_beside(world, sa);
  if (sa.settled || !sa.queue.empty() || sa.state != State::kEstablished || sa.doomed || !sa.stands_in_for.is_zero())
    return;
  sa.settled = true;
  if (sa.began_here) drop_redundant(world, sa);
}

}  // namespace

void close_child(World& world, IkeSa& sa, const ChildSa& child, const std::string& reason) {
  const ChildSa copy = child;
  const bool replaced = child.replaced_by.has_value();
  Task task;
  task.about = About::kDeleteChild;
  task.orphan_spi = child.spi_in;
  task.orphan_is_ah = child.algorithms.is_ah();
  sa.queue.push_back(std::move(task));
  remove_child(world, sa, copy.id, reason, replaced);
  if (replaced) return;
  close_orphans(world, sa, copy);
  after_child_loss(world, copy, Aftermath::kKeepUp);
}

Instant next_due(const IkeSa& sa) {
  auto due = std::min({sa.give_up_at, liveness_due(sa), fragments_due(sa)});
  if (sa.outstanding) due = std::min(due, sa.outstanding->retransmit_at);
  if (sa.state == State::kEstablished)
    due = std::min(
        {due, sa.rekey_at, sa.expires_at, sa.reauth_at, sa.failback_at, sa.authenticated_until, queue_due(sa)});
  for (const auto& child : sa.children) due = std::min(due, child_due(*child));
  return due;
}

void on_sa_timer(World& world, IkeSa& sa) {
  world.touch(sa);
  drop_stale_fragments(world, sa);
  if (sa.outstanding && sa.outstanding->retransmit_at <= world.now) {
    if (!retransmit(world, sa)) return gave_up(world, sa);
    // Before anything is given up it will be asked whether the children are heard.
    if (sa.state == State::kEstablished && sa.outstanding->sent > 2) ask_usage(world, sa);
  }
  if (sa.give_up_at <= world.now) {
    if (sa.state == State::kInitSent) return end_sa(world, sa, sa.handshake->refusal, Aftermath::kKeepUp);
    if (sa.state == State::kProving || sa.state == State::kVerifying) {
      const std::string message =
          "whoever holds the keys did not answer in time: is the keys process there (cygnet doctor)?";
      world.report(sa, Severity::kError, "keys-silent", message);
      return end_sa(world, sa, message, Aftermath::kKeepUp);
    }
    if (sa.state == State::kRekeyed) {
      sa.give_up_at = kNever;
      return delete_ike_sa(world, sa,
                           sa.end_reason.empty() ? "rekeyed; the peer never deleted it" : std::string(sa.end_reason),
                           Aftermath::kForget);
    }
    if (!sa.end_reason.empty()) return end_sa(world, sa, sa.end_reason, Aftermath::kForget);  // refused, as was said
    world.report(sa, Severity::kInfo, "half-open-expired", sa.peer() + " began an IKE SA and did not go on");
    return end_sa(world, sa, "the peer did not go on", Aftermath::kForget);
  }
  std::vector<model::ChildId> ids;
  for (const auto& child : sa.children) {
    if (child_due(*child) <= world.now) ids.push_back(child->id);
  }
  for (const auto id : ids) {
    if (auto* child = sa.find_child(id)) on_child_timer(world, sa, *child);
  }
  if (!ids.empty()) world.checkpoint(sa);
  if (sa.state != State::kEstablished) return;
  on_lifetime_timer(world, sa);
  if (sa.state != State::kEstablished) return;
  start_next_task(world, sa);
  if (liveness_due(sa) <= world.now) on_liveness_timer(world, sa);
}

void note_life(World& world, IkeSa& sa, Instant when) {
  if (when > sa.last_inbound) {
    sa.last_inbound = when;
    sa.usage_asked = kNever;
  }
  world.touch(sa);
}

void note_usage(World& world, IkeSa& sa, model::ChildId id, Instant last_inbound, Instant last_outbound) {
  note_life(world, sa, last_inbound);
  auto* child = sa.find_child(id);
  if (child == nullptr) return;
  child->last_inbound = std::max(child->last_inbound, last_inbound);
  check_child(world, sa, *child, last_outbound);
}

void check_liveness(World& world, IkeSa& sa) {
  if (sa.state != State::kEstablished || sa.outstanding || sa.task) return;
  Task task;
  task.about = About::kLiveness;
  sa.queue.push_front(std::move(task));
  start_next_task(world, sa);
}

void on_child_expiring(World& world, IkeSa& sa, model::ChildId id, bool hard) {
  auto* child = sa.find_child(id);
  if (child == nullptr || sa.state != State::kEstablished) return;
  if (hard) {
    if (child->state == ChildState::kFading) return;
    world.report(sa, Severity::kWarning, "child-expired", "child " + child->name + " reached a limit of its lifetime");
    close_child(world, sa, *child, "its lifetime ended");
    return start_next_task(world, sa);
  }
  const auto asked = [&](const Task& t) { return t.about == About::kRekeyChild && t.child == id; };
  const auto& connection = *child->connection;
  if (!child->usable() || !connection.rekey || !connection.rekey_children || (sa.task && asked(*sa.task)) ||
      std::any_of(sa.queue.begin(), sa.queue.end(), asked))
    return;
  ask_for_rekey(world, sa, *child);
  start_next_task(world, sa);
}

void on_child_refused(World& world, IkeSa& sa, model::ChildId id, const std::string& why) {
  auto* child = sa.find_child(id);
  if (child == nullptr || sa.state != State::kEstablished || child->state == ChildState::kFading) return;
  close_child(world, sa, *child, why);
  start_next_task(world, sa);
}

void plan_lifetime(World& world, IkeSa& sa) {
  sa.rekey_at = sa.expires_at = kNever;
  if (!sa.connection || sa.connection->ike_lifetime_s == 0) return;
  sa.expires_at = world.now + std::chrono::seconds(sa.connection->ike_lifetime_s);
  if (sa.connection->reauth) {
    // A rekey by the peer does not make the proof any younger.
    if (sa.authenticated_until != kNever) return;
    sa.authenticated_until = sa.expires_at;
    if (sa.began_here && sa.connection->rekey)
      sa.reauth_at = world.now + soft_life(world, *sa.connection, sa.connection->ike_lifetime_s);
    return;
  }
  if (sa.connection->rekey) sa.rekey_at = world.now + soft_life(world, *sa.connection, sa.connection->ike_lifetime_s);
}

void start_next_task(World& world, IkeSa& sa) {
  if (sa.state != State::kEstablished || sa.task || sa.outstanding) return;
  if (sa.doomed) return send_ike_delete(world, sa);
  if (is_being_rekeyed(sa)) return;
  const auto ready = std::find_if(sa.queue.begin(), sa.queue.end(),
                                  [&](const Task& t) { return t.not_before <= world.now && !too_early(sa, t); });
  if (ready == sa.queue.end()) return settle(world, sa);
  sa.task = std::move(*ready);
  sa.queue.erase(ready);
  world.touch(sa);
  auto& task = *sa.task;
  switch (task.about) {
    case About::kNewChild:
      if (task.want.resource && find_head(sa, task.want) == nullptr) break;
      if (!sa.serves(task.want)) return begin_child_task(world, sa);
      want_succeeded(world, task.want, "child " + task.want.child + " is up already");
      break;
    case About::kRekeyChild: {
      const auto* child = sa.find_child(task.child);
      if (child != nullptr && child->usable()) return begin_child_task(world, sa);
      break;
    }
    case About::kRekeyIke: return begin_ike_rekey_task(world, sa);
    case About::kDeleteChild: {
      auto* child = sa.find_child(task.child);
      if (child == nullptr && task.orphan_spi.is_zero()) break;
      if (child != nullptr) remove_outbound(world, *child);
      wi::DeletePayload payload;
      // RFC 7296 section 3.11: "Deletion of a Child SA, such as ESP or AH, will contain the IPsec protocol ID of that
      // protocol".
      payload.protocol = child != nullptr    ? child->algorithms.protocol()
                         : task.orphan_is_ah ? model::Protocol::kAh
                                             : model::Protocol::kEsp;
      payload.spis.push_back(child != nullptr ? child->spi_in : task.orphan_spi);
      return send_request(world, sa, wi::ExchangeType::kInformational, {std::move(payload)});
    }
    case About::kLiveness: {
      world.report(sa, Severity::kDebug, "liveness-sent", "asking " + sa.peer() + " for a sign of life");
      auto payloads = liveness_payloads(world, sa);
      // RFC 7296 section 1.5: "The Notification Data contains the SPI of the invalid packet."
      if (!task.orphan_spi.is_zero()) {
        Bytes spi(4);
        store_be32(spi.data(), task.orphan_spi.value);
        payloads.emplace_back(notify(wi::NotifyType::kInvalidSpi, std::move(spi)));
      }
      return send_request(world, sa, wi::ExchangeType::kInformational, payloads);
    }
    case About::kToken: {
      wi::Payloads payloads;
      add_crash_token(world, sa, payloads);
      return send_request(world, sa, wi::ExchangeType::kInformational, payloads);
    }
    case About::kUpdateAddresses: return send_address_update(world, sa);
    case About::kRoutability: return send_routability_check(world, sa);
    default: break;
  }
  sa.task.reset();
  start_next_task(world, sa);
}

}  // namespace cygnet::ike::v2
