// SPDX-License-Identifier: Apache-2.0
#include "model/engine_limits.h"

#include <algorithm>

#include "model/types_as_ports.h"

namespace cygnet::model {

namespace {

bool two_families(const TrafficSelectors& list) {
  return std::ranges::any_of(
      list, [&](const auto& each) { return each.range.first.family() != list.front().range.first.family(); });
}

bool holds(const TrafficSelectors& list, const IpAddress& address) {
  return std::ranges::any_of(
      list, [&](const auto& each) { return each.protocol == 0 && each.all_ports() && each.range.contains(address); });
}

// PF_KEY's selectors have one port (not 0), or all. ICMP's have the type in place of the source port and the code in
// place of the destination's.
bool has_one_port(const TrafficSelector& selector) {
  constexpr std::uint16_t kCodes = 0xff;
  if (selector.all_ports()) return true;
  const bool one = selector.port_first == selector.port_last;
  if (!has_types_as_ports(selector.protocol)) return one && selector.port_first != 0;
  return selector.port_first > kCodes && (!one || (selector.port_first & kCodes) != 0);
}

bool has_mobility_type(const TrafficSelector& selector) {
  return selector.protocol == kMobilityHeader && !selector.all_ports();
}

// There IPComp is an SA of its own inside that of ESP.
std::string why_not_compressed(const Child& child) {
  if (!child.compress) return {};
  if (child.clones.value_or(0) > 0) return "compress=yes with clones=";
  if (child.interface_number != 0) return "compress=yes with ipsec-interface=";
  if (child.interface_id_in != 0 || child.interface_id_out != 0) return "compress=yes with if_id_in= or if_id_out=";
  if (child.nic_offload == NicOffload::kCrypto || child.nic_offload == NicOffload::kPacket) {
    return "compress=yes with nic-offload=";
  }
  if (child.mode == Mode::kTunnel && (two_families(child.local) || two_families(child.remote))) {
    return "compress=yes with subnets of both address families in one child";
  }
  return {};
}

std::string why_not_pfkey(const Child& child, const HostSpec& peer) {
  for (const auto& proposal : child.proposals) {
    const auto esn = proposal.of(TransformType::kEsn);
    if (std::ranges::any_of(esn, [](const auto& transform) { return transform.id != 0; })) {
      return "extended sequence numbers (write esn=no)";
    }
  }
  if (auto word = needs_kernel(child); !word.empty()) return word;
  if (child.clones.value_or(0) > 0) return "clones=";
  if (child.interface_number != 0) return "ipsec-interface= (PF_KEY knows no interfaces)";
  if (child.tfc_octets != 0) return "tfc=";
  if (child.iptfs.enabled) return "iptfs= (PF_KEY has no words for it)";
  if (!child.copy_dscp) return "a DSCP that is not copied";
  if (!std::ranges::all_of(child.local, has_one_port) || !std::ranges::all_of(child.remote, has_one_port)) {
    return "a selector with a range of ports, or port 0";
  }
  if (child.mode != Mode::kTunnel) return {};
  if (two_families(child.local) || two_families(child.remote)) return "subnets of both address families in one child";
  if (peer.has_address() && holds(child.remote, peer.address)) {
    return "a subnet that holds its own peer's address (PF_KEY cannot mark the packets of the tunnel)";
  }
  return {};
}

}  // namespace

std::string needs_kernel(const Child& child) {
  if (child.mark_in.mask != 0 || child.mark_out.mask != 0) return "mark=";
  const bool has_id = child.interface_id_in != 0 || child.interface_id_out != 0;
  if (has_id && child.interface_number == 0) return "if_id_in= or if_id_out=";
  if (child.nic_offload == NicOffload::kCrypto) return "nic-offload=crypto";
  if (child.nic_offload == NicOffload::kPacket) return "nic-offload=packet";
  return {};
}

std::string needs_kernel(const Connection& connection) {
  for (const auto& child : connection.children) {
    if (auto word = needs_kernel(child); !word.empty()) return word;
  }
  return {};
}

std::string why_not_kernel(const Child& child) {
  for (const auto* list : {&child.local, &child.remote}) {
    if (std::ranges::any_of(*list, has_mobility_type)) {
      return "a selector for one type of Mobile IPv6 message (newer kernels do not read the type of what comes in)";
    }
  }
  if (auto why = why_not_compressed(child); !why.empty()) return why;
  if (child.iptfs.enabled && child.iptfs.bits_per_s != 0) {
    return "iptfs-rate= (its IP-TFS sends as there is traffic)";
  }
  if (child.diet.enabled) return "diet-esp=yes";
  if (child.mode == Mode::kBeet) return "type=beet";
  if (child.interface_number != 0 && child.mode != Mode::kTunnel) {
    return "ipsec-interface= without type=tunnel (its packets have a route of their own already)";
  }
  if (child.mtu != 0) return "mtu=";
  if (child.traffic == Traffic::kLatency) return "traffic=latency";
  if (child.traffic == Traffic::kThroughput) return "traffic=throughput";
  if (child.df == DfPolicy::kSet) return "a DF bit that is always set";
  if (child.replay_window > kLargestKernelWindow) {
    return "a replay window above " + std::to_string(kLargestKernelWindow);
  }
  return {};
}

std::string why_not_pfkey(const Connection& connection) {
  if (connection.mobike) return "mobike=yes (PF_KEY cannot move an SA that goes on counting: write mobike=no)";
  for (const auto& child : connection.children) {
    if (auto why = why_not_pfkey(child, connection.remote.host); !why.empty()) return why;
  }
  return {};
}

}  // namespace cygnet::model
