// SPDX-License-Identifier: Apache-2.0
#pragma once

// The state machine of an IKE SA as a table: which message or finished job, in which state, leads where. The dispatcher
// looks up this table and nothing else; `cygnet debug transitions` prints it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

// A set of payloads; notifications that steer have a bit of their own.
using PayloadSet = std::uint32_t;
namespace has {
inline constexpr PayloadSet kSa = 1U << 0U, kKe = 1U << 1U, kNonce = 1U << 2U, kIdi = 1U << 3U, kIdr = 1U << 4U,
                            kAuth = 1U << 5U, kTsi = 1U << 6U, kTsr = 1U << 7U, kDelete = 1U << 8U, kNotify = 1U << 9U,
                            kCert = 1U << 10U, kCertReq = 1U << 11U, kVendorId = 1U << 12U, kConfiguration = 1U << 13U,
                            kEap = 1U << 14U, kError = 1U << 15U, kRekeySa = 1U << 16U, kCookie = 1U << 17U,
                            kInvalidKe = 1U << 18U, kTransport = 1U << 19U, kNatDetection = 1U << 20U,
                            kPuzzle = 1U << 21U, kSolution = 1U << 22U;
}  // namespace has
[[nodiscard]] PayloadSet payload_set(const wire::ike::Payloads& payloads);
[[nodiscard]] std::string to_string(PayloadSet set);

enum class Trigger : std::uint8_t {
  kRequest,      // of the peer
  kResponse,     // to our request
  kKeyReady,     // job: a key pair
  kSecretReady,  // job: the shared secret
  kProofReady,   // job: our AUTH data
  kVerified,     // job: the peer's AUTH data is right, or wrong
  kPuzzleSolved  // job: the responder's puzzle, or not
};

enum class Timer : std::uint8_t { kNone, kRetransmit, kHalfOpen, kRekey, kPatience };

// One event on one SA, while it is being handled.
struct Turn {
  World& world;
  IkeSa* sa = nullptr;  // null: there is none yet
  Path path;
  ByteView datagram;
  const wire::ike::Header* header = nullptr;  // messages only
  const wire::ike::Payloads* payloads = nullptr;
  const JobResult* job = nullptr;          // key exchange jobs only
  const auth::AuthResult* auth = nullptr;  // proofs and verifications only
  const PuzzleResult* puzzle = nullptr;    // puzzles only
};

enum class Outcome : std::uint8_t {
  kNext,  // as the table says
  kStay,  // no change of state: not acceptable after all, or the handler set the state itself
  kDie    // the IKE SA ends here
};

struct Transition {
  std::string_view story;
  State state;
  Trigger trigger;
  wire::ike::ExchangeType exchange;
  About about;  // of our request (responses) or of the job
  PayloadSet required;
  PayloadSet optional;  // others are looked over (RFC 7296 section 2.5)
  State next;
  Timer timer;  // that runs in the next state
  Outcome (*handler)(Turn&);
};

[[nodiscard]] std::span<const Transition> transitions();
// The table, one line each, for people.
[[nodiscard]] std::string print_transitions();

// Finds the row and runs it. False if no row fits.
bool dispatch(Turn& turn, Trigger trigger, wire::ike::ExchangeType exchange, About about);

}  // namespace cygnet::ike::v2
