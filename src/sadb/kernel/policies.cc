// SPDX-License-Identifier: Apache-2.0

// Policies in the kernel, and what is left there by others of us.
#include <algorithm>
#include <array>
#include <cerrno>

#include "sadb/kernel/compression.h"
#include "sadb/kernel/engine.h"
#include "wire/xfrm/layout.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;
using model::Direction;

constexpr std::uint8_t kIcmpV6 = 58;
constexpr unsigned kDirectionBits = 3;
// For the peers to be reached again; and for packets under way when they are.
constexpr Duration kInheritedTime = std::chrono::seconds(60);
constexpr Duration kDrainTime = std::chrono::seconds(3);
// RFC 4861: router solicitation and advertisement, neighbour solicitation and advertisement, redirect.
constexpr std::array<std::uint16_t, 5> kNeighbourDiscovery{133, 134, 135, 136, 137};

Bytes octets_of(const xfrm::Selector& selector, const Reach& reach) {
  xfrm::Out out;
  fields(out, selector);
  out.writer.u32(reach.mark.value);
  out.writer.u32(reach.mark.mask);
  out.writer.u32(reach.interface_id);
  return std::move(out.writer).take();
}

bool is_ours(std::uint32_t reqid) { return (reqid & ~kReqidMask) == kReqidBase; }

bool is_ours(const xfrm::PolicyInfo& info, const xfrm::Attributes& attributes) {
  if ((info.index & ~kReqidMask) == kIndexBase) return true;
  return attributes.templates && !attributes.templates->empty() && is_ours(attributes.templates->back().reqid);
}

// Of the SAs that policies of this direction ask for.
Direction sas_of(std::uint8_t direction) {
  return direction == xfrm::kOut ? Direction::kOutbound : Direction::kInbound;
}

xfrm::Selector neighbour_selector(std::uint16_t type) {
  xfrm::Selector selector;
  selector.family = xfrm::kFamilyV6;
  selector.protocol = kIcmpV6;
  selector.source_port = type;
  selector.source_port_mask = 0xffff;
  return selector;
}

// A policy as the kernel knows it: direction, and selector as octets.
std::pair<std::uint8_t, Bytes> name_of_policy(const xfrm::Message& message) {
  const auto& info = std::get<xfrm::PolicyInfo>(message.body);
  return {info.direction, octets_of(info.selector, Reach::of(message.attributes))};
}

xfrm::Message all_policies() {
  xfrm::Message question;
  question.header = {xfrm::MessageType::kGetPolicy, xfrm::kRequest | xfrm::kDump, 0, 0};
  return question;
}

}  // namespace

// Where ours names no ends, the kernel may have its own idea of none.
bool says_the_same(const xfrm::Message& wanted, const xfrm::Message& there) {
  const auto& ours = std::get<xfrm::PolicyInfo>(wanted.body);
  const auto& info = std::get<xfrm::PolicyInfo>(there.body);
  if (ours.action != info.action || ours.priority != info.priority) return false;
  const auto templates_of = [](const xfrm::Message& message) {
    return message.attributes.templates.value_or(std::vector<xfrm::Template>{});
  };
  return std::ranges::equal(templates_of(wanted), templates_of(there), [](const auto& a, const auto& b) {
    const bool ends =
        a.id.destination == xfrm::Address{} || (a.id.destination == b.id.destination && a.source == b.source);
    return a.id.protocol == b.id.protocol && a.reqid == b.reqid && a.mode == b.mode && a.optional == b.optional && ends;
  });
}

// What the kernel says of a policy that was removed: its name, and in an attribute all of it.
bool is_one_of_ours(const xfrm::Message& removed) {
  return removed.attributes.policy && is_ours(*removed.attributes.policy, removed.attributes);
}

// ---- the beginning and the end
Result<void> KernelEngine::begin(const Moment& at) {
  if (auto inherited = inherit(at); !inherited) return inherited;
  const model::PolicySpec let_through{.action = model::PolicyAction::kBypass, .order = 1};
  for (const auto type : kNeighbourDiscovery) {
    for (const auto direction : directions_of(let_through)) {
      auto message = set_policy(let_through, neighbour_selector(type), direction, 0);
      auto& info = std::get<xfrm::PolicyInfo>(message.body);
      info.index = new_index(direction);
      take_over(direction, info.selector, {});
      const auto done = port_.ask(message);
      if (!done) {
        return fail("the kernel takes no IPsec policies: " +
                    (done.error().text.empty() ? "error " + std::to_string(done.error().number) : done.error().text));
      }
      neighbour_discovery_.push_back(std::move(message));
    }
  }
  return {};
}

