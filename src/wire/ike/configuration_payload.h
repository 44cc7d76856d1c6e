// SPDX-License-Identifier: Apache-2.0
#pragma once

// Configuration payload (RFC 7296 section 3.15).
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "wire/ike/parse_error.h"

namespace cygnet::wire::ike {

enum class ConfigurationType : std::uint8_t { kRequest = 1, kReply = 2, kSet = 3, kAck = 4 };

struct ConfigurationAttribute {
  std::uint16_t type = 0;  // 15 bits
  Bytes value;
  bool operator==(const ConfigurationAttribute&) const = default;
};

struct ConfigurationPayload {
  ConfigurationType type = ConfigurationType::kRequest;
  std::vector<ConfigurationAttribute> attributes;
  bool operator==(const ConfigurationPayload&) const = default;
};

inline constexpr std::size_t kMaxConfigurationAttributes = 256;

[[nodiscard]] ParseResult<ConfigurationPayload> parse_configuration(ByteView body);
void serialize(const ConfigurationPayload& payload, ByteWriter& out);

}  // namespace cygnet::wire::ike
