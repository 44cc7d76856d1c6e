// SPDX-License-Identifier: Apache-2.0
#pragma once

// SaSpec and PolicySpec as messages to the kernel. Pure.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/connection.h"
#include "model/sa_spec.h"
#include "sadb/kernel/terms.h"
#include "wire/xfrm/message.h"

namespace cygnet::sadb::kernel {

// A selector list needs at most so many policies of the kernel's, each of a prefix and a block of ports.
inline constexpr std::size_t kMostSelectors = 256;

// What the SAs that serve a policy are, beyond its own mode.
enum class Form : std::uint8_t {
  kPlain,
  kIpTfs,       // a mode of its own in the kernel, which takes no packet of another mode than its policy's
  kCompressed,  // IPComp (compression.h), and ESP around it
};
[[nodiscard]] inline Form form_of(const model::SaSpec& spec) {
  return spec.iptfs.enabled ? Form::kIpTfs : spec.ipcomp_cpi != 0 ? Form::kCompressed : Form::kPlain;
}

// Whether packets are to be led into our device before the policy takes them: the kernel keeps the route of a packet in
// transport mode, and a route knows neither protocols nor ports. Nor marks; and who made an XFRM interface routes into
// it. own_interface: we did (ipsec-interface=), so all that goes there is led into it.
[[nodiscard]] bool leads_through_device(const model::PolicySpec& spec, bool own_interface = false);

// NEWSA of ESP or AH. reqid ties it to its policies; mark is what its outer packets carry.
[[nodiscard]] Result<wire::xfrm::Message> new_sa(const model::SaSpec& spec, std::uint32_t reqid, std::uint32_t mark);
// DELSA, GETSA.
[[nodiscard]] wire::xfrm::Message name_sa(wire::xfrm::MessageType type, const model::SaSpec& spec);
// MIGRATE_STATE: that SA becomes what fresh, a NEWSA, says of its ends.
[[nodiscard]] wire::xfrm::Message migrate_sa(const model::SaSpec& old, const wire::xfrm::Message& fresh);
// Linux's mode of packets with such SAs.
[[nodiscard]] std::uint8_t kernel_mode(model::Mode mode, Form form = Form::kPlain);
// The address and the SPI by which the kernel finds it.
[[nodiscard]] inline const IpAddress& destination_of(const model::SaSpec& spec) {
  return spec.direction == model::Direction::kInbound ? spec.local.address : spec.remote.address;
}

// All pairs of local and remote selectors as outbound selectors of the kernel. Fails for what its selectors cannot say.
[[nodiscard]] Result<std::vector<wire::xfrm::Selector>> kernel_selectors(const model::TrafficSelectors& local,
                                                                         const model::TrafficSelectors& remote);
// Source and destination exchanged: inbound.
[[nodiscard]] wire::xfrm::Selector mirrored(const wire::xfrm::Selector& selector);
// Source and destination of a selector of one packet.
[[nodiscard]] std::pair<model::TrafficSelector, model::TrafficSelector> traffic_of(
    const wire::xfrm::Selector& selector);

// UPDPOLICY: takes the place of one with the same selector and direction. reqid: of the SAs that serve it. card: index
// of the interface that does all of it (nic-offload=packet); 0: none.
[[nodiscard]] wire::xfrm::Message set_policy(const model::PolicySpec& spec, const wire::xfrm::Selector& selector,
                                             std::uint8_t direction, std::uint32_t reqid, std::uint32_t card = 0,
                                             Form form = Form::kPlain);
[[nodiscard]] wire::xfrm::Message delete_policy(const wire::xfrm::Selector& selector, std::uint8_t direction,
                                                const Reach& reach = {});
// Directions that a policy of this kind needs.
[[nodiscard]] std::vector<std::uint8_t> directions_of(const model::PolicySpec& spec);

}  // namespace cygnet::sadb::kernel
