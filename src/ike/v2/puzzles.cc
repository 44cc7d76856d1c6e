// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/puzzles.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ike/puzzle.h"
#include "ike/v2/cookie.h"
#include "ike/v2/handlers.h"
#include "ike/v2/init.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/request.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr unsigned kOwnDifficulty = 12;

// RFC 8019 section 7.2.3: in the IKE_AUTH exchange "S is a concatenation of Nr and SPIr".
Bytes auth_puzzle_text(const IkeSa& sa) {
  Bytes out = sa.handshake->nonce_r;
  std::array<std::uint8_t, 8> spi{};
  store_be64(spi.data(), sa.spi_r.value);
  append(out, ByteView(spi));
  return out;
}

bool offers_prf(const std::vector<model::Proposal>& offered, model::PrfId prf) {
  return model::key_octets(prf) != 0 && std::ranges::any_of(offered, [&](const auto& proposal) {
           return std::ranges::any_of(proposal.transforms, [&](const auto& t) {
             return t.type == model::TransformType::kPrf && t.id == static_cast<std::uint16_t>(prf);
           });
         });
}

Outcome end_here(Turn& turn, const std::string& message) {
  turn.world.report(*turn.sa, Severity::kError, "key-exchange-failed", message);
  turn.sa->end_reason = message;
  return Outcome::kDie;
}

void tell_of_auth_puzzles(World& world, bool wanted) {
  if (wanted == world.auth_puzzles_on) return;
  world.auth_puzzles_on = wanted;
  world.report(wanted ? Severity::kWarning : Severity::kNotice, "", "", wanted ? "auth-puzzles-on" : "auth-puzzles-off",
               wanted ? "many begin an IKE SA and never prove that they have its keys: newcomers solve a puzzle before "
                        "IKE_AUTH, too"
                      : "most of those who begin an IKE SA go on with it again: no more puzzles before IKE_AUTH");
}

}  // namespace

bool is_fair(const World& world, const IkeSa& sa, const wi::PuzzleDemand& puzzle) {
  return offers_prf(sa.handshake->offered, puzzle.prf) && bits_wanted(puzzle) <= world.settings.setup.hardest_puzzle;
}

unsigned bits_wanted(const wi::PuzzleDemand& puzzle) {
  return puzzle.difficulty == 0 ? kOwnDifficulty : puzzle.difficulty;
}

std::string read_auth_puzzle(const World& world, IkeSa& sa, const wi::Payloads& payloads) {
  auto& h = *sa.handshake;
  h.auth_puzzle.reset();
  const auto* notification = wi::find_notify(payloads, wi::NotifyType::kPuzzle);
  if (notification == nullptr) return {};
  const auto puzzle = wi::parse_puzzle_demand(ByteView(notification->data));
  if (!puzzle) return sa.peer() + " asks for the solution of a puzzle that makes no sense";
  if (!offers_prf(h.offered, puzzle->prf))
    return sa.peer() + " asks for the solution of a puzzle with a PRF that we did not offer";
  if (!is_fair(world, sa, *puzzle)) {
    return sa.peer() + " asks for the solution of a puzzle of difficulty " + std::to_string(bits_wanted(*puzzle)) +
           ", and hardest-puzzle=" + std::to_string(world.settings.setup.hardest_puzzle) +
           " is all we do: try again later, or raise it";
  }
  h.auth_puzzle = puzzle;
  return {};
}

void order_auth_puzzle(World& world, IkeSa& sa) {
  const auto& puzzle = *sa.handshake->auth_puzzle;
  const auto bits = bits_wanted(puzzle);
  world.report(sa, Severity::kInfo, "puzzle-received",
               sa.peer() + " is under attack and asks for the solution of a puzzle of difficulty " +
                   std::to_string(bits) + " with IKE_AUTH");
  world.order_puzzle(sa, About::kAuth, puzzle.prf, bits, auth_puzzle_text(sa));
}

Outcome on_auth_puzzle_solved(Turn& turn) {
  auto& sa = *turn.sa;
  // RFC 8019 section 7.2.4: without a solution the responder "MUST silently discard" what we say.
  if (!turn.puzzle->error.empty()) {
    turn.world.report(sa, Severity::kError, "puzzle-unsolved", turn.puzzle->error);
    sa.end_reason = turn.puzzle->error;
    return Outcome::kDie;
  }
  sa.handshake->auth_solution = turn.puzzle->keys;
  const auto fault = begin_auth(turn.world, sa);
  if (fault.empty()) return Outcome::kNext;
  turn.world.report(sa, Severity::kError, "no-proof", fault);
  sa.end_reason = fault;
  return Outcome::kDie;
}

