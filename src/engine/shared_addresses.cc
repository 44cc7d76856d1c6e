// SPDX-License-Identifier: Apache-2.0
#include "engine/shared_addresses.h"

#include <iterator>
#include <utility>

#include "wire/tcp_header.h"

namespace cygnet::engine {
namespace {

// RFC 6335 section 6: the dynamic ports.
constexpr std::uint16_t kFirstPort = 49152;
constexpr std::uint16_t kPorts = 16384;
constexpr Duration kSweepPause = std::chrono::seconds(1);

[[nodiscard]] bool is_echo(const wire::IpPacketInfo& info, ByteView upper) {
  if (upper.size() < 8 || info.fragment) return false;
  if (info.protocol == wire::protocol::kIcmp) return upper[0] == 0 || upper[0] == 8;
  return info.protocol == wire::protocol::kIcmpv6 && (upper[0] == 128 || upper[0] == 129);
}

}  // namespace

SharedAddresses::Flow SharedAddresses::Flow::of(ByteView packet, const wire::IpPacketInfo& info, bool inbound) {
  Flow flow{.local = wire::destination_address(packet),
            .remote = wire::source_address(packet),
            .protocol = info.protocol,
            .local_port = info.destination_port,
            .remote_port = info.source_port};
  if (!inbound) {
    std::swap(flow.local, flow.remote);
    std::swap(flow.local_port, flow.remote_port);
  }
  const auto upper = packet.subspan(info.header_octets);
  if (is_echo(info, upper)) {
    flow.local_port = 0;
    flow.remote_port = load_be16(upper.data() + 4);
  } else if (!flow.has_ports() || !info.has_ports) {
    flow.local_port = flow.remote_port = 0;
  }
  return flow;
}

std::optional<std::uint16_t> SharedAddresses::on_inbound(const Endpoint& peer, const Flow& flow, Instant now,
                                                         const std::function<bool(const Endpoint&)>& lives) {
  if (const auto alias = aliases_.find({peer, flow}); alias != aliases_.end()) {
    auto seen = flow;
    seen.remote_port = alias->second;
    flows_.at(seen).last_used = now;
    return alias->second;
  }
  const auto it = flows_.find(flow);
  if (it != flows_.end() && it->second.owner.peer == peer && it->second.owner.remote_port == flow.remote_port) {
    it->second.last_used = now;
    return flow.remote_port;
  }
  if (it != flows_.end()) {
    const bool taken = now - it->second.last_used < kIdle && lives(it->second.owner.peer);
    if (taken) return flow.has_ports() ? take_free_port(peer, flow, now, lives) : std::nullopt;
    forget(it);
  }
  if (!may_remember(peer, now)) return std::nullopt;
  remember(flow, {peer, flow.remote_port}, now);
  return flow.remote_port;
}

std::optional<std::uint16_t> SharedAddresses::take_free_port(const Endpoint& peer, Flow flow, Instant now,
                                                             const std::function<bool(const Endpoint&)>& lives) {
  constexpr int kTries = 64;
  if (!may_remember(peer, now)) return std::nullopt;
  const Alias alias{peer, flow};
  for (int i = 0; i < kTries; ++i) {
    flow.remote_port = static_cast<std::uint16_t>(kFirstPort + next_port_++ % kPorts);
    if (const auto held = flows_.find(flow); held != flows_.end()) {
      if (now - held->second.last_used < kIdle && lives(held->second.owner.peer)) continue;
      forget(held);
    }
    remember(flow, {peer, alias.flow.remote_port}, now);
    aliases_.emplace(alias, flow.remote_port);
    return flow.remote_port;
  }
  return std::nullopt;
}

std::optional<SharedAddresses::Owner> SharedAddresses::owner_of(const Flow& flow, Instant now) {
  const auto it = flows_.find(flow);
  if (it == flows_.end()) return std::nullopt;
  it->second.last_used = now;
  return it->second.owner;
}

void SharedAddresses::move(const Endpoint& from, const Endpoint& to) {
  if (from == to || !of_peer_.contains(from)) return;
  // What is seen under the old address is not this peer's any more; with another port of the NAT it goes on.
  for (auto it = flows_.begin(); it != flows_.end();) {
    if (it->second.owner.peer != from) {
      ++it;
      continue;
    }
    if (from.address != to.address) {
      it = forget(it);
      continue;
    }
    auto original = it->first;
    original.remote_port = it->second.owner.remote_port;
    if (aliases_.erase({from, original}) != 0) aliases_.emplace(Alias{to, original}, it->first.remote_port);
    it->second.owner.peer = to;
    ++it;
  }
  if (const auto count = of_peer_.find(from); count != of_peer_.end()) {
    of_peer_[to] += count->second;
    of_peer_.erase(from);
  }
}

bool SharedAddresses::has_room(const Endpoint& peer) const {
  const auto count = of_peer_.find(peer);
  return flows_.size() < kMostFlows && (count == of_peer_.end() || count->second < kMostOfPeer);
}

bool SharedAddresses::may_remember(const Endpoint& peer, Instant now) {
  if (has_room(peer)) return true;
  if (now - swept_ < kSweepPause) return false;
  swept_ = now;
  // Who has very many keeps them for less time.
  for (auto it = flows_.begin(); it != flows_.end();) {
    const auto keep = it->second.owner.peer == peer ? kIdleOfMany : kIdle;
    it = now - it->second.last_used < keep ? std::next(it) : forget(it);
  }
  return has_room(peer);
}

void SharedAddresses::remember(const Flow& seen, const Owner& owner, Instant now) {
  flows_.emplace(seen, Entry{owner, now});
  ++of_peer_[owner.peer];
}

SharedAddresses::Entries::iterator SharedAddresses::forget(Entries::iterator it) {
  auto original = it->first;
  original.remote_port = it->second.owner.remote_port;
  const auto alias = aliases_.find({it->second.owner.peer, original});
  if (alias != aliases_.end() && alias->second == it->first.remote_port) aliases_.erase(alias);
  const auto count = of_peer_.find(it->second.owner.peer);
  if (--count->second == 0) of_peer_.erase(count);
  return flows_.erase(it);
}

void set_port(MutableByteView packet, const wire::IpPacketInfo& info, bool source, std::uint16_t port, bool partial) {
  auto* upper = packet.data() + info.header_octets;
  auto* field = upper + (source ? 0 : 2);
  const std::uint16_t old = load_be16(field);
  store_be16(field, port);
  const bool udp = info.protocol == wire::protocol::kUdp;
  auto* checksum = upper + (udp ? 6 : wire::kTcpChecksumOffset);
  if (partial || (udp && load_be16(checksum) == 0)) return;
  // RFC 1624 section 3: "HC' = ~(~HC + ~m + m')".
  std::uint32_t sum = static_cast<std::uint16_t>(~load_be16(checksum));
  sum += static_cast<std::uint16_t>(~old);
  sum += port;
  sum = (sum & 0xffffU) + (sum >> 16U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  auto made = static_cast<std::uint16_t>(~sum);
  if (udp && made == 0) made = 0xffff;
  store_be16(checksum, made);
}

}  // namespace cygnet::engine
