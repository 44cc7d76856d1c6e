// SPDX-License-Identifier: Apache-2.0
// The policies of the database, and what they mean for SAs.
#include <algorithm>

#include "sadb/pfkey/database.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

bool is_inbound(const PfkeyPolicy& policy) { return policy.selector.direction != pf::PolicyDirection::kOut; }

bool leads_into_device(const PfkeyPolicy& policy) {
  return !is_inbound(policy) && (policy.type == pf::PolicyType::kIpsec || policy.type == pf::PolicyType::kDiscard);
}

}  // namespace

PfkeyDatabase::Ends PfkeyDatabase::ends_of(const PfkeyPolicy& policy) {
  if (const auto* ends = stack_of(policy).ends()) return {ends->source.address, ends->destination.address};
  return {policy.selector.source.address, policy.selector.destination.address};
}

PfkeyDatabase::GroupName PfkeyDatabase::group_name(const PfkeyPolicy& policy) {
  const auto stack = stack_of(policy);
  GroupName name{.type = stack.esp != nullptr ? pf::SaType::kEsp : pf::SaType::kAh, .mode = stack.mode(), .ends = {}};
  if (name.mode != model::Mode::kTransport) name.ends = ends_of(policy);
  // Only unique policies choose by reqid; the others take SAs that have none, as in Linux.
  name.reqid = stack.main().level == pf::Level::kUnique ? stack.main().reqid : 0;
  return name;
}

// Of the AH that goes around.
PfkeyDatabase::GroupName PfkeyDatabase::ah_group_name(const PfkeyPolicy& policy) {
  const auto& request = *stack_of(policy).ah;
  return {.type = pf::SaType::kAh,
          .mode = model::Mode::kTransport,
          .ends = {},
          .reqid = request.level == pf::Level::kUnique ? request.reqid : 0};
}

PfkeyResult<PfkeyPolicy*> PfkeyDatabase::add_policy(PfkeyPolicy draft, bool replace, PfkeyTime time) {
  if (auto sound = check_policy(draft); !sound) return std::unexpected(sound.error());
  auto* old = policies_.find(draft.selector);
  if (old != nullptr && !replace) {
    return refuse(EEXIST, "there is a policy with the same selectors and direction already (id " +
                              std::to_string(old->id) + "): delete or update it");
  }
  if (old == nullptr && policies_.size() >= PfkeyPolicyTable::kMostPolicies) {
    return refuse(ENOBUFS, "the database holds 131072 policies and takes no more");
  }
  for (auto& request : draft.requests) {
    // As Linux does: a unique policy without a number of its own gets one.
    const bool numbered = request.reqid != 0 && (draft.any_reqid || request.reqid <= pf::kMaxManualReqid);
    if (request.level != pf::Level::kUnique) {
      request.reqid = 0;
    } else if (!numbered) {
      request.reqid = next_reqid_++;
    }
  }
  draft.added_wall_s = time.wall_s;
  if (draft.hard && draft.hard->add_time != 0) {
    draft.expires = time.now + std::chrono::seconds(std::min<std::uint64_t>(draft.hard->add_time, 1ULL << 32U));
  }
  if (old != nullptr) {
    // The new one stands before the old one goes, so that nothing leaves in the clear between them; the engine looks
    // at the lower number first where priorities are equal, and both say the same about who is concerned.
    draft.selector = old->selector;
  }
  PfkeyPolicy before;
  if (old != nullptr) before = *old;
  if (old == nullptr) {
    auto& policy = policies_.add(std::move(draft));
    if (auto installed = install(policy); !installed) {
      policies_.erase(policy.serial);
      return std::unexpected(installed.error());
    }
    return &policy;
  }
  // The engine replaces by number: the entry keeps its own.
  draft.serial = old->serial;
  draft.id = old->id;
  draft.leads = old->leads;
  const auto expires = draft.expires;
  draft.expires = old->expires;
  if (is_inbound(*old)) {
    index_inbound(*old, false);
    say_of_clear_text(*old, false);
  }
  const bool had_group = !is_inbound(*old) && old->type == pf::PolicyType::kIpsec;
  const auto old_group = had_group ? group_name(*old) : GroupName{};
  const bool had_ah = had_group && stack_of(*old).is_bundle();
  const auto old_ah = had_ah ? ah_group_name(*old) : GroupName{};
  *old = std::move(draft);
  policies_.expire_at(*old, expires);
  auto installed = install(*old);
  if (had_group && (old->type != pf::PolicyType::kIpsec || group_name(*old) != old_group)) {
    leave_group(old_group, old->serial);
  }
  if (had_ah && (old->ah_group.is_zero() || ah_group_name(*old) != old_ah)) leave_group(old_ah, old->serial);
  if (is_inbound(before)) refresh_inbound(before);
  if (!installed) return std::unexpected(installed.error());
  return old;
}

