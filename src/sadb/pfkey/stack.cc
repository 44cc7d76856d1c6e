// SPDX-License-Identifier: Apache-2.0
#include "sadb/pfkey/stack.h"

namespace cygnet::sadb {
namespace {

namespace pf = wire::pfkey;

// From the inside out.
std::optional<unsigned> rank_of(std::uint16_t protocol) {
  switch (protocol) {
    case pf::kProtocolIpComp: return 0;
    case pf::kProtocolEsp: return 1;
    case pf::kProtocolAh: return 2;
    default: return std::nullopt;
  }
}

bool names_ends(const pf::PolicyRequest& request) {
  return request.mode == pf::Mode::kTunnel || request.mode == pf::Mode::kBeet;
}

PfkeyResult<> check_order(const PfkeyPolicy& policy) {
  std::optional<unsigned> before;
  for (const auto& request : policy.requests) {
    const auto rank = rank_of(request.protocol);
    if (!rank) {
      return refuse(EINVAL, "a policy asks for protocol " + std::to_string(request.protocol) + ", which is no IPsec");
    }
    if (before && *rank <= *before) {
      return refuse(EOPNOTSUPP, "the engine carries ipcomp inside esp inside ah, each once, in this order");
    }
    before = rank;
    if (request.mode == pf::Mode::kAny) return refuse(EINVAL, "a policy must say tunnel, transport or beet");
    if (names_ends(request) && !request.ends) {
      return refuse(EINVAL, "a tunnel policy needs the addresses of both ends");
    }
  }
  return {};
}

PfkeyResult<> check_together(const PfkeyStack& stack) {
  if (stack.esp == nullptr && stack.ah == nullptr) {
    return refuse(EOPNOTSUPP, "ipcomp by itself protects nothing and is not carried: put esp around it");
  }
  if (stack.ipcomp != nullptr) {
    if (stack.esp == nullptr) return refuse(EOPNOTSUPP, "ipcomp is carried inside esp only");
    if (stack.ipcomp->mode == pf::Mode::kBeet) return refuse(EOPNOTSUPP, "ipcomp has no BEET mode here");
    if (stack.esp->mode != pf::Mode::kTransport) {
      return refuse(EOPNOTSUPP, "say ipcomp/tunnel/… esp/transport: the tunnel is made where the packet is compressed");
    }
  }
  if (stack.is_bundle() && stack.ah->mode != pf::Mode::kTransport) {
    return refuse(EOPNOTSUPP, "say esp/tunnel/… ah/transport: around esp, ah makes no second tunnel");
  }
  if (stack.esp == nullptr && stack.ah->mode == pf::Mode::kBeet) return refuse(EOPNOTSUPP, "ah has no BEET mode here");
  return {};
}

}  // namespace

const pf::PolicyRequest::Ends* PfkeyStack::ends() const {
  for (const auto* request : {ipcomp, esp, ah}) {
    if (request != nullptr && names_ends(*request) && request->ends) return &*request->ends;
  }
  return nullptr;
}

const pf::PolicyRequest* PfkeyStack::request_for(pf::SaType type) const {
  switch (type) {
    case pf::SaType::kEsp: return esp;
    case pf::SaType::kAh: return ah;
    case pf::SaType::kIpComp: return ipcomp;
    default: return nullptr;
  }
}

model::Mode PfkeyStack::mode() const {
  if (main().mode == pf::Mode::kBeet) return model::Mode::kBeet;
  const bool tunnel = main().mode == pf::Mode::kTunnel || (ipcomp != nullptr && ipcomp->mode == pf::Mode::kTunnel);
  return tunnel ? model::Mode::kTunnel : model::Mode::kTransport;
}

PfkeyStack stack_of(const PfkeyPolicy& policy) {
  PfkeyStack stack;
  for (const auto& request : policy.requests) {
    switch (request.protocol) {
      case pf::kProtocolIpComp: stack.ipcomp = &request; break;
      case pf::kProtocolEsp: stack.esp = &request; break;
      case pf::kProtocolAh: stack.ah = &request; break;
      default: break;
    }
  }
  return stack;
}

PfkeyResult<> check_stack(const PfkeyPolicy& policy) {
  if (auto order = check_order(policy); !order) return order;
  const auto stack = stack_of(policy);
  if (auto together = check_together(stack); !together) return together;
  const auto host = [](const IpPrefix& p) { return p.length == p.address.bits(); };
  if (stack.mode() == model::Mode::kBeet && !(host(policy.selector.source) && host(policy.selector.destination))) {
    return refuse(EINVAL, "BEET mode joins two addresses: the policy must name one host at either side");
  }
  return {};
}

}  // namespace cygnet::sadb
