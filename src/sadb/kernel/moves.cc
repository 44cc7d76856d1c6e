// SPDX-License-Identifier: Apache-2.0

// SAs that get other ends, and go on counting (RFC 4555, RFC 7296 section 2.23). The kernel finds an SA by its
// destination and ties others to its source, so what moves is another one there, which must begin where the old one
// ended: RFC 4303 section 3.3.3 lets no sequence number be used twice under a key, and AES-GCM makes its nonces of
// them.
//
//  - MIGRATE_STATE (Linux 7.2) does that in one step.
//  - Older kernels have MIGRATE, which copies the numbers a while before it removes the old SA: what is sent in between
//    has them, and so has what follows. It is not used. There the old SA is removed first, which tells its last state,
//    and the new one begins with that. Packets that leave meanwhile wait for it (net.core.xfrm_larval_drop=0).
#include <cerrno>

#include "sadb/kernel/compression.h"
#include "sadb/kernel/engine.h"
#include "sadb/kernel/offload.h"
#include "sadb/kernel/words.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;
using model::Direction;

// Sequence numbers that may have been used under an SA whose end is not told.
constexpr std::uint64_t kMoveMargin = 1U << 16U;
constexpr std::uint64_t kLastSequence = 0xffff'ffffU;
// RFC 4303 section 2.1: of those that are reserved, none is in use.
constexpr Spi kNoSa{1};

bool have_same_ends(const model::SaSpec& a, const model::SaSpec& b) {
  return a.local.address == b.local.address && a.remote.address == b.remote.address &&
         a.udp_encapsulation == b.udp_encapsulation;
}

// What an SA had counted at its end, into the one that takes its place. removed: what the kernel told; window and
// lifetime: what it had said a moment earlier.
void go_on_counting(const std::vector<xfrm::Message>& removed, Direction direction, xfrm::ReplayStateEsn window,
                    const xfrm::LifetimeCurrent& lifetime, xfrm::Attributes& attributes) {
  for (const auto& notice : removed) {
    if (notice.header.type != xfrm::MessageType::kDelSa || !notice.attributes.sa || !notice.attributes.replay_esn) {
      continue;
    }
    attributes.replay_esn = notice.attributes.replay_esn;
    attributes.lifetime = notice.attributes.sa->current;
    return;
  }
  if (direction == Direction::kOutbound) window.sent += kMoveMargin;
  attributes.replay_esn = std::move(window);
  attributes.lifetime = lifetime;
}

}  // namespace

bool KernelEngine::can_migrate(const model::SaSpec& spec, const xfrm::Message& fresh) {
  // Which card an SA is in, add_sa() decides.
  if (spec.nic_offload != model::NicOffload::kNo) return false;
  if (!migrates_) {
    auto nobody = spec;
    nobody.spi = kNoSa;
    const auto done = port_.ask(migrate_sa(nobody, fresh));
    migrates_ = !done && done.error().number == ESRCH;
  }
  return *migrates_;
}

Result<void> KernelEngine::move(const Held& old, const Held& fresh) {
  auto message = new_sa(fresh.spec, fresh.reqid, mark_);
  if (!message) return std::unexpected(message.error());
  if (!have_same_ends(old.spec, fresh.spec)) return move_to_other_ends(old, fresh, std::move(*message));
  message->header.type = xfrm::MessageType::kUpdSa;
  const auto done = port_.ask(*message);
  return done ? Result<void>{} : fail(words_of(done.error(), "another port for " + name_of(old.spec)));
}

Result<void> KernelEngine::move_to_other_ends(const Held& old, const Held& fresh, xfrm::Message message) {
  if (auto moved = move_compression(port_, old.spec, fresh.spec, fresh.reqid, mark_); !moved) return moved;
  if (can_migrate(old.spec, message) && port_.ask(migrate_sa(old.spec, message))) return {};
  auto replaced = replace(old, fresh, std::move(message));
  // Or it is gone, and this half of it is missed then.
  if (!replaced) sas_unsure_ = !move_compression(port_, fresh.spec, old.spec, old.reqid, mark_) || sas_unsure_;
  return replaced;
}

