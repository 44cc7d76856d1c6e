// SPDX-License-Identifier: Apache-2.0
// Who does what (RFC 4555 section 3): the initiator chooses the pair of addresses, tries others when one dies, and
// tells with UPDATE_SA_ADDRESSES; the responder follows, after a look whether the initiator really is there.
#include "ike/v2/mobike.h"

#include <algorithm>

#include "ike/v2/lifecycle.h"
#include "ike/v2/nat.h"
#include "ike/v2/request.h"
#include "ike/v2/timers.h"
#include "model/everything.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;
using wi::NotifyType;

constexpr std::uint16_t kNatPort = 4500;
constexpr std::size_t kMostAddresses = 16;   // of each end
constexpr std::size_t kMostCandidates = 32;  // pairs that are tried
constexpr unsigned kTriesBeforeSearch = 2;   // on the path in use
constexpr std::size_t kCookieOctets = 32;

bool holds(const std::vector<IpAddress>& list, const IpAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

// An address that the tunnel itself protects leads into the tunnel, not to the peer.
bool is_protected(const IkeSa& sa, const IpAddress& address) {
  const auto covers = [&](const model::TrafficSelectors& local) {
    return !model::take_all_addresses(local, address.family()) &&
           std::any_of(local.begin(), local.end(), [&](const auto& ts) { return ts.range.contains(address); });
  };
  const auto& configured = sa.connection->children;
  return std::any_of(configured.begin(), configured.end(), [&](const auto& c) { return covers(c.local); }) ||
         std::any_of(sa.children.begin(), sa.children.end(), [&](const auto& c) { return covers(c->local); });
}

// Of all of this machine, those that the peer is told of.
std::vector<IpAddress> other_addresses(const std::vector<IpAddress>& all, const IkeSa& sa) {
  std::vector<IpAddress> out;
  for (const auto& address : all) {
    const bool told = address == sa.path.local.address || address.is_link_local() || is_protected(sa, address);
    if (!told && out.size() < kMostAddresses) out.push_back(address);
  }
  return out;
}

void add_addresses(const World& world, const IkeSa& sa, wi::Payloads& payloads) {
  for (const auto& address : other_addresses(world.local_addresses, sa)) {
    payloads.emplace_back(
        notify(address.is_v4() ? NotifyType::kAdditionalIp4Address : NotifyType::kAdditionalIp6Address,
               Bytes(address.bytes().begin(), address.bytes().end())));
  }
}

// Addresses that a datagram could really be sent to.
bool is_sound(const IpAddress& address) {
  return !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !address.is_link_local();
}

// RFC 4555 section 3.6: a list replaces the one before; NO_ADDITIONAL_ADDRESSES empties it. Nothing said: unchanged.
void read_addresses(IkeSa& sa, const wi::Payloads& payloads) {
  std::vector<IpAddress> list;
  bool said = false;
  for (const auto& payload : payloads) {
    const auto* n = std::get_if<wi::NotifyPayload>(&payload);
    if (n == nullptr) continue;
    said = said || n->type == NotifyType::kNoAdditionalAddresses;
    const bool v4 = n->type == NotifyType::kAdditionalIp4Address && n->data.size() == 4;
    const bool v6 = n->type == NotifyType::kAdditionalIp6Address && n->data.size() == 16;
    if (!v4 && !v6) continue;
    said = true;
    const auto address = IpAddress::from_bytes(ByteView(n->data));
    if (is_sound(address) && !holds(list, address) && list.size() < kMostAddresses) list.push_back(address);
  }
  if (said) sa.mobility.peer_addresses = std::move(list);
}

bool speaks_of_nat(const wi::Payloads& payloads) {
  return wi::find_notify(payloads, NotifyType::kNatDetectionSourceIp) != nullptr &&
         wi::find_notify(payloads, NotifyType::kNatDetectionDestinationIp) != nullptr;
}

Bytes destination_hash(const wi::Payloads& payloads) {
  const auto* n = wi::find_notify(payloads, NotifyType::kNatDetectionDestinationIp);
  return n == nullptr ? Bytes{} : n->data;
}

// RFC 4555 section 4.2.6: source and destination address, then both ports, as the sender sees them.
Bytes no_nats(const Path& path) {
  ByteWriter out;
  out.bytes(path.local.address.bytes()).bytes(path.remote.address.bytes()).u16(path.local.port).u16(path.remote.port);
  return std::move(out).take();
}

void move_children(World& world, IkeSa& sa) {
  sa.mobility.esp_remote.reset();
  auto local = sa.path.local;
  auto remote = sa.path.remote;
  if (!sa.path.marked) {
    local.port = world.settings.setup.nat_port;
    remote.port = kNatPort;
  }
  for (const auto& child : sa.children) {
    child->udp_encapsulation = sa.udp_encapsulation;
    child->moved = world.now;
    const auto keepalive =
        sa.udp_encapsulation && sa.nat_local && !child->resource ? child->connection->keepalive_s : 0;
    world.act(UpdateChildEndpoints{child->id, local, remote, child->udp_encapsulation, keepalive});
  }
}

void queue_first(World& world, IkeSa& sa, About about) {
  const auto same = [&](const Task& t) { return t.about == about; };
  if (std::any_of(sa.queue.begin(), sa.queue.end(), same)) return;
  Task task;
  task.about = about;
  sa.queue.push_front(std::move(task));
  world.touch(sa);
}

// What is on its way begins anew, at once, on the path as it is now.
void hurry(World& world, IkeSa& sa) {
  if (sa.outstanding) {
    sa.outstanding->sent = 1;
    sa.outstanding->first_sent = world.now;
    sa.outstanding->retransmit_at = world.now;
    sa.silent_reported = false;
  }
  world.touch(sa);
}

// The same, but the peer's silence counts on.
void retry_at_once(World& world, IkeSa& sa) {
  if (sa.outstanding && sa.outstanding->sent > 1) sa.outstanding->retransmit_at = world.now;
  world.touch(sa);
}

bool same_addresses(const Path& a, const Path& b) {
  return a.local.address == b.local.address && a.remote.address == b.remote.address;
}

Path path_between(const IkeSa& sa, const IpAddress& local, const IpAddress& remote) {
  Path path = sa.path;
  path.local.address = local;
  if (remote != path.remote.address) path.remote = {remote, static_cast<std::uint16_t>(path.marked ? kNatPort : 500)};
  return path;
}

// All pairs worth a try, the path in use first, then those that keep one of its ends.
std::vector<Path> candidates(const World& world, const IkeSa& sa) {
  std::vector<IpAddress> remotes{sa.path.remote.address};
  const auto add_remote = [&](const IpAddress& a) {
    if (!holds(remotes, a)) remotes.push_back(a);
  };
  if (sa.connection && sa.connection->remote.host.has_address()) add_remote(sa.connection->remote.host.address);
  for (const auto& a : sa.mobility.peer_addresses) add_remote(a);
  std::vector<IpAddress> locals;
  if (world.local_addresses.empty() || holds(world.local_addresses, sa.path.local.address))
    locals.push_back(sa.path.local.address);
  for (const auto& a : world.local_addresses) {
    if (!holds(locals, a) && !a.is_link_local() && !is_protected(sa, a)) locals.push_back(a);
  }
  std::vector<Path> out;
  for (const auto& remote : remotes) {
    for (const auto& local : locals) {
      if (local.family() == remote.family() && out.size() < kMostCandidates)
        out.push_back(path_between(sa, local, remote));
    }
  }
  return out;
}

// Our address is gone. Without MOBIKE the peer follows only if it knows that we sit behind a NAT; else it must be told
// that this IKE SA is over, and a new one comes up from where we are now.
void leave_lost_address(World& world, IkeSa& sa) {
  const auto pairs = world.local_addresses.empty() ? std::vector<Path>{} : candidates(world, sa);
  if (pairs.empty()) return;  // nowhere to go: what is on its way is sent again until an address is there
  const auto& next = pairs.front();
  world.report(sa, Severity::kNotice, "address-lost",
               "our address " + sa.path.local.address.to_string() + " is gone: going on from " +
                   next.local.address.to_string() + " to " + next.remote.address.to_string());
  if (sa.mobility.agreed || (sa.nat_local && sa.path.marked)) {
    set_path(world, sa, next);
    hurry(world, sa);
    if (sa.mobility.agreed) {
      queue_first(world, sa, About::kUpdateAddresses);
      return start_next_task(world, sa);
    }
    return check_liveness(world, sa);
  }
  sa.path = next;
  hurry(world, sa);
  delete_ike_sa(world, sa, "our address is gone, and " + sa.peer() + " does not speak MOBIKE", Aftermath::kPeerDead);
}

// RFC 4555 section 3.5: what the responder checks before it follows.
std::optional<NotifyType> why_not(const Turn& turn) {
  const auto* no_nat = wi::find_notify(*turn.payloads, NotifyType::kNoNatsAllowed);
  const Path as_sender{turn.path.remote, turn.path.local, turn.path.marked};
  if (no_nat != nullptr && no_nat->data != no_nats(as_sender)) return NotifyType::kUnexpectedNatDetected;
  if (turn.path.remote.address.is_unspecified() || turn.path.remote.address.is_multicast())
    return NotifyType::kUnacceptableAddresses;
  return std::nullopt;
}

void follow_update(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const bool other_address = sa.path.remote.address != turn.path.remote.address;
  if (!sa.mobility.unproven) sa.mobility.proven = sa.path;
  world.report(sa, Severity::kNotice, "peer-moved",
               sa.peer() + " says (MOBIKE) that it is now at " + turn.path.remote.to_string());
  sa.path = turn.path;
  if (speaks_of_nat(*turn.payloads)) read_nat_detection(sa, *turn.payloads, sa.spi_i, sa.spi_r, sa.path);
  hurry(world, sa);
  if (!other_address && !sa.mobility.unproven) return move_children(world, sa);
  // RFC 4555 section 3.7: traffic follows once it is known that the peer receives there, so that nobody has it sent to
  // a third party.
  sa.mobility.unproven = true;
  queue_first(world, sa, About::kRoutability);
}

}  // namespace

