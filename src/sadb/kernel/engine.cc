// SPDX-License-Identifier: Apache-2.0

// SAs: given to the kernel, taken back, moved, counted. Policies are in policies.cc.
#include "sadb/kernel/engine.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sadb/kernel/compression.h"
#include "sadb/kernel/offload.h"
#include "sadb/kernel/words.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;
using model::Direction;

// Above so many questions one for all is quicker.
constexpr std::size_t kFewSas = 16;

}  // namespace

// ---- bookkeeping
KernelEngine::SaKey KernelEngine::key_of(const model::SaSpec& spec) {
  return {spec.direction, destination_of(spec), spec.spi};
}

std::uint32_t KernelEngine::use_reqid(Subject subject) {
  const auto inherited = inherited_policies_.empty() ? 0 : inherited_reqid(subject);
  const auto it = reqids_.find(subject);
  if (it != reqids_.end()) {
    ++it->second.users;
    return it->second.number;
  }
  const auto number = inherited != 0 ? inherited : free_reqid();
  if (number == 0) return 0;
  used_reqids_.insert(number);
  reqids_.emplace(std::move(subject), Reqid{number, 1});
  return number;
}

std::uint32_t KernelEngine::free_reqid() {
  const auto most = port_.reqids();
  const auto taken = [&](std::uint32_t number) {
    return used_reqids_.contains(number) ||
           std::ranges::any_of(inherited_sas_, [&](const InheritedSa& sa) { return sa.reqid == number; });
  };
  if (used_reqids_.size() >= most) return 0;
  for (std::uint32_t tried = 0; tried < most; ++tried) {
    next_reqid_ = next_reqid_ >= most ? 1 : next_reqid_ + 1;
    if (!taken(kReqidBase | next_reqid_)) return kReqidBase | next_reqid_;
  }
  return 0;
}

void KernelEngine::leave_reqid(const Subject& subject) {
  const auto it = reqids_.find(subject);
  if (it == reqids_.end() || --it->second.users != 0) return;
  used_reqids_.erase(it->second.number);
  cards_.erase(it->second.number);
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) forms_.erase({it->second.number, direction});
  reqids_.erase(it);
}

KernelEngine::Held* KernelEngine::find_sa(Direction direction, Spi spi, model::ChildId child) {
  const auto of = of_child_.find(child);
  if (of == of_child_.end()) return nullptr;
  for (const auto& key : of->second) {
    if (std::get<0>(key) == direction && std::get<2>(key) == spi) return &sas_.at(key);
  }
  return nullptr;
}

void KernelEngine::forget(std::map<SaKey, Held>::iterator it) {
  const auto& spec = it->second.spec;
  if (const auto of = of_child_.find(spec.child); of != of_child_.end()) {
    of->second.erase(it->first);
    if (of->second.empty()) of_child_.erase(of);
  }
  standby_.erase(it->first);
  if (!it->second.standby) remove_compression(port_, spec);
  leave_reqid({spec.connection, spec.child_name, spec.local_selectors, spec.remote_selectors});
  sas_.erase(it);
}

// ---- installing and removing
Result<void> KernelEngine::give_to_kernel(const Held& held) {
  const auto message = new_sa(held.spec, held.reqid, mark_);
  if (!message) return std::unexpected(message.error());
  if (auto added = add_compression(port_, held.spec, held.reqid, mark_); !added) return added;
  if (const auto done = add_sa(port_, held.spec, *message); !done) {
    remove_compression(port_, held.spec);
    return fail(words_of(done.error(), name_of(held.spec)));
  }
  suit_policies(held);
  return {};
}

bool KernelEngine::changes_form(const Held& held) {
  const std::pair key{held.reqid, held.spec.direction};
  const auto form = form_of(held.spec);
  const auto it = forms_.find(key);
  if (form == (it == forms_.end() ? Form::kPlain : it->second)) return false;
  if (form == Form::kPlain) {
    forms_.erase(it);
  } else {
    forms_.insert_or_assign(key, form);
  }
  return true;
}

bool KernelEngine::changes_card(const Held& held) {
  if (held.spec.direction == Direction::kInbound) return false;
  const bool whole = held.spec.nic_offload == model::NicOffload::kPacket;
  const auto card = whole ? port_.interface_of(held.spec.local.address) : 0;
  const auto it = cards_.find(held.reqid);
  if (card == (it == cards_.end() ? 0 : it->second)) return false;
  if (card == 0) {
    cards_.erase(it);
  } else {
    cards_.insert_or_assign(held.reqid, card);
  }
  return true;
}

void KernelEngine::suit_policies(const Held& held) {
  const bool card = changes_card(held);
  const bool form = changes_form(held);
  if (!card && !form) return;
  for (auto& [id, policy] : policies_) {
    if (policy.reqid != held.reqid) continue;
    for (const auto& slot : policy.slots) policies_unsure_ = !refresh(slot) || policies_unsure_;
  }
}

