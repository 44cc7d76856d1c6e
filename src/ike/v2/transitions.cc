// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/transitions.h"

#include <array>
#include <iomanip>
#include <sstream>

#include "ike/v2/handlers.h"
#include "ike/v2/lifecycle.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using S = State;
using T = Trigger;
using enum wi::ExchangeType;

constexpr PayloadSet kExtras = has::kNotify | has::kVendorId | has::kCertReq | has::kCert;
constexpr PayloadSet kChild = has::kSa | has::kTsi | has::kTsr;

// Within one state the first row that fits is taken.
constexpr std::array kTransitions{
    // ---- IKE_SA_INIT, initiator
    Transition{"Our key pair is made: ask for an IKE SA", S::kInitGenerating, T::kKeyReady, kIkeSaInit, About::kInit, 0,
               0, S::kInitSent, Timer::kRetransmit, on_init_key_ready},
    Transition{"The responder is very busy and wants a puzzle solved", S::kInitSent, T::kResponse, kIkeSaInit,
               About::kInit, has::kCookie | has::kPuzzle, kExtras, S::kInitSolving, Timer::kNone, on_puzzle_wanted},
    Transition{"The puzzle is solved: ask again", S::kInitSolving, T::kPuzzleSolved, kIkeSaInit, About::kInit, 0, 0,
               S::kInitSent, Timer::kRetransmit, on_puzzle_solved},
    Transition{"The responder is busy and wants a cookie", S::kInitSent, T::kResponse, kIkeSaInit, About::kInit,
               has::kCookie, kExtras, S::kInitSent, Timer::kRetransmit, on_cookie_wanted},
    Transition{"The responder wants another group", S::kInitSent, T::kResponse, kIkeSaInit, About::kInit,
               has::kInvalidKe, kExtras, S::kInitGenerating, Timer::kNone, on_other_group_wanted},
    Transition{"The responder accepts: compute the shared secret", S::kInitSent, T::kResponse, kIkeSaInit, About::kInit,
               has::kSa | has::kKe | has::kNonce, kExtras, S::kInitDeriving, Timer::kNone, on_init_response},
    Transition{"The responder, or somebody, refuses: wait a moment for a better answer", S::kInitSent, T::kResponse,
               kIkeSaInit, About::kInit, has::kError, kExtras, S::kInitSent, Timer::kPatience, on_init_refused},
    Transition{"The shared secret is there: have it proven who we are", S::kInitDeriving, T::kSecretReady, kIkeSaInit,
               About::kInit, 0, 0, S::kProving, Timer::kPatience, on_init_secret_ready},
    // ---- IKE_AUTH, initiator
    Transition{"The puzzle that goes with IKE_AUTH is solved: have it proven who we are", S::kInitSolving,
               T::kPuzzleSolved, kIkeAuth, About::kAuth, 0, 0, S::kProving, Timer::kPatience, on_auth_puzzle_solved},
    Transition{"Our proof is made: send it", S::kProving, T::kProofReady, kIkeAuth, About::kAuth, 0, 0, S::kAuthSent,
               Timer::kRetransmit, on_proof_ready},
    Transition{"The responder proves who it is, with or without the child: check it", S::kAuthSent, T::kResponse,
               kIkeAuth, About::kAuth, has::kIdr | has::kAuth,
               kExtras | kChild | has::kError | has::kConfiguration | has::kTransport, S::kVerifying, Timer::kPatience,
               on_auth_response},
    Transition{"The responder's proof was checked", S::kVerifying, T::kVerified, kIkeAuth, About::kAuth, 0, 0,
               S::kEstablished, Timer::kRekey, on_responder_verified},
    Transition{"The responder wants EAP", S::kAuthSent, T::kResponse, kIkeAuth, About::kAuth, has::kEap,
               kExtras | has::kIdr, S::kDead, Timer::kNone, on_eap_wanted},
    Transition{"The responder refuses us", S::kAuthSent, T::kResponse, kIkeAuth, About::kAuth, has::kError, kExtras,
               S::kDead, Timer::kNone, on_auth_refused},
    // ---- IKE_SA_INIT and IKE_AUTH, responder
    Transition{"A peer asks for an IKE SA", S::kNone, T::kRequest, kIkeSaInit, About::kNothing,
               has::kSa | has::kKe | has::kNonce, kExtras | has::kCookie, S::kAnswering, Timer::kHalfOpen,
               on_init_request},
    Transition{"Key pair and shared secret are there: answer", S::kAnswering, T::kSecretReady, kIkeSaInit,
               About::kPeerRequest, 0, 0, S::kInitAnswered, Timer::kHalfOpen, on_answer_ready},
    Transition{"Under attack: a key pair is there, answer with a puzzle", S::kAnswering, T::kKeyReady, kIkeSaInit,
               About::kPeerRequest, 0, 0, S::kInitGuarded, Timer::kHalfOpen, on_guarded_key_ready},
    Transition{"The peer solved it: compute the shared secret", S::kInitGuarded, T::kRequest, kIkeAuth, About::kNothing,
               has::kSolution, 0, S::kGuardDeriving, Timer::kHalfOpen, on_solution},
    Transition{"The shared secret for a peer that solved its puzzle is there: read what it says", S::kGuardDeriving,
               T::kSecretReady, kIkeSaInit, About::kPeerRequest, 0, 0, S::kInitAnswered, Timer::kHalfOpen,
               on_guarded_secret_ready},
    Transition{"The peer proves who it is, with or without a child: check it", S::kInitAnswered, T::kRequest, kIkeAuth,
               About::kNothing, has::kIdi | has::kAuth,
               kExtras | kChild | has::kIdr | has::kConfiguration | has::kTransport, S::kVerifying, Timer::kHalfOpen,
               on_auth_request},
    Transition{"The peer's proof was checked: have ours made", S::kVerifying, T::kVerified, kIkeAuth,
               About::kPeerRequest, 0, 0, S::kProving, Timer::kHalfOpen, on_initiator_verified},
    Transition{"Our proof is made: answer", S::kProving, T::kProofReady, kIkeAuth, About::kPeerRequest, 0, 0,
               S::kEstablished, Timer::kRekey, on_answer_proof_ready},
    Transition{"The peer wants EAP", S::kInitAnswered, T::kRequest, kIkeAuth, About::kNothing, has::kIdi,
               kExtras | kChild | has::kIdr | has::kConfiguration, S::kDead, Timer::kNone, on_eap_asked},
    // ---- requests of the peer on an established IKE SA
    Transition{"The peer rekeys a child", S::kEstablished, T::kRequest, kCreateChildSa, About::kNothing,
               kChild | has::kNonce | has::kRekeySa, kExtras | has::kKe | has::kTransport, S::kEstablished,
               Timer::kRekey, on_child_rekey_request},
    Transition{"The peer wants another child", S::kEstablished, T::kRequest, kCreateChildSa, About::kNothing,
               kChild | has::kNonce, kExtras | has::kKe | has::kTransport, S::kEstablished, Timer::kRekey,
               on_child_request},
    Transition{"The peer rekeys the IKE SA", S::kEstablished, T::kRequest, kCreateChildSa, About::kNothing,
               has::kSa | has::kNonce | has::kKe, kExtras, S::kEstablished, Timer::kRekey, on_ike_rekey_request},
    Transition{"The shared secret for the peer's request is there", S::kEstablished, T::kSecretReady, kCreateChildSa,
               About::kPeerRequest, 0, 0, S::kEstablished, Timer::kRekey, on_peer_secret_ready},
    Transition{"The peer informs: deletes, notifications, a sign of life", S::kEstablished, T::kRequest, kInformational,
               About::kNothing, 0, kExtras | has::kDelete | has::kConfiguration, S::kEstablished, Timer::kRekey,
               on_informational_request},
    // ---- our own requests on an established IKE SA
    Transition{"Key pair for a new child: ask for it", S::kEstablished, T::kKeyReady, kCreateChildSa, About::kNewChild,
               0, 0, S::kEstablished, Timer::kRetransmit, on_child_key_ready},
    Transition{"Key pair for a child's successor: ask for it", S::kEstablished, T::kKeyReady, kCreateChildSa,
               About::kRekeyChild, 0, 0, S::kEstablished, Timer::kRetransmit, on_child_key_ready},
    Transition{"Key pair for a new IKE SA: ask for it", S::kEstablished, T::kKeyReady, kCreateChildSa, About::kRekeyIke,
               0, 0, S::kEstablished, Timer::kRetransmit, on_ike_rekey_key_ready},
    Transition{"The peer grants the child", S::kEstablished, T::kResponse, kCreateChildSa, About::kNewChild,
               kChild | has::kNonce, kExtras | has::kKe | has::kTransport, S::kEstablished, Timer::kRekey,
               on_child_answer},
    Transition{"The peer refuses the child", S::kEstablished, T::kResponse, kCreateChildSa, About::kNewChild,
               has::kError, kExtras, S::kEstablished, Timer::kRekey, on_child_refused},
    Transition{"The peer grants the child's successor", S::kEstablished, T::kResponse, kCreateChildSa,
               About::kRekeyChild, kChild | has::kNonce, kExtras | has::kKe | has::kTransport, S::kEstablished,
               Timer::kRekey, on_child_answer},
    Transition{"The peer refuses the child's successor", S::kEstablished, T::kResponse, kCreateChildSa,
               About::kRekeyChild, has::kError, kExtras, S::kEstablished, Timer::kRekey, on_child_refused},
    Transition{"The peer grants the new IKE SA", S::kEstablished, T::kResponse, kCreateChildSa, About::kRekeyIke,
               has::kSa | has::kNonce | has::kKe, kExtras, S::kEstablished, Timer::kNone, on_ike_rekey_answer},
    Transition{"The peer refuses the new IKE SA", S::kEstablished, T::kResponse, kCreateChildSa, About::kRekeyIke,
               has::kError, kExtras, S::kEstablished, Timer::kRekey, on_ike_rekey_refused},
    Transition{"The shared secret for the new child is there", S::kEstablished, T::kSecretReady, kCreateChildSa,
               About::kNewChild, 0, 0, S::kEstablished, Timer::kRekey, on_child_secret_ready},
    Transition{"The shared secret for the child's successor is there", S::kEstablished, T::kSecretReady, kCreateChildSa,
               About::kRekeyChild, 0, 0, S::kEstablished, Timer::kRekey, on_child_secret_ready},
    Transition{"The shared secret for the new IKE SA is there: it takes over", S::kEstablished, T::kSecretReady,
               kCreateChildSa, About::kRekeyIke, 0, 0, S::kDeleting, Timer::kRetransmit, on_ike_rekey_secret_ready},
    Transition{"The peer lives", S::kEstablished, T::kResponse, kInformational, About::kLiveness, 0, kExtras,
               S::kEstablished, Timer::kRekey, on_informational_answer},
    Transition{"The peer takes note of our addresses", S::kEstablished, T::kResponse, kInformational,
               About::kUpdateAddresses, 0, kExtras, S::kEstablished, Timer::kRekey, on_informational_answer},
    Transition{"The peer is where it says", S::kEstablished, T::kResponse, kInformational, About::kRoutability, 0,
               kExtras, S::kEstablished, Timer::kRekey, on_informational_answer},
    Transition{"The peer takes note of our token", S::kEstablished, T::kResponse, kInformational, About::kToken, 0,
               kExtras, S::kEstablished, Timer::kRekey, on_informational_answer},
    Transition{"The peer confirms the end of a child", S::kEstablished, T::kResponse, kInformational,
               About::kDeleteChild, 0, kExtras | has::kDelete, S::kEstablished, Timer::kRekey, on_informational_answer},
    // ---- the end
    Transition{"The peer deletes what was replaced", S::kRekeyed, T::kRequest, kInformational, About::kNothing, 0,
               kExtras | has::kDelete, S::kRekeyed, Timer::kPatience, on_informational_request},
    Transition{"The peer lives, though the IKE SA was replaced", S::kRekeyed, T::kResponse, kInformational,
               About::kLiveness, 0, kExtras, S::kRekeyed, Timer::kPatience, on_informational_answer},
    Transition{"The peer asks for more on a replaced IKE SA", S::kRekeyed, T::kRequest, kCreateChildSa, About::kNothing,
               0, kExtras | kChild | has::kNonce | has::kKe, S::kRekeyed, Timer::kPatience, on_request_while_replaced},
    Transition{"The peer asks for more on an IKE SA that we delete", S::kDeleting, T::kRequest, kCreateChildSa,
               About::kNothing, 0, kExtras | kChild | has::kNonce | has::kKe, S::kDeleting, Timer::kRetransmit,
               on_request_while_replaced},
    Transition{"Both ends delete at the same time", S::kDeleting, T::kRequest, kInformational, About::kNothing, 0,
               kExtras | has::kDelete, S::kDeleting, Timer::kRetransmit, on_informational_request},
    Transition{"The peer confirms the end of the IKE SA", S::kDeleting, T::kResponse, kInformational, About::kDeleteIke,
               0, kExtras | has::kDelete, S::kDead, Timer::kNone, on_delete_answered},
};

