// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/beside.h"

#include <algorithm>
#include <set>
#include <utility>

#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// What is on its way under the old SAs has arrived by then.
constexpr Duration kDrain = std::chrono::seconds(1);
constexpr Duration kNextAttempt = std::chrono::seconds(20);
constexpr Duration kHeardLately = std::chrono::seconds(20);  // retransmissions ask at least every 15 s
constexpr std::uint32_t kShortestAuthLifetime = 10;          // seconds

std::vector<ChildWant> wants_of(const World& world, const IkeSa& sa) {
  std::vector<ChildWant> out;
  for (const auto& child : sa.children) {
    if (!child->usable() || world.find_connection(child->connection->name) != child->connection) continue;
    if (child->config() == nullptr || child->resource) continue;
    ChildWant want;
    want.connection = child->connection;
    want.child = child->name;
    if (sa.has_sibling(*child)) want.narrow_to = child->some_packet();
    out.push_back(std::move(want));
  }
  // The IKE SA's own connection first: it decides how the ends prove who they are.
  std::stable_partition(out.begin(), out.end(), [&](const ChildWant& w) { return w.connection == sa.connection; });
  return out;
}

// Whether a child goes on with the new IKE SA. Where several have parts of it, each of them must.
bool lives_on_with(const IkeSa& fresh, const IkeSa& old, const ChildSa& child) {
  // What the peer assigns may be another address now.
  const bool whole = !old.has_sibling(child) || child.connection->local.requests_address();
  return std::ranges::any_of(fresh.children, [&](const auto& c) {
    return c->serves(child.connection->name, child.name) &&
           (whole || (model::covers(c->local, child.local) && model::covers(c->remote, child.remote)));
  });
}

struct Wanted {
  const std::string& connection;
  const std::string& child;
  const model::TrafficSelectors& local;
  const model::TrafficSelectors& remote;
};

ChildSa* twin_of(const World& world, const IkeSa& sa, const Wanted& wanted) {
  for (auto* other : world.sas_between(sa.local_id, sa.remote_id)) {
    if (other == &sa || other->state != State::kEstablished || other->local_id != sa.local_id ||
        other->remote_id != sa.remote_id)
      continue;
    // RFC 7619 section 2.1: nobodies are not one peer; only what we began both times is surely ours.
    if (sa.remote_id.type == model::IdType::kNull && !(sa.began_here && other->began_here)) continue;
    for (const auto& c : other->children) {
      if (c->usable() && c->name == wanted.child && c->connection->name == wanted.connection &&
          c->local == wanted.local && c->remote == wanted.remote)
        return c.get();
    }
  }
  return nullptr;
}

// Children that were still to be made under the old IKE SA are made under the new one, also the one that is being asked
// for: whatever becomes of that exchange goes down with the old IKE SA.
void hand_over_wants(IkeSa& old, IkeSa& fresh) {
  const auto take = [&](const Task& task) {
    // Clones (RFC 9611) follow their child.
    if (task.about != About::kNewChild || task.want.resource || fresh.serves(task.want)) return;
    Task again;
    again.about = About::kNewChild;
    again.want = task.want;
    fresh.queue.push_back(std::move(again));
  };
  if (old.task) take(*old.task);
  for (const auto& task : old.queue) take(task);
  old.queue.clear();
}