Result<void> KernelEngine::install_sa(const model::SaSpec& spec, const Moment& at) {
  if (const auto it = sas_.find(key_of(spec)); it != sas_.end()) {
    // The peer chose it. Peers behind one NAT have one address: none of them takes away what another one has.
    if (spec.direction == Direction::kOutbound && it->second.spec.child != spec.child) {
      return fail("another SA to " + destination_of(spec).to_string() + " has the SPI of " + name_of(spec) +
                  " already: whoever chose it must choose another");
    }
    if (!it->second.standby) (void)port_.ask(name_sa(xfrm::MessageType::kDelSa, it->second.spec));
    forget(it);
  }
  // What the kernel could not be told is refused now, and not when the SA is needed.
  if (const auto possible = new_sa(spec, 0, mark_); !possible) return std::unexpected(possible.error());
  Held held{spec, use_reqid({spec.connection, spec.child_name, spec.local_selectors, spec.remote_selectors}), at.now,
            spec.direction == Direction::kOutbound && spec.standby};
  if (held.reqid == 0) return fail(std::string(kNoReqid));
  if (!held.standby) {
    if (auto given = give_to_kernel(held); !given) {
      leave_reqid({spec.connection, spec.child_name, spec.local_selectors, spec.remote_selectors});
      return given;
    }
  }
  const auto key = key_of(spec);
  if (held.standby) standby_.insert(key);
  if (!held.standby && spec.direction == Direction::kOutbound) let_inherited_go(held.reqid, at);
  of_child_[spec.child].insert(key);
  sas_.insert_or_assign(key, std::move(held));
  return {};
}

Result<void> KernelEngine::remove_sa(Direction direction, Spi spi, model::ChildId child) {
  auto* held = find_sa(direction, spi, child);
  if (held == nullptr) return fail("there is no such SA");
  const auto it = sas_.find(key_of(held->spec));
  if (!held->standby) {
    const auto state = port_.ask(name_sa(xfrm::MessageType::kGetSa, held->spec));
    if (state && !state->empty()) {
      if (const auto* info = std::get_if<xfrm::SaInfo>(&state->front().body)) {
        const bool in = direction == Direction::kInbound;
        (in ? gone_.packets_in : gone_.packets_out) += info->current.packets;
        (in ? gone_.bytes_in : gone_.bytes_out) += info->current.bytes;
      }
    }
    const auto done = port_.ask(name_sa(xfrm::MessageType::kDelSa, held->spec));
    if (!done && done.error().number != ESRCH) {
      return fail(words_of(done.error(), "to remove " + name_of(held->spec)));
    }
  }
  forget(it);
  return {};
}

Result<void> KernelEngine::activate(model::ChildId child, const Moment& at) {
  const auto of = of_child_.find(child);
  if (of == of_child_.end()) return fail("there is no such child");
  for (const auto& key : of->second) {
    auto& held = sas_.at(key);
    if (!held.standby) continue;
    if (auto given = give_to_kernel(held); !given) return given;
    held.standby = held.spec.standby = false;
    held.installed = at.now;
    standby_.erase(key);
  }
  return {};
}

KernelEngine::PutBack KernelEngine::on_timer(const Moment& at) {
  policies_unsure_ = policies_unsure_ || overwritten_ > kMostAtOnce;
  overwritten_ = 0;
  auto found = put_back();
  ask_for_refused(found);
  look_at_standby(at);
  remove_inherited(at);
  return found;
}

// RFC 7296 section 2.8: "the responder MAY defer sending messages on a new SA until either it receives one or ...".
void KernelEngine::look_at_standby(const Moment& at) {
  const auto waiting = standby_;
  for (const auto& key : waiting) {
    const auto child = sas_.at(key).spec.child;
    bool used = false;
    for (const auto& other : of_child_.at(child)) {
      const auto& held = sas_.at(other);
      if (held.spec.direction != Direction::kInbound) continue;
      const auto state = port_.ask(name_sa(xfrm::MessageType::kGetSa, held.spec));
      if (!state || state->empty()) continue;
      const auto* info = std::get_if<xfrm::SaInfo>(&state->front().body);
      used = used || (info != nullptr && info->current.packets != 0);
    }
    if (used && activate(child, at)) events_.emplace_back(ChildActivated{child});
  }
}

std::set<KernelEngine::Keepalive> KernelEngine::keepalives() const {
  std::set<Keepalive> out;
  for (const auto& [key, held] : sas_) {
    const auto& spec = held.spec;
    if (spec.direction == Direction::kOutbound && spec.udp_encapsulation && spec.keepalive_s != 0) {
      out.insert({spec.local, spec.remote, spec.keepalive_s});
    }
  }
  return out;
}

