// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a person reads of the kernel's SAs.
#include <string>

#include "model/sa_spec.h"
#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel {

// "the kernel refused WHAT: and why"
[[nodiscard]] std::string words_of(const KernelError& error, const std::string& what);
// "the inbound SA 00001001"
[[nodiscard]] std::string name_of(const model::SaSpec& spec);

}  // namespace cygnet::sadb::kernel