bool wants_mobike(const IkeSa& sa) {
  return sa.connection && sa.connection->mobike &&
         std::all_of(sa.connection->children.begin(), sa.connection->children.end(),
                     [](const model::Child& c) { return c.mode == model::Mode::kTunnel; });
}

void add_mobike_support(World& world, const IkeSa& sa, wi::Payloads& payloads) {
  if (sa.began_here ? !wants_mobike(sa) : !sa.mobility.agreed) return;
  payloads.emplace_back(notify(NotifyType::kMobikeSupported));
  add_addresses(world, sa, payloads);
}

void read_mobike_support(IkeSa& sa, const wi::Payloads& payloads) {
  sa.mobility.agreed = wants_mobike(sa) && wi::find_notify(payloads, NotifyType::kMobikeSupported) != nullptr;
  if (sa.mobility.agreed) read_addresses(sa, payloads);
}

void on_local_addresses(World& world, std::vector<IpAddress> addresses) {
  std::erase_if(addresses, [](const IpAddress& a) { return a.is_loopback() || a.is_unspecified(); });
  if (addresses == world.local_addresses) return;
  const auto before = std::exchange(world.local_addresses, std::move(addresses));
  std::vector<IkeSpi> moving;
  for (const auto& [spi, sa] : world.sas) {
    if (sa->state == State::kEstablished && !sa->doomed) moving.push_back(spi);
  }
  std::sort(moving.begin(), moving.end());
  for (const auto spi : moving) {
    auto* sa = world.find_sa(spi);
    if (sa == nullptr || sa->state != State::kEstablished) continue;
    const bool lost = !holds(world.local_addresses, sa->path.local.address);
    if (lost && sa->began_here) {
      leave_lost_address(world, *sa);
    } else if (sa->mobility.agreed &&
               (lost || other_addresses(before, *sa) != other_addresses(world.local_addresses, *sa))) {
      // RFC 4555 section 3.6: either end tells when its list changes; a responder can do no more.
      retry_at_once(world, *sa);
      queue_first(world, *sa, About::kUpdateAddresses);
      start_next_task(world, *sa);
    }
  }
}

