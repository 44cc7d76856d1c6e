// SPDX-License-Identifier: Apache-2.0
#pragma once

// Choosing among proposals (RFC 7296 sections 2.7 and 3.3): the responder selects, the initiator checks the answer.
#include <optional>
#include <vector>

#include "model/proposal.h"

namespace cygnet::model {

// What the responder answers to a list of proposals.
template <typename Chosen>
struct Selected {
  std::size_t index = 0;  // of the offered proposal that was accepted, counted from 0
  Proposal reply;         // exactly one transform of each type the accepted proposal held (RFC 7296 section 3.3.3)
  Chosen chosen;
};

// Key exchange of a CHILD_SA: there is none in IKE_AUTH (RFC 7296 section 1.2), so groups in proposals count only
// afterwards.
enum class ChildKeyExchange : std::uint8_t { kIgnore, kNegotiate };

// Our own order of preference decides, except that `sent_group`, for which the peer already sent a public value, is
// taken if both sides allow it: it saves a round trip. KeGroup::kNone: none was sent.
[[nodiscard]] std::optional<Selected<ChosenIke>> select_ike(const std::vector<Proposal>& offered,
                                                            const std::vector<Proposal>& allowed, KeGroup sent_group);
[[nodiscard]] std::optional<Selected<ChosenEsp>> select_esp(const std::vector<Proposal>& offered,
                                                            const std::vector<Proposal>& allowed, ChildKeyExchange ke,
                                                            KeGroup sent_group);

// The peer's answer, if it is one single choice out of what was offered; nothing if it took a liberty.
[[nodiscard]] std::optional<ChosenIke> accept_ike(const Proposal& answer, const std::vector<Proposal>& offered);
[[nodiscard]] std::optional<ChosenEsp> accept_esp(const Proposal& answer, const std::vector<Proposal>& offered,
                                                  ChildKeyExchange ke);

// All groups of the proposals, in order of first mention, without kNone.
[[nodiscard]] std::vector<KeGroup> groups_of(const std::vector<Proposal>& proposals);
// Same proposals without key exchange transforms: what stands in IKE_AUTH.
[[nodiscard]] std::vector<Proposal> without_key_exchange(const std::vector<Proposal>& proposals);

// Of the allowed proposals and the offered ones, the pair that misses in the fewest transform types, and which types.
struct NearestMiss {
  std::size_t allowed_index = 0;
  std::size_t offered_index = 0;
  std::vector<TransformType> missing;  // types without a common transform
};
[[nodiscard]] std::optional<NearestMiss> nearest_miss(const std::vector<Proposal>& offered,
                                                      const std::vector<Proposal>& allowed, bool compare_key_exchange);

}  // namespace cygnet::model
