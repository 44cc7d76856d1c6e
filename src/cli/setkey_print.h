// SPDX-License-Identifier: Apache-2.0
#pragma once

// What setkey prints, in ipsec-tools' form.
#include <cstdint>
#include <string>

#include "wire/pfkey/message.h"

namespace cygnet::cli {

struct SetkeyStyle {
  bool ports = false;        // of tunnel ends in policies
  bool keys_hidden = false;  // keys of zeros stand for keys that are not shown
  bool short_form = false;   // one line an SA
  std::int64_t now_s = 0;    // seconds since 1970
};

// An SA, as setkey -D prints it.
[[nodiscard]] std::string print_sa(const wire::pfkey::Message& message, const SetkeyStyle& style);
// A policy, as setkey -DP prints it.
[[nodiscard]] std::string print_policy(const wire::pfkey::Message& message, const SetkeyStyle& style);
// A message of any kind, as setkey -x and -v print it. Keys are never shown.
[[nodiscard]] std::string print_message(const wire::pfkey::Message& message);
// Octets in lines of 16, for -h.
[[nodiscard]] std::string print_octets(ByteView octets);
// The algorithms of an answer to REGISTER.
[[nodiscard]] std::string print_algorithms(const wire::pfkey::Message& message);
// "Nov 21 19:42:35 2026" in local time; 20 blanks for 0.
[[nodiscard]] std::string print_time(std::uint64_t seconds);

}  // namespace cygnet::cli
