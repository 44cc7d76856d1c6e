// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/fragments.h"

#include <algorithm>

#include "ike/v2/lifecycle.h"
#include "ike/v2/puzzles.h"

namespace cygnet::ike::v2 {
namespace {

namespace wi = wire::ike;

// RFC 7383 section 2.5.1 recommends 576 octets where nothing is known of the path and 1280 for IPv6; nearly every IPv4
// path of today, tunnels and all, carries 1200.
constexpr std::size_t kUsualV4 = 1200;
constexpr std::size_t kSmallestV4 = 576;
constexpr std::size_t kUsualV6 = 1280;
constexpr std::size_t kUdpHeader = 8, kMarker = 4;

// Is the piece of a message that is waited for? RFC 7383 section 2.6: all else is decided by the Message ID, as for
// whole messages.
bool is_waited_for(const IkeSa& sa, const wi::Header& header) {
  if (header.response)
    return sa.outstanding && sa.outstanding->id == header.message_id && sa.outstanding->exchange == header.exchange;
  return header.message_id == sa.expected && !(sa.peer_request && sa.peer_request->id == header.message_id);
}

// Of a message that is complete and done with: the peer has sent it again before it knew.
bool is_late(const IkeSa& sa, const wi::Header& header) {
  const auto id = header.message_id;
  if (header.response) return id < sa.next_request && !(sa.outstanding && sa.outstanding->id == id);
  return id < sa.expected || (sa.peer_request && sa.peer_request->id == id);
}

// RFC 7296 section 2.2: each end numbers its own requests, so a request and a response of the peer may have the same
// Message ID and be under way at the same time.
std::unique_ptr<Reassembly>& pieces_of(IkeSa& sa, const wi::Header& header) {
  return header.response ? sa.response_pieces : sa.request_pieces;
}

void drop(World& world, IkeSa& sa, std::unique_ptr<Reassembly>& pieces) {
  if (!pieces) return;
  world.piece_budget.change(pieces->stranger_at(), pieces->octets(), 0);
  pieces.reset();
  world.touch(sa);
}

std::nullopt_t refuse(World& world) {
  ++world.counters.fragments_refused;
  return std::nullopt;
}

}  // namespace

bool speaks_fragmentation(const model::Connection& connection) {
  return connection.fragmentation != model::Fragmentation::kNo;
}

void read_fragmentation(const World& world, IkeSa& sa, const wi::Payloads& payloads) {
  // RFC 7383 section 2.3: "IKE fragmentation MUST NOT be used" unless both have announced it.
  sa.fragmentation = sa.connection && speaks_fragmentation(*sa.connection) &&
                     wi::find_notify(payloads, wi::NotifyType::kIkev2FragmentationSupported) != nullptr;
  sa.small_path = world.small_paths.knows(sa.path.remote.address, world.now);
}

std::size_t fragment_limit(const IkeSa& sa, bool smallest) {
  const bool v6 = !sa.path.remote.address.is_v4();
  const auto& c = *sa.connection;
  const bool small = smallest || sa.small_path || c.fragmentation == model::Fragmentation::kForce;
  std::size_t datagram = c.fragment_octets != 0 ? c.fragment_octets : v6 ? kUsualV6 : kUsualV4;
  if (small) datagram = std::min(datagram, v6 ? kUsualV6 : kSmallestV4);
  const std::size_t around = (v6 ? 40U : 20U) + kUdpHeader + (sa.path.marked ? kMarker : 0);
  const auto limit = datagram - around;
  // The peer found out what its way to us carries; ours is most likely the same one.
  return sa.peer_fragment_octets != 0 ? std::min(limit, std::max<std::size_t>(sa.peer_fragment_octets, 400)) : limit;
}

void note_peer_fragment(IkeSa& sa, const wi::EncryptedFragmentPayload& piece, std::size_t octets) {
  if (piece.fragment_number == 1 && piece.total_fragments > 1) sa.peer_fragment_octets = octets;
}

void drop_fragments_of(World& world, IkeSa& sa, const wi::Header& header) {
  auto& pieces = pieces_of(sa, header);
  if (pieces && pieces->is_of(header)) drop(world, sa, pieces);
}

void drop_fragments(World& world, IkeSa& sa) {
  drop(world, sa, sa.request_pieces);
  drop(world, sa, sa.response_pieces);
}

Instant fragments_due(const IkeSa& sa) {
  auto due = kNever;
  for (const auto* pieces : {&sa.request_pieces, &sa.response_pieces})
    if (*pieces) due = std::min(due, (*pieces)->expires());
  return due;
}

void drop_stale_fragments(World& world, IkeSa& sa) {
  for (auto* pieces : {&sa.request_pieces, &sa.response_pieces})
    if (*pieces && (*pieces)->expires() <= world.now) drop(world, sa, *pieces);
}

std::optional<wi::ParseResult<wi::Payloads>> take_fragment(World& world, IkeSa& sa, ByteView datagram,
                                                           const wi::Message& outer) {
  const auto& piece = *wi::find_payload<wi::EncryptedFragmentPayload>(outer.payloads);
  ++world.counters.fragments_in;
  if (sa.fragmentation && is_late(sa, outer.header)) {
    ++world.counters.fragments_late;
    return std::nullopt;
  }
  if (!sa.fragmentation || piece.total_fragments > wi::kMostFragments || !is_waited_for(sa, outer.header))
    return refuse(world);
  auto& pieces = pieces_of(sa, outer.header);
  const bool begun = pieces && pieces->is_of(outer.header);
  if (begun && !pieces->wants(piece)) return refuse(world);
  auto plaintext = wi::open_fragment(datagram, piece, *sa.open);
  if (!plaintext) {
    ++world.counters.integrity_failed;
    judge_newcomer(world, sa, false);
    return refuse(world);
  }
  const auto place = is_half_open(sa) ? std::optional(sa.path.remote.address) : std::nullopt;
  if (!world.piece_budget.has_room(place, begun ? pieces->octets() : 0, plaintext->size())) return refuse(world);
  if (!begun) {
    drop(world, sa, pieces);
    pieces = std::make_unique<Reassembly>(outer.header, piece.total_fragments, world.now, place);
  }
  const auto before = pieces->octets();
  const bool taken = pieces->take(piece, std::move(*plaintext));
  world.piece_budget.change(pieces->stranger_at(), before, pieces->octets());
  world.touch(sa);
  if (!taken) {
    drop(world, sa, pieces);
    return refuse(world);
  }
  note_peer_fragment(sa, piece, datagram.size());
  if (!pieces->complete()) return std::nullopt;
  const auto whole = pieces->plaintext();
  const auto first = pieces->first_inner();
  drop(world, sa, pieces);
  return wi::parse_payloads(first, ByteView(whole));
}

}  // namespace cygnet::ike::v2