void prefer_local_address(World& world, IkeSa& sa, const IpAddress& address) {
  if (!sa.began_here || !sa.mobility.agreed || sa.state != State::kEstablished || sa.path.local.address == address ||
      address.family() != sa.path.remote.address.family())
    return;
  world.report(sa, Severity::kNotice, "address-preferred",
               "the route to " + sa.peer() + " now begins at " + address.to_string() + ": moving there");
  set_path(world, sa, path_between(sa, address, sa.path.remote.address));
  hurry(world, sa);
  queue_first(world, sa, About::kUpdateAddresses);
  start_next_task(world, sa);
}

void set_path(World& world, IkeSa& sa, const Path& path) {
  sa.path = path;
  move_children(world, sa);
  world.touch(sa);
  world.checkpoint(sa);
}

void move_esp(World& world, IkeSa& sa, const Endpoint& remote) {
  auto& seen = sa.mobility.esp_remote;
  if (seen.value_or(sa.path.remote) == remote) return;
  seen = remote;
  if (remote == sa.path.remote) seen.reset();
  world.report(sa, Severity::kNotice, "esp-moved",
               "ESP of " + sa.peer() + " now comes from " + remote.to_string() +
                   ": answering it there; IKE stays until the peer says (MOBIKE) that it has moved");
  for (const auto& child : sa.children) {
    if (!child->udp_encapsulation) continue;
    child->moved = world.now;
    const auto keepalive = sa.nat_local && !child->resource ? child->connection->keepalive_s : 0;
    world.act(UpdateChildEndpoints{child->id, sa.path.local, remote, true, keepalive});
  }
  world.touch(sa);
  world.checkpoint(sa);
}

