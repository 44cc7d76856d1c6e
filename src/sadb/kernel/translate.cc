// SPDX-License-Identifier: Apache-2.0
#include "sadb/kernel/translate.h"

#include <algorithm>

#include "model/engine_limits.h"
#include "model/types_as_ports.h"
#include "sadb/kernel/algorithms.h"
#include "sadb/kernel/compression.h"

namespace cygnet::sadb::kernel {
namespace {

namespace xfrm = wire::xfrm;
using model::TrafficSelector;

constexpr std::uint16_t kAllBits = 0xffff;
constexpr std::uint32_t kWindowWordBits = 32;
constexpr std::uint32_t kSmallestWindow = 32;

// A block of ports: all those that agree with `port` where `mask` has ones.
struct PortBlock {
  std::uint16_t port = 0, mask = 0;
};

// The fewest blocks that cover exactly the range.
std::vector<PortBlock> blocks_of(std::uint16_t first, std::uint16_t last) {
  constexpr std::uint32_t kPorts = 0x10000;
  std::vector<PortBlock> out;
  for (std::uint32_t at = first; at <= last;) {
    std::uint32_t size = 1;
    while (at % (size * 2) == 0 && at + size * 2 - 1 <= last && size < kPorts) size *= 2;
    out.push_back({static_cast<std::uint16_t>(at), static_cast<std::uint16_t>(kPorts - size)});
    at += size;
  }
  return out;
}

struct PortPair {
  PortBlock source, destination;
};

// RFC 4301 section 4.4.1.1: for ICMP the selector is type and code, which both ends'
// selectors carry; the kernel has the type in place of the source port and the code in place of the destination's.
Result<std::vector<PortPair>> type_ports(const TrafficSelector& local, const TrafficSelector& remote) {
  const auto& said = local.all_ports() ? remote : local;
  if (said.all_ports()) return std::vector<PortPair>{{}};
  // Linux 7.3 looks only at what it sends itself: what it forwards and what comes in would go past the policy.
  if (said.protocol == model::kMobilityHeader) {
    return fail("the kernel does not read the type of a Mobility Header that comes in: " + said.to_string());
  }
  constexpr unsigned kTypeShift = 8;
  constexpr std::uint16_t kCodeMask = 0xff;
  const auto type = [](std::uint16_t port) { return static_cast<std::uint16_t>(port >> kTypeShift); };
  const auto code = [](std::uint16_t port) { return static_cast<std::uint16_t>(port & kCodeMask); };
  if (type(said.port_first) != type(said.port_last)) {
    return fail("the kernel's selectors hold one ICMP type or all, not " + said.to_string());
  }
  PortPair pair{{type(said.port_first), kAllBits}, {}};
  if (said.port_first == said.port_last) {
    pair.destination = {code(said.port_first), kAllBits};
  } else if (code(said.port_first) != 0 || code(said.port_last) != kCodeMask) {
    return fail("the kernel's selectors hold one ICMP code or all, not " + said.to_string());
  }
  return std::vector{pair};
}

Result<std::vector<PortPair>> port_pairs(const TrafficSelector& local, const TrafficSelector& remote,
                                         std::uint8_t protocol) {
  if (local.opaque_ports() || remote.opaque_ports()) {
    return fail("the kernel's selectors know no OPAQUE ports: " + local.to_string() + ", " + remote.to_string());
  }
  if (model::has_types_as_ports(protocol)) return type_ports(local, remote);
  std::vector<PortPair> out;
  for (const auto& source : blocks_of(local.port_first, local.port_last)) {
    for (const auto& destination : blocks_of(remote.port_first, remote.port_last)) out.push_back({source, destination});
  }
  return out;
}

Result<void> add_selectors(const TrafficSelector& local, const TrafficSelector& remote,
                           std::vector<xfrm::Selector>& out) {
  if (local.range.first.family() != remote.range.first.family()) return {};
  if (local.protocol != 0 && remote.protocol != 0 && local.protocol != remote.protocol) return {};
  const auto protocol = local.protocol != 0 ? local.protocol : remote.protocol;
  const auto ports = port_pairs(local, remote, protocol);
  if (!ports) return std::unexpected(ports.error());
  for (const auto& from : local.range.to_prefixes()) {
    for (const auto& to : remote.range.to_prefixes()) {
      for (const auto& pair : *ports) {
        if (out.size() == kMostSelectors) {
          return fail("these selectors would be more than " + std::to_string(kMostSelectors) +
                      " policies of the kernel's, which takes prefixes and blocks of ports only");
        }
        xfrm::Selector s;
        s.family = xfrm::family_of(from.address);
        s.source = xfrm::Address::of(from.network());
        s.source_length = from.length;
        s.destination = xfrm::Address::of(to.network());
        s.destination_length = to.length;
        s.protocol = protocol;
        s.source_port = pair.source.port;
        s.source_port_mask = pair.source.mask;
        s.destination_port = pair.destination.port;
        s.destination_port_mask = pair.destination.mask;
        out.push_back(s);
      }
    }
  }
  return {};
}

std::uint64_t limit(std::uint64_t value) { return value == 0 ? xfrm::kInfinite : value; }

xfrm::LifetimeLimits limits_of(const model::Lifetime& lifetime) {
  return {limit(lifetime.soft_bytes),
          limit(lifetime.hard_bytes),
          limit(lifetime.soft_packets),
          limit(lifetime.hard_packets),
          lifetime.soft_age_s,
          lifetime.hard_age_s,
          0,
          0};
}

// What the SA's own selectors say, if the kernel can hold it: it has room for one pair of prefixes. Where there are
// more, the policies say it, which the reqid ties to this SA.
std::optional<xfrm::Selector> single_selector(const model::SaSpec& spec) {
  const auto selectors = kernel_selectors(spec.local_selectors, spec.remote_selectors);
  if (!selectors || selectors->size() != 1) return std::nullopt;
  return spec.direction == model::Direction::kOutbound ? selectors->front() : mirrored(selectors->front());
}

// Else all packets of the address family inside, if it is one.
std::optional<xfrm::Selector> family_selector(const model::SaSpec& spec) {
  const auto selectors = kernel_selectors(spec.local_selectors, spec.remote_selectors);
  if (!selectors || selectors->empty()) return std::nullopt;
  xfrm::Selector out;
  out.family = selectors->front().family;
  const auto same = [&](const xfrm::Selector& each) { return each.family == out.family; };
  return std::ranges::all_of(*selectors, same) ? std::optional(out) : std::nullopt;
}

// RFC 9611: what one CPU sends; RFC 9347. The kernel wants the direction of these, and then nothing of the other one.
bool says_direction(const model::SaSpec& spec) {
  return spec.iptfs.enabled || (spec.resource && spec.direction == model::Direction::kOutbound);
}

xfrm::ReplayStateEsn window_of(const model::SaSpec& spec) {
  const bool inbound = spec.direction == model::Direction::kInbound;
  if (!inbound && says_direction(spec)) return {};
  const auto packets =
      inbound ? std::clamp(spec.replay_window, spec.esn ? kSmallestWindow : 0U, model::kLargestKernelWindow)
              : kSmallestWindow;
  const auto words = std::max((packets + kWindowWordBits - 1) / kWindowWordBits, 1U);
  return {0, 0, packets, std::vector<std::uint32_t>(words)};
}

std::uint8_t flags_of(const model::SaSpec& spec) {
  std::uint8_t flags = 0;
  if (spec.esn) flags |= xfrm::kSaEsn;
  if (!spec.ecn) flags |= xfrm::kSaNoEcn;
  if (spec.mode == model::Mode::kTunnel && spec.ipcomp_cpi == 0) {
    // Inner packets of either family.
    if (!single_selector(spec) && !family_selector(spec)) flags |= xfrm::kSaAnyFamily;
    const bool inbound_alone = spec.direction == model::Direction::kInbound && says_direction(spec);
    if (spec.df == model::DfPolicy::kClear && !inbound_alone) flags |= xfrm::kSaNoPmtuDisc;
  }
  return flags;
}

// Linux (7.3) fills so many octets before it pads the ESP trailer to a block and adds the check value: these are taken
// off, so that no outer packet is larger than was asked for.
std::uint32_t packet_size(const model::SaSpec& spec) {
  constexpr std::uint32_t kWord = 4;     // headers and check values are whole words
  constexpr std::uint32_t kTrailer = 2;  // RFC 4303: pad length and next header
  if (spec.iptfs.packet_octets == 0) return 0;
  const auto check =
      model::is_aead(spec.encryption) ? model::icv_octets(spec.encryption) : model::icv_octets(spec.integrity);
  const auto block = std::max<std::size_t>(model::block_octets(spec.encryption), kWord);
  const auto behind = static_cast<std::uint32_t>(check + kTrailer + block - kWord);
  return spec.iptfs.packet_octets / kWord * kWord - behind;
}

void set_iptfs(const model::SaSpec& spec, xfrm::Attributes& attributes) {
  const auto& tfs = spec.iptfs;
  if (spec.direction == model::Direction::kInbound) {
    attributes.iptfs_reorder_window = static_cast<std::uint16_t>(std::min<std::uint32_t>(tfs.reorder_window, kAllBits));
    attributes.iptfs_drop_time_us = tfs.drop_time_us;
  } else {
    attributes.iptfs_dont_fragment = !tfs.fragment;
    attributes.iptfs_packet_size = packet_size(spec);
    attributes.iptfs_max_queue = tfs.max_queue_octets;
    attributes.iptfs_initial_delay_us = tfs.init_delay_us;
  }
}

xfrm::SaAddress address_of(const model::SaSpec& spec) {
  return {xfrm::Address::of(destination_of(spec)), spec.spi,
          spec.protocol == model::SaProtocol::kAh ? xfrm::kProtocolAh : xfrm::kProtocolEsp};
}

Result<void> check(const model::SaSpec& spec) {
  if (spec.ipcomp_cpi != 0) {
    if (auto possible = check_compression(spec); !possible) return possible;
  }
  if (spec.iptfs.enabled && (spec.iptfs.bits_per_s != 0 || spec.iptfs.congestion_control || spec.iptfs.reports)) {
    return fail("the kernel's IP-TFS sends as there is traffic, and reports nothing: no iptfs-rate=, or engine=user");
  }
  if (spec.diet.enabled) return fail("the kernel has no Diet-ESP: diet-esp=no, or engine=user");
  if (spec.mode == model::Mode::kBeet) return fail("BEET is not built for the kernel's IPsec: use engine=user");
  if (spec.inside_ah) return fail("bundles are not built for the kernel's IPsec: use engine=user");
  if (spec.local.address.family() != spec.remote.address.family()) {
    return fail("the ends of an SA are of two address families");
  }
  return {};
}

xfrm::Template esp_template(const model::PolicySpec& spec, std::uint32_t reqid) {
  xfrm::Template out;
  out.id.protocol = spec.protocol == model::SaProtocol::kAh ? xfrm::kProtocolAh : xfrm::kProtocolEsp;
  out.reqid = reqid;
  return out;
}

}  // namespace

std::uint8_t kernel_mode(model::Mode mode, Form form) {
  switch (mode) {
    case model::Mode::kTunnel: return form == Form::kIpTfs ? xfrm::kIptfs : xfrm::kTunnel;
    case model::Mode::kTransport: return xfrm::kTransport;
    case model::Mode::kBeet: return xfrm::kBeet;
  }
  return xfrm::kTunnel;
}

bool leads_through_device(const model::PolicySpec& spec, bool own_interface) {
  if (own_interface) return spec.mode == model::Mode::kTunnel;
  const auto everything = [](const TrafficSelector& s) { return s.protocol == 0 && s.all_ports(); };
  if (spec.mark_out.mask != 0 || spec.interface_out != 0) return false;
  return spec.mode == model::Mode::kTunnel && std::ranges::all_of(spec.local, everything) &&
         std::ranges::all_of(spec.remote, everything);
}

Result<xfrm::Message> new_sa(const model::SaSpec& spec, std::uint32_t reqid, std::uint32_t mark) {
  if (auto checked = check(spec); !checked) return std::unexpected(checked.error());
  const bool inbound = spec.direction == model::Direction::kInbound;
  xfrm::SaInfo info;
  info.id = address_of(spec);
  info.source = xfrm::Address::of(inbound ? spec.remote.address : spec.local.address);
  info.family = xfrm::family_of(spec.local.address);
  // With IPComp the tunnel is there.
  info.mode = spec.ipcomp_cpi != 0 ? std::uint8_t{xfrm::kTransport} : kernel_mode(spec.mode, form_of(spec));
  info.reqid = reqid;
  info.limits = limits_of(spec.lifetime);
  info.flags = flags_of(spec);
  if (spec.mode == model::Mode::kTransport) {
    // The outer addresses are the inner ones.
    if (const auto selector = single_selector(spec)) info.selector = *selector;
  } else if (const auto selector = single_selector(spec)) {
    info.selector = *selector;
  } else if (const auto family = family_selector(spec)) {
    info.selector = *family;
  }
  xfrm::Message message;
  message.header = {xfrm::MessageType::kNewSa, xfrm::kRequest | xfrm::kAck, 0, 0};
  message.body = info;
  auto& attributes = message.attributes;
  if (auto set = set_algorithms(spec, attributes); !set) return std::unexpected(set.error());
  attributes.replay_esn = window_of(spec);
  Reach::of(spec).write(attributes);
  if (spec.udp_encapsulation) {
    const auto& from = inbound ? spec.remote : spec.local;
    const auto& to = inbound ? spec.local : spec.remote;
    attributes.encapsulation = xfrm::Encapsulation{xfrm::kEspInUdp, from.port, to.port, {}};
  }
  if (!inbound) {
    // Our own outer packets go past the rule that leads into the tunnels.
    attributes.set_mark = mark;
    attributes.set_mark_mask = ~0U;
    if (!spec.copy_dscp) attributes.extra_flags = xfrm::kExtraDontEncapDscp;
    if (spec.tfc_octets != 0) attributes.tfc_pad = spec.tfc_octets;
    if (spec.resource) attributes.cpu = *spec.resource;
  }
  if (says_direction(spec)) attributes.direction = inbound ? xfrm::kSaIn : xfrm::kSaOut;
  if (spec.iptfs.enabled) set_iptfs(spec, attributes);
  return message;
}

xfrm::Message name_sa(xfrm::MessageType type, const model::SaSpec& spec) {
  const auto address = address_of(spec);
  xfrm::Message message;
  message.header = {type, xfrm::kRequest, 0, 0};
  if (type == xfrm::MessageType::kDelSa) message.header.flags |= xfrm::kAck;
  message.body = xfrm::SaId{address.destination, address.spi, xfrm::family_of(spec.local.address), address.protocol};
  // The kernel looks for it as for a packet: with the mark. The interface is not asked for.
  Reach{spec.kernel_mark, 0}.write(message.attributes);
  return message;
}

xfrm::Message migrate_sa(const model::SaSpec& old, const xfrm::Message& fresh) {
  const auto address = address_of(old);
  const auto& info = std::get<xfrm::SaInfo>(fresh.body);
  xfrm::Message message;
  message.header = {xfrm::MessageType::kMigrateState, xfrm::kRequest | xfrm::kAck, 0, 0};
  message.body = xfrm::SaMove{
      .id = {address.destination, address.spi, xfrm::family_of(old.local.address), address.protocol},
      .new_destination = info.id.destination,
      .new_source = info.source,
      .old_mark = {old.kernel_mark.value, old.kernel_mark.mask},
      .selector = info.selector,
      .reqid = info.reqid,
      .new_family = info.family,
  };
  // Type 0: none any more.
  message.attributes.encapsulation = fresh.attributes.encapsulation.value_or(xfrm::Encapsulation{0, 0, 0, {}});
  return message;
}

Result<std::vector<xfrm::Selector>> kernel_selectors(const model::TrafficSelectors& local,
                                                     const model::TrafficSelectors& remote) {
  std::vector<xfrm::Selector> out;
  for (const auto& from : local) {
    for (const auto& to : remote) {
      if (auto added = add_selectors(from, to, out); !added) return std::unexpected(added.error());
    }
  }
  return out;
}

xfrm::Selector mirrored(const xfrm::Selector& selector) {
  auto s = selector;
  std::swap(s.source, s.destination);
  std::swap(s.source_length, s.destination_length);
  // Type and code are of the packet, whichever way it goes.
  if (!model::has_types_as_ports(s.protocol)) {
    std::swap(s.source_port, s.destination_port);
    std::swap(s.source_port_mask, s.destination_port_mask);
  }
  return s;
}

std::pair<TrafficSelector, TrafficSelector> traffic_of(const xfrm::Selector& selector) {
  const auto side = [&](const xfrm::Address& address, std::uint8_t length, std::uint16_t port, std::uint16_t mask) {
    auto out = TrafficSelector::of(IpPrefix{address.as(selector.family), length});
    out.protocol = selector.protocol;
    if (mask == kAllBits) out.port_first = out.port_last = port;
    return out;
  };
  auto source = side(selector.source, selector.source_length, selector.source_port, selector.source_port_mask);
  auto destination = side(selector.destination, selector.destination_length, selector.destination_port,
                          selector.destination_port_mask);
  if (model::has_types_as_ports(selector.protocol) && selector.source_port_mask == kAllBits) {
    constexpr unsigned kTypeShift = 8;
    const auto both = static_cast<std::uint16_t>((selector.source_port << kTypeShift) |
                                                 (selector.destination_port & (selector.destination_port_mask)));
    source.port_first = source.port_last = destination.port_first = destination.port_last = both;
  }
  return {source, destination};
}

xfrm::Message set_policy(const model::PolicySpec& spec, const xfrm::Selector& selector, std::uint8_t direction,
                         std::uint32_t reqid, std::uint32_t card, Form form) {
  xfrm::PolicyInfo info;
  info.selector = direction == xfrm::kOut ? selector : mirrored(selector);
  info.priority = spec.order;
  info.direction = direction;
  const bool protect = spec.action == model::PolicyAction::kProtect;
  const bool outward = direction == xfrm::kOut;
  const bool peer_known = !spec.outer_remote.is_unspecified() && !spec.outer_local.is_unspecified();
  // Nobody to send to: what cannot be protected does not leave. On demand it waits for an SA to anybody: ike is asked
  // for one, and knows by then whom to ask.
  const bool blocked =
      spec.action == model::PolicyAction::kDiscard || (protect && outward && !peer_known && !spec.acquire);
  info.action = blocked ? xfrm::kBlock : xfrm::kAllow;
  xfrm::Message message;
  message.header = {xfrm::MessageType::kUpdPolicy, xfrm::kRequest | xfrm::kAck, 0, 0};
  message.body = info;
  Reach::of(spec, direction).write(message.attributes);
  if (protect && !blocked) {
    auto entry = esp_template(spec, reqid);
    entry.mode = kernel_mode(spec.mode, form);
    entry.family = peer_known ? xfrm::family_of(spec.outer_remote) : info.selector.family;
    // Inbound the reqid says which SAs: a peer may be anywhere.
    if (outward && spec.mode != model::Mode::kTransport && peer_known) {
      entry.id.destination = xfrm::Address::of(spec.outer_remote);
      entry.source = xfrm::Address::of(spec.outer_local);
    }
    message.attributes.templates = form == Form::kCompressed ? compressed(entry, outward) : std::vector{entry};
    // The kernel knows no card's policy for what is forwarded to a third one.
    if (card != 0 && direction != xfrm::kForward)
      message.attributes.offload = xfrm::Offload{card, xfrm::kOffloadPacket};
  }
  return message;
}

xfrm::Message delete_policy(const xfrm::Selector& selector, std::uint8_t direction, const Reach& reach) {
  xfrm::Message message;
  message.header = {xfrm::MessageType::kDelPolicy, xfrm::kRequest | xfrm::kAck, 0, 0};
  message.body = xfrm::PolicyId{direction == xfrm::kOut ? selector : mirrored(selector), 0, direction};
  reach.write(message.attributes);
  return message;
}

std::vector<std::uint8_t> directions_of(const model::PolicySpec& spec) {
  // What is forwarded cannot have been meant for this host alone.
  if (spec.action == model::PolicyAction::kProtect && spec.mode == model::Mode::kTransport) {
    return {xfrm::kOut, xfrm::kIn};
  }
  return {xfrm::kOut, xfrm::kIn, xfrm::kForward};
}

}  // namespace cygnet::sadb::kernel
