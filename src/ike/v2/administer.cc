// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/administer.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "ike/v2/clones.h"
#include "ike/v2/configuration.h"
#include "ike/v2/gateways.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/match.h"
#include "ike/v2/mobike.h"
#include "ike/v2/negotiate.h"
#include "ike/v2/proofs.h"
#include "ike/v2/request.h"
#include "ike/v2/serialize_state.h"
#include "ike/v2/timers.h"
#include "model/proposal.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

std::vector<IkeSa*> all_sas(const World& world) {
  std::vector<IkeSa*> out;
  for (const auto& [spi, sa] : world.sas) {
    if (sa->alive()) out.push_back(sa.get());
  }
  // The order of a hash table must not show in what is done.
  std::sort(out.begin(), out.end(), [](const IkeSa* a, const IkeSa* b) { return a->local_spi() < b->local_spi(); });
  return out;
}

void drop_wants(World& world, IkeSa& sa, const std::string& connection, const std::string& child,
                const std::string& reason) {
  const auto meant = [&](const ChildWant& w) {
    return w.connection->name == connection && (child.empty() || w.child == child);
  };
  std::vector<ChildWant> dropped;
  if (sa.handshake) {
    auto& wants = sa.handshake->wants;
    // What the peer is being asked for right now must be known when its answer comes.
    const bool first_is_asked_for = !sa.handshake->child_spi.is_zero();
    for (auto& want : wants) {
      if (!meant(want) || want.given_up) continue;
      dropped.push_back(want);
      want.given_up = true;
    }
    const auto kept = wants.begin() + (first_is_asked_for && !wants.empty() ? 1 : 0);
    wants.erase(std::remove_if(kept, wants.end(), [](const ChildWant& w) { return w.given_up; }), wants.end());
  }
  std::erase_if(sa.queue, [&](const Task& t) {
    if (t.about != About::kNewChild || !meant(t.want)) return false;
    dropped.push_back(t.want);
    return true;
  });
  if (sa.task && sa.task->about == About::kNewChild && meant(sa.task->want) && !sa.task->want.given_up) {
    dropped.push_back(sa.task->want);
    sa.task->want.given_up = true;
    world.checkpoint(sa);
  }
  for (auto& w : dropped) want_failed(world, std::move(w), reason, false);
}

// A Delete that is not waited for, to a peer that believes that the IKE SA is up.
void say_goodbye(World& world, IkeSa& sa) {
  const bool peer_has_it = sa.state == State::kEstablished || (sa.state == State::kVerifying && sa.initiator);
  wi::DeletePayload goodbye;
  goodbye.protocol = model::Protocol::kIke;
  if (peer_has_it) send_parting(world, sa, {goodbye});
}

// Closes one child with the peer, because somebody here wants it so.
void close(World& world, IkeSa& sa, ChildSa& child, const std::string& reason) {
  if (child.state != ChildState::kInstalled) return;
  child.state = ChildState::kDeleting;
  child.rekey_at = kNever;
  remove_outbound(world, child);
  announce_down(world, child, reason, false);
  Task task;
  task.about = About::kDeleteChild;
  task.child = child.id;
  task.reason = reason;
  sa.queue.push_back(std::move(task));
  world.touch(sa);
}

// Children of one connection (child empty: all), or the whole IKE SA if nothing else would be left on it.
void take_down(World& world, IkeSa& sa, const std::string& connection, const std::string& child,
               const std::string& reason) {
  drop_wants(world, sa, connection, child, reason);
  const auto meant = [&](const ChildSa& c) {
    return c.connection->name == connection && (child.empty() || c.name == child);
  };
  if (sa.state != State::kEstablished) {
    const bool idle = sa.handshake && sa.initiator &&
                      std::ranges::all_of(sa.handshake->wants, [](const ChildWant& w) { return w.given_up; });
    const bool own = sa.name() == connection && child.empty();
    if (idle || (own && sa.state != State::kRekeyed && sa.state != State::kDeleting)) {
      say_goodbye(world, sa);
      end_sa(world, sa, reason, Aftermath::kForget);
    }
    return;
  }
  const bool others =
      std::any_of(sa.children.begin(), sa.children.end(), [&](const auto& c) { return c->usable() && !meant(*c); });
  const bool any =
      std::any_of(sa.children.begin(), sa.children.end(), [&](const auto& c) { return c->usable() && meant(*c); });
  if (!others && (any || (child.empty() && sa.name() == connection)))
    return delete_ike_sa(world, sa, reason, Aftermath::kForget);
  for (const auto& c : sa.children) {
    if (meant(*c)) close(world, sa, *c, reason);
  }
  start_next_task(world, sa);
}

