// SPDX-License-Identifier: Apache-2.0
// What becomes of datagrams and packets in a life.
#include <algorithm>

#include "sim/life.h"
#include "sim/seconds_text.h"

namespace cygnet::sim {

using namespace std::chrono_literals;

std::optional<std::size_t> Life::find_side(const IpAddress& address) const {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (sides_[i]->address() == address) return i;
    const auto& all = plan_.parties[i].addresses;
    if (std::ranges::find(all, address) != all.end()) return i;
  }
  return std::nullopt;
}

void Life::on_send(std::size_t from, const ike::SendDatagram& datagram) {
  if (Knockers::is_one(datagram.path.remote.address)) return add_forgery(knockers_.go_on(from, datagram));
  ++result_.datagrams;
  const Bytes bytes = perverted(from, datagram.bytes);
  for (const auto octet : bytes) result_.digest = (result_.digest ^ octet) * 0x100000001b3ULL;
  const auto& keys = std::as_const(side(from)).keys();
  trace([&] {
    return side(from).name() + " sends " + keys.decode(bytes).text + " to " + datagram.path.remote.to_string();
  });
  if (auto fault = watch_.inspect(bytes, keys)) return fail(side(from).name() + " " + *fault);
  // The kernel sends nothing from an address that the host no longer has.
  if (wanders(from) && datagram.path.local.address != side(from).address()) return;
  ike::Path path{datagram.path.remote, datagram.path.local, datagram.path.marked};
  if (!translate(path)) return;
  const auto to = find_side(path.local.address);
  if (!to) return;
  if (path.marked != (path.local.port != 500)) return fail("non-ESP marker and port contradict each other");
  if (options_.mutation == Mutation::kDropDeletes) {
    const auto decoded = keys.decode(bytes);
    if (!decoded.header.response && wire::ike::find_payload<wire::ike::DeletePayload>(decoded.payloads) != nullptr)
      return;
  }
  if (is_dark(path.local.address) || is_dark(path.remote.address)) return;
  constexpr std::size_t kAround = 28;  // IP and UDP headers
  if (plan_.path_octets != 0 && bytes.size() + kAround + (path.marked ? 4 : 0) > plan_.path_octets) {
    trace([] { return std::string("   … too large"); });
    return;
  }
  if (!healing_ && (ike_dark_ || network_.below(100) < plan_.loss_percent)) {
    trace([] { return std::string("   … lost"); });
    return;
  }
  fly(*to, path, bytes);
  if (plan_.knocks_a_second != 0) knockers_.see(*to, path, bytes);
  if (healing_) return;
  if (network_.below(100) < plan_.duplicate_percent) fly(*to, path, bytes);
  attacker_.see(*to, path, bytes);
  if (network_.below(100) < plan_.attack_percent) be_attacked();
}

void Life::fly(std::size_t to, const ike::Path& path, const Bytes& bytes) {
  const auto spread = static_cast<std::uint64_t>((plan_.delay_max - plan_.delay_min).count());
  const Duration delay = plan_.delay_min + Duration(static_cast<std::int64_t>(network_.below(spread + 1)));
  air_.push({now_ + delay, order_++, to, path, bytes});
}

void Life::be_attacked() {
  auto forgery = attacker_.strike(plan_.delay_max);
  if (!forgery) return;
  ++result_.forgeries;
  trace([&] {
    return "   … and somebody sends " + std::to_string(forgery->bytes.size()) + " octets to " +
           side(forgery->to).name();
  });
  add_forgery(std::move(forgery));
}

// By strangers, as long as the life lasts: at those who answer.
void Life::be_bothered() {
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const bool answers = std::ranges::any_of(plan_.links, [i](const Link& link) { return link.answers == i; });
    if (!answers || asleep_[i] || !side(i).alive()) continue;
    for (unsigned n = 0; n < plan_.knocks_a_second; ++n) add_forgery(knockers_.knock(i));
  }
}

void Life::add_forgery(std::optional<Forgery> forgery) {
  if (!forgery) return;
  air_.push({now_ + forgery->after, order_++, forgery->to, forgery->path, std::move(forgery->bytes)});
}