// ---- counting
KernelEngine::SaName KernelEngine::name_in_kernel(const model::SaSpec& spec) {
  return {destination_of(spec), spec.spi,
          spec.protocol == model::SaProtocol::kAh ? xfrm::kProtocolAh : xfrm::kProtocolEsp};
}

std::optional<KernelEngine::Known> KernelEngine::ask_all() {
  xfrm::Message question;
  question.header = {xfrm::MessageType::kGetSa, xfrm::kRequest | xfrm::kDump, 0, 0};
  auto answers = port_.ask(question);
  if (!answers) return std::nullopt;
  Known known;
  for (auto& state : *answers) {
    const auto* info = std::get_if<xfrm::SaInfo>(&state.body);
    if (info == nullptr) continue;
    const SaName name{info->id.destination.as(info->family), info->id.spi, info->id.protocol};
    known.insert_or_assign(name, std::move(state));
  }
  return known;
}

model::SaCounters KernelEngine::counters_of(const Held& held, const xfrm::Message* state, const Moment& at) {
  model::SaCounters counters;
  counters.installed = held.installed;
  counters.standby = held.standby;
  if (state == nullptr) return counters;
  const auto& info = std::get<xfrm::SaInfo>(state->body);
  counters.packets = info.current.packets;
  counters.bytes = info.current.bytes;
  counters.errors = std::uint64_t{info.errors.replay} + info.errors.replay_window + info.errors.integrity_failed;
  const auto& used = state->attributes.last_used;
  if (used && *used != 0 && info.current.packets != 0) {
    const auto ago = std::chrono::seconds(at.wall_s > *used ? at.wall_s - *used : 0);
    counters.last_used = std::max(at.now - ago, held.installed);
  }
  if (const auto& replay = state->attributes.replay_esn) {
    counters.sequence = held.spec.direction == Direction::kOutbound ? replay->sent : replay->seen;
  } else if (const auto& small = state->attributes.replay) {
    counters.sequence = held.spec.direction == Direction::kOutbound ? small->sent : small->seen;
  }
  return counters;
}

Dump KernelEngine::dump(bool with_keys, const Moment& at) {
  const auto known = ask_all().value_or(Known{});
  Dump out;
  for (const auto& [key, held] : sas_) {
    const auto it = known.find(name_in_kernel(held.spec));
    auto& state =
        out.sas.emplace_back(SaState{held.spec, counters_of(held, it == known.end() ? nullptr : &it->second, at)});
    if (!with_keys) {
      state.spec.encryption_key.clear();
      state.spec.integrity_key.clear();
    }
  }
  for (const auto& [id, policy] : policies_) out.policies.push_back(policy.spec);
  return out;
}

std::vector<Usage> KernelEngine::usage(const std::vector<Spi>& spis, const Moment& at) {
  std::vector<Usage> out;
  const auto known = spis.size() > kFewSas ? ask_all().value_or(Known{}) : Known{};
  const auto last_used = [&](const Held& held) {
    if (held.standby) return Instant{};
    if (const auto it = known.find(name_in_kernel(held.spec)); it != known.end()) {
      return counters_of(held, &it->second, at).last_used;
    }
    if (spis.size() > kFewSas) return Instant{};
    const auto state = port_.ask(name_sa(xfrm::MessageType::kGetSa, held.spec));
    const bool there = state && !state->empty() && std::holds_alternative<xfrm::SaInfo>(state->front().body);
    return counters_of(held, there ? &state->front() : nullptr, at).last_used;
  };
  std::map<Spi, const Held*> inbound;
  for (const auto& [key, held] : sas_) {
    if (held.spec.direction == Direction::kInbound) inbound.emplace(held.spec.spi, &held);
  }
  for (const auto& spi : spis) {
    const auto found = inbound.find(spi);
    if (found == inbound.end()) continue;
    Usage usage{spi, last_used(*found->second), {}};
    for (const auto& key : of_child_.at(found->second->spec.child)) {
      const auto& other = sas_.at(key);
      if (other.spec.direction == Direction::kOutbound) usage.outbound = std::max(usage.outbound, last_used(other));
    }
    out.push_back(usage);
  }
  return out;
}

Statistics KernelEngine::statistics(const Moment& at) {
  auto out = gone_;
  for (const auto& state : dump(false, at).sas) {
    const bool in = state.spec.direction == Direction::kInbound;
    (in ? out.packets_in : out.packets_out) += state.counters.packets;
    (in ? out.bytes_in : out.bytes_out) += state.counters.bytes;
  }
  return out;
}

