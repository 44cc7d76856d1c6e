// SPDX-License-Identifier: Apache-2.0
#pragma once

// Security Association payload (RFC 7296 section 3.3).
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "model/proposal.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

inline constexpr std::size_t kMaxProposals = 64;
inline constexpr std::size_t kMaxTransforms = 1024;  // of all proposals of a payload together

// Attributes other than Key Length, kept as they came.
struct ForeignAttributes {
  std::size_t transform_index = 0;  // in Proposal::transforms
  Bytes attributes;                 // the encoded attributes
  bool operator==(const ForeignAttributes&) const = default;
};

struct SaProposal {
  std::uint8_t number = 1;
  Bytes spi;  // empty, 4 octets (ESP, AH) or 8 (IKE)
  model::Proposal proposal;
  std::vector<ForeignAttributes> foreign;

  // What may be chosen from. RFC 7296 section 3.3.6: a transform "that contains a Transform Attribute it does not
  // understand, it MUST consider this transform unacceptable": those are left out.
  [[nodiscard]] model::Proposal understood() const;
  bool operator==(const SaProposal&) const = default;
};

struct SaPayload {
  std::vector<SaProposal> proposals;
  bool operator==(const SaPayload&) const = default;
};

[[nodiscard]] ParseResult<SaPayload> parse_sa(ByteView body);
void serialize(const SaPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
