// SPDX-License-Identifier: Apache-2.0
#include "engine/sa.h"

#include <algorithm>

namespace cygnet::engine {

SaLimits SaLimits::of(const model::SaSpec& spec) {
  const auto or_unlimited = [](std::uint64_t v) { return v == 0 ? UINT64_MAX : v; };
  const auto& l = spec.lifetime;
  SaLimits limits{.soft_bytes = or_unlimited(l.soft_bytes),
                  .hard_bytes = or_unlimited(l.hard_bytes),
                  .soft_packets = or_unlimited(l.soft_packets),
                  .hard_packets = or_unlimited(l.hard_packets)};
  // RFC 4303 section 3.3.3: the sequence number "MUST NOT be allowed to cycle". Ask for a new SA while there is room.
  constexpr std::uint64_t kSequenceSoft = 0xf0000000U;
  if (!spec.esn && spec.direction == model::Direction::kOutbound) {
    limits.soft_packets = std::min(limits.soft_packets, kSequenceSoft);
  }
  return limits;
}

}  // namespace cygnet::engine
