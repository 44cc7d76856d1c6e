// SPDX-License-Identifier: Apache-2.0
#pragma once

// Certificates for the parties of simulated lives, made once in a program.
#include <cstdint>
#include <string>
#include <vector>

#include "model/credentials.h"

namespace cygnet::sim {

inline constexpr const char* kOwnCertificate = "own.pem";

struct Credentials {
  model::PublicCredentials shown;
  std::vector<model::PrivateKeySource> keys;
};

// Of "a.test" and so on, by the authority that everybody believes; an impostor's is by one of its own.
[[nodiscard]] const Credentials& credentials_of(const std::string& name, bool impostor);
// Is their time, by a wall clock that is so many seconds wrong, for a day from now?
[[nodiscard]] bool are_valid(std::int64_t wrong_s);
// Is it not, a day from now either?
[[nodiscard]] bool are_invalid(std::int64_t wrong_s);

}  // namespace cygnet::sim