// ---- what the kernel tells
void KernelEngine::on_message(const xfrm::Message& message) {
  if (const auto* expire = std::get_if<xfrm::SaExpire>(&message.body)) {
    on_expire(*expire);
  } else if (const auto* acquire = std::get_if<xfrm::Acquire>(&message.body)) {
    on_acquire(*acquire, Reach::of(message.attributes));
  } else if (const auto* mapping = std::get_if<xfrm::Mapping>(&message.body)) {
    on_mapping(*mapping);
  } else if (message.header.type == xfrm::MessageType::kDelSa) {
    if (const auto* id = std::get_if<xfrm::SaId>(&message.body)) on_removed(*id);
  } else if (message.header.type == xfrm::MessageType::kFlushSa) {
    sas_unsure_ = true;
  } else if (message.header.type == xfrm::MessageType::kFlushPolicy) {
    policies_unsure_ = true;
  } else if (message.header.type == xfrm::MessageType::kDelPolicy) {
    policies_unsure_ = policies_unsure_ || is_one_of_ours(message);
  } else if (std::holds_alternative<xfrm::PolicyInfo>(message.body)) {
    on_policy(message);
  }
}

void KernelEngine::on_expire(const xfrm::SaExpire& expire) {
  const auto& info = expire.state;
  const auto destination = info.id.destination.as(info.family);
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) {
    const auto it = sas_.find({direction, destination, info.id.spi});
    if (it == sas_.end() || it->second.standby) continue;
    events_.emplace_back(SaExpiring{info.id.spi, direction, it->second.spec.child, expire.hard});
    if (expire.hard) forget(it);
    return;
  }
}

void KernelEngine::on_mapping(const xfrm::Mapping& mapping) {
  const auto destination = mapping.id.destination.as(mapping.id.family);
  // PF_KEY does not say which of our addresses; our SPIs differ.
  const auto it = destination.is_unspecified()
                      ? std::ranges::find_if(sas_,
                                             [&](const auto& entry) {
                                               return std::get<0>(entry.first) == Direction::kInbound &&
                                                      std::get<2>(entry.first) == mapping.id.spi;
                                             })
                      : sas_.find({Direction::kInbound, destination, mapping.id.spi});
  if (it == sas_.end()) return;
  const Endpoint remote{mapping.new_source.as(mapping.id.family), mapping.new_port};
  events_.emplace_back(PeerMoved{it->second.spec.child, remote, it->second.spec.local});
}

// ---- what others did
void KernelEngine::expire(std::map<SaKey, Held>::iterator it) {
  const auto& spec = it->second.spec;
  events_.emplace_back(SaExpiring{spec.spi, spec.direction, spec.child, true});
  forget(it);
}

void KernelEngine::on_removed(const xfrm::SaId& id) {
  const auto destination = id.destination.as(id.family);
  for (const auto direction : {Direction::kInbound, Direction::kOutbound}) {
    const auto it = sas_.find({direction, destination, id.spi});
    if (it == sas_.end() || it->second.standby ||
        name_in_kernel(it->second.spec) != SaName{destination, id.spi, id.protocol}) {
      continue;
    }
    expire(it);
    ++removed_by_others_;
    return;
  }
  // Half of what it was.
  sas_unsure_ = sas_unsure_ || id.protocol == xfrm::kProtocolIpComp;
}

KernelEngine::PutBack KernelEngine::put_back() {
  PutBack found;
  found.sas = std::exchange(removed_by_others_, 0);
  if (sas_unsure_) look_for_sas(found);
  if (policies_unsure_) look_for_policies(found);
  return found;
}

void KernelEngine::look_for_sas(PutBack& found) {
  const auto known = ask_all();
  if (!known) return;
  sas_unsure_ = false;
  for (auto it = sas_.begin(); it != sas_.end();) {
    const auto here = it++;
    const auto& spec = here->second.spec;
    const bool compressed =
        spec.ipcomp_cpi == 0 || known->contains({destination_of(spec), Spi(spec.ipcomp_cpi), xfrm::kProtocolIpComp});
    if (here->second.standby || (compressed && known->contains(name_in_kernel(spec)))) continue;
    if (!compressed) (void)port_.ask(name_sa(xfrm::MessageType::kDelSa, spec));
    expire(here);
    ++found.sas;
  }
}

Result<void> probe(KernelPort& port, const model::SaSpec& spec) {
  auto message = new_sa(spec, kReqidBase, 0);
  if (!message) return std::unexpected(message.error());
  if (auto added = add_compression(port, spec, kReqidBase, 0); !added) return added;
  const auto done = add_sa(port, spec, *message);
  remove_compression(port, spec);
  if (!done) return fail(words_of(done.error(), "an SA of these algorithms"));
  (void)port.ask(name_sa(xfrm::MessageType::kDelSa, spec));
  return {};
}

}  // namespace cygnet::sadb::kernel
