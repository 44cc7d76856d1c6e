// SPDX-License-Identifier: Apache-2.0
#include "base/drop_reason.h"

namespace cygnet {
namespace {

constexpr std::array<DropReasonInfo, kDropReasonCount> kTable{{
    {"truncated", "The datagram is shorter than its own headers say.",
     "Harmless when rare; when steady, capture on the underlay and look for a middlebox that cuts packets."},
    {"malformed-ip", "The IP header contradicts itself.", "Capture on the underlay: somebody sends broken packets."},
    {"not-esp", "The datagram is neither IKE nor ESP.", "Find out who sends other traffic to the IPsec ports."},
    {"unknown-spi", "There is no inbound SA with this SPI.",
     "Usual for a moment after a restart or rekey; if it stays, bring the connection down and up on the peer."},
    {"fragment-overlap", "Fragments of one packet overlap or contradict each other.",
     "Honest stacks do not send these: look at the sender."},
    {"fragment-timeout", "Some fragments of a packet never arrived.",
     "A firewall on the path drops fragments: lower mtu= of the connection so that none are needed."},
    {"reassembly-full", "The memory for fragments is used up.",
     "A flood of fragments, or a path that fragments everything: lower mtu= of the connection."},
    {"replay-old", "The sequence number is older than the replay window.",
     "Heavy reordering on the path: raise replay-window= of the connection."},
    {"replay-seen", "A packet with this sequence number was accepted before.",
     "A duplicating network, or somebody replays captured packets; nothing was let through."},
    {"integrity-failed", "The integrity check value does not verify.",
     "Changed on the way or made with another key; if all packets of an SA fail, both ends disagree on the algorithm."},
    {"bad-padding", "The ESP trailer contradicts itself.", "The peer builds broken ESP: report its version."},
    {"bad-next-header", "The next header is not possible in this mode of the SA.",
     "The ends disagree on tunnel or transport mode: compare type= on both."},
    {"bad-compression",
     "A compressed packet (IPComp, RFC 3173) was damaged, too large, or compression was not agreed on.",
     "If it goes on: compress=no at both ends, and tell the peer's administrator."},
    {"dummy", "A dummy packet (RFC 4303 section 2.6), sent to hide traffic patterns.",
     "Nothing: this is as it should be."},
    {"wrong-protocol", "ESP came with the SPI of an AH SA, or AH with that of an ESP SA.",
     "The ends disagree on what protects: compare phase2= (esp=, ah=) on both."},
    {"unknown-option", "An IP option or extension header stands before AH that AH cannot authenticate.",
     "Use ESP for this traffic, or tunnel mode: what is inside may have any option."},
    {"not-bundled", "ESP came by itself though the policy wants AH around it.",
     "Compare the spdadd lines of both ends: the same transforms in the same order."},
    {"bad-aggregation", "The payload of an IP-TFS packet (RFC 9347) contradicts itself.",
     "The peer builds broken IP-TFS: report its version; iptfs=no goes without it."},
    {"aggregation-lost", "Part of a packet was in another outer packet (IP-TFS) that did not arrive in time.",
     "A path that loses or reorders packets: raise iptfs-reorder-window=, or set iptfs-fragmentation=no."},
    {"sa-expired", "The hard lifetime of the SA was reached before it was rekeyed.",
     "Look in the log for why rekeying failed; bring the connection up again."},
    {"sequence-exhausted", "The SA used up its sequence numbers.", "Use esn=yes, or a shorter lifetime."},
    {"inner-malformed", "The decrypted packet is not a sound IP packet.",
     "The peer sends broken packets: report its version."},
    {"selector-mismatch", "The decrypted packet lies outside the traffic selectors of its SA.",
     "Compare leftsubnet and rightsubnet with what the peer routes into the tunnel."},
    {"ecn-dropped", "Congestion was marked on the outer header, and the inner packet cannot carry the mark (RFC 6040).",
     "A congested path; the sender does not speak ECN."},
    {"plaintext-refused", "The packet arrived in the clear though a policy demands protection.",
     "The peer sends around its tunnel (check its routes and policies), or somebody forges its addresses."},
    {"policy-discard", "A policy says discard, or no policy covers the packet.",
     "Ask `cygnet explain SRC DST`; add the network to leftsubnet or rightsubnet if it belongs into a tunnel."},
    {"no-sa", "The policy protects this packet, and no SA is up.", "cygnet up CONNECTION, or auto=ondemand."},
    {"acquire-queue-full", "Too many packets wait for the tunnel to come up.",
     "Usual for a moment; if it stays, the negotiation hangs: cygnet status."},
    {"acquire-timeout", "The packet waited for a tunnel that did not come up.", "cygnet up CONNECTION shows why."},
    {"too-big", "Larger than the path to the peer takes; the sender was told the right size.",
     "Usual once per flow; if transfers hang, a firewall eats ICMP: keep mss clamping on."},
    {"ttl-expired", "The hop limit ran out at the tunnel entry.", "A routing loop: look at the routes into ipsec0."},
    {"no-route", "The kernel has no route to the peer.", "ip route get PEER."},
    {"send-failed", "The kernel refused to send the datagram.",
     "Look for a firewall rule on output, or an interface that is down."},
    {"device-full", "The ipsec device takes no more packets.", "The host cannot keep up: look at its load."},
    {"no-buffer", "No packet buffer was free.", "The host cannot keep up: look at its load."},
    {"tfs-queue-full", "IP-TFS sends at a fixed rate, and more packets wait than may.",
     "Raise the rate or iptfs-max-queue-size= of the connection."},
    {"cipher-failed", "The cipher, or the accelerator behind it, gave the packet back undone.",
     "If it stays: crypto-threads=0 seals and opens in the packet threads; report the processor and the algorithm."},
    {"shared-address", "Several peers behind one NAT share this address, and nothing told which of them is meant.",
     "The peer has to speak first, so that its port is known; or give each peer an address of its own "
     "(rightsourceip=)."},
    {"control-queue-full", "IKE datagrams arrive faster than the IKE process takes them.",
     "Usual under a flood; tunnels that are up are not touched."},
}};

}  // namespace

const DropReasonInfo& info(DropReason reason) {
  static constexpr DropReasonInfo kUnknown{"unknown", "unknown", "unknown"};
  const auto index = static_cast<std::size_t>(reason);
  return index < kTable.size() ? kTable[index] : kUnknown;
}

}  // namespace cygnet