void KernelEngine::end() {
  for (auto& [id, policy] : policies_) leave_slots(policy);
  for (const auto& [key, held] : sas_) {
    if (held.standby) continue;
    (void)port_.ask(name_sa(xfrm::MessageType::kDelSa, held.spec));
    remove_compression(port_, held.spec);
  }
  remove_leftovers();
}

void KernelEngine::take_over(std::uint8_t direction, const xfrm::Selector& selector, const Reach& reach) {
  std::erase_if(inherited_policies_, [&](const InheritedPolicy& old) {
    return old.id.direction == direction && old.id.selector == selector && old.reach == reach;
  });
}

// Everything with a reqid or an index of ours.
void KernelEngine::remove_leftovers() {
  if (!inherit({})) (void)inherit({});  // once more, for there is no later
  remove_inherited({Instant::max(), 0});
}

// The IKE SAs that made these died with the daemon. The peer still has its halves, until it hears of us anew.
Result<void> KernelEngine::inherit(const Moment& at) {
  inherited_until_ = at.now + kInheritedTime;
  inherited_sas_.clear();
  inherited_policies_.clear();
  const auto sas = ask_all();
  if (!sas) return fail("the kernel does not say which SAs it has");
  for (const auto& [name, state] : *sas) {
    const auto& info = std::get<xfrm::SaInfo>(state.body);
    if (!is_ours(info.reqid)) continue;
    inherited_sas_.push_back({{info.id.destination, info.id.spi, info.family, info.id.protocol},
                              Reach::of(state.attributes),
                              info.reqid,
                              inherited_until_});
    next_reqid_ = std::max(next_reqid_, info.reqid & kReqidMask);
    const bool out = state.attributes.direction == xfrm::kSaOut;
    if (info.mode == xfrm::kIptfs) {
      forms_.emplace(std::pair(info.reqid, out ? Direction::kOutbound : Direction::kInbound), Form::kIpTfs);
    }
  }
  const auto answers = port_.ask(all_policies());
  if (!answers) return fail("the kernel does not say which policies it has");
  for (const auto& policy : *answers) {
    const auto* info = std::get_if<xfrm::PolicyInfo>(&policy.body);
    if (info == nullptr || info->direction >= xfrm::kDirections || !is_ours(*info, policy.attributes)) continue;
    const auto& templates = policy.attributes.templates;
    const auto reqid = templates && !templates->empty() ? templates->back().reqid : 0;
    inherited_policies_.push_back({{info->selector, 0, info->direction}, Reach::of(policy.attributes), reqid});
    next_reqid_ = std::max(next_reqid_, reqid & kReqidMask);
    if (templates && is_compressed(*templates)) {
      forms_.emplace(std::pair(reqid, sas_of(info->direction)), Form::kCompressed);
    }
    if ((info->index & ~kReqidMask) == kIndexBase) {
      next_index_ = std::max(next_index_, (info->index & kReqidMask) >> kDirectionBits);
    }
  }
  return {};
}

std::uint32_t KernelEngine::inherited_reqid(const Subject& subject) const {
  const auto selectors = kernel_selectors(std::get<2>(subject), std::get<3>(subject));
  if (!selectors || selectors->empty()) return 0;
  const auto it = std::ranges::find_if(inherited_policies_, [&](const InheritedPolicy& policy) {
    return policy.id.direction == xfrm::kOut && policy.id.selector == selectors->front();
  });
  return it == inherited_policies_.end() ? 0 : it->reqid;
}

// Others carry its packets from now on; what the peer has sent already may still come in.
void KernelEngine::let_inherited_go(std::uint32_t reqid, const Moment& at) {
  for (auto& sa : inherited_sas_) {
    if (sa.reqid == reqid) sa.until = std::min(sa.until, at.now + kDrainTime);
  }
}

void KernelEngine::remove_inherited(const Moment& at) {
  std::erase_if(inherited_sas_, [&](const InheritedSa& sa) {
    if (at.now < sa.until) return false;
    xfrm::Message gone;
    gone.header = {xfrm::MessageType::kDelSa, xfrm::kRequest | xfrm::kAck, 0, 0};
    gone.body = sa.id;
    Reach{sa.reach.mark, 0}.write(gone.attributes);
    (void)port_.ask(gone);
    return true;
  });
  if (at.now < inherited_until_) return;
  for (const auto& policy : std::exchange(inherited_policies_, {})) {
    xfrm::Message gone;
    gone.header = {xfrm::MessageType::kDelPolicy, xfrm::kRequest | xfrm::kAck, 0, 0};
    gone.body = policy.id;
    policy.reach.write(gone.attributes);
    (void)port_.ask(gone);
  }
}

