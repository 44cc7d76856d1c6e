// SPDX-License-Identifier: Apache-2.0
#pragma once

// Once it is known which end is ours (model::orient), it is certain which connections are for the same ends and yet
// want different proofs: load_ipsec_conf() lets pass what may turn out to be apart.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/connection.h"

namespace cygnet::config {

// Of oriented connections, in the order of the configuration: name -> why, for each that must not be used beside an
// earlier one. A name counts after what is written, and after a name that had this address before (`stood`).
[[nodiscard]] std::map<std::string, std::string> find_ambiguous_oriented(
    const std::vector<model::Connection>& connections, const std::function<bool(const model::Connection&)>& stood = {});

}  // namespace cygnet::config
