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

std::expected<void, KernelError> add_with_card(KernelPort& port, const model::SaSpec& spec,
                                               const xfrm::Message& message) {
  using model::NicOffload;
  const bool must = spec.nic_offload != NicOffload::kAuto;
  const auto index = port.interface_of(spec.local.address);
  if (index == 0) return must ? refused(spec.local.address, "no interface has this address") : plainly(port, message);
  auto asking = message;
  std::uint8_t flags = spec.direction == model::Direction::kInbound ? xfrm::kOffloadInbound : 0;
  if (spec.nic_offload == NicOffload::kPacket) flags |= xfrm::kOffloadPacket;
  asking.attributes.offload = xfrm::Offload{index, flags};
  const auto done = port.ask(asking);
  if (!done && !must) return plainly(port, message);
  if (!done)
    return done.error().number == EEXIST ? std::unexpected(done.error())
                                         : refused(spec.local.address, words_of(done.error()));
  if (!must) return {};
  // A driver that cannot is passed over without a word, and so is a flag that an older kernel does not know.
  const auto state = port.ask(name_sa(xfrm::MessageType::kGetSa, spec));
  const auto* there = state && !state->empty() ? &state->front().attributes : nullptr;
  if (there != nullptr && there->offload && (there->offload->flags & flags) == flags) return {};
  (void)port.ask(name_sa(xfrm::MessageType::kDelSa, spec));
  return refused(spec.local.address, spec.nic_offload == NicOffload::kPacket ? "its driver takes no whole packets"
                                                                             : "its driver has no ESP");
}

}  // namespace

std::expected<void, KernelError> add_sa(KernelPort& port, const model::SaSpec& spec, const xfrm::Message& message) {
  if (spec.nic_offload != model::NicOffload::kNo) return add_with_card(port, spec, message);
  if (auto done = plainly(port, message); !done) {
    const bool no_cpu = done.error().number == ERANGE && message.attributes.cpu;
    return no_cpu ? std::unexpected(KernelError{ERANGE, "there is no CPU " + std::to_string(*message.attributes.cpu)})
                  : done;
  }
  if (!message.attributes.cpu) return {};
  // Who does not know the attribute passes over it, and every CPU would send on the SA.
  const auto state = port.ask(name_sa(xfrm::MessageType::kGetSa, spec));
  if (state && !state->empty() && state->front().attributes.cpu == message.attributes.cpu) return {};
  (void)port.ask(name_sa(xfrm::MessageType::kDelSa, spec));
  return std::unexpected(KernelError{EOPNOTSUPP, "it has no SAs for single CPUs (clones=, Linux 6.13)"});
}

}  // namespace cygnet::sadb::kernel