struct Named {
  PayloadSet bit;
  std::string_view name;
};
constexpr std::array kNames{Named{has::kSa, "SA"},
                            Named{has::kKe, "KE"},
                            Named{has::kNonce, "No"},
                            Named{has::kIdi, "IDi"},
                            Named{has::kIdr, "IDr"},
                            Named{has::kAuth, "AUTH"},
                            Named{has::kTsi, "TSi"},
                            Named{has::kTsr, "TSr"},
                            Named{has::kDelete, "D"},
                            Named{has::kRekeySa, "N(REKEY_SA)"},
                            Named{has::kCookie, "N(COOKIE)"},
                            Named{has::kPuzzle, "N(PUZZLE)"},
                            Named{has::kSolution, "PS"},
                            Named{has::kInvalidKe, "N(INVALID_KE_PAYLOAD)"},
                            Named{has::kError, "N(error)"},
                            Named{has::kTransport, "N(USE_TRANSPORT_MODE)"},
                            Named{has::kNotify, "N"},
                            Named{has::kCert, "CERT"},
                            Named{has::kCertReq, "CERTREQ"},
                            Named{has::kVendorId, "V"},
                            Named{has::kConfiguration, "CP"},
                            Named{has::kEap, "EAP"}};

PayloadSet bit_of(const wi::NotifyPayload& n) {
  PayloadSet out = has::kNotify;
  if (wi::is_error(n.type)) out |= has::kError;
  switch (n.type) {
    case wi::NotifyType::kRekeySa: return out | has::kRekeySa;
    case wi::NotifyType::kCookie: return out | has::kCookie;
    case wi::NotifyType::kPuzzle: return out | has::kPuzzle;
    case wi::NotifyType::kInvalidKePayload: return out | has::kInvalidKe;
    case wi::NotifyType::kUseTransportMode: return out | has::kTransport;
    default: return out;
  }
}