// Traffic goes on over the new IKE SA; the old children receive until the peer has confirmed their end.
void retire(World& world, IkeSa& old, IkeSa& fresh) {
  // Before any of them goes, for several may be parts of one.
  std::set<model::ChildId> living;
  for (const auto& child : old.children) {
    if (lives_on_with(fresh, old, *child)) living.insert(child->id);
  }
  for (const auto& child : old.children) {
    if (!child->usable()) continue;
    const bool lives_on = living.contains(child->id);
    remove_outbound(world, *child);
    announce_down(world, *child, lives_on ? "its IKE SA was replaced" : "the new IKE SA did not get it", lives_on);
    if (!lives_on) after_child_loss(world, *child, Aftermath::kKeepUp);
    child->state = ChildState::kRekeyed;
    child->rekey_at = child->expires_at = child->activate_at = kNever;
  }
  hand_over_wants(old, fresh);
  old.replaced_by = fresh.local_spi();
  // What was itself to replace an older one leaves that to its successor.
  old.stand_in = IkeSpi();
  fresh.stands_in_for = std::exchange(old.stands_in_for, IkeSpi());
  if (auto* elder = world.find_sa(fresh.stands_in_for)) elder->stand_in = fresh.local_spi();
  old.end_reason = "replaced by a new IKE SA";
  old.rekey_at = old.expires_at = old.reauth_at = old.authenticated_until = kNever;
  if (old.counted) --world.counters.established;
  old.counted = false;
  if (old.unheard_since != kNever) {
    // The peer's own rekey of it came through, ours did not: nothing will be settled any more between the two.
    auto* rival = old.task && old.task->collision ? world.find_sa(old.task->collision->ike_spi) : nullptr;
    if (rival != nullptr && rival != &fresh)
      delete_ike_sa(world, *rival, "replaced by a new IKE SA", Aftermath::kForget);
    old.outstanding.reset();
    old.task.reset();
    old.own_job = 0;
  }
  if (old.task || old.outstanding) {
    old.doomed = true;
  } else {
    old.state = State::kRekeyed;
    old.give_up_at = world.now + kDrain;
  }
  world.report(fresh, Severity::kNotice, "ike-replaced",
               "the new IKE SA with " + fresh.peer() + " carries everything: deleting the old one");
  world.touch(old);
  world.checkpoint(fresh);
  world.checkpoint(old);
}

}  // namespace

bool begin_beside(World& world, IkeSa& old, const Beside& how) {
  if (old.state != State::kEstablished || old.doomed || !old.connection || !can_initiate(*old.connection)) return false;
  if (world.find_sa(old.stand_in) != nullptr) return true;
  // RFC 7296 section 2.19: whoever wants an address asks for it. A peer that has one from us must come by itself.
  if (old.assigned.by_us && !old.assigned.addresses.empty()) return false;
  auto wants = wants_of(world, old);
  if (wants.empty()) return false;
  world.report(old, Severity::kNotice, "ike-beside",
               "making a new IKE SA with " + old.peer() + " beside this one " + how.why);
  auto* fresh = begin_ike_sa(world, std::move(wants.front()));
  if (fresh == nullptr) return false;
  for (std::size_t i = 1; i < wants.size(); ++i) fresh->handshake->wants.push_back(std::move(wants[i]));
  fresh->path.remote.address = how.remote.value_or(old.path.remote.address);
  fresh->path.local.address = old.path.local.address.family() == fresh->path.remote.address.family()
                                  ? old.path.local.address
                                  : local_address_of(world, *old.connection, fresh->path.remote.address);
  fresh->force_encapsulation = how.force_encapsulation;
  fresh->stands_in_for = old.local_spi();
  fresh->made_beside = true;
  old.stand_in = fresh->local_spi();
  world.touch(old);
  return true;
}

void settle_beside(World& world, IkeSa& fresh) {
  if (fresh.stands_in_for.is_zero() || fresh.state != State::kEstablished || fresh.handshake || fresh.task ||
      fresh.doomed)
    return;
  const auto asks = [](const Task& t) { return t.about == About::kNewChild; };
  if (std::any_of(fresh.queue.begin(), fresh.queue.end(), asks)) return;
  auto* old = world.find_sa(fresh.stands_in_for);
  if (old == nullptr || old->state != State::kEstablished || old->doomed) {
    fresh.stands_in_for = IkeSpi();
    return;
  }
  const bool carries =
      std::any_of(fresh.children.begin(), fresh.children.end(), [](const auto& c) { return c->usable(); });
  if (carries) return retire(world, *old, fresh);
  delete_ike_sa(world, fresh, "it carries nothing of the one it was to replace", Aftermath::kForget);
}