// ---- what others did
// The kernel has one policy for a selector: whoever sets one there takes ours away. Two that both insist on theirs
// would keep each other busy: above some times the timer decides.
void KernelEngine::on_policy(const xfrm::Message& message) {
  const auto& info = std::get<xfrm::PolicyInfo>(message.body);
  const auto outbound = info.direction == xfrm::kOut ? info.selector : mirrored(info.selector);
  const auto it = slots_.find({info.direction, octets_of(outbound, Reach::of(message.attributes))});
  const auto is_named = [&](const xfrm::Message& ours) { return name_of_policy(ours) == name_of_policy(message); };
  const bool ours =
      (it != slots_.end() && !it->second.list.empty() && !says_the_same(wanted_in(it->first, it->second), message)) ||
      std::ranges::any_of(neighbour_discovery_, is_named);
  if (ours) policies_unsure_ = policies_unsure_ || ++overwritten_ <= kMostAtOnce;
}

void KernelEngine::look_for_policies(PutBack& found) {
  const auto answers = port_.ask(all_policies());
  if (!answers) return;
  policies_unsure_ = false;
  std::map<Slot, const xfrm::Message*> there;
  for (const auto& policy : *answers) {
    if (std::holds_alternative<xfrm::PolicyInfo>(policy.body)) there.emplace(name_of_policy(policy), &policy);
  }
  const auto is_right = [&](const xfrm::Message& wanted) {
    const auto it = there.find(name_of_policy(wanted));
    if (it != there.end() && says_the_same(wanted, *it->second)) return true;
    ++(it == there.end() ? found.policies : found.overwritten);
    return false;
  };
  for (const auto& message : neighbour_discovery_) {
    if (!is_right(message)) policies_unsure_ = !port_.ask(message) || policies_unsure_;
  }
  for (const auto& [slot, owners] : slots_) {
    // What the kernel has refused is missing, and nobody took it.
    if (owners.list.empty() || refused_.contains(slot) || is_right(wanted_in(slot, owners))) continue;
    (void)refresh(slot);
  }
}

// It had no memory, say. Until it takes them, what they protect is not protected.
void KernelEngine::ask_for_refused(PutBack& found) {
  const auto refused = refused_;
  for (const auto& slot : refused) found.taken += refresh(slot) ? 1 : 0;
}

xfrm::Message KernelEngine::wanted_in(const Slot& slot, const Owners& owners) const {
  const auto& policy = policies_.at(owners.list.begin()->id);
  const auto card = cards_.find(policy.reqid);
  const auto form = forms_.find({policy.reqid, sas_of(slot.first)});
  auto message =
      set_policy(policy.spec, owners.selector, slot.first, policy.reqid, card == cards_.end() ? 0 : card->second,
                 form == forms_.end() ? Form::kPlain : form->second);
  std::get<xfrm::PolicyInfo>(message.body).index = owners.index;
  return message;
}

// ---- one by one
// The kernel has what the slot's first owner wants, or nothing where nobody wants anything.
Result<void> KernelEngine::refresh(const Slot& slot) {
  const auto it = slots_.find(slot);
  if (it == slots_.end()) return {};
  if (it->second.list.empty()) {
    (void)port_.ask(delete_policy(it->second.selector, slot.first, it->second.reach));
    slots_.erase(it);
    refused_.erase(slot);
    return {};
  }
  const auto& policy = policies_.at(it->second.list.begin()->id);
  const auto message = wanted_in(slot, it->second);
  take_over(slot.first, std::get<xfrm::PolicyInfo>(message.body).selector, it->second.reach);
  const auto done = port_.ask(message);
  if (done) {
    refused_.erase(slot);
    return {};
  }
  refused_.insert(slot);
  return fail("the kernel refused a policy of " + policy.spec.connection + ": " +
              (done.error().text.empty() ? "error " + std::to_string(done.error().number) : done.error().text));
}

std::uint32_t KernelEngine::new_index(std::uint8_t direction) {
  return kIndexBase | (++next_index_ << kDirectionBits & kReqidMask) | direction;
}

void KernelEngine::leave_slots(HeldPolicy& policy) {
  for (const auto& slot : policy.slots) {
    const auto it = slots_.find(slot);
    if (it == slots_.end()) continue;
    std::erase_if(it->second.list, [&](const Owner& owner) { return owner.id == policy.spec.id; });
    (void)refresh(slot);
  }
  policy.slots.clear();
}

