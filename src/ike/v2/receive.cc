// SPDX-License-Identifier: Apache-2.0
// 1. receive: header and version
// 2. find the IKE SA by our SPI, or take an IKE_SA_INIT request
// 3. open the Encrypted payload
// 4. on_request, on_response: message ID, then the transition table
#include "ike/v2/receive.h"

#include <algorithm>
#include <utility>

#include "ike/diagnosis.h"
#include "ike/v2/crash_detection.h"
#include "ike/v2/fragments.h"
#include "ike/v2/gate.h"
#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"
#include "ike/v2/mobike.h"
#include "ike/v2/puzzles.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

constexpr std::size_t kMostDeferred = 8;

// Unprotected answers: to requests only, and not to too many (RFC 7296 section 2.21.4).
void reply_unprotected(World& world, const Path& path, const wi::Header& header, wi::NotifyPayload payload) {
  if (header.response || !world.stray_replies.allow(world.now)) return;
  wi::Message message;
  message.header = header;
  message.header.major_version = 2;
  message.header.minor_version = 0;
  message.header.initiator = !header.initiator;
  message.header.higher_version = false;
  message.header.response = true;
  message.payloads.emplace_back(std::move(payload));
  world.send_raw(path, wi::serialize_message(message));
}

void stray_report(World& world, Severity severity, const Path& path, std::string event, std::string message) {
  if (world.stray_reports.allow(world.now))
    world.report(severity, "", path.remote.to_string(), std::move(event), std::move(message));
}

void on_unreadable(World& world, const Path& path, const wi::Header& header, const wi::ParseError& error) {
  ++world.counters.malformed;
  const bool first_request = header.exchange == wi::ExchangeType::kIkeSaInit && !header.response;
  switch (error.kind) {
    case wi::ParseError::Kind::kMajorVersion:
      stray_report(world, Severity::kInfo, path, "other-version",
                   path.remote.to_string() + " speaks IKEv" + std::to_string(header.major_version) +
                       ": write keyexchange=ikev2 at the peer");
      // RFC 7296 section 2.5: "If an endpoint receives a message with a higher major version number, it MUST drop the
      // message and SHOULD send an unauthenticated Notify message of type INVALID_MAJOR_VERSION".
      if (header.major_version > 2)
        reply_unprotected(world, path, header, notify(wi::NotifyType::kInvalidMajorVersion));
      return;
    case wi::ParseError::Kind::kUnsupportedCritical:
      if (first_request)
        reply_unprotected(world, path, header,
                          notify(wi::NotifyType::kUnsupportedCriticalPayload, {error.payload_type}));
      break;
    default:
      if (first_request) reply_unprotected(world, path, header, notify(wi::NotifyType::kInvalidSyntax));
      break;
  }
  stray_report(world, Severity::kInfo, path, "malformed",
               "cannot read a message of " + path.remote.to_string() + ": " + error.message);
}

// A message that is authentic and yet cannot be read.
void on_bad_contents(World& world, IkeSa& sa, const wi::Header& header, const wi::ParseError& error) {
  ++world.counters.malformed;
  world.report(sa, Severity::kWarning, "malformed",
               "cannot read a protected message of " + sa.peer() + ": " + error.message);
  if (header.response) {
    if (sa.outstanding && sa.outstanding->id == header.message_id) {
      request_answered(world, sa);
      end_sa(world, sa, sa.peer() + " answered with something that cannot be read", Aftermath::kKeepUp);
    }
    return;
  }
  if (header.message_id != sa.expected) return;
  if (error.kind == wi::ParseError::Kind::kUnsupportedCritical) {
    return send_response(world, sa, header.exchange, header.message_id,
                         {notify(wi::NotifyType::kUnsupportedCriticalPayload, {error.payload_type})});
  }
  // RFC 7296 section 2.21.3: after INVALID_SYNTAX in a protected message the IKE SA is over on both ends.
  send_response(world, sa, header.exchange, header.message_id, {notify(wi::NotifyType::kInvalidSyntax)});
  end_sa(world, sa, sa.peer() + " sent something that cannot be read", Aftermath::kKeepUp);
}