Path retransmission_path(const World& world, const IkeSa& sa) {
  const bool searches = sa.outstanding && sa.outstanding->sent > kTriesBeforeSearch;
  // A NAT in front of the peer has another mapping, and the peer, whose packets get through, has not noticed yet: every
  // other try goes where its ESP comes from. The path of the IKE SA stays what the peer said.
  if (searches && !sa.began_here && !sa.mobility.unproven && sa.mobility.esp_remote && sa.outstanding->sent % 2 == 1)
    return {sa.path.local, *sa.mobility.esp_remote, true};
  if (!sa.began_here || !sa.mobility.agreed || !sa.outstanding || sa.outstanding->sent <= kTriesBeforeSearch)
    return sa.path;
  const auto pairs = candidates(world, sa);
  if (pairs.empty()) return sa.path;
  // RFC 4555 section 3.10 leaves the search to the initiator: the same request, message ID and all, on every pair.
  return pairs[(sa.outstanding->sent - kTriesBeforeSearch) % pairs.size()];
}

void note_answer_path(World& world, IkeSa& sa, const Path& path) {
  if (!sa.began_here || !sa.mobility.agreed || sa.state != State::kEstablished || same_addresses(path, sa.path)) return;
  const auto pairs = candidates(world, sa);
  const auto known = std::find_if(pairs.begin(), pairs.end(), [&](const Path& p) { return same_addresses(p, path); });
  if (known == pairs.end()) return;
  world.report(sa, Severity::kNotice, "path-found",
               sa.peer() + " answers between " + path.local.address.to_string() + " and " +
                   path.remote.address.to_string() + ": moving there");
  set_path(world, sa, *known);
  queue_first(world, sa, About::kUpdateAddresses);
}

void send_address_update(World& world, IkeSa& sa) {
  wi::Payloads payloads;
  if (sa.began_here) {
    payloads.emplace_back(notify(NotifyType::kUpdateSaAddresses));
    const auto wanted = wish(sa);
    add_nat_detection(world, payloads, sa.spi_i, sa.spi_r, sa.path, wanted);
    if (wanted == model::Encapsulation::kNever)
      payloads.emplace_back(notify(NotifyType::kNoNatsAllowed, no_nats(sa.path)));
  }
  const auto before = payloads.size();
  add_addresses(world, sa, payloads);
  if (payloads.size() == before) payloads.emplace_back(notify(NotifyType::kNoAdditionalAddresses));
  sa.mobility.told = sa.path;
  world.report(sa, Severity::kInfo, "address-update-sent",
               "telling " + sa.peer() + " that we are at " + sa.path.local.to_string());
  send_request(world, sa, wi::ExchangeType::kInformational, payloads);
}

void send_routability_check(World& world, IkeSa& sa) {
  sa.mobility.told = sa.path;
  sa.mobility.cookie2 = world.random.bytes(kCookieOctets);
  send_request(world, sa, wi::ExchangeType::kInformational, {notify(NotifyType::kCookie2, sa.mobility.cookie2)});
}

wi::Payloads liveness_payloads(World& world, const IkeSa& sa) {
  wi::Payloads out;
  // RFC 4555 section 3.8: NAT detection in a sign of life shows the initiator that a mapping has changed.
  if (sa.began_here && sa.mobility.agreed && sa.path.marked)
    add_nat_detection(world, out, sa.spi_i, sa.spi_r, sa.path, wish(sa));
  return out;
}

