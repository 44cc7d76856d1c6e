// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/clones.h"

#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// A clone that the peer closed ("if they deem the associated resource to be idle") is asked for again after a while.
constexpr Duration kLookAgain = std::chrono::seconds(60);
// The peer has as many as it takes: RFC 9611 section 5.2.
constexpr Duration kAskAgain = std::chrono::minutes(10);

bool is_clone_of(const ChildSa& child, const ChildSa& head) {
  return child.resource && child.name == head.name && child.connection->name == head.connection->name &&
         child.local == head.local && child.remote == head.remote;
}

// RFC 9611 section 4: they "MUST be negotiated with identical Child SA properties that were negotiated for the initial
// Child SA. This includes cryptographic algorithms, Traffic Selectors, Mode (e.g., transport mode), compression usage".
bool is_like(const ChildTerms& terms, const ChildSa& head) {
  const auto& a = terms.algorithms;
  const auto& b = head.algorithms;
  return a.protocol() == b.protocol() && a.encryption == b.encryption && a.encryption_bits == b.encryption_bits &&
         a.integrity == b.integrity && a.esn == b.esn && terms.mode == head.mode &&
         (terms.peer_cpi != 0) == (head.peer_cpi != 0) && terms.local == head.local && terms.remote == head.remote;
}

Refusal unlike_its_head(const IkeSa& sa, const std::string& child) {
  return {wi::NotifyType::kNoProposalChosen,
          {},
          "clone-differs",
          "the clone of child " + child + " with " + sa.peer() +
              " would not have the algorithms, mode and traffic selectors of the child (RFC 9611): refused"};
}

ChildSa* find_head(const IkeSa& sa, const ChildTerms& terms) {
  for (const auto& child : sa.children) {
    if (child->serves(terms.connection->name, terms.child) && child->local == terms.local &&
        child->remote == terms.remote)
      return child.get();
  }
  return nullptr;
}

// The lowest number that no clone has: so they spread over the threads.
std::uint16_t lowest_free(const IkeSa& sa, const ChildSa& head) {
  std::uint16_t number = 0;
  const auto taken = [&](const auto& child) {
    return child->usable() && is_clone_of(*child, head) && child->resource == number;
  };
  while (std::ranges::any_of(sa.children, taken)) ++number;
  return number;
}

std::size_t count_clones(const IkeSa& sa, const ChildSa& head) {
  return static_cast<std::size_t>(std::ranges::count_if(
      sa.children, [&](const auto& child) { return child->usable() && is_clone_of(*child, head); }));
}

}  // namespace

bool wants_clones(const model::Child& child) {
  return child.clones.value_or(0) > 0 && !child.iptfs.enabled && !child.diet.enabled;
}

std::uint32_t most_clones(const World& world, const model::Connection& connection, const model::Child& child) {
  // A rate is of one SA, and what is left out of packets is agreed on for one SA.
  if (child.iptfs.enabled || child.diet.enabled) return 0;
  if (child.clones) return *child.clones;
  // The kernel's IPsec binds no SA to a CPU unless it was asked for.
  return world.in_kernel(connection) ? 0 : kClonesOfPeers;
}

wi::NotifyPayload resource_info(std::optional<std::uint16_t> resource) {
  wi::NotifyPayload out;
  out.type = wi::NotifyType::kSaResourceInfo;
  // RFC 9611 section 5.1: "opaque data ... set to convey the local identity of the resource".
  if (resource) {
    out.data.resize(4);
    store_be32(out.data.data(), *resource);
  }
  return out;
}

bool says_resource_info(const wi::Payloads& payloads) {
  return wi::find_notify(payloads, wi::NotifyType::kSaResourceInfo) != nullptr;
}

ChildSa* find_head(const IkeSa& sa, const ChildWant& want) {
  for (const auto& child : sa.children) {
    if (child->serves(want.connection->name, want.child)) return child.get();
  }
  return nullptr;
}

std::optional<Refusal> admit_clone(const World& world, const IkeSa& sa, const wi::Payloads& request,
                                   ChildTerms& terms) {
  // A head names no thread: two of them that cross each other on the way are settled as other children are.
  const auto* info = wi::find_notify(request, wi::NotifyType::kSaResourceInfo);
  if (info == nullptr || info->data.empty()) return std::nullopt;
  const auto* head = find_head(sa, terms);
  const auto* config = head == nullptr ? nullptr : head->config();
  if (config == nullptr) return std::nullopt;
  if (!is_like(terms, *head)) return unlike_its_head(sa, terms.child);
  const auto most = most_clones(world, *head->connection, *config);
  // RFC 9611 section 5.2: "the peer is unwilling to create more additional Child SAs".
  if (count_clones(sa, *head) >= most) {
    return Refusal{wi::NotifyType::kTsMaxQueue,
                   {},
                   "too-many-clones",
                   sa.peer() + " asks for more than " + std::to_string(most) + " clones of child " + terms.child +
                       ": write a larger clones= if it may have them"};
  }
  terms.resource = lowest_free(sa, *head);
  terms.may_have_clones = true;
  return std::nullopt;
}