// After a reload: SAs whose connection is still the very same stay as they are.
void prune(World& world, IkeSa& sa) {
  const auto current = [&](const ConnectionPtr& c) { return c && world.find_connection(c->name) == c; };
  std::set<std::string> stale;
  for (const auto& child : sa.children) {
    if (!current(child->connection)) stale.insert(child->connection->name);
  }
  const auto look_at = [&](const ChildWant& want) {
    if (want.connection && !current(want.connection)) stale.insert(want.connection->name);
  };
  if (sa.handshake) std::ranges::for_each(sa.handshake->wants, look_at);
  if (sa.task) look_at(sa.task->want);
  for (const auto& task : sa.queue) look_at(task.want);
  if (!current(sa.connection)) {
    const auto heir = std::find_if(sa.children.begin(), sa.children.end(),
                                   [&](const auto& c) { return c->usable() && current(c->connection); });
    if (heir == sa.children.end() || sa.state != State::kEstablished) {
      if (sa.state == State::kEstablished)
        return delete_ike_sa(world, sa, "the configuration changed", Aftermath::kForget);
      if (sa.handshake) {
        say_goodbye(world, sa);
        return end_sa(world, sa, "the configuration changed", Aftermath::kForget);
      }
      return;
    }
    stale.insert(sa.connection->name);
    sa.connection = (*heir)->connection;
  }
  for (const auto& name : stale) {
    if (sa.alive()) take_down(world, sa, name, "", "the configuration changed");
  }
}

// ---- addresses that were looked up: names, %defaultroute, the route's source for %any

bool is_found(const model::HostSpec& host) { return host.kind != model::HostSpec::Kind::kAddress; }

// A line more above it in the file changes nothing about a connection.
bool is_same(const model::Connection& known, model::Connection& fresh) {
  const auto source = std::exchange(fresh.source, known.source);
  const bool same = known == fresh;
  fresh.source = source;
  return same;
}

bool differs_only_in_found_addresses(const model::Connection& a, model::Connection b) {
  const auto level = [](const model::HostSpec& from, model::HostSpec& to) {
    if (from.kind != to.kind || !is_found(from)) return;
    to.address = from.address;
    to.resolved = from.resolved;
  };
  b.source = a.source;
  level(a.local.host, b.local.host);
  level(a.remote.host, b.remote.host);
  auto before = a;
  before.remote.alternatives = written_alternatives(before.remote);
  b.remote.alternatives = written_alternatives(b.remote);
  for (std::size_t i = 0; i < std::min(before.remote.alternatives.size(), b.remote.alternatives.size()); ++i)
    level(before.remote.alternatives[i], b.remote.alternatives[i]);
  return before == b;
}

using Moved = std::vector<std::pair<ConnectionPtr, ConnectionPtr>>;  // as they were, as they are

// What holds a connection as it was now holds it as it is: one walk, however many were looked up anew. Returns the IKE
// SAs of each.
std::vector<std::vector<IkeSa*>> hold_as_they_are(const World& world, const Moved& moved) {
  std::vector<std::vector<IkeSa*>> out(moved.size());
  std::unordered_map<const model::Connection*, std::size_t> places;
  for (std::size_t i = 0; i < moved.size(); ++i) places.emplace(moved[i].first.get(), i);
  const auto replace = [&](ConnectionPtr& c) -> std::optional<std::size_t> {
    const auto at = places.find(c.get());
    if (at == places.end()) return std::nullopt;
    c = moved[at->second].second;
    return at->second;
  };
  for (auto* sa : all_sas(world)) {
    if (const auto own = replace(sa->connection)) out[*own].push_back(sa);
    for (const auto& child : sa->children) replace(child->connection);
    if (sa->handshake) {
      for (auto& want : sa->handshake->wants) replace(want.connection);
    }
    if (sa->task) replace(sa->task->want.connection);
    for (auto& task : sa->queue) replace(task.want.connection);
  }
  return out;
}