void PfkeyDatabase::remove_policy(PfkeyPolicy& policy) {
  uninstall(policy);
  const auto gone = policy;
  policies_.erase(policy.serial);
  if (is_inbound(gone)) refresh_inbound(gone);
}

std::size_t PfkeyDatabase::flush_policies() {
  std::size_t count = 0;
  while (auto* policy = policies_.after(0)) {
    remove_policy(*policy);
    ++count;
  }
  return count;
}

PfkeyResult<> PfkeyDatabase::install(PfkeyPolicy& policy) {
  note_special(policy);
  if (is_inbound(policy)) {
    index_inbound(policy, true);
    refresh_inbound(policy);
    say_of_clear_text(policy, true);
    return {};
  }
  if (policy.type == pf::PolicyType::kIpsec) {
    auto& group = this->group(group_name(policy));
    policy.group = group.id;
    group.policies.insert(policy.serial);
    policy.ah_group = model::PolicyId{};
    if (stack_of(policy).is_bundle()) {
      auto& around = this->group(ah_group_name(policy));
      around.policies.insert(policy.serial);
      policy.ah_group = around.id;
    }
    if (stack_of(policy).main().level == pf::Level::kUse) {
      group.optional.insert(policy.serial);
    } else {
      group.optional.erase(policy.serial);
    }
  }
  if (auto installed = engine_.install_policy(policy_spec_of(policy, protects_now(policy))); !installed) {
    leave_groups(policy);
    return refuse(ENOBUFS, installed.error().message);
  }
  const bool leads = leads_into_device(policy);
  if (leads != policy.leads) engine_.lead_into_device(policy.selector.source, policy.selector.destination, leads);
  policy.leads = leads;
  return {};
}

void PfkeyDatabase::uninstall(PfkeyPolicy& policy) {
  if (special_policies_.erase(policy.serial) != 0) terms_stale_ = true;
  if (is_inbound(policy)) {
    index_inbound(policy, false);
    say_of_clear_text(policy, false);
    return;
  }
  (void)engine_.remove_policy(policy.engine_id());
  if (policy.leads) engine_.lead_into_device(policy.selector.source, policy.selector.destination, false);
  policy.leads = false;
  leave_groups(policy);
}

void PfkeyDatabase::leave_groups(const PfkeyPolicy& policy) {
  if (policy.type != pf::PolicyType::kIpsec) return;
  leave_group(group_name(policy), policy.serial);
  if (stack_of(policy).is_bundle()) leave_group(ah_group_name(policy), policy.serial);
}

// RFC 4301 section 5.2: what a policy protects must not come in the clear. `use` is content with either.
void PfkeyDatabase::say_of_clear_text(const PfkeyPolicy& policy, bool wanted) {
  const bool protects = policy.type == pf::PolicyType::kIpsec && policy.requests.front().level != pf::Level::kUse;
  const auto traffic = traffic_of(policy.selector);
  engine_.say_of_clear_text(traffic.remote, traffic.local, policy.priority, !protects, wanted);
}

bool PfkeyDatabase::protects_now(const PfkeyPolicy& policy) const {
  if (policy.type != pf::PolicyType::kIpsec) return false;
  if (stack_of(policy).main().level != pf::Level::kUse) return true;
  // From one host to one host: an SA of the group that joins just these two.
  const auto found = groups_.find(group_name(policy));
  if (found == groups_.end()) return false;
  return std::ranges::any_of(found->second.sas, [&](std::uint64_t serial) {
    const Ends ends{policy.selector.source.address, policy.selector.destination.address};
    return sas_by_ends_.contains({ends, serial});
  });
}

