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

constexpr std::string_view kNoCpus = "it has no SAs for single CPUs (clones=, Linux 6.13)";
constexpr std::string_view kNoIpTfs = "it has no IP-TFS (Linux 6.14 with CONFIG_XFRM_IPTFS, module xfrm_iptfs)";

bool is_iptfs(const xfrm::Message& message) { return std::get<xfrm::SaInfo>(message.body).mode == xfrm::kIptfs; }

KernelError in_our_words(const KernelError& error, const xfrm::Message& message) {
  if (error.number == ERANGE && message.attributes.cpu) {
    return {ERANGE, "there is no CPU " + std::to_string(*message.attributes.cpu)};
  }
  const bool no_mode = error.number == EINVAL && (error.text.empty() || error.text == "Unsupported mode");
  return is_iptfs(message) && no_mode ? KernelError{EINVAL, std::string(kNoIpTfs)} : error;
}

// What the kernel passed over, where it has the SA all the same. Empty: it took all of it.
std::string_view passed_over(const xfrm::Message& asked, const xfrm::Attributes* there) {
  // Who does not know the attribute would have every CPU send on the SA.
  if (asked.attributes.cpu && (there == nullptr || there->cpu != asked.attributes.cpu)) return kNoCpus;
  // A kernel that knows the mode and has no module for it takes SAs that carry nothing. The module tells its settings.
  const bool tells = there != nullptr && (there->iptfs_drop_time_us || there->iptfs_max_queue);
  return is_iptfs(asked) && !tells ? kNoIpTfs : std::string_view{};
}

}  // namespace

std::expected<void, KernelError> add_sa(KernelPort& port, const model::SaSpec& spec, const xfrm::Message& message) {
  const bool card = spec.nic_offload != model::NicOffload::kNo;
  if (auto done = card ? add_with_card(port, spec, message) : plainly(port, message); !done) {
    return std::unexpected(in_our_words(done.error(), message));
  }
  if (!message.attributes.cpu && !is_iptfs(message)) return {};
  const auto state = port.ask(name_sa(xfrm::MessageType::kGetSa, spec));
  const auto why = passed_over(message, state && !state->empty() ? &state->front().attributes : nullptr);
  if (why.empty()) return {};
  (void)port.ask(name_sa(xfrm::MessageType::kDelSa, spec));
  return std::unexpected(KernelError{EOPNOTSUPP, std::string(why)});
}

}  // namespace cygnet::sadb::kernel
