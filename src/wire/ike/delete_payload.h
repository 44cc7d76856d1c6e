// SPDX-License-Identifier: Apache-2.0
#pragma once

// Delete payload (RFC 7296 section 3.11).
#include <vector>

#include "base/bytes.h"
#include "base/strong.h"
#include "model/proposal.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

struct DeletePayload {
  model::Protocol protocol = model::Protocol::kIke;  // kIke: the IKE SA itself, no SPI
  std::vector<Spi> spis;                             // ESP and AH: the SPIs the sender expects in inbound packets
  bool operator==(const DeletePayload&) const = default;
};

[[nodiscard]] ParseResult<DeletePayload> parse_delete(ByteView body);
void serialize(const DeletePayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
