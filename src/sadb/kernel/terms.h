// SPDX-License-Identifier: Apache-2.0
#pragma once

// What only the kernel's IPsec does: marks, XFRM interfaces, SAs in network cards. From the configuration into SAs and
// policies, and from there into messages. Pure.
#include <cstdint>
#include <string>

#include "model/sa_spec.h"
#include "wire/xfrm/attributes.h"

namespace cygnet::sadb::kernel {

void apply_terms(const model::Child& child, model::SaSpec& spec);
void apply_terms(const model::Child& child, model::PolicySpec& spec);

// Which packets an SA or a policy is for, beside its selector: policies with one selector may stand side by side if
// these differ.
struct Reach {
  model::SaMark mark;
  std::uint32_t interface_id = 0;

  [[nodiscard]] static Reach of(const model::SaSpec& spec) { return {spec.kernel_mark, spec.interface_id}; }
  // direction: kIn, kOut or kForward
  [[nodiscard]] static Reach of(const model::PolicySpec& spec, std::uint8_t direction);
  [[nodiscard]] static Reach of(const wire::xfrm::Attributes& attributes);
  void write(wire::xfrm::Attributes& attributes) const;
  bool operator==(const Reach&) const = default;
};

}  // namespace cygnet::sadb::kernel
