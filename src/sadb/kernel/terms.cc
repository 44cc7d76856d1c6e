// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/terms.h"

namespace cygnet::sadb::kernel {

void apply_terms(const model::Child& child, model::SaSpec& spec) {
  const bool inbound = spec.direction == model::Direction::kInbound;
  // Address and SPI say which inbound SA; what it gives out may be marked behind it, where more is known of it.
  spec.kernel_mark = inbound ? model::SaMark{} : child.mark_out;
  spec.nic_offload = child.nic_offload;
  spec.interface_id = inbound ? child.interface_id_in : child.interface_id_out;
}

void apply_terms(const model::Child& child, model::PolicySpec& spec) {
  spec.mark_in = child.mark_in;
  spec.mark_out = child.mark_out;
  spec.interface_in = child.interface_id_in;
  spec.interface_out = child.interface_id_out;
}

Reach Reach::of(const model::PolicySpec& spec, std::uint8_t direction) {
  if (direction == wire::xfrm::kOut) return {spec.mark_out, spec.interface_out};
  return {spec.mark_in, spec.interface_in};
}

Reach Reach::of(const wire::xfrm::Attributes& attributes) {
  Reach out;
  if (attributes.mark) out.mark = {attributes.mark->value, attributes.mark->mask};
  out.interface_id = attributes.interface_id.value_or(0);
  return out;
}

void Reach::write(wire::xfrm::Attributes& attributes) const {
  if (mark.mask != 0) attributes.mark = wire::xfrm::Mark{mark.value, mark.mask};
  if (interface_id != 0) attributes.interface_id = interface_id;
}

}  // namespace cygnet::sadb::kernel