std::optional<Refusal> differs_from_head(const IkeSa& sa, const Task& task, const ChildTerms& terms) {
  if (task.about != About::kNewChild || !task.want.resource) return std::nullopt;
  const auto* head = find_head(sa, task.want);
  if (head != nullptr && is_like(terms, *head)) return std::nullopt;
  return unlike_its_head(sa, terms.child);
}

void clone_refused(World& world, IkeSa& sa, const wi::NotifyPayload& error) {
  ++world.counters.negotiations_failed;
  const auto& want = sa.task->want;
  auto* head = find_head(sa, want);
  if (head == nullptr) return;
  const bool enough = error.type == wi::NotifyType::kTsMaxQueue || error.type == wi::NotifyType::kNoAdditionalSas;
  const auto wait = enough ? kAskAgain : kLookAgain;
  head->clones_at = world.now + jitter(world.random, wait, 10);
  std::erase_if(sa.queue, [&](const Task& t) {
    return t.about == About::kNewChild && t.want.resource && t.want.child == want.child &&
           t.want.connection->name == want.connection->name;
  });
  world.report(sa, Severity::kNotice, "clones-refused",
               sa.peer() + " refused a clone of child " + want.child + ": " + diagnosis::meaning(error) + "; " +
                   std::to_string(count_clones(sa, *head)) + " of " + std::to_string(head->clones) +
                   " are up, asking again in " +
                   std::to_string(std::chrono::duration_cast<std::chrono::minutes>(wait).count()) + " min");
}

void plan_clones(World& world, const IkeSa& sa, ChildSa& child, const ChildTerms& terms, bool we_made_it) {
  child.resource = terms.resource;
  child.may_have_clones = terms.may_have_clones;
  const auto* config = child.config();
  if (child.resource || !we_made_it || config == nullptr || !wants_clones(*config)) return;
  if (!terms.may_have_clones) {
    world.report(
        sa, Severity::kNotice, "clones-declined",
        sa.peer() + " does not know of SAs for single threads (RFC 9611): child " + child.name + " has one for all");
    return;
  }
  child.clones = config->clones.value_or(0);
  child.clones_at = world.now;
}

void take_over_clones(ChildSa& child, const ChildSa& old) {
  child.resource = old.resource;
  child.may_have_clones = old.may_have_clones;
  child.clones = old.clones;
  child.clones_at = old.clones_at;
}

void ask_for_clones(World& world, IkeSa& sa, ChildSa& head) {
  head.clones_at = world.now + jitter(world.random, kLookAgain, 10);
  if (sa.state != State::kEstablished || sa.doomed) return;
  for (std::uint32_t number = 0; number < head.clones; ++number) {
    const auto resource = static_cast<std::uint16_t>(number);
    const auto& connection = head.connection->name;
    if (sa.has_usable_child(connection, head.name, resource) ||
        sa.find_want(connection, head.name, resource) != nullptr)
      continue;
    Task task;
    task.about = About::kNewChild;
    task.want.connection = head.connection;
    task.want.child = head.name;
    task.want.resource = resource;
    sa.queue.push_back(std::move(task));
  }
}

void close_orphans(World& world, IkeSa& sa, const ChildSa& lost) {
  const auto carries_on = [&](const auto& child) {
    return child->serves(lost.connection->name, lost.name) && child->local == lost.local &&
           child->remote == lost.remote;
  };
  if (lost.resource || std::ranges::any_of(sa.children, carries_on)) return;
  for (const auto& child : sa.children) {
    if (!child->usable() || !is_clone_of(*child, lost)) continue;
    child->state = ChildState::kDeleting;
    child->rekey_at = kNever;
    remove_outbound(world, *child);
    announce_down(world, *child, "its child is gone", false);
    Task task;
    task.about = About::kDeleteChild;
    task.child = child->id;
    sa.queue.push_back(std::move(task));
  }
  world.touch(sa);
}

}  // namespace cygnet::ike::v2