Bytes Life::perverted(std::size_t from, const Bytes& bytes) {
  if (options_.mutation != Mutation::kSendInClear || network_.below(4) != 0) return bytes;
  const auto decoded = std::as_const(side(from)).keys().decode(bytes);
  if (!decoded.opened || decoded.payloads.empty()) return bytes;
  return wire::ike::serialize_message({decoded.header, decoded.payloads});
}

// ---- packets

void Life::arrive_late() {
  const LatePacket packet = late_.front();
  late_.pop_front();
  const auto* in = side(packet.to).plane.inbound(packet.spi);
  if (in == nullptr || in->spec.encryption_key != packet.key) {
    fail("a packet for " + side(packet.to).name() + " came " + seconds_text(plan_.delay_max) +
         " after it was sealed and found no SA");
  }
}

void Life::tick() {
  next_tick_ = now_ + 1s;
  if (plan_.knocks_a_second != 0) be_bothered();
  const bool busy = healing_ || network_.below(100) < plan_.traffic_percent;
  for (auto& flow : flows_) carry(flow, busy);
  check_identities();
  if (healing_) check_links();
}

void Life::carry(Flow& flow, bool real) {
  ++result_.packets;
  if (!esp_dark_ && !asleep_[flow.from] && !asleep_[flow.to] && try_packet(flow, real)) {
    flow.dark_since.reset();
    flow.was_up = true;
    return;
  }
  const std::string which = "child " + flow.child + " from " + side(flow.from).name() + " to " + side(flow.to).name();
  if (plan_.strict && flow.was_up) return fail("a packet of " + which + " was lost, though no message ever was");
  const auto& link = links_[flow.link];
  const bool excused = ike_dark_ || esp_dark_ || asleep_[flow.from] || asleep_[flow.to] || link.taken_down ||
                       link.removed_at || all_dark(plan_.links[flow.link].answers) ||
                       clock_is_off(plan_.links[flow.link]);
  if (!flow.dark_since || excused) flow.dark_since = now_;
  if (now_ - *flow.dark_since > plan_.dark_bound)
    fail(which + " carried nothing for " + seconds_text(now_ - *flow.dark_since));
}

// Not real: only asks whether a packet would get through.
bool Life::try_packet(const Flow& flow, bool real) {
  auto& to = side(flow.to);
  const auto& link = plan_.links[flow.link];
  const auto* out = side(flow.from).plane.outbound(link.connection, flow.child);
  if (out == nullptr) return false;
  const model::SaSpec spec = out->spec;
  if (is_dark(spec.local.address) || is_dark(spec.remote.address)) return false;
  const bool moves = wanders(link.starts);
  if (moves) {
    // Until both ends have found out where the one that wanders is, packets get lost: for a bounded time.
    if (find_side(spec.local.address) != flow.from || spec.remote.port == 0) return false;
    if (goes_through_nat(link) && !spec.udp_encapsulation) return false;
  } else if (spec.udp_encapsulation != link.nat) {
    fail("encapsulation is " + std::string(link.nat ? "missing" : "not called for"));
    return false;
  }
  ike::Path path{spec.remote, spec.local, true};
  if (real && !translate(path)) return false;
  if (real && find_side(path.local.address) != flow.to) return false;
  const auto* in = to.plane.inbound(spec.spi);
  if (in == nullptr || in->spec.encryption_key != spec.encryption_key) return false;
  if (plan_.strict) late_.push_back({now_ + plan_.delay_max, flow.to, spec.spi, spec.encryption_key});
  if (!real) return true;
  std::optional<model::ChildId> activated;
  const auto id = in->spec.child;
  if (!to.plane.receive(spec, now_, activated)) return false;
  if (activated) to.act(now_, [&](ike::IkeEndpoint& e) { e.on_child_activated(now_, *activated); });
  const auto* back = to.plane.find(id, model::Direction::kOutbound);
  // What the engine does with a good packet from elsewhere: it tells, IKE decides.
  if (back != nullptr && (link.nat || moves) && flow.from == link.starts && back->spec.remote != path.remote) {
    to.act(now_, [&](ike::IkeEndpoint& e) { e.on_peer_moved(now_, id, path.remote, path.local); });
  }
  return true;
}

}  // namespace cygnet::sim
