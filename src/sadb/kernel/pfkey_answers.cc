// SPDX-License-Identifier: Apache-2.0

// What the kernel answers and tells over PF_KEY, as KernelEngine understands it; and what is known beforehand to be
// more than PF_KEY can say.
#include <algorithm>

#include "sadb/kernel/engine.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::sadb::kernel {
namespace {

namespace pf = wire::pfkey;
namespace xfrm = wire::xfrm;

constexpr std::uint16_t kAllBits = 0xffff;

std::uint8_t protocol_of(pf::SaType type) {
  switch (type) {
    case pf::SaType::kAh: return xfrm::kProtocolAh;
    case pf::SaType::kIpComp: return xfrm::kProtocolIpComp;
    default: return xfrm::kProtocolEsp;
  }
}

std::uint8_t mode_of(pf::Mode mode) {
  switch (mode) {
    case pf::Mode::kTransport: return xfrm::kTransport;
    case pf::Mode::kBeet: return xfrm::kBeet;
    default: return xfrm::kTunnel;
  }
}

std::uint32_t long_reqid(std::uint32_t reqid) {
  const bool ours = reqid > kPfkeyReqidBit && reqid <= pf::kMaxManualReqid;
  return ours ? kReqidBase | (reqid & kPfkeyReqids) : reqid;
}

xfrm::SaInfo info_of(const pf::Message& message) {
  xfrm::SaInfo info;
  if (!message.sa || !message.destination) return info;
  const auto& destination = message.destination->endpoint.address;
  info.id = {xfrm::Address::of(destination), message.sa->spi, protocol_of(message.header.sa_type)};
  info.family = xfrm::family_of(destination);
  if (message.source) info.source = xfrm::Address::of(message.source->endpoint.address);
  if (message.sa2) {
    info.mode = mode_of(message.sa2->mode);
    info.reqid = long_reqid(message.sa2->reqid);
  }
  if (message.current) {
    info.current = {message.current->bytes, message.current->allocations, message.current->add_time,
                    message.current->use_time};
  }
  return info;
}

std::optional<xfrm::Selector> selector_of(const pf::Message& message) {
  if (!message.source || !message.destination) return std::nullopt;
  const auto& from = *message.source;
  const auto& to = *message.destination;
  xfrm::Selector out;
  out.family = xfrm::family_of(from.endpoint.address);
  out.source = xfrm::Address::of(from.endpoint.address);
  out.source_length = from.prefix_length;
  out.destination = xfrm::Address::of(to.endpoint.address);
  out.destination_length = to.prefix_length;
  out.protocol = from.protocol == pf::kAnyProtocol ? std::uint8_t{0} : from.protocol;
  out.source_port = from.endpoint.port;
  out.source_port_mask = from.endpoint.port == 0 ? std::uint16_t{0} : kAllBits;
  out.destination_port = to.endpoint.port;
  out.destination_port_mask = to.endpoint.port == 0 ? std::uint16_t{0} : kAllBits;
  return out;
}

std::optional<xfrm::Message> policy_of(const pf::Message& message) {
  const auto selector = selector_of(message);
  if (!selector || !message.policy || message.policy->direction == pf::PolicyDirection::kAny) return std::nullopt;
  xfrm::PolicyInfo info;
  info.selector = *selector;
  info.priority = message.policy->priority;
  info.direction = static_cast<std::uint8_t>(static_cast<std::uint8_t>(message.policy->direction) - 1);
  info.action = message.policy->type == pf::PolicyType::kDiscard ? xfrm::kBlock : xfrm::kAllow;
  info.index = message.hard ? message.hard->allocations : 0;
  xfrm::Message out;
  out.header.type = xfrm::MessageType::kNewPolicy;
  out.body = info;
  std::vector<xfrm::Template> templates;
  for (const auto& request : message.policy->requests) {
    xfrm::Template entry;
    entry.id.protocol = static_cast<std::uint8_t>(request.protocol);
    entry.mode = mode_of(request.mode);
    entry.reqid = long_reqid(request.reqid);
    entry.optional = request.level == pf::Level::kUse;
    entry.family = selector->family;
    if (request.ends) {
      entry.family = xfrm::family_of(request.ends->destination.address);
      entry.source = xfrm::Address::of(request.ends->source.address);
      entry.id.destination = xfrm::Address::of(request.ends->destination.address);
    }
    templates.push_back(entry);
  }
  if (!templates.empty()) out.attributes.templates = std::move(templates);
  return out;
}

// ADDRESS_SRC is the old address, ADDRESS_DST the new one, with a port each.
std::optional<xfrm::Message> mapping_of(const pf::Message& message) {
  if (!message.sa || !message.source || !message.destination || !message.nat_destination_port) return std::nullopt;
  xfrm::Mapping mapping;
  const auto& fresh = message.destination->endpoint.address;
  mapping.id = {{}, message.sa->spi, xfrm::family_of(fresh), protocol_of(message.header.sa_type)};
  mapping.old_source = xfrm::Address::of(message.source->endpoint.address);
  mapping.new_source = xfrm::Address::of(fresh);
  mapping.old_port = message.nat_source_port ? message.nat_source_port->port : std::uint16_t{0};
  mapping.new_port = message.nat_destination_port->port;
  xfrm::Message out;
  out.header.type = xfrm::MessageType::kMapping;
  out.body = mapping;
  return out;
}

}  // namespace