void on_address_update_answered(Turn& turn, const Task& /*task*/) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!sa.began_here) return;
  if (const auto* error = wi::find_error_notify(*turn.payloads)) {
    const bool nat = error->type == NotifyType::kUnexpectedNatDetected;
    const std::string what = sa.peer() + " does not take our address " + sa.path.local.to_string() + " (" +
                             wi::to_string(error->type) + ")" +
                             (nat ? ": there is a NAT on the way, and encapsulation=no forbids that" : "");
    world.report(sa, Severity::kError, nat ? "unexpected-nat" : "addresses-refused", what);
    return delete_ike_sa(world, sa, what, Aftermath::kPeerDead);
  }
  // RFC 4555 section 3.5: an answer to an update that speaks of addresses we have left since says nothing.
  if (sa.mobility.told != sa.path) return queue_first(world, sa, About::kUpdateAddresses);
  if (speaks_of_nat(*turn.payloads)) {
    read_nat_detection(sa, *turn.payloads, sa.spi_i, sa.spi_r, turn.path);
    sa.mobility.seen_as = destination_hash(*turn.payloads);
  }
  move_children(world, sa);
  world.report(sa, Severity::kNotice, "address-updated",
               sa.peer() + " has taken note of our address " + sa.path.local.to_string() + "; " + nat_words(sa));
  world.checkpoint(sa);
}

void on_routability_answered(Turn& turn) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  const auto* cookie = wi::find_notify(*turn.payloads, NotifyType::kCookie2);
  if (cookie == nullptr || cookie->data != sa.mobility.cookie2) {
    // RFC 4555 section 3.7: a COOKIE2 that differs: "the IKE_SA MUST be closed".
    world.report(sa, Severity::kError, "cookie2-wrong", sa.peer() + " did not give back what was sent to its address");
    return delete_ike_sa(world, sa, "the return routability check failed", Aftermath::kPeerDead);
  }
  if (sa.mobility.told != sa.path) return queue_first(world, sa, About::kRoutability);  // it has moved on since
  sa.mobility.unproven = false;
  sa.mobility.cookie2.clear();
  move_children(world, sa);
  world.report(sa, Severity::kInfo, "address-proven", sa.peer() + " receives there: its children follow");
  world.checkpoint(sa);
}

void on_liveness_answered(Turn& turn) {
  auto& sa = *turn.sa;
  if (!sa.began_here || !sa.mobility.agreed || !speaks_of_nat(*turn.payloads)) return;
  const auto seen = destination_hash(*turn.payloads);
  const auto before = std::exchange(sa.mobility.seen_as, seen);
  const bool as_we_are = seen == nat_hash(sa.spi_i, sa.spi_r, sa.path.local);
  // Behind a NAT whose mapping was never told, nobody knows whether it changed: telling once more does no harm.
  if (before == seen || (before.empty() && as_we_are && !sa.nat_local)) return;
  turn.world.report(sa, Severity::kNotice, "nat-changed",
                    sa.peer() + " sees us at an address or port that is new to us");
  queue_first(turn.world, sa, About::kUpdateAddresses);
}

void on_mobike_request(Turn& turn, wi::Payloads& answer) {
  auto& world = turn.world;
  auto& sa = *turn.sa;
  if (!sa.mobility.agreed || sa.state != State::kEstablished) return;
  // RFC 4555 sections 3.7 and 4.2.5: COOKIE2 goes back as it came; it has 8 to 64 octets.
  const auto* cookie = wi::find_notify(*turn.payloads, NotifyType::kCookie2);
  if (cookie != nullptr && cookie->data.size() >= 8 && cookie->data.size() <= 64)
    answer.emplace_back(notify(NotifyType::kCookie2, cookie->data));
  read_addresses(sa, *turn.payloads);
  if (!sa.began_here && wi::find_notify(*turn.payloads, NotifyType::kUpdateSaAddresses) != nullptr) {
    if (const auto refusal = why_not(turn)) {
      world.report(
          sa, Severity::kWarning, "move-refused",
          "not following " + sa.peer() + " to " + turn.path.remote.to_string() + ": " + wi::to_string(*refusal));
      answer.emplace_back(notify(*refusal));
      return;
    }
    follow_update(turn);
  }
  if (speaks_of_nat(*turn.payloads)) add_nat_detection(world, answer, sa.spi_i, sa.spi_r, turn.path, wish(sa));
}

}  // namespace cygnet::ike::v2
