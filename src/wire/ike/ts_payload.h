// SPDX-License-Identifier: Apache-2.0
#pragma once

// Traffic Selector payloads, TSi and TSr (RFC 7296 section 3.13).
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "model/traffic_selector.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

// A selector of a type not known here, kept as it came: it never matches anything.
struct UnknownSelector {
  std::uint8_t type = 0;
  std::uint8_t protocol = 0;
  Bytes body;
  bool operator==(const UnknownSelector&) const = default;
};

struct TsPayload {
  bool initiator = false;  // TSi, else TSr
  model::TrafficSelectors selectors;
  std::vector<UnknownSelector> unknown;
  bool operator==(const TsPayload&) const = default;
};

[[nodiscard]] ParseResult<TsPayload> parse_ts(bool initiator, ByteView body);
void serialize(const TsPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
