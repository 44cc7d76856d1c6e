// SPDX-License-Identifier: Apache-2.0
#pragma once

// The secret that tokens for quick crash detection are made of (RFC 6290 section 5.1): the same before and after a
// reboot, or a peer could not be told that its SAs are gone.
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"

namespace cygnet::daemon {

inline constexpr std::size_t kCrashSecretOctets = 32;

// Reads DIRECTORY/crash-secret, or makes directory and file (0600). What is there and is not 32 octets long, or
// may be read by others, is replaced: peers then find out the slow way once.
[[nodiscard]] Result<SecretBytes> load_crash_secret(const std::string& directory, Random& random);

}  // namespace cygnet::daemon