void follow_peer(World& world, IkeSa& sa, const Path& path) {
  if (path == sa.path) return;
  if (sa.state == State::kInitAnswered) {
    // RFC 7296 section 2.23: the initiator moves to port 4500 with IKE_AUTH.
    sa.path = path;
    return;
  }
  // RFC 7296 section 2.23: a host "that is not behind a NAT, SHOULD send all packets ... to the IP address and port in
  // the validated packet": only a peer behind a NAT moves without saying so.
  // RFC 4555 section 3.8: with MOBIKE "the host not behind a NAT MUST NOT use these dynamic updates for IKEv2 packets".
  if (sa.nat_remote && path.marked && !sa.mobility.agreed) move_peer(world, sa, path);
}

void on_request(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto id = turn.header->message_id;
  if (id.value + 1 == sa.expected.value && !sa.last_response.empty()) {
    // RFC 7296 section 2.1: a retransmitted request is answered with the same response again.
    return send_response_again(world, sa, turn.path);
  }
  if (id != sa.expected) return;
  if (sa.state == State::kInitAnswered && !sa.end_reason.empty()) return;  // refused: one try for each key exchange
  if (sa.peer_request && sa.peer_request->id == id) return;                // still being worked on
  note_life(world, sa, world.now);
  follow_peer(world, sa, turn.path);
  sa.request_path = turn.path;
  if (dispatch(turn, Trigger::kRequest, turn.header->exchange, About::kNothing)) return;
  if (sa.state != State::kEstablished) return;
  world.report(sa, Severity::kWarning, "request-not-understood",
               "cannot make sense of an " + wi::to_string(turn.header->exchange) + " request of " + sa.peer());
  send_response(world, sa, turn.header->exchange, id, {notify(wi::NotifyType::kInvalidSyntax)});
}

void on_response(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!sa.outstanding || sa.outstanding->id != turn.header->message_id ||
      sa.outstanding->exchange != turn.header->exchange)
    return;
  note_life(world, sa, world.now);
  follow_peer(world, sa, turn.path);
  note_answer_path(world, sa, turn.path);
  if (sa.doomed && !sa.task) {
    request_answered(world, sa);
    return start_next_task(world, sa);
  }
  const auto about = sa.state == State::kAuthSent ? About::kAuth : sa.task ? sa.task->about : About::kNothing;
  if (dispatch(turn, Trigger::kResponse, turn.header->exchange, about)) return;
  request_answered(world, sa);
  const auto message = sa.peer() + "'s " + wi::to_string(turn.header->exchange) + " response lacks what it must hold";
  world.report(sa, Severity::kError, "answer-unacceptable", message);
  if (sa.task && sa.task->about == About::kRekeyIke) {
    // No successor comes of it. What the peer's own rekey made, if both did, has all that is needed to go on.
    if (yield_to_peers_rekey(world, sa)) return;
    sa.task.reset();
    if (sa.doomed) return start_next_task(world, sa);  // taken down meanwhile: that is told now
  }
  if (sa.state == State::kEstablished && !wi::find_error_notify(*turn.payloads))
    return delete_ike_sa(world, sa, message, Aftermath::kKeepUp);
  end_sa(world, sa, message, Aftermath::kKeepUp);
}

void defer(IkeSa& sa, const Path& path, ByteView datagram) {
  if (sa.deferred.size() < kMostDeferred) sa.deferred.push_back({path, Bytes(datagram.begin(), datagram.end())});
}

void on_contents(World& world, IkeSa& sa, const Path& path, ByteView datagram, const wi::Message& outer,
                 const wi::Payloads& inner) {
  Turn turn{world, &sa, path, datagram, &outer.header, &inner, nullptr};
  judge_newcomer(world, sa, true);
  if (outer.header.response) {
    on_response(turn);
  } else {
    on_request(turn);
  }
}

