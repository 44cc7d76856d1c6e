// SPDX-License-Identifier: Apache-2.0
#pragma once

// Statements of setkey's language as PF_KEY messages.
#include <functional>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "config/setkey_script.h"
#include "wire/pfkey/message.h"

namespace cygnet::cli {

// The addresses of a name; numbers_only: it must be an address.
using Resolve = std::function<Result<std::vector<IpAddress>>(const std::string& name, bool numbers_only)>;
// Asks the system.
[[nodiscard]] Result<std::vector<IpAddress>> resolve_name(const std::string& name, bool numbers_only);

// The messages of one statement; several where a name has several addresses.
// with_forward: each `in` policy is followed by the same as `fwd`, as the RFC's `in` means both to Linux.
struct SetkeyMessage {
  wire::pfkey::Message message;
  bool implied = false;  // the `fwd` that was not written: it may be there, or not, already
};
[[nodiscard]] Result<std::vector<SetkeyMessage>> messages_of(const config::SetkeyStatement& statement,
                                                             const Resolve& resolve, bool with_forward);
[[nodiscard]] wire::pfkey::SaType sa_type_of(config::SetkeyProtocol protocol);

}  // namespace cygnet::cli
