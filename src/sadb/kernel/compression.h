// SPDX-License-Identifier: Apache-2.0
#pragma once

// IPComp (RFC 3173) in the kernel: an SA of its own, which is found by address and CPI, inside one of ESP.
//
//   tunnel     outer header | ESP | IPComp | inner packet      IPComp is in tunnel mode, ESP in transport mode
//   transport  header       | ESP | IPComp | payload           both are in transport mode
//
// What does not become smaller goes without its header. In a tunnel the kernel has an SA of its own for that ("ipip"),
// which all SAs of IPComp between two addresses share; so they have no selectors: those of ESP say what may pass.
#include <vector>

#include "base/result.h"
#include "model/sa_spec.h"
#include "sadb/kernel/engine.h"

namespace cygnet::sadb::kernel {

// Whether the kernel has room for it, in words if not.
[[nodiscard]] Result<void> check_compression(const model::SaSpec& spec);
// NEWSA, DELSA of IPComp.
[[nodiscard]] wire::xfrm::Message new_compression(const model::SaSpec& spec, std::uint32_t reqid, std::uint32_t mark);
[[nodiscard]] wire::xfrm::Message name_compression(wire::xfrm::MessageType type, const model::SaSpec& spec);

// The same, asked of the kernel. Where nothing is compressed nothing is done.
[[nodiscard]] Result<void> add_compression(KernelPort& port, const model::SaSpec& spec, std::uint32_t reqid,
                                           std::uint32_t mark);
void remove_compression(KernelPort& port, const model::SaSpec& spec);
// It counts nothing: one with the new ends takes its place.
[[nodiscard]] Result<void> move_compression(KernelPort& port, const model::SaSpec& from, const model::SaSpec& to,
                                            std::uint32_t reqid, std::uint32_t mark);

// What a policy asks for with IPComp instead of ESP alone.
[[nodiscard]] std::vector<wire::xfrm::Template> compressed(const wire::xfrm::Template& esp, bool outward);
[[nodiscard]] bool is_compressed(const std::vector<wire::xfrm::Template>& templates);

}  // namespace cygnet::sadb::kernel
