// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names of the kernel's crypto API beside the numbers of PF_KEY, under which the database keeps algorithms.
#include "sadb/pfkey/error.h"
#include "sadb/pfkey/sa_table.h"
#include "wire/xfrm/message.h"

namespace cygnet::sadb {

// Algorithms and keys of a message into an SA.
[[nodiscard]] PfkeyResult<> read_algorithms(const wire::xfrm::Attributes& attributes, PfkeySa& sa);
// And back. with_keys: else as many zeros.
void write_algorithms(const PfkeySa& sa, bool with_keys, wire::xfrm::Attributes& attributes);

}  // namespace cygnet::sadb
