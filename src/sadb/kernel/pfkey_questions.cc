// SPDX-License-Identifier: Apache-2.0

// What KernelEngine asks, in PF_KEY's words.
#include <algorithm>
#include <array>

#include "sadb/kernel/engine.h"
#include "sadb/kernel/pfkey_language.h"

namespace cygnet::sadb::kernel {
namespace {

namespace pf = wire::pfkey;
namespace xfrm = wire::xfrm;

constexpr unsigned kBits = 8;
constexpr std::uint16_t kAllBits = 0xffff;

struct CipherNumber {
  std::string_view name;
  pf::EncryptAlgorithm number;
};
constexpr std::array kCiphers{
    CipherNumber{"cbc(aes)", pf::EncryptAlgorithm::kAesCbc},
    CipherNumber{"rfc3686(ctr(aes))", pf::EncryptAlgorithm::kAesCtr},
    CipherNumber{"ecb(cipher_null)", pf::EncryptAlgorithm::kNull},
    CipherNumber{"cbc(des3_ede)", pf::EncryptAlgorithm::k3Des},
    CipherNumber{"cbc(camellia)", pf::EncryptAlgorithm::kCamelliaCbc},
};

// With the check values that Linux gives the numbers of PF_KEY.
struct AuthNumber {
  std::string_view name;
  std::uint32_t tag_bits;
  pf::AuthAlgorithm number;
};
constexpr std::array kAuths{
    AuthNumber{"hmac(md5)", 96, pf::AuthAlgorithm::kMd5},
    AuthNumber{"hmac(sha1)", 96, pf::AuthAlgorithm::kSha1},
    AuthNumber{"hmac(sha256)", 96, pf::AuthAlgorithm::kSha2_256},
    AuthNumber{"hmac(sha384)", 192, pf::AuthAlgorithm::kSha2_384},
    AuthNumber{"hmac(sha512)", 256, pf::AuthAlgorithm::kSha2_512},
    AuthNumber{"xcbc(aes)", 96, pf::AuthAlgorithm::kAesXcbc},
};

pf::SaType sa_type_of(std::uint8_t protocol) {
  switch (protocol) {
    case xfrm::kProtocolEsp: return pf::SaType::kEsp;
    case xfrm::kProtocolAh: return pf::SaType::kAh;
    case xfrm::kProtocolIpComp: return pf::SaType::kIpComp;
    default: return pf::SaType::kUnspecified;
  }
}

pf::Mode mode_of(std::uint8_t mode) {
  switch (mode) {
    case xfrm::kTransport: return pf::Mode::kTransport;
    case xfrm::kBeet: return pf::Mode::kBeet;
    default: return pf::Mode::kTunnel;
  }
}

IpAddress any_of(std::uint16_t family) {
  return family == xfrm::kFamilyV6 ? *IpAddress::parse("::") : IpAddress::v4(0);
}

pf::KeyExtension key_of(const xfrm::Algorithm& algorithm) {
  return {static_cast<std::uint16_t>(algorithm.key.size() * kBits), algorithm.key};
}

Result<void> set_auth(const xfrm::Algorithm& algorithm, pf::Message& out) {
  const auto* const found = std::ranges::find(kAuths, algorithm.name, &AuthNumber::name);
  if (found == kAuths.end()) return fail("PF_KEY has no number for " + algorithm.name);
  if (found->tag_bits != algorithm.tag_bits) {
    return fail("PF_KEY's " + algorithm.name + " has check values of " + std::to_string(found->tag_bits) +
                " bits in Linux, not the " + std::to_string(algorithm.tag_bits) + " of RFC 4868");
  }
  out.sa->auth = found->number;
  out.auth_key = key_of(algorithm);
  return {};
}

Result<void> set_algorithms(const xfrm::Attributes& attributes, pf::Message& out) {
  if (attributes.aead) return fail("Linux takes no AEAD over PF_KEY: " + attributes.aead->name);
  if (attributes.crypt) {
    const auto* const found = std::ranges::find(kCiphers, attributes.crypt->name, &CipherNumber::name);
    if (found == kCiphers.end()) return fail("PF_KEY has no number for " + attributes.crypt->name);
    out.sa->encrypt = found->number;
    if (!attributes.crypt->key.empty()) out.encrypt_key = key_of(*attributes.crypt);
  }
  return attributes.auth_truncated ? set_auth(*attributes.auth_truncated, out) : Result<void>{};
}

Result<std::uint32_t> flags_of(const xfrm::SaInfo& info) {
  if ((info.flags & xfrm::kSaEsn) != 0) return fail("PF_KEY has no extended sequence numbers: write esn=no");
  if ((info.flags & xfrm::kSaAnyFamily) != 0) {
    return fail("over PF_KEY an SA holds packets of one address family: write two connections");
  }
  std::uint32_t flags = 0;
  if ((info.flags & xfrm::kSaNoEcn) != 0) flags |= pf::kFlagNoEcn;
  if ((info.flags & xfrm::kSaDecapDscp) != 0) flags |= pf::kFlagDecapDscp;
  if ((info.flags & xfrm::kSaNoPmtuDisc) != 0) flags |= pf::kFlagNoPmtuDisc;
  return flags;
}

Result<void> check_attributes(const xfrm::Attributes& attributes) {
  if (attributes.tfc_pad) return fail("PF_KEY cannot say that packets are to be padded: write tfc=0");
  if (attributes.extra_flags.value_or(0) != 0) return fail("PF_KEY cannot say that the DSCP stays inside");
  if (attributes.interface_id || attributes.mark) return fail("PF_KEY knows neither interfaces nor marks");
  if (attributes.offload) return fail("PF_KEY cannot hand an SA to a network card: write nic-offload=no");
  if (attributes.cpu) return fail("PF_KEY knows no SAs of single CPUs");
  const auto& window = attributes.replay_esn;
  if (window && (window->sent != 0 || window->seen != 0)) {
    return fail("PF_KEY cannot give an SA the sequence numbers of another");
  }
  return {};
}

std::uint64_t limit(std::uint64_t value) { return value == xfrm::kInfinite ? 0 : value; }

std::optional<pf::LifetimeExtension> lifetime(std::uint64_t packets, std::uint64_t bytes, std::uint64_t added,
                                              std::uint64_t used) {
  const pf::LifetimeExtension out{static_cast<std::uint32_t>(std::min<std::uint64_t>(limit(packets), UINT32_MAX)),
                                  limit(bytes), added, used};
  return out == pf::LifetimeExtension{} ? std::nullopt : std::optional(out);
}

void set_lifetimes(const xfrm::LifetimeLimits& limits, pf::Message& out) {
  out.hard = lifetime(limits.hard_packets, limits.hard_bytes, limits.hard_add_s, limits.hard_use_s);
  out.soft = lifetime(limits.soft_packets, limits.soft_bytes, limits.soft_add_s, limits.soft_use_s);
}

std::uint32_t short_reqid(std::uint32_t reqid) {
  return (reqid & ~kReqidMask) == kReqidBase ? kPfkeyReqidBit | (reqid & kPfkeyReqids) : reqid;
}

void set_encapsulation(const xfrm::Attributes& attributes, pf::Message& out) {
  if (!attributes.encapsulation) return;
  out.nat_type = pf::NatTypeExtension{static_cast<std::uint8_t>(attributes.encapsulation->type)};
  out.nat_source_port = pf::NatPortExtension{attributes.encapsulation->source_port};
  out.nat_destination_port = pf::NatPortExtension{attributes.encapsulation->destination_port};
}

// ADD, UPDATE
Result<pf::Message> add_sa(const xfrm::SaInfo& info, const xfrm::Attributes& attributes, pf::MessageType type) {
  if (auto checked = check_attributes(attributes); !checked) return std::unexpected(checked.error());
  const auto flags = flags_of(info);
  if (!flags) return std::unexpected(flags.error());
  const auto window = attributes.replay_esn ? std::min(attributes.replay_esn->window, kPfkeyWindow) : 0;
  pf::Message out;
  out.header.type = type;
  out.header.sa_type = sa_type_of(info.id.protocol);
  out.sa = pf::SaExtension{.spi = info.id.spi,
                           .replay = static_cast<std::uint8_t>(window),
                           .state = pf::SaState::kMature,
                           .encrypt = attributes.compress ? pf::kCompressDeflate : pf::EncryptAlgorithm::kNone,
                           .flags = *flags};
  out.sa2 = pf::Sa2Extension{.mode = mode_of(info.mode), .reqid = short_reqid(info.reqid)};
  out.source = pf::AddressExtension::host(info.source.as(info.family));
  out.destination = pf::AddressExtension::host(info.id.destination.as(info.family));
  // Of the packets inside: the kernel takes the family of the outer ones unless it is told another.
  if (info.mode == xfrm::kTunnel && info.selector.family != xfrm::kFamilyAny && info.selector.family != info.family) {
    out.proxy = pf::AddressExtension{0, 0, {any_of(info.selector.family), 0}};
  }
  set_lifetimes(info.limits, out);
  set_encapsulation(attributes, out);
  if (auto set = set_algorithms(attributes, out); !set) return std::unexpected(set.error());
  return out;
}

// DELETE, GET
pf::Message name_sa(const xfrm::SaId& id, pf::MessageType type) {
  pf::Message out;
  out.header.type = type;
  out.header.sa_type = sa_type_of(id.protocol);
  out.sa = pf::SaExtension{.spi = id.spi};
  // The kernel looks at the destination alone, but wants both.
  out.source = pf::AddressExtension::host(any_of(id.family));
  out.destination = pf::AddressExtension::host(id.destination.as(id.family));
  return out;
}

bool is_whole(std::uint16_t port, std::uint16_t mask) { return mask == 0 || (mask == kAllBits && port != 0); }

Result<void> set_selector(const xfrm::Selector& selector, pf::Message& out) {
  if (!can_select(selector)) return fail("a selector of PF_KEY has one port (not 0), or all");
  const auto protocol = selector.protocol == 0 ? pf::kAnyProtocol : selector.protocol;
  out.source = pf::AddressExtension{
      protocol, selector.source_length, {selector.source.as(selector.family), selector.source_port}};
  out.destination = pf::AddressExtension{
      protocol, selector.destination_length, {selector.destination.as(selector.family), selector.destination_port}};
  return {};
}

Result<pf::PolicyRequest> request_of(const xfrm::Template& entry, const xfrm::PolicyInfo& info) {
  pf::PolicyRequest out{.protocol = entry.id.protocol,
                        .mode = mode_of(entry.mode),
                        .level = entry.optional ? pf::Level::kUse : pf::Level::kUnique,
                        .reqid = short_reqid(entry.reqid),
                        .ends = {}};
  if (entry.mode == xfrm::kTransport) return out;
  const auto destination = entry.id.destination.as(entry.family);
  const auto& selector = info.selector;
  if (info.direction == xfrm::kOut && selector.family == entry.family && selector.protocol == 0 &&
      IpPrefix{selector.destination.as(selector.family), selector.destination_length}.contains(destination)) {
    return fail("the peer " + destination.to_string() +
                " lies in the network behind it, and PF_KEY cannot mark the packets to it: they would be led into "
                "the tunnel that they carry");
  }
  out.ends = pf::PolicyRequest::Ends{{entry.source.as(entry.family), 0}, {destination, 0}};
  return out;
}

// SPDUPDATE
Result<pf::Message> set_policy(const xfrm::PolicyInfo& info, const xfrm::Attributes& attributes) {
  pf::Message out;
  out.header.type = pf::MessageType::kSpdUpdate;
  if (auto set = set_selector(info.selector, out); !set) return std::unexpected(set.error());
  if (attributes.interface_id || attributes.mark) return fail("PF_KEY knows neither interfaces nor marks");
  pf::PolicyExtension policy;
  policy.direction = static_cast<pf::PolicyDirection>(info.direction + 1);
  policy.priority = info.priority;
  policy.type = info.action == xfrm::kBlock ? pf::PolicyType::kDiscard : pf::PolicyType::kNone;
  if (info.action == xfrm::kAllow && attributes.templates) {
    policy.type = pf::PolicyType::kIpsec;
    for (const auto& entry : *attributes.templates) {
      const auto request = request_of(entry, info);
      if (!request) return std::unexpected(request.error());
      policy.requests.push_back(*request);
    }
  }
  out.policy = policy;
  // The kernel numbers its policies itself. It keeps this limit and heeds it for SAs only: by it we know our own again.
  if (info.index != 0) out.hard = pf::LifetimeExtension{.allocations = info.index};
  return out;
}

// SPDDELETE
Result<pf::Message> delete_policy(const xfrm::PolicyId& id) {
  pf::Message out;
  out.header.type = pf::MessageType::kSpdDelete;
  if (auto set = set_selector(id.selector, out); !set) return std::unexpected(set.error());
  pf::PolicyExtension policy;
  policy.type = pf::PolicyType::kNone;
  policy.direction = static_cast<pf::PolicyDirection>(id.direction + 1);
  out.policy = policy;
  return out;
}

}  // namespace

bool can_select(const xfrm::Selector& selector) {
  return is_whole(selector.source_port, selector.source_port_mask) &&
         is_whole(selector.destination_port, selector.destination_port_mask);
}

bool PfkeyLanguage::is_dump(const xfrm::Message& message) { return (message.header.flags & xfrm::kDump) != 0; }

Result<pf::Message> PfkeyLanguage::question(const xfrm::Message& message) const {
  const auto cannot = [&] { return fail("PF_KEY has no words for " + name_of(message.header.type)); };
  if (is_dump(message)) {
    pf::Message out;
    out.header.type =
        message.header.type == xfrm::MessageType::kGetSa ? pf::MessageType::kDump : pf::MessageType::kSpdDump;
    return out;
  }
  switch (message.header.type) {
    case xfrm::MessageType::kNewSa:
    case xfrm::MessageType::kUpdSa: {
      const auto* info = std::get_if<xfrm::SaInfo>(&message.body);
      if (info == nullptr) return cannot();
      const bool fresh = message.header.type == xfrm::MessageType::kNewSa;
      return add_sa(*info, message.attributes, fresh ? pf::MessageType::kAdd : pf::MessageType::kUpdate);
    }
    case xfrm::MessageType::kDelSa:
    case xfrm::MessageType::kGetSa: {
      const auto* id = std::get_if<xfrm::SaId>(&message.body);
      if (id == nullptr) return cannot();
      const bool gone = message.header.type == xfrm::MessageType::kDelSa;
      return name_sa(*id, gone ? pf::MessageType::kDelete : pf::MessageType::kGet);
    }
    case xfrm::MessageType::kUpdPolicy:
    case xfrm::MessageType::kNewPolicy: {
      const auto* info = std::get_if<xfrm::PolicyInfo>(&message.body);
      return info == nullptr ? cannot() : set_policy(*info, message.attributes);
    }
    case xfrm::MessageType::kDelPolicy: {
      const auto* id = std::get_if<xfrm::PolicyId>(&message.body);
      return id == nullptr ? cannot() : delete_policy(*id);
    }
    default: return cannot();
  }
}

}  // namespace cygnet::sadb::kernel
