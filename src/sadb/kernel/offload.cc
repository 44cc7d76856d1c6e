// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/offload.h"

#include <cerrno>

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;

std::expected<void, KernelError> plainly(KernelPort& port, const xfrm::Message& message) {
  if (auto done = port.ask(message); !done) return std::unexpected(done.error());
  return {};
}

std::unexpected<KernelError> refused(const IpAddress& local, const std::string& why) {
  return std::unexpected(
      KernelError{EOPNOTSUPP, "the network interface of " + local.to_string() + " takes no SA (nic-offload=): " + why});
}

std::string words_of(const KernelError& error) {
  return error.text.empty() ? "error " + std::to_string(error.number) : error.text;
}

}  // namespace

std::expected<void, KernelError> add_sa(KernelPort& port, const model::SaSpec& spec, const xfrm::Message& message) {
  if (spec.nic_offload == model::NicOffload::kNo) return plainly(port, message);
  const bool must = spec.nic_offload != model::NicOffload::kAuto;
  const auto index = port.interface_of(spec.local.address);
  if (index == 0) return must ? refused(spec.local.address, "no interface has this address") : plainly(port, message);
  auto asking = message;
  const bool inbound = spec.direction == model::Direction::kInbound;
  asking.attributes.offload = xfrm::Offload{index, inbound ? xfrm::kOffloadInbound : std::uint8_t{0}};
  const auto done = port.ask(asking);
  if (!done && !must) return plainly(port, message);
  if (!done)
    return done.error().number == EEXIST ? std::unexpected(done.error())
                                         : refused(spec.local.address, words_of(done.error()));
  if (!must) return {};
  // A driver that cannot is passed over without a word.
  const auto state = port.ask(name_sa(xfrm::MessageType::kGetSa, spec));
  if (state && !state->empty() && state->front().attributes.offload) return {};
  (void)port.ask(name_sa(xfrm::MessageType::kDelSa, spec));
  return refused(spec.local.address, "its driver has no ESP");
}

}  // namespace cygnet::sadb::kernel