void PfkeyDatabase::refresh_use(const Group& group) {
  for (const auto serial : group.optional) {
    const auto* policy = policies_.find(serial);
    if (policy != nullptr) (void)engine_.install_policy(policy_spec_of(*policy, protects_now(*policy)));
  }
}

void PfkeyDatabase::leave_group(const GroupName& name, std::uint64_t policy) {
  const auto it = groups_.find(name);
  if (it == groups_.end()) return;
  it->second.policies.erase(policy);
  it->second.optional.erase(policy);
  tidy_group(name);
}

// ---- what inbound SAs let through

bool PfkeyDatabase::asks_for(const PfkeyPolicy& policy, const PfkeySa& sa) {
  if (policy.type != pf::PolicyType::kIpsec) return false;
  const auto stack = stack_of(policy);
  const auto* request = stack.request_for(sa.sa_type);
  if (request == nullptr) return false;
  // An SA that says no mode is one of transport mode, and serves what is inside an IPComp tunnel too.
  if (sa.sa_type != pf::SaType::kIpComp &&
      request->mode != (sa.mode == pf::Mode::kAny ? pf::Mode::kTransport : sa.mode))
    return false;
  if (request->level == pf::Level::kUnique && request->reqid != sa.reqid) return false;
  if (const auto* ends = stack.ends()) {
    return ends->source.address == sa.from() && ends->destination.address == sa.to();
  }
  return policy.selector.source.contains(sa.from()) && policy.selector.destination.contains(sa.to());
}

// What the special policies that ask for the SA say of it. They should agree: the last one counts.
PfkeyTerms PfkeyDatabase::terms_of(const PfkeySa& sa) const {
  PfkeyTerms terms{.mode = mode_of(sa), .inner_source = {}, .inner_destination = {}};
  for (const auto serial : special_policies_) {
    const auto* policy = policies_.find(serial);
    if (policy == nullptr || !asks_for(*policy, sa)) continue;
    const auto stack = stack_of(*policy);
    if (sa.sa_type != pf::SaType::kEsp) continue;
    terms.mode = stack.mode();
    if (terms.mode == model::Mode::kBeet) {
      terms.inner_source = policy->selector.source.address;
      terms.inner_destination = policy->selector.destination.address;
    }
    if (stack.is_bundle() && is_inbound(*policy)) terms.inside_ah = true;
    if (stack.ipcomp == nullptr) continue;
    const auto ends = ends_of(sa);
    for (auto it = sas_by_ends_.lower_bound({ends, 0}); it != sas_by_ends_.end() && it->first.first == ends; ++it) {
      if (it->second->sa_type != pf::SaType::kIpComp || !asks_for(*policy, *it->second)) continue;
      terms.cpi = static_cast<std::uint16_t>(it->second->spi.value);
    }
  }
  return terms;
}

void PfkeyDatabase::note_special(const PfkeyPolicy& policy) {
  const bool special = policy.type == pf::PolicyType::kIpsec &&
                       (policy.requests.size() > 1 || stack_of(policy).mode() == model::Mode::kBeet);
  const bool was = special_policies_.contains(policy.serial);
  if (special) special_policies_.insert(policy.serial);
  if (!special) special_policies_.erase(policy.serial);
  if (special || was) terms_stale_ = true;
}

void PfkeyDatabase::refresh_terms(PfkeyTime time) {
  for (auto* sa = sas_.after(0); sa != nullptr; sa = sas_.after(sa->serial)) {
    if (sa->state == pf::SaState::kLarval || sa->state == pf::SaState::kDead) continue;
    const auto terms = terms_of(*sa);
    // BEET without a policy: what is installed stays, for sequence numbers must not start again under its keys.
    if (terms == sa->terms || !is_ready(*sa, terms)) continue;
    // Installed again under its keys: sequence numbers and what was seen go on.
    remember_counters(*sa);
    const bool outbound = sa->outbound;
    leave_group(*sa);
    sa->terms = terms;
    if (place(*sa, time.now) || !outbound) continue;
    // The engine has it still, as it was, and under no name of ours.
    sa->outbound = true;
    displace(*sa);
  }
}