// An IKE SA that lives is left where it is, or moves with MOBIKE; one whose peer has another address by name is asked
// for a sign of life, and tries the new address as well.
void move_connections(World& world, const Moved& moved) {
  if (moved.empty()) return;
  const auto holders = hold_as_they_are(world, moved);
  for (std::size_t i = 0; i < moved.size(); ++i) {
    const auto& [before, after] = moved[i];
    world.retries.move(before, after, world.now);
    const auto& local = after->local.host;
    const bool other_peer = after->remote.host.has_address() && after->remote.host != before->remote.host;
    for (auto* sa : holders[i]) {
      if (sa->state != State::kEstablished) continue;
      if (local.has_address() && local != before->local.host) prefer_local_address(world, *sa, local.address);
      if (other_peer && sa->began_here) check_liveness(world, *sa);
    }
  }
}

// ---- adoption

void refuse_checkpoint(World& world, const std::string& key, const std::string& why) {
  world.report(Severity::kWarning, "", "", "adoption-refused", why);
  world.act(DropCheckpoint{key});
}

// The SAs that the data plane holds, to be asked for one by one.
class DataPlane {
 public:
  explicit DataPlane(const std::vector<model::SaSpec>& sas) {
    for (const auto& sa : sas) sas_.emplace(sa.child, sa.direction, sa.spi);
  }
  [[nodiscard]] bool has(model::Direction direction, Spi spi, model::ChildId child) const {
    return sas_.contains({child, direction, spi});
  }

 private:
  std::set<std::tuple<model::ChildId, model::Direction, Spi>> sas_;
};

// Names become connections again. False if the IKE SA's own one is gone.
bool reconnect(const World& world, IkeSa& sa) {
  sa.connection = world.find_connection(sa.name());
  const auto again = [&](Task& task) {
    if (!task.want.connection) return;
    const auto known = world.find_connection(task.want.connection->name);
    if (known) task.want.connection = known;
  };
  if (sa.task) again(*sa.task);
  for (auto& task : sa.queue) again(task);
  for (auto& child : sa.children) {
    const auto known = world.find_connection(child->connection->name);
    if (known) child->connection = known;
  }
  return sa.connection != nullptr;
}

// Jobs do not outlive their process: what waited for one begins again.
void resume_task(World& world, IkeSa& sa) {
  if (!sa.task || sa.outstanding) return;
  auto& task = *sa.task;
  const bool answered = !task.answer.empty() && task.own;
  const auto* ke = answered ? wi::find_payload<wi::KePayload>(task.answer) : nullptr;
  if (ke != nullptr) return world.order_job(sa, task.about, task.group, task.own, ke->data);
  Task fresh;
  fresh.about = task.about;
  fresh.want = task.want;
  fresh.child = task.child;
  fresh.orphan_spi = task.orphan_spi;
  fresh.orphan_is_ah = task.orphan_is_ah;
  fresh.reason = task.reason;
  sa.task.reset();
  sa.queue.push_front(std::move(fresh));
}

void claim_children(World& world, IkeSa& sa, const DataPlane& data_plane) {
  std::vector<model::ChildId> lost;
  for (const auto& child : sa.children) {
    const bool in = data_plane.has(model::Direction::kInbound, child->spi_in, child->id);
    const bool out =
        !child->outbound_installed || data_plane.has(model::Direction::kOutbound, child->spi_out, child->id);
    if (!in || !out) lost.push_back(child->id);
    world.child_owner[child->id] = sa.local_spi();
    world.claims.add(child->id, child->remote);
    world.esp_spis.insert(child->spi_in);
    world.next_child = std::max(world.next_child, child->id.value + 1);
  }
  for (const auto id : lost) {
    auto& child = *sa.find_child(id);
    const ChildSa copy = child;
    if (!child.replaced_by) {
      Task task;
      task.about = About::kDeleteChild;
      task.orphan_spi = child.spi_in;
      task.orphan_is_ah = child.algorithms.is_ah();
      sa.queue.push_back(std::move(task));
    }
    world.report(sa, Severity::kWarning, "child-not-adopted", "child " + child.name + " is gone from the data plane");
    remove_child(world, sa, id, "it is gone from the data plane", copy.replaced_by.has_value());
    if (!copy.usable()) continue;
    close_orphans(world, sa, copy);
    after_child_loss(world, copy, Aftermath::kKeepUp);
  }
}

