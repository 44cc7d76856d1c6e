// SPDX-License-Identifier: Apache-2.0
#pragma once

// One-line pictures of messages, for logs and for tests that read as arrows.
#include <string>

#include "wire/ike/message.h"

namespace cygnet::wire::ike {

// As the RFC writes them: "SA", "KE", "No" (a nonce; Ni and Nr where the direction is known), "N(COOKIE)", "D(ESP)",
// "IDi", "TSr", "SK", "payload 99".
[[nodiscard]] std::string describe(const Payload& payload);
// "SA KE No N(NAT_DETECTION_SOURCE_IP)"
[[nodiscard]] std::string describe(const Payloads& payloads);
// "IKE_SA_INIT request 0"
[[nodiscard]] std::string describe(const Header& header);
// "IKE_SA_INIT request 0: SA KE Ni N(NAT_DETECTION_SOURCE_IP)". For an opened message hand in its inner payloads.
[[nodiscard]] std::string describe(const Header& header, const Payloads& payloads);

}  // namespace cygnet::wire::ike