// RFC 7383 section 2.6.1: a fragment of a request that was answered "MUST only trigger retransmission of the response"
// if its number is 1; of several fragments, one answer is enough.
void on_repeated_fragment(World& world, IkeSa& sa, const Path& path, ByteView datagram,
                          const wi::EncryptedFragmentPayload& piece) {
  if (piece.fragment_number != 1 || !wi::open_fragment(datagram, piece, *sa.open)) return;
  note_peer_fragment(sa, piece, datagram.size());
  send_response_again(world, sa, path);
}

void on_fragment(World& world, IkeSa& sa, const Path& path, ByteView datagram, const wi::Message& outer) {
  const auto& piece = *wi::find_payload<wi::EncryptedFragmentPayload>(outer.payloads);
  const bool answered =
      !outer.header.response && outer.header.message_id.value + 1 == sa.expected.value && !sa.last_response.empty();
  if (answered && sa.fragmentation) return on_repeated_fragment(world, sa, path, datagram, piece);
  if (sa.state == State::kVerifying && sa.initiator) return defer(sa, path, datagram);
  const auto inner = take_fragment(world, sa, datagram, outer);
  if (!inner) return;
  if (!*inner) return on_bad_contents(world, sa, outer.header, inner->error());
  on_contents(world, sa, path, datagram, outer, **inner);
}

void on_protected(World& world, IkeSa& sa, const Path& path, ByteView datagram, const wi::Message& outer) {
  if (wi::find_payload<wi::EncryptedFragmentPayload>(outer.payloads) != nullptr)
    return on_fragment(world, sa, path, datagram, outer);
  const auto inner = wi::open_message(datagram, outer, *sa.open);
  if (!inner) {
    if (inner.error().kind == wi::ParseError::Kind::kNotAuthentic) {
      ++world.counters.integrity_failed;
      judge_newcomer(world, sa, false);
      stray_report(
          world, Severity::kInfo, path, "not-authentic",
          "a message from " + path.remote.to_string() + " for the IKE SA with " + sa.peer() + " is forged or damaged");
      return;
    }
    return on_bad_contents(world, sa, outer.header, inner.error());
  }
  // The responder may have more to say before we know whether to believe it.
  if (sa.state == State::kVerifying && sa.initiator) return defer(sa, path, datagram);
  // The peer changed its mind, or pieces were lost: the whole message will do.
  drop_fragments_of(world, sa, outer.header);
  on_contents(world, sa, path, datagram, outer, *inner);
}

void on_init_message(World& world, const Path& path, ByteView datagram, const wi::Message& message) {
  const auto& header = message.header;
  if (!header.response) {
    Turn turn{world, nullptr, path, datagram, &header, &message.payloads, nullptr};
    if (header.initiator && !dispatch(turn, Trigger::kRequest, header.exchange, About::kNothing)) {
      ++world.counters.malformed;
      reply_unprotected(world, path, header, notify(wi::NotifyType::kInvalidSyntax));
    }
    return;
  }
  auto* sa = world.find_sa(header.spi_i);
  if (sa == nullptr || !sa->initiator || header.initiator || sa->state != State::kInitSent ||
      header.message_id != MessageId(0))
    return;
  Turn turn{world, sa, path, datagram, &header, &message.payloads, nullptr};
  if (!dispatch(turn, Trigger::kResponse, header.exchange, About::kInit)) ++world.counters.malformed;
}

// The job, if its IKE SA still waits for it.
std::optional<Job> take_job(World& world, std::uint64_t number) {
  const auto found = world.jobs.find(number);
  if (found == world.jobs.end()) return std::nullopt;
  const auto job = found->second;
  world.jobs.erase(found);
  auto* sa = world.find_sa(job.sa);
  if (sa == nullptr) return std::nullopt;
  auto& current = job.about == About::kPeerRequest ? sa->peer_job : sa->own_job;
  if (current != number) return std::nullopt;  // overtaken
  current = 0;
  return job;
}

// What came while a job ran.
void receive_deferred(World& world, IkeSa& sa) {
  auto deferred = std::move(sa.deferred);
  sa.deferred.clear();
  for (const auto& d : deferred) receive(world, d.path, ByteView(d.bytes));
}

}  // namespace

