// SPDX-License-Identifier: Apache-2.0
#pragma once

// What people and restarts do to an endpoint: configuration, termination, adoption, status.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ike/v2/world.h"

namespace cygnet::ike::v2 {

void configure(World& world, std::vector<model::Connection> connections, const model::PublicCredentials& credentials);
// The same where only `changed` are other than they were, or new; `order` names all there are now.
void reconfigure(World& world, std::vector<model::Connection> changed, const std::vector<std::string>& order);
void terminate(World& world, const std::string& connection, const std::string& child);
void rekey(World& world, const std::string& connection, const std::string& child, bool ike_sa);
void shut_down(World& world);
void adopt(World& world, const std::vector<std::pair<std::string, Bytes>>& checkpoints,
           const std::vector<model::SaSpec>& sas);
[[nodiscard]] std::vector<IkeStatus> status(const World& world, const std::string& connection);

}  // namespace cygnet::ike::v2
