// SPDX-License-Identifier: Apache-2.0
#pragma once

// What ike and keys tell each other, over a SEQPACKET pair: several jobs in a message one way, their results the other.
// SignatureVerify needs no secret and never travels.
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ike/auth/jobs.h"

namespace cygnet::daemon {

inline constexpr std::size_t kMaxKeyMessage = 48UL * 1024;  // a message is closed when it grows beyond
inline constexpr std::size_t kMaxJobsInMessage = 256;

[[nodiscard]] Bytes encode_jobs(const std::vector<ike::auth::AuthJob>& jobs);
[[nodiscard]] Result<std::vector<ike::auth::AuthJob>> decode_jobs(ByteView bytes);
[[nodiscard]] Bytes encode_results(const std::vector<ike::auth::AuthResult>& results);
[[nodiscard]] Result<std::vector<ike::auth::AuthResult>> decode_results(ByteView bytes);
// Unasked, whenever it changes: which private keys there are. More than fit into a message follow in others.
struct HeldKeys {
  bool first = true;           // forget what was said before
  std::vector<Bytes> key_ids;  // PublicKey::key_id()
};
inline constexpr std::size_t kMaxKeysInMessage = 1000;
[[nodiscard]] Bytes encode_held_keys(const HeldKeys& held);
// Nothing: the message is another one.
[[nodiscard]] std::optional<HeldKeys> decode_held_keys(ByteView bytes);
// About how many octets the job takes in a message.
[[nodiscard]] std::size_t octets_of(const ike::auth::AuthJob& job);

}  // namespace cygnet::daemon
