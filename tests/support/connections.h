// SPDX-License-Identifier: Apache-2.0
#pragma once

// Connections as tests want them: short to write, one difference at a time.
#include <string>
#include <string_view>
#include <vector>

#include "model/connection.h"

namespace cygnet::test {

[[nodiscard]] IpAddress address(std::string_view text);  // fails the test run if it is none
[[nodiscard]] model::TrafficSelector selector(std::string_view text);
[[nodiscard]] model::TrafficSelectors selectors(std::initializer_list<std::string_view> texts);

// AES_GCM_16_256 / PRF_HMAC_SHA2_256 / CURVE25519.
[[nodiscard]] model::Proposal ike_proposal();
[[nodiscard]] model::Proposal ike_proposal(model::EncryptionId encryption, std::uint16_t bits,
                                           model::IntegrityId integrity, model::PrfId prf,
                                           const std::vector<model::KeGroup>& groups);
// AES_GCM_16_256, no ESN, no key exchange of its own.
[[nodiscard]] model::Proposal esp_proposal();
[[nodiscard]] model::Proposal esp_proposal(model::EncryptionId encryption, std::uint16_t bits,
                                           model::IntegrityId integrity, const std::vector<model::KeGroup>& groups,
                                           const std::vector<model::EsnChoice>& esn);

// Tunnel between 192.0.2.1 (id "a.test", 10.1.0.0/16) and 198.51.100.1 (id "b.test", 10.2.0.0/16) as side A sees it:
// one child of the connection's name, nothing that happens by itself (no liveness check, lifetimes of hours, started by
// hand).
[[nodiscard]] model::Connection tunnel(std::string name);
// The other side's view.
[[nodiscard]] model::Connection mirrored(const model::Connection& connection);
[[nodiscard]] model::Child child(std::string name, std::string_view local, std::string_view remote);
// For the identities a.test and b.test.
[[nodiscard]] model::SharedSecret secret(std::string_view text);

}  // namespace cygnet::test