void beside_ended(World& world, const IkeSa& fresh) {
  auto* old = world.find_sa(fresh.stands_in_for);
  if (old == nullptr || !old->alive() || old->stand_in != fresh.local_spi()) return;
  old->stand_in = IkeSpi();
  world.touch(*old);
  if (old->state != State::kEstablished) return;
  if (old->authenticated_until != kNever) {
    const auto left = old->authenticated_until - world.now;
    old->reauth_at = left > 2 * kDrain ? world.now + std::min(left / 2, kNextAttempt) : kNever;
  } else if (old->unheard_since != kNever) {
    old->reauth_at = world.now + jitter(world.random, kNextAttempt, 25);
  }
}

void follow_beside(World& world, IkeSa& from, IkeSa& to) {
  if (auto* fresh = world.find_sa(from.stand_in)) {
    to.stand_in = from.stand_in;
    fresh->stands_in_for = to.local_spi();
  }
  if (auto* old = world.find_sa(from.stands_in_for)) {
    to.stands_in_for = from.stands_in_for;
    old->stand_in = to.local_spi();
  }
  from.stand_in = from.stands_in_for = IkeSpi();
}

bool has_twin(const World& world, const IkeSa& sa, const ChildTerms& terms) {
  return twin_of(world, sa, {terms.connection->name, terms.child, terms.local, terms.remote}) != nullptr;
}

ChildSa* find_twin(const World& world, const IkeSa& sa, const ChildSa& child) {
  return twin_of(world, sa, {child.connection->name, child.name, child.local, child.remote});
}

bool use_twin(World& world, const IkeSa& sa, const ChildSa& child) {
  auto* twin = find_twin(world, sa, child);
  if (twin == nullptr) return false;
  if (auto* owner = world.find_owner(twin->id)) activate(world, *owner, *twin);
  return true;
}

void add_auth_lifetime(const IkeSa& sa, wi::Payloads& answer) {
  if (sa.connection == nullptr || !sa.connection->reauth || sa.connection->ike_lifetime_s == 0) return;
  // RFC 4478 section 3: in how many seconds the peer is to authenticate again.
  Bytes seconds(4);
  store_be32(seconds.data(), sa.connection->ike_lifetime_s);
  answer.emplace_back(notify(wi::NotifyType::kAuthLifetime, std::move(seconds)));
}

void read_auth_lifetime(World& world, IkeSa& sa, const wi::Payloads& payloads) {
  const auto* n = wi::find_notify(payloads, wi::NotifyType::kAuthLifetime);
  if (n == nullptr || n->data.size() != 4 || !sa.began_here || !sa.connection) return;
  const auto seconds = std::max(load_be32(n->data.data()), kShortestAuthLifetime);
  const auto until = world.now + std::chrono::seconds(seconds);
  if (until >= sa.authenticated_until) return;
  sa.authenticated_until = until;
  sa.reauth_at = world.now + soft_life(world, *sa.connection, seconds);
  world.report(sa, Severity::kInfo, "auth-lifetime",
               sa.peer() + " wants to be shown who we are again within " + std::to_string(seconds) + " s");
  world.touch(sa);
}

void ask_usage(World& world, const IkeSa& sa) {
  for (const auto& child : sa.children) {
    if (child->usable()) world.act(QueryUsage{child->id, child->spi_in});
  }
}

bool outlives_silence(World& world, IkeSa& sa) {
  if (sa.state != State::kEstablished || sa.doomed || sa.established == Instant{} || !sa.outstanding) return false;
  const bool heard = std::any_of(sa.children.begin(), sa.children.end(), [&](const auto& c) {
    return c->usable() && c->last_inbound != Instant{} && c->last_inbound + kHeardLately > world.now;
  });
  if (!heard) return false;
  if (sa.unheard_since == kNever) {
    sa.unheard_since = world.now;
    world.report(sa, Severity::kWarning, "ike-unheard",
                 "IKE gets no answer from " + sa.peer() +
                     ", but ESP comes from there: its children stay (is something on the way dropping UDP port 500 or "
                     "4500?)");
  }
  sa.outstanding->first_sent = world.now;
  sa.outstanding->retransmit_at = world.now;
  sa.silent_reported = true;
  (void)begin_beside(world, sa, {"because this one gets no answer", false, {}});
  world.touch(sa);
  return true;
}

