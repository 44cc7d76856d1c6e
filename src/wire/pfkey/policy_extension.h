// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "wire/pfkey/socket_address.h"

namespace cygnet::wire::pfkey {

// struct sadb_x_policy of <linux/pfkeyv2.h> and its requests, one for each SA of a bundle, the innermost first:
//
//   +---------------+---------------+---------------+---------------+
//   |       sadb_x_policy_len       |     sadb_x_policy_exttype     |
//   +---------------+---------------+---------------+---------------+
//   |       sadb_x_policy_type      | ..._policy_dir|   reserved    |
//   +---------------+---------------+---------------+---------------+
//   |                       sadb_x_policy_id                        |
//   +---------------+---------------+---------------+---------------+
//   |                    sadb_x_policy_priority                     |
//   +---------------+---------------+---------------+---------------+
//   | ..._len (octets of the request)|  ..._proto (50, 51 or 108)   |   each request
//   +---------------+---------------+---------------+---------------+
//   |   ..._mode    |   ..._level   |           reserved            |
//   +---------------+---------------+---------------+---------------+
//   |                  sadb_x_ipsecrequest_reqid                    |
//   +---------------+---------------+---------------+---------------+
//   |                           reserved                            |
//   +---------------+---------------+---------------+---------------+
//   >   tunnel: source and destination, socket addresses unpadded   <
//   +---------------+---------------+---------------+---------------+
struct PolicyRequest {
  std::uint16_t protocol = kProtocolEsp;
  Mode mode = Mode::kAny;
  Level level = Level::kDefault;
  std::uint32_t reqid = 0;
  struct Ends {
    Endpoint source, destination;
    bool operator==(const Ends&) const = default;
  };
  std::optional<Ends> ends;
  bool operator==(const PolicyRequest&) const = default;
};

struct PolicyExtension {
  static constexpr std::size_t kMostRequests = 16;

  PolicyType type = PolicyType::kDiscard;
  PolicyDirection direction = PolicyDirection::kAny;
  std::uint32_t id = 0;
  std::uint32_t priority = 0;
  std::vector<PolicyRequest> requests;

  [[nodiscard]] static Parsed<PolicyExtension> parse(ByteView body);
  void serialize(Writer& writer) const;
  bool operator==(const PolicyExtension&) const = default;
};

}  // namespace cygnet::wire::pfkey
