// SPDX-License-Identifier: Apache-2.0
// Hostile IKEv2 messages: the parser neither crashes nor hangs, and what it accepts survives a round trip unchanged.
#include <cstdlib>

#include "base/bytes.h"
#include "wire/ike/describe.h"
#include "wire/ike/message.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void round_trip_message(ByteView bytes) {
  const auto first = wire::ike::parse_message(bytes);
  if (!first) {
    check(!first.error().message.empty());
    return;
  }
  check(first->payloads.size() <= wire::ike::kMaxPayloads);
  const Bytes written = wire::ike::serialize_message(*first);
  const auto second = wire::ike::parse_message(written);
  check(second.has_value());
  check(second->payloads == first->payloads);
  check(wire::ike::serialize_message(*second) == written);
  (void)wire::ike::describe(first->header, first->payloads);
}

// The same bytes as an opened Encrypted payload whose first payload is `type`.
void round_trip_inner(std::uint8_t type, ByteView bytes) {
  const auto first = wire::ike::parse_payloads(static_cast<wire::ike::PayloadType>(type), bytes);
  if (!first) return;
  const Bytes written = wire::ike::serialize_payloads(*first);
  const auto second = wire::ike::parse_payloads(wire::ike::first_type(*first), written);
  check(second.has_value() && *second == *first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  round_trip_message(bytes);
  // libFuzzer hardly guesses a Length field that agrees: help it over that fence.
  if (size >= wire::ike::kHeaderOctets) {
    Bytes agreed(bytes.begin(), bytes.end());
    store_be32(agreed.data() + wire::ike::kHeaderOctets - 4, static_cast<std::uint32_t>(size));
    agreed[17] = 0x20;
    round_trip_message(agreed);
  }
  if (size > 0) round_trip_inner(data[0], bytes.subspan(1));
  return 0;
}