bool spi_is_owned(const World& world, const model::SaSpec& spec) {
  const auto* owner = world.find_owner(spec.child);
  const auto* child = owner == nullptr ? nullptr : owner->find_child(spec.child);
  if (child == nullptr) return false;
  return spec.direction == model::Direction::kInbound ? child->spi_in == spec.spi
                                                      : child->spi_out == spec.spi && child->outbound_installed;
}

// Which of the adopted IKE SAs say that a child is theirs.
class Claimants {
 public:
  explicit Claimants(const std::vector<IkeSa*>& adopted) {
    for (auto* sa : adopted) {
      for (const auto& child : sa->children) by_child_.emplace(child->id, sa);
    }
  }
  // The others, in the order of their SPIs.
  [[nodiscard]] std::vector<IkeSa*> of_children_of(const IkeSa& sa) const {
    std::vector<IkeSa*> out;
    for (const auto& child : sa.children) {
      const auto [first, last] = by_child_.equal_range(child->id);
      for (auto at = first; at != last; ++at) {
        const auto* other = at->second;
        if (other != &sa && other->find_child(child->id) != nullptr) out.push_back(at->second);
      }
    }
    std::ranges::sort(out, {}, &IkeSa::local_spi);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

 private:
  std::multimap<model::ChildId, IkeSa*> by_child_;
};

// The process died between saving the successor of an IKE SA and saving that it has one: both claim the same children.
void settle_succession(World& world, IkeSa& sa, const Claimants& claimants) {
  if (sa.state != State::kEstablished) return;
  auto* successor = sa.task && sa.task->about == About::kRekeyIke ? world.find_sa(sa.task->new_ike_spi) : nullptr;
  if (successor != nullptr) {
    // Ours was made from the peer's answer: it is valid, and must not be made a second time from the same keys.
    std::erase_if(sa.children, [&](const auto& c) { return successor->find_child(c->id) != nullptr; });
    sa.outstanding.reset();
    sa.task.reset();
    inherit(world, sa, *successor);
    successor->counted = true;
    sa.counted = false;
    return delete_ike_sa(world, sa, "rekeyed", Aftermath::kForget);
  }
  for (auto* other : claimants.of_children_of(sa)) {
    if (!other->alive() || other->rekeys != sa.rekeys + 1) continue;
    // Made for the peer, which never got the answer: it will ask again.
    other->children.clear();
    other->queue.clear();
    other->counted = false;
    end_sa(world, *other, "the peer does not know it", Aftermath::kForget, true);
  }
}

// The IKE SA of one checkpoint, without its place in the data plane yet; null: refused.
IkeSa* adopt_one(World& world, const std::string& key, const Bytes& value) {
  auto parsed = parse_state(ByteView(value));
  if (!parsed || checkpoint_key(**parsed) != key || world.find_sa((*parsed)->local_spi()) != nullptr) {
    refuse_checkpoint(world, key,
                      parsed ? "a saved IKE SA is there twice or under a wrong name" : parsed.error().message);
    return nullptr;
  }
  const auto named = (*parsed)->connection;
  if (!reconnect(world, **parsed)) (*parsed)->connection = named;
  // Messages sealed after the checkpoint used the next few counter values; none may be used twice under one key.
  (*parsed)->iv_counter += 1ULL << 20U;
  return &world.add_sa(std::move(*parsed));
}

void announce(World& world, const IkeSa& sa) {
  world.act(IkeUp{sa.name(), sa.spi_i, sa.spi_r, sa.initiator});
  world.report(sa, Severity::kNotice, "ike-adopted",
               "took over the IKE SA with " + sa.peer() + " and " + std::to_string(sa.children.size()) + " child SAs");
  for (const auto& child : sa.children) {
    if (child->announced_down) continue;
    world.act(ChildUp{child->connection->name, child->name, child->id, std::nullopt, child->local, child->remote,
                      sa.path.local, sa.path.remote, child->mode, model::to_string(child->algorithms)});
  }
}

ChildStatus status_of(const ChildSa& child) {
  ChildStatus out;
  out.name = child.name;
  out.id = child.id;
  out.spi_in = child.spi_in;
  out.spi_out = child.spi_out;
  out.algorithms = model::to_string(child.algorithms);
  out.mode = child.mode;
  out.local = child.local;
  out.remote = child.remote;
  out.udp_encapsulation = child.udp_encapsulation;
  out.established = child.established;
  out.rekey_at = child.rekey_at;
  out.rekeys = child.rekeys;
  out.resource = child.resource;
  return out;
}

// Connections that are not what they were.
struct Replaced {
  std::vector<ConnectionPtr> fresh;
  Moved moved;  // other addresses than before, nothing else
};

ConnectionPtr replace(World& world, model::Connection connection, Replaced& replaced) {
  fill_in_identities(world, connection);
  auto known = world.find_connection(connection.name);
  if (known && is_same(*known, connection)) return known;
  const bool moved = known && differs_only_in_found_addresses(*known, connection);
  auto fresh = std::make_shared<const model::Connection>(std::move(connection));
  if (moved) {
    replaced.moved.emplace_back(known, fresh);
  } else {
    replaced.fresh.push_back(fresh);
  }
  return fresh;
}

// Wants of connections that are no more end, those of new ones begin.
void begin_anew(World& world, const std::vector<ConnectionPtr>& fresh) {
  world.retries.keep_if(
      [&](const ChildWant& want) { return world.find_connection(want.connection->name) == want.connection; });
  for (const auto& connection : fresh) {
    for (const auto& child : connection->children) {
      if (child.start != model::StartAction::kStart) continue;
      ChildWant want;
      want.connection = connection;
      want.child = child.name;
      // At the next timer: an adoption may come first and find it up.
      try_later(world, std::move(want), Duration(0));
    }
  }
}

}  // namespace