bool has_paid(World& world, const Turn& turn) {
  const auto* solution = wi::find_payload<wi::PuzzleSolutionPayload>(*turn.payloads);
  const auto* cookie = wi::find_notify(*turn.payloads, wi::NotifyType::kCookie);
  const auto* nonce = wi::find_payload<wi::NoncePayload>(*turn.payloads);
  if (solution == nullptr || cookie == nullptr || nonce == nullptr) return false;
  const auto puzzle =
      read_cookie(world, ByteView(cookie->data), ByteView(nonce->data), turn.path.remote, turn.header->spi_i);
  if (!puzzle || puzzle->difficulty == 0 ||
      !puzzle_is_solved(puzzle->prf, puzzle->difficulty, ByteView(cookie->data), ByteView(solution->keys)))
    return false;
  world.spent_puzzles.note(ByteView(cookie->data));
  return true;
}

bool wants_auth_puzzle(World& world) {
  const bool wanted = world.newcomers.mostly_false(world.now, world.settings.setup.auth_puzzle_threshold);
  tell_of_auth_puzzles(world, wanted);
  return wanted;
}

void judge_newcomer(World& world, const IkeSa& sa, bool genuine) {
  if (sa.initiator || !sa.handshake || sa.handshake->judged) return;
  sa.handshake->judged = true;
  world.newcomers.note(world.now, genuine);
}

Outcome on_guarded_key_ready(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!turn.job->own) return end_here(turn, "cannot make a key pair: " + turn.job->error);
  sa.handshake->own = *turn.job->own;
  // RFC 8019 section 7.2.1.1: "the requested difficulty level for IKE_AUTH puzzles MUST NOT be zero".
  const wi::PuzzleDemand puzzle{sa.algorithms.prf,
                                static_cast<std::uint8_t>(world.settings.setup.auth_puzzle_difficulty)};
  sa.handshake->auth_puzzle = puzzle;
  ++world.counters.auth_puzzles_sent;
  answer_init(world, sa, sa.handshake->own.public_value);
  return Outcome::kNext;
}

bool take_solution(World& world, IkeSa& sa, const Path& path, const wi::Message& message) {
  Turn turn{world, &sa, path, {}, &message.header, &message.payloads};
  // RFC 8019 section 7.2.4: it "MUST silently discard all the IKE_AUTH request messages without the Puzzle Solution
  // payload". Later fragments that overtook the first one come again with it.
  if (!message.header.response) (void)dispatch(turn, Trigger::kRequest, message.header.exchange, About::kNothing);
  const bool taken = sa.state == State::kGuardDeriving;
  ++(taken ? world.counters.auth_puzzles_solved : world.counters.auth_puzzles_refused);
  return taken;
}

Outcome on_solution(Turn& turn) {
  auto& sa = *turn.sa;
  auto& h = *sa.handshake;
  const auto& keys = wi::find_payload<wi::PuzzleSolutionPayload>(*turn.payloads)->keys;
  // RFC 8019 section 7.2.4: the responder "MUST verify the solution before performing computationally intensive
  // operations", and discard what is wrong.
  if (turn.header->message_id != sa.expected ||
      !puzzle_is_solved(h.auth_puzzle->prf, h.auth_puzzle->difficulty, auth_puzzle_text(sa), ByteView(keys)))
    return Outcome::kStay;
  turn.world.order_job(sa, About::kPeerRequest, h.group, std::exchange(h.own, {}), h.peer_public);
  return Outcome::kNext;
}

Outcome on_guarded_secret_ready(Turn& turn) {
  auto& sa = *turn.sa;
  if (!turn.job->shared_secret)
    return end_here(turn, "the public value of " + sa.peer() + " is not sound: " + turn.job->error);
  // RFC 8019 section 7.2.4: the keys stay, also if the message that brought the solution turns out to be forged.
  const auto keyed = use_shared_secret(sa, ByteView(*turn.job->shared_secret));
  return keyed ? Outcome::kNext : end_here(turn, keyed.error().message);
}

}  // namespace cygnet::ike::v2
