// SPDX-License-Identifier: Apache-2.0
#pragma once

// The names by which the kernel's crypto API knows the algorithms of ESP and AH.
#include "base/result.h"
#include "model/sa_spec.h"
#include "wire/xfrm/attributes.h"

namespace cygnet::sadb::kernel {

// Sets ALG_AEAD, or ALG_CRYPT and ALG_AUTH_TRUNC, with the SA's keys. Fails, by name, for what the kernel has no name
// for; whether a kernel has what it has a name for, only that kernel can tell.
[[nodiscard]] Result<void> set_algorithms(const model::SaSpec& spec, wire::xfrm::Attributes& attributes);

}  // namespace cygnet::sadb::kernel