void configure(World& world, std::vector<model::Connection> connections, const model::PublicCredentials& credentials) {
  world.credentials = read_credentials(world, credentials);
  Replaced replaced;
  std::vector<ConnectionPtr> next;
  next.reserve(connections.size());
  for (auto& connection : connections) next.push_back(replace(world, std::move(connection), replaced));
  world.use_connections(std::move(next));
  move_connections(world, replaced.moved);
  for (auto* sa : all_sas(world)) prune(world, *sa);
  begin_anew(world, replaced.fresh);
}

void reconfigure(World& world, std::vector<model::Connection> changed, const std::vector<std::string>& order) {
  Replaced replaced;
  std::unordered_map<std::string, ConnectionPtr> others;
  for (auto& connection : changed) {
    const auto name = connection.name;
    others[name] = replace(world, std::move(connection), replaced);
  }
  std::vector<ConnectionPtr> next;
  next.reserve(order.size());
  for (const auto& name : order) {
    const auto other = others.find(name);
    auto connection = other == others.end() ? world.find_connection(name) : other->second;
    if (connection) next.push_back(std::move(connection));
  }
  const auto before = world.connections;
  world.use_connections(std::move(next));
  move_connections(world, replaced.moved);
  for (const auto& connection : before) {
    if (world.find_connection(connection->name) == connection) continue;
    for (auto* sa : world.sas_of(connection->name)) prune(world, *sa);
  }
  begin_anew(world, replaced.fresh);
}

void terminate(World& world, const std::string& connection, const std::string& child) {
  const std::string reason = "taken down by request";
  for (auto& want : world.retries.take(connection, child)) want_failed(world, std::move(want), reason, false);
  for (auto* sa : world.sas_of(connection)) take_down(world, *sa, connection, child, reason);
}