void PfkeyDatabase::index_inbound(const PfkeyPolicy& policy, bool add) {
  if (policy.type != pf::PolicyType::kIpsec) return;
  if (stack_of(policy).ends() == nullptr && !is_host_to_host(policy.selector)) {
    if (add)
      wide_inbound_policies_.insert(policy.serial);
    else
      wide_inbound_policies_.erase(policy.serial);
    return;
  }
  if (add)
    inbound_policies_.insert({ends_of(policy), policy.serial});
  else
    inbound_policies_.erase({ends_of(policy), policy.serial});
}

void PfkeyDatabase::allow(model::SaSpec& spec, const PfkeySa& sa) const {
  spec.local_selectors.clear();
  spec.remote_selectors.clear();
  bool carries_esp = false;
  const auto consider = [&](std::uint64_t serial) {
    const auto* policy = policies_.find(serial);
    if (policy == nullptr || !asks_for(*policy, sa)) return;
    // Around ESP: what the engine lets through then is ESP, and nothing by itself.
    if (sa.sa_type == pf::SaType::kAh && stack_of(*policy).is_bundle()) {
      carries_esp = true;
      return;
    }
    const auto traffic = traffic_of(policy->selector);
    spec.local_selectors.push_back(traffic.local);
    spec.remote_selectors.push_back(traffic.remote);
  };
  const auto ends = ends_of(sa);
  for (auto it = inbound_policies_.lower_bound({ends, 0}); it != inbound_policies_.end() && it->first == ends; ++it) {
    consider(it->second);
  }
  const bool transport = sa.terms.mode == model::Mode::kTransport;
  if (transport) {
    for (const auto serial : wide_inbound_policies_) consider(serial);
  }
  spec.paired_selectors = !transport || carries_esp || !spec.local_selectors.empty();
}

void PfkeyDatabase::refresh_inbound(PfkeySa& sa) {
  if (!sa.inbound) return;
  model::SaSpec spec;
  allow(spec, sa);
  (void)engine_.set_selectors(sa.child(), spec.local_selectors, spec.remote_selectors, spec.paired_selectors);
}

void PfkeyDatabase::refresh_inbound(const PfkeyPolicy& policy) {
  if (policy.type != pf::PolicyType::kIpsec) return;
  if (stack_of(policy).ends() == nullptr && !is_host_to_host(policy.selector)) {
    for (const auto& [name, sa] : sas_by_ends_) {
      if (asks_for(policy, *sa)) refresh_inbound(*sa);
    }
    return;
  }
  const auto ends = ends_of(policy);
  for (auto it = sas_by_ends_.lower_bound({ends, 0}); it != sas_by_ends_.end() && it->first.first == ends; ++it) {
    refresh_inbound(*it->second);
  }
}

PfkeyResult<std::size_t> PfkeyDatabase::migrate(PfkeyPolicy& policy, const pf::PolicyRequest& from,
                                                const pf::PolicyRequest& to, PfkeyTime time) {
  if (policy.type != pf::PolicyType::kIpsec || policy.requests.size() != 1 ||
      policy.requests.front().mode != pf::Mode::kTunnel) {
    return refuse(EOPNOTSUPP, "only a policy with a tunnel has ends that can move");
  }
  if (!from.ends || !to.ends || from.mode != pf::Mode::kTunnel || to.mode != pf::Mode::kTunnel) {
    return refuse(EINVAL, "a migration names the old and the new ends of a tunnel");
  }
  auto& request = policy.requests.front();
  if (!request.ends || request.ends->source.address != from.ends->source.address ||
      request.ends->destination.address != from.ends->destination.address) {
    return refuse(ESRCH, "the policy's tunnel has other ends than those it is to leave");
  }
  const Ends old{from.ends->source.address, from.ends->destination.address};
  std::vector<std::uint64_t> moving;
  for (auto it = sas_by_ends_.lower_bound({old, 0}); it != sas_by_ends_.end() && it->first.first == old; ++it) {
    if (asks_for(policy, *it->second)) moving.push_back(it->first.second);
  }
  auto changed = policy;
  changed.requests.front().ends = to.ends;
  if (auto done = add_policy(std::move(changed), true, time); !done) return std::unexpected(done.error());
  std::size_t count = 0;
  for (const auto serial : moving) {
    auto* sa = sas_.find(serial);
    if (sa != nullptr && move(*sa, to.ends->source.address, to.ends->destination.address, time)) ++count;
  }
  return count;
}

}  // namespace cygnet::sadb