std::string_view to_string(Trigger trigger) {
  switch (trigger) {
    case Trigger::kRequest: return "request";
    case Trigger::kResponse: return "response";
    case Trigger::kKeyReady: return "key pair";
    case Trigger::kSecretReady: return "shared secret";
    case Trigger::kProofReady: return "proof";
    case Trigger::kVerified: return "verification";
    case Trigger::kPuzzleSolved: return "puzzle";
  }
  return "?";
}

std::string_view to_string(Timer timer) {
  switch (timer) {
    case Timer::kNone: return "-";
    case Timer::kRetransmit: return "retransmit";
    case Timer::kHalfOpen: return "half-open";
    case Timer::kRekey: return "rekey, liveness";
    case Timer::kPatience: return "patience";
  }
  return "?";
}

const Transition* find_row(State state, Trigger trigger, wi::ExchangeType exchange, About about, PayloadSet set) {
  for (const auto& row : kTransitions) {
    if (row.state != state || row.trigger != trigger || row.exchange != exchange) continue;
    if (row.about != About::kNothing && row.about != about) continue;
    if ((set & row.required) == row.required) return &row;
  }
  return nullptr;
}

}  // namespace

PayloadSet payload_set(const wi::Payloads& payloads) {
  PayloadSet out = 0;
  for (const auto& payload : payloads) {
    if (const auto* n = std::get_if<wi::NotifyPayload>(&payload)) {
      out |= bit_of(*n);
      continue;
    }
    switch (wi::type_of(payload)) {
      case wi::PayloadType::kSa: out |= has::kSa; break;
      case wi::PayloadType::kKe: out |= has::kKe; break;
      case wi::PayloadType::kIdi: out |= has::kIdi; break;
      case wi::PayloadType::kIdr: out |= has::kIdr; break;
      case wi::PayloadType::kCert: out |= has::kCert; break;
      case wi::PayloadType::kCertReq: out |= has::kCertReq; break;
      case wi::PayloadType::kAuth: out |= has::kAuth; break;
      case wi::PayloadType::kNonce: out |= has::kNonce; break;
      case wi::PayloadType::kDelete: out |= has::kDelete; break;
      case wi::PayloadType::kVendorId: out |= has::kVendorId; break;
      case wi::PayloadType::kTsi: out |= has::kTsi; break;
      case wi::PayloadType::kTsr: out |= has::kTsr; break;
      case wi::PayloadType::kConfiguration: out |= has::kConfiguration; break;
      case wi::PayloadType::kEap: out |= has::kEap; break;
      case wi::PayloadType::kPuzzleSolution: out |= has::kSolution; break;
      default: break;
    }
  }
  return out;
}