Result<void> KernelEngine::install_policy(const model::PolicySpec& spec) {
  const auto selectors = kernel_selectors(spec.local, spec.remote);
  if (!selectors) return std::unexpected(selectors.error());
  const Subject subject{spec.connection, spec.child_name, spec.local, spec.remote};
  auto [it, fresh] = policies_.try_emplace(spec.id);
  auto& policy = it->second;
  if (fresh || policy.spec.local != spec.local || policy.spec.remote != spec.remote) {
    if (!fresh) {
      leave_slots(policy);
      leave_reqid({policy.spec.connection, policy.spec.child_name, policy.spec.local, policy.spec.remote});
    }
    policy.reqid = use_reqid(subject);
    if (policy.reqid == 0) {
      policies_.erase(it);
      return fail(std::string(kNoReqid));
    }
  }
  const auto before = std::exchange(policy.slots, {});
  policy.spec = spec;
  for (const auto& selector : *selectors) {
    for (const auto direction : directions_of(spec)) {
      const auto reach = Reach::of(spec, direction);
      auto& owners = slots_[policy.slots.emplace_back(direction, octets_of(selector, reach))];
      owners.selector = selector;
      owners.reach = reach;
      if (owners.index == 0) owners.index = new_index(direction);
      std::erase_if(owners.list, [&](const Owner& owner) { return owner.id == spec.id; });
      owners.list.insert({spec.order, spec.id});
    }
  }
  Result<void> result;
  for (const auto& slot : policy.slots) {
    if (auto written = refresh(slot); !written) result = written;
  }
  for (const auto& slot : before) {
    if (std::ranges::find(policy.slots, slot) != policy.slots.end()) continue;
    if (const auto left = slots_.find(slot); left != slots_.end()) {
      std::erase_if(left->second.list, [&](const Owner& owner) { return owner.id == spec.id; });
      (void)refresh(slot);
    }
  }
  return result;
}

Result<void> KernelEngine::remove_policy(model::PolicyId id) {
  const auto it = policies_.find(id);
  if (it == policies_.end()) return fail("there is no such policy");
  leave_slots(it->second);
  const auto& spec = it->second.spec;
  leave_reqid({spec.connection, spec.child_name, spec.local, spec.remote});
  policies_.erase(it);
  return {};
}

// ---- questions
const model::PolicySpec* KernelEngine::policy_of(const xfrm::PolicyInfo& info, const Reach& reach) const {
  const auto it = slots_.find({xfrm::kOut, octets_of(info.selector, reach)});
  if (it == slots_.end() || it->second.list.empty()) return nullptr;
  return &policies_.at(it->second.list.begin()->id).spec;
}

void KernelEngine::on_acquire(const xfrm::Acquire& acquire, const Reach& reach) {
  const auto* policy = policy_of(acquire.policy, reach);
  if (policy == nullptr || !policy->acquire) return;
  ++gone_.acquires;
  const auto [source, destination] = traffic_of(acquire.selector);
  events_.emplace_back(Acquire{policy->id, source, destination});
}

Explanation KernelEngine::explain(const model::TrafficSelector& local, const model::TrafficSelector& remote,
                                  const Moment& at) {
  const HeldPolicy* found = nullptr;
  const auto holds = [](const model::TrafficSelectors& list, const model::TrafficSelector& one) {
    return std::ranges::any_of(list, [&](const auto& selector) { return selector.contains(one); });
  };
  for (const auto& [id, policy] : policies_) {
    if (!holds(policy.spec.local, local) || !holds(policy.spec.remote, remote)) continue;
    if (found == nullptr || policy.spec.order < found->spec.order) found = &policy;
  }
  Explanation out;
  if (found == nullptr) {
    out.verdict = "bypass";
    return out;
  }
  out.found = true;
  out.policy = found->spec;
  for (auto& state : dump(false, at).sas) {
    const auto& spec = state.spec;
    const auto reqid = reqids_.find({spec.connection, spec.child_name, spec.local_selectors, spec.remote_selectors});
    if (spec.direction == model::Direction::kOutbound && reqid != reqids_.end() &&
        reqid->second.number == found->reqid) {
      out.outbound.push_back(std::move(state));
    }
  }
  // The kernel takes the newest.
  std::ranges::sort(out.outbound, [](const SaState& a, const SaState& b) {
    return std::tuple(a.counters.standby, b.counters.installed) < std::tuple(b.counters.standby, a.counters.installed);
  });
  switch (found->spec.action) {
    case model::PolicyAction::kBypass: out.verdict = "bypass"; break;
    case model::PolicyAction::kDiscard: out.verdict = "discard"; break;
    case model::PolicyAction::kProtect:
      out.verdict = !out.outbound.empty() ? "protect" : found->spec.acquire ? "acquire" : "no-sa";
      break;
  }
  return out;
}

}  // namespace cygnet::sadb::kernel