void move_peer(World& world, IkeSa& sa, const Path& path) {
  world.report(sa, Severity::kNotice, "peer-moved", sa.peer() + " is now at " + path.remote.to_string());
  set_path(world, sa, path);
}

void receive(World& world, const Path& path, ByteView datagram) {
  const auto header = wi::parse_header(datagram);
  if (!header) {
    ++world.counters.malformed;
    return;
  }
  const bool newcomer = header->exchange == wi::ExchangeType::kIkeSaInit && header->initiator && !header->response &&
                        header->major_version == 2;
  if (newcomer && !admit(world, path, *header, datagram)) return;
  const auto message = wi::parse_message(datagram);
  if (!message) return on_unreadable(world, path, *header, message.error());
  if (header->exchange == wi::ExchangeType::kIkeSaInit) return on_init_message(world, path, datagram, *message);

  const auto local_spi = header->initiator ? header->spi_r : header->spi_i;
  auto* sa = world.find_sa(local_spi);
  const bool ours = sa != nullptr && sa->alive() && sa->initiator != header->initiator &&
                    sa->remote_spi() == (header->initiator ? header->spi_i : header->spi_r);
  if (!ours) return on_unknown_ike_sa(world, path, *message);
  const bool is_protected = wi::find_payload<wi::EncryptedPayload>(message->payloads) != nullptr ||
                            wi::find_payload<wi::EncryptedFragmentPayload>(message->payloads) != nullptr;
  if (!is_protected) return on_unprotected(world, *sa, path, *message);
  if (sa->state == State::kInitGuarded && !take_solution(world, *sa, path, *message)) return;
  if (!sa->open) return defer(*sa, path, datagram);
  on_protected(world, *sa, path, datagram, *message);
}

void finish_job(World& world, const JobResult& result) {
  const auto job = take_job(world, result.job);
  auto* sa = job ? world.find_sa(job->sa) : nullptr;
  if (sa == nullptr) return;
  const bool handshake = sa->state == State::kInitGenerating || sa->state == State::kInitDeriving ||
                         sa->state == State::kAnswering || sa->state == State::kGuardDeriving;
  if (job->about != About::kPeerRequest && !handshake && (!sa->task || sa->task->about != job->about)) return;
  Turn turn{world, sa, sa->path, {}, nullptr, nullptr, &result};
  dispatch(turn, job->kind == Job::Kind::kSharedSecret ? Trigger::kSecretReady : Trigger::kKeyReady,
           handshake ? wi::ExchangeType::kIkeSaInit : wi::ExchangeType::kCreateChildSa, job->about);
  receive_deferred(world, *sa);
}

void finish_puzzle(World& world, const PuzzleResult& result) {
  const auto job = take_job(world, result.job);
  auto* sa = job ? world.find_sa(job->sa) : nullptr;
  if (sa == nullptr || !sa->alive() || job->kind != Job::Kind::kPuzzle) return;
  Turn turn{world, sa, sa->path, {}, nullptr, nullptr, nullptr, nullptr, &result};
  dispatch(turn, Trigger::kPuzzleSolved,
           job->about == About::kAuth ? wi::ExchangeType::kIkeAuth : wi::ExchangeType::kIkeSaInit, job->about);
}

void finish_auth(World& world, const auth::AuthResult& result) {
  const auto job = take_job(world, result.job);
  auto* sa = job ? world.find_sa(job->sa) : nullptr;
  if (sa == nullptr || !sa->alive()) return;
  Turn turn{world, sa, sa->path, {}, nullptr, nullptr, nullptr, &result};
  dispatch(turn, job->kind == Job::Kind::kProof ? Trigger::kProofReady : Trigger::kVerified, wi::ExchangeType::kIkeAuth,
           job->about);
  receive_deferred(world, *sa);
}

void finish_auth_here(World& world) {
  while (!world.auth_done.empty()) {
    for (const auto& result : std::exchange(world.auth_done, {})) finish_auth(world, result);
  }
}

}  // namespace cygnet::ike::v2