void PfkeyLanguage::remember_policy(const xfrm::Message& asked, const pf::Message& reply) {
  const auto* info = std::get_if<xfrm::PolicyInfo>(&asked.body);
  if (info != nullptr && info->direction == xfrm::kOut && reply.policy) {
    outbound_.insert_or_assign(reply.policy->id, info->selector);
  }
  if (std::holds_alternative<xfrm::PolicyId>(asked.body) && reply.policy) outbound_.erase(reply.policy->id);
}

xfrm::Message PfkeyLanguage::state(const pf::Message& reply, std::uint64_t wall_s) {
  const auto info = info_of(reply);
  xfrm::Message out;
  out.header.type = xfrm::MessageType::kNewSa;
  if ((info.reqid & ~kReqidMask) == kReqidBase) {
    auto& seen = seen_[{info.id.destination.as(info.family), info.id.spi}];
    if (info.current.packets != seen.packets) seen = {info.current.packets, wall_s};
    if (seen.wall_s != 0) out.attributes.last_used = seen.wall_s;
  }
  out.body = info;
  return out;
}

std::optional<xfrm::Message> PfkeyLanguage::answer(const xfrm::Message& asked, const pf::Message& reply,
                                                   std::uint64_t wall_s) {
  switch (asked.header.type) {
    case xfrm::MessageType::kGetSa:
      if (!reply.sa || !reply.destination) return std::nullopt;
      return state(reply, wall_s);
    case xfrm::MessageType::kGetPolicy: return policy_of(reply);
    case xfrm::MessageType::kDelSa:
      if (const auto* id = std::get_if<xfrm::SaId>(&asked.body)) {
        seen_.erase({id->destination.as(id->family), id->spi});
      }
      return std::nullopt;
    default: remember_policy(asked, reply); return std::nullopt;
  }
}

std::optional<xfrm::Message> PfkeyLanguage::notice(const pf::Message& message) {
  xfrm::Message out;
  switch (message.header.type) {
    case pf::MessageType::kExpire:
      if (!message.sa || !message.destination) return std::nullopt;
      out.header.type = xfrm::MessageType::kExpire;
      // RFC 2367 section 3.1.8: the lifetime that is over is the one that the message has.
      out.body = xfrm::SaExpire{info_of(message), message.hard.has_value()};
      if (message.hard) seen_.erase({message.destination->endpoint.address, message.sa->spi});
      return out;
    case pf::MessageType::kDelete: {
      if (!message.sa || !message.destination) return std::nullopt;
      const auto info = info_of(message);
      out.header.type = xfrm::MessageType::kDelSa;
      out.body = xfrm::SaId{info.id.destination, info.id.spi, info.family, info.id.protocol};
      return out;
    }
    case pf::MessageType::kFlush: out.header.type = xfrm::MessageType::kFlushSa; return out;
    // Which policies is looked for afterwards.
    case pf::MessageType::kSpdDelete:
    case pf::MessageType::kSpdDelete2:
    case pf::MessageType::kSpdFlush: out.header.type = xfrm::MessageType::kFlushPolicy; return out;
    case pf::MessageType::kSpdAdd:
    case pf::MessageType::kSpdUpdate: return policy_of(message);
    case pf::MessageType::kNewMapping: return mapping_of(message);
    case pf::MessageType::kAcquire: {
      const auto it = message.policy ? outbound_.find(message.policy->id) : outbound_.end();
      if (it == outbound_.end()) return std::nullopt;
      xfrm::Acquire acquire;
      acquire.selector = acquire.policy.selector = it->second;
      acquire.policy.direction = xfrm::kOut;
      out.header.type = xfrm::MessageType::kAcquire;
      out.body = acquire;
      return out;
    }
    default: return std::nullopt;
  }
}

}  // namespace cygnet::sadb::kernel
