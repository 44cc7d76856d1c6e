// SPDX-License-Identifier: Apache-2.0
// INFORMATIONAL: deletes, liveness, notifications (RFC 7296 sections 1.4 and 2.25).
#include <algorithm>

#include "ike/diagnosis.h"
#include "ike/v2/authorize.h"
#include "ike/v2/beside.h"
#include "ike/v2/clones.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/mobike.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// One child that the peer deletes; our SPI for the answer, or nothing.
std::optional<Spi> delete_child(World& world, IkeSa& sa, Spi peers_inbound, model::Protocol protocol) {
  auto* child = sa.find_child_out(peers_inbound);
  if (child != nullptr && child->algorithms.protocol() != protocol) return std::nullopt;
  if (child == nullptr) {
    constexpr std::size_t kMostRemembered = 16;
    const bool may_come = sa.task && !sa.task->nonce.empty() && sa.task->gone.size() < kMostRemembered;
    if (may_come) sa.task->gone.push_back(peers_inbound);
    return std::nullopt;
  }
  // RFC 7296 section 1.4.1, if both ends decide to close them: "the responses MUST NOT include Delete payloads for the
  // deleted SAs".
  if (child->state == ChildState::kDeleting) return std::nullopt;
  const Spi ours = child->spi_in;
  if (sa.task && sa.task->collision && sa.task->about == About::kRekeyChild && sa.task->child == child->id)
    sa.task->collision->old_deleted = true;
  if (child->replaced_by) {
    if (auto* newer = sa.find_child(*child->replaced_by)) activate(world, sa, *newer);
    fade_child(world, sa, *child, "rekeyed", true);
    return ours;
  }
  if (use_twin(world, sa, *child)) {
    fade_child(world, sa, *child, "it lives on on a newer IKE SA", true);
    return ours;
  }
  const std::string reason = "deleted by " + sa.peer();
  world.report(sa, Severity::kNotice, "child-deleted", "child " + child->name + " " + reason);
  const ChildSa copy = *child;
  remove_child(world, sa, child->id, reason, false);
  close_orphans(world, sa, copy);
  after_child_loss(world, copy, Aftermath::kKeepUp);
  return ours;
}

// The peer deletes the IKE SA itself.
void on_ike_deleted(World& world, IkeSa& sa) {
  const bool replaced = sa.replaced_by.has_value();
  // RFC 7296 section 2.25.2: a request to close an IKE SA that is being rekeyed: "forget about its own rekeying
  // request". The peer's rekey, if there was one, stands.
  if (sa.task && sa.task->about == About::kRekeyIke && sa.task->collision) {
    if (auto* theirs = world.find_sa(sa.task->collision->ike_spi)) {
      theirs->counted = sa.counted;
      sa.counted = false;
      inherit(world, sa, *theirs);
      sa.task.reset();
      world.act(IkeUp{theirs->name(), theirs->spi_i, theirs->spi_r, theirs->initiator});
      world.checkpoint(*theirs);
      end_sa(world, sa, "rekeyed", Aftermath::kKeepUp, true);
      start_next_task(world, *theirs);
      return;
    }
  }
  if (!replaced) world.report(sa, Severity::kNotice, "ike-deleted", "IKE SA deleted by " + sa.peer());
  end_sa(world, sa, replaced ? "rekeyed" : "deleted by " + sa.peer(),
         sa.state == State::kDeleting || sa.doomed ? Aftermath::kForget : Aftermath::kKeepUp, replaced);
}

}  // namespace

Outcome on_informational_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  wi::DeletePayload closed, closed_ah;
  closed.protocol = model::Protocol::kEsp;
  closed_ah.protocol = model::Protocol::kAh;
  bool ike_deleted = false, disbelieved = false;
  for (const auto& payload : *turn.payloads) {
    if (const auto* d = std::get_if<wi::DeletePayload>(&payload)) {
      ike_deleted = ike_deleted || d->protocol == model::Protocol::kIke;
      if (d->protocol == model::Protocol::kIke) continue;
      auto& answer = d->protocol == model::Protocol::kAh ? closed_ah : closed;
      for (const auto spi : d->spis) {
        if (const auto ours = delete_child(world, sa, spi, d->protocol)) answer.spis.push_back(*ours);
      }
    } else if (const auto* n = std::get_if<wi::NotifyPayload>(&payload)) {
      disbelieved = disbelieved || n->type == wi::NotifyType::kAuthenticationFailed;
      if (n->type == wi::NotifyType::kInvalidSpi) {
        on_spi_disowned(world, sa, *n);
      } else if (wi::is_error(n->type)) {
        world.report(sa, Severity::kWarning, "peer-reports",
                     sa.peer() + " reports: " + diagnosis::meaning(*n) + " (" + wi::to_string(n->type) + ")");
      }
    }
  }
  read_crash_token(sa, *turn.payloads);
  read_auth_lifetime(world, sa, *turn.payloads);  // RFC 4478 section 2: in an exchange of its own too
  wi::Payloads answer;
  for (auto* payload : {&closed, &closed_ah}) {
    if (!payload->spis.empty()) answer.emplace_back(std::move(*payload));
  }
  on_mobike_request(turn, answer);
  send_response(world, sa, wi::ExchangeType::kInformational, turn.header->message_id, answer);
  if (disbelieved) {
    sa.end_reason = diagnosis::refused_by_peer(sa.peer(), what_to_compare(world.credentials, *sa.connection),
                                               sa.local_id, "'" + sa.remote_id.to_string() + "'");
    return Outcome::kDie;
  }
  if (ike_deleted) on_ike_deleted(world, sa);
  return Outcome::kStay;
}

Outcome on_informational_answer(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  request_answered(world, sa);
  if (!sa.task) return Outcome::kStay;
  const auto task = std::move(*sa.task);
  sa.task.reset();
  if (task.about == About::kUpdateAddresses) on_address_update_answered(turn, task);
  if (task.about == About::kRoutability) on_routability_answered(turn);
  if (task.about == About::kLiveness) on_liveness_answered(turn);
  if (task.about == About::kDeleteChild) {
    if (!task.orphan_spi.is_zero()) world.esp_spis.erase(task.orphan_spi);
    if (auto* child = sa.find_child(task.child)) {
      if (child->replaced_by) {
        fade_child(world, sa, *child, "rekeyed", true);
      } else {
        remove_child(world, sa, task.child, task.reason, false);
      }
    }
    world.checkpoint(sa);
  }
  return Outcome::kStay;
}

Outcome on_delete_answered(Turn& turn) {
  auto& sa = *turn.sa;
  request_answered(turn.world, sa);
  end_sa(turn.world, sa, sa.end_reason, Aftermath::kForget, sa.replaced_by.has_value());
  return Outcome::kStay;
}

}  // namespace cygnet::ike::v2