Result<void> KernelEngine::replace(const Held& old, const Held& fresh, xfrm::Message message) {
  const auto before = port_.ask(name_sa(xfrm::MessageType::kGetSa, old.spec));
  const auto* info = before && !before->empty() ? std::get_if<xfrm::SaInfo>(&before->front().body) : nullptr;
  if (info == nullptr) return fail(name_of(old.spec) + " is not in the kernel any more");
  const auto& window = before->front().attributes.replay_esn;
  if (!window) return fail(name_of(old.spec) + " cannot be moved, since its sequence number is not told: rekey it");
  const bool outbound = fresh.spec.direction == Direction::kOutbound;
  if (outbound && !fresh.spec.esn && window->sent + kMoveMargin > kLastSequence) {
    return fail(name_of(old.spec) + " has too few sequence numbers left to move: rekey it");
  }
  const auto removed = port_.remove(name_sa(xfrm::MessageType::kDelSa, old.spec));
  if (!removed) {
    sas_unsure_ = true;
    return fail(words_of(removed.error(), "to remove " + name_of(old.spec)));
  }
  go_on_counting(*removed, fresh.spec.direction, *window, info->current, message.attributes);
  const auto done = add_sa(port_, fresh.spec, message);
  if (done) return {};
  auto back = new_sa(old.spec, old.reqid, mark_);
  if (back) {
    back->attributes.replay_esn = message.attributes.replay_esn;
    back->attributes.lifetime = message.attributes.lifetime;
  }
  // Or it is gone, and expires.
  sas_unsure_ = sas_unsure_ || !back || !add_sa(port_, old.spec, *back);
  return fail(words_of(done.error(), "other ends for " + name_of(old.spec)));
}

// Both halves of a child, or none.
Result<void> KernelEngine::move_all(const std::vector<std::pair<Held, Held>>& moves) {
  for (auto it = moves.begin(); it != moves.end(); ++it) {
    if (it->first.standby) continue;
    auto moved = move(it->first, it->second);
    if (moved) continue;
    while (it != moves.begin()) {
      --it;
      if (it->first.standby || move(it->second, it->first)) continue;
      // Neither there nor back: it expires.
      (void)port_.ask(name_sa(xfrm::MessageType::kDelSa, it->second.spec));
      remove_compression(port_, it->second.spec);
      sas_unsure_ = true;
    }
    return moved;
  }
  return {};
}

Result<void> KernelEngine::update_endpoints(model::ChildId child, const Endpoint& local, const Endpoint& remote,
                                            bool udp_encapsulation, std::uint32_t keepalive_s) {
  const auto of = of_child_.find(child);
  if (of == of_child_.end()) return fail("there is no such child");
  std::vector<std::pair<Held, Held>> moves;
  std::optional<std::uint32_t> reqid;
  for (const auto& key : of->second) {
    const auto& old = sas_.at(key);
    auto& fresh = moves.emplace_back(old, old).second;
    fresh.spec.local = local;
    fresh.spec.remote = remote;
    fresh.spec.udp_encapsulation = udp_encapsulation;
    fresh.spec.keepalive_s = fresh.spec.direction == Direction::kOutbound ? keepalive_s : 0;
    if (fresh.spec.direction == Direction::kOutbound) reqid = fresh.reqid;
  }
  if (auto moved = move_all(moves); !moved) return moved;
  for (auto& [old, fresh] : moves) {
    const auto key = key_of(old.spec);
    const auto now = key_of(fresh.spec);
    sas_.erase(key);
    of_child_[child].erase(key);
    of_child_[child].insert(now);
    if (standby_.erase(key) != 0) standby_.insert(now);
    sas_.insert_or_assign(now, std::move(fresh));
  }
  // Policies send where the newest SA leads.
  Result<void> result;
  for (auto& [id, policy] : policies_) {
    if (!reqid || policy.reqid != *reqid) continue;
    policy.spec.outer_local = local.address;
    policy.spec.outer_remote = remote.address;
    for (const auto& slot : policy.slots) {
      if (auto written = refresh(slot); !written && result) result = written;
    }
  }
  return result;
}

}  // namespace cygnet::sadb::kernel