void rekey(World& world, const std::string& connection, const std::string& child, bool ike_sa) {
  for (auto* sa : world.sas_of(connection)) {
    if (sa->state != State::kEstablished) continue;
    world.touch(*sa);
    if (ike_sa && sa->name() == connection) {
      const auto asked = [](const Task& t) { return t.about == About::kRekeyIke; };
      if ((sa->task && asked(*sa->task)) || std::any_of(sa->queue.begin(), sa->queue.end(), asked)) continue;
      Task task;
      task.about = About::kRekeyIke;
      sa->queue.push_back(std::move(task));
    }
    for (const auto& c : sa->children) {
      const bool meant =
          c->usable() && c->connection->name == connection && (c->name == child || (child.empty() && !ike_sa));
      const auto asked = [&](const Task& t) { return t.about == About::kRekeyChild && t.child == c->id; };
      if (!meant || (sa->task && asked(*sa->task)) || std::any_of(sa->queue.begin(), sa->queue.end(), asked)) continue;
      Task task;
      task.about = About::kRekeyChild;
      task.child = c->id;
      sa->queue.push_back(std::move(task));
    }
    start_next_task(world, *sa);
  }
}

void shut_down(World& world) {
  world.retries.clear();
  for (auto* sa : all_sas(world)) {
    say_goodbye(world, *sa);
    end_sa(world, *sa, "shutting down", Aftermath::kForget);
  }
  world.retries.clear();
}

void adopt(World& world, const std::vector<std::pair<std::string, Bytes>>& checkpoints,
           const std::vector<model::SaSpec>& sas) {
  for (const auto& spec : sas) world.next_child = std::max(world.next_child, spec.child.value + 1);
  const DataPlane data_plane(sas);
  std::vector<IkeSa*> adopted;
  for (const auto& [key, value] : checkpoints) {
    if (auto* sa = adopt_one(world, key, value)) adopted.push_back(sa);
  }
  const Claimants claimants(adopted);
  for (auto* sa : adopted) {
    if (sa->alive()) settle_succession(world, *sa, claimants);
  }
  for (auto* sa : adopted) {
    if (!sa->alive()) continue;
    if (sa->counted) ++world.counters.established;
    claim_children(world, *sa, data_plane);
    if (world.find_connection(sa->name()) == nullptr) {
      delete_ike_sa(world, *sa, "its connection is no longer configured", Aftermath::kForget);
      continue;
    }
    claim_addresses(world, *sa);
    if (sa->state == State::kEstablished) find_gateway_again(world, *sa);
    announce(world, *sa);
    resume_task(world, *sa);
    // What belongs to a connection that went while nobody was here.
    prune(world, *sa);
    check_liveness(world, *sa);
  }
  for (const auto& spec : sas) {
    if (!spi_is_owned(world, spec)) world.act(RemoveSa{spec.direction, spec.spi, spec.child});
  }
}

std::vector<IkeStatus> status(const World& world, const std::string& connection) {
  std::vector<IkeStatus> out;
  for (const auto* sa : connection.empty() ? all_sas(world) : world.sas_of(connection)) {
    if (sa->state == State::kInitAnswered && !sa->end_reason.empty()) continue;  // refused: only its answer is kept
    IkeStatus s;
    s.connection = sa->name();
    s.state = to_string(sa->state);
    s.initiator = sa->initiator;
    s.spi_i = sa->spi_i;
    s.spi_r = sa->spi_r;
    s.path = sa->path;
    s.local_id = sa->local_id.to_string();
    s.remote_id = sa->remote_id.to_string();
    if (sa->open) s.algorithms = model::to_string(sa->algorithms);
    s.nat_local = sa->nat_local;
    s.nat_remote = sa->nat_remote;
    (sa->assigned.by_us ? s.assigned_remote : s.assigned_local) = sa->assigned.addresses;
    s.dns = sa->assigned.dns;
    s.established = sa->established;
    s.rekey_at = sa->rekey_at;
    for (const auto& child : sa->children) {
      if (child->state != ChildState::kFading) s.children.push_back(status_of(*child));
    }
    if (sa->outstanding) s.pending.push_back(wi::to_string(sa->outstanding->exchange));
    for (const auto& task : sa->queue) s.pending.emplace_back(to_string(task.about));
    out.push_back(std::move(s));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const IkeStatus& a, const IkeStatus& b) { return a.connection < b.connection; });
  return out;
}

}  // namespace cygnet::ike::v2