namespace {

// When something came on another SA of the same child: on its clones (RFC 9611), on what it is a clone of.
Instant last_heard_beside(const IkeSa& sa, const ChildSa& child) {
  Instant last{};
  const bool has_clones = std::ranges::any_of(sa.children, [&](const auto& c) {
    return c->resource && c->name == child.name && c->connection->name == child.connection->name;
  });
  for (const auto& c : sa.children) {
    if (has_clones && c.get() != &child && c->name == child.name && c->connection->name == child.connection->name &&
        c->last_inbound != Instant{})
      last = std::max(last, c->last_inbound);
  }
  return last;
}

}  // namespace

void check_child(World& world, IkeSa& sa, ChildSa& child, Instant last_outbound) {
  if (child.last_inbound >= child.established && child.last_inbound + kHeardLately > world.now)
    child.replaced_unheard = 0;
  if (!child.usable() || child.activate_at != kNever || sa.state != State::kEstablished || sa.doomed || !sa.connection)
    return;
  const Duration delay = std::chrono::seconds(sa.connection->dpd_delay_s);
  if (delay == Duration(0) || child.established + delay > world.now || last_outbound + delay < world.now) return;
  // What leaves on a clone is answered on another one; what is known of the others may be one round old.
  if (last_heard_beside(sa, child) + 2 * delay > world.now) return;
  // Not answered is what was sent a whole `delay` ago: somebody who sends now and then is not dead between two packets.
  const Instant quiet_since = std::max({child.last_inbound, child.established, child.moved});
  if (child.unanswered_since <= quiet_since) child.unanswered_since = kNever;
  if (last_outbound <= quiet_since) return;
  if (child.unanswered_since == kNever) child.unanswered_since = last_outbound;
  if (child.unanswered_since + delay > world.now || last_outbound == child.unanswered_since) return;
  // While IKE gets no answer either, the whole path is in doubt, not this child.
  if (sa.outstanding && sa.outstanding->sent > 1) return;
  // It must have been heard once, this one or the one it replaced: there is traffic that goes one way only.
  const bool heard = child.last_inbound != Instant{};
  const auto asked = [&](const Task& t) { return t.about == About::kRekeyChild && t.child == child.id; };
  if ((sa.task && asked(*sa.task)) || std::any_of(sa.queue.begin(), sa.queue.end(), asked)) return;
  // A peer that takes no rekeying of a child gets a new IKE SA instead, if it can be had from here.
  const bool rekeyable = child.connection->rekey_children;
  if (heard && child.replaced_unheard == 0 && rekeyable) {
    world.report(sa, Severity::kWarning, "child-unheard",
                 "child " + child.name + " sends and hears nothing from " + sa.peer() + ": replacing it");
    child.replaced_unheard = 1;
    Task task;
    task.about = About::kRekeyChild;
    task.child = child.id;
    sa.queue.push_back(std::move(task));
    world.touch(sa);
    return start_next_task(world, sa);
  }
  if (rekeyable ? !heard && child.replaced_unheard == 1 : heard && child.replaced_unheard == 0) {
    child.replaced_unheard = 2;
    const bool in_udp = sa.connection->encapsulation == model::Encapsulation::kAuto && !sa.udp_encapsulation;
    world.report(sa, Severity::kWarning, "child-unheard",
                 "child " + child.name + " hears nothing from " + sa.peer() +
                     (rekeyable ? " after it was replaced" : "") +
                     (in_udp ? ": trying it in UDP (is something on the way dropping ESP, IP protocol 50?)" : ""));
    (void)begin_beside(world, sa, {"because ESP gets no answer", in_udp, {}});
  }
}

}  // namespace cygnet::ike::v2
