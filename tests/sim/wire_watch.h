// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looks at every datagram that leaves a side, and remembers enough to tell when something is wrong with it.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>

#include "support/key_ring.h"

namespace cygnet::sim {

class WireWatch {
 public:
  // The fault, as a sentence, if there is one. `keys`: of the sender, to look into CREATE_CHILD_SA.
  [[nodiscard]] std::optional<std::string> inspect(ByteView datagram, const test::KeyRing& keys);

 private:
  // SPIs, I, R, Message ID; of a fragment (RFC 7383) its number and the total.
  using MessageKey = std::tuple<std::uint64_t, std::uint64_t, bool, bool, std::uint32_t, std::uint32_t>;

  std::optional<std::string> inspect_clear(const wire::ike::Message& message);
  std::optional<std::string> inspect_sealed(ByteView datagram, const wire::ike::Message& message,
                                            const test::KeyRing& keys);
  std::optional<std::string> remember_value(const char* what, const Bytes& value, const std::string& owner);

  std::map<MessageKey, std::uint64_t> sealed_;                                                  // hash of the bytes
  std::map<std::tuple<std::uint64_t, std::uint64_t, bool, std::uint64_t>, std::uint64_t> ivs_;  // SPIs, I, IV -> hash
  std::unordered_map<std::string, std::string> values_;  // nonce or public value -> who used it
};

}  // namespace cygnet::sim