std::string to_string(PayloadSet set) {
  std::string out;
  for (const auto& [bit, name] : kNames) {
    if ((set & bit) == 0) continue;
    if (!out.empty()) out += ' ';
    out += name;
  }
  return out.empty() ? "-" : out;
}

std::span<const Transition> transitions() { return kTransitions; }

std::string print_transitions() {
  std::ostringstream out;
  out << std::left << std::setw(16) << "STATE" << std::setw(14) << "EVENT" << std::setw(17) << "EXCHANGE"
      << std::setw(16) << "ABOUT" << std::setw(16) << "NEXT" << std::setw(17) << "TIMER"
      << "STORY (required payloads) [optional payloads]\n";
  for (const auto& row : kTransitions) {
    out << std::setw(16) << to_string(row.state) << std::setw(14) << to_string(row.trigger) << std::setw(17)
        << wi::to_string(row.exchange) << std::setw(16) << to_string(row.about) << std::setw(16) << to_string(row.next)
        << std::setw(17) << to_string(row.timer) << row.story;
    if (row.required != 0) out << " (" << to_string(row.required) << ")";
    if (row.optional != 0) out << " [" << to_string(row.optional) << "]";
    out << '\n';
  }
  return out.str();
}

bool dispatch(Turn& turn, Trigger trigger, wi::ExchangeType exchange, About about) {
  const auto state = turn.sa == nullptr ? State::kNone : turn.sa->state;
  const auto set = turn.payloads == nullptr ? PayloadSet{0} : payload_set(*turn.payloads);
  const auto* row = find_row(state, trigger, exchange, about, set);
  if (row == nullptr) return false;
  const auto outcome = row->handler(turn);
  if (turn.sa == nullptr) return true;
  turn.world.touch(*turn.sa);
  if (outcome == Outcome::kDie) {
    end_sa(turn.world, *turn.sa, turn.sa->end_reason, Aftermath::kKeepUp);
  } else if (outcome == Outcome::kNext && turn.sa->alive()) {
    if (row->next == State::kDead) {
      end_sa(turn.world, *turn.sa, turn.sa->end_reason, Aftermath::kKeepUp);
    } else if (turn.sa->state == state) {
      turn.sa->state = row->next;  // unless the handler has ended it, or begun to
    }
  }
  if (turn.sa->alive()) start_next_task(turn.world, *turn.sa);
  return true;
}

}  // namespace cygnet::ike::v2
