// SPDX-License-Identifier: Apache-2.0
#pragma once

// One-line pictures of messages, for logs and for tests that read as arrows.
#include <string>

#include "wire/ike/message.h"

namespace cygnet::wire::ike {

// "SA", "KE", "Ni/Nr" as "No", "N(COOKIE)", "D(ESP)", "IDi", "TSr", "SK", …
[[nodiscard]] std::string describe(const Payload& payload);
// "SA KE No N(NAT_DETECTION_SOURCE_IP)"
[[nodiscard]] std::string describe(const Payloads& payloads);
// "IKE_SA_INIT request 0"
[[nodiscard]] std::string describe(const Header& header);

}  // namespace cygnet::wire::ike
