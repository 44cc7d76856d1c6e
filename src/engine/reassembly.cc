// SPDX-License-Identifier: Apache-2.0
#include "engine/reassembly.h"

#include <algorithm>

#include "wire/ip_checksum.h"

namespace cygnet::engine {
namespace {

constexpr std::size_t kFragmentCost = 128;  // bookkeeping of one fragment, so that tiny ones are not free
constexpr std::size_t kMaxPieces = 64;

// IPv4 header, or IPv6 header alone with its next header set: other extension headers in front of the fragment header
// have no place in transport mode.
[[nodiscard]] Bytes whole_header(ByteView fragment, const wire::IpPacketInfo& info) {
  if (info.is_v4()) return {fragment.begin(), fragment.begin() + info.header_octets};
  return {fragment.begin(), fragment.begin() + wire::kIpv6HeaderOctets};
}

}  // namespace

Reassembly::Outcome Reassembly::add(ByteView fragment, const wire::IpPacketInfo& info, Instant now) {
  const Key key{wire::source_address(fragment), wire::destination_address(fragment), info.identification,
                info.is_v4() ? info.protocol : std::uint8_t{0}};
  // IPv6: data begins behind the fragment header, which is the first extension header here.
  const std::size_t data_at = info.is_v4() ? info.header_octets : wire::kIpv6HeaderOctets + 8;
  const auto payload = fragment.first(info.total_octets).subspan(data_at);
  const std::uint32_t first = info.fragment_offset;
  const auto end = first + static_cast<std::uint32_t>(payload.size());

  auto it = datagrams_.find(key);
  const bool fresh = it == datagrams_.end();
  if (payload.size() + kFragmentCost > max_octets_ - std::min(max_octets_, octets_)) {
    return {DropReason::kReassemblyFull, fresh ? 1 : 1 + forget(it), {}};
  }
  if (fresh) {
    it = datagrams_.try_emplace(key).first;
    it->second.since = now;
  }
  auto& datagram = it->second;
  // RFC 8200 section 4.5: all but the last are multiples of eight; RFC 5722: with an overlap the whole is discarded.
  const bool odd = info.more_fragments && payload.size() % 8 != 0;
  if (odd || payload.empty() || datagram.pieces.size() >= kMaxPieces ||
      !fits(datagram, first, end, !info.more_fragments)) {
    return {DropReason::kFragmentOverlap, 1 + forget(it), {}};
  }
  if (!info.more_fragments) datagram.end = end;
  if (first == 0) {
    datagram.header = whole_header(fragment, info);
    if (!info.is_v4()) datagram.header[6] = fragment[wire::kIpv6HeaderOctets];
  }
  const auto at = std::ranges::upper_bound(datagram.pieces, first, {}, &Piece::first);
  datagram.pieces.insert(at, Piece{first, Bytes(payload.begin(), payload.end())});
  datagram.have += static_cast<std::uint32_t>(payload.size());
  octets_ += payload.size() + kFragmentCost;
  if (datagram.end == 0 || datagram.have != datagram.end) return {};
  Outcome outcome;
  outcome.whole = join(datagram);
  const std::size_t pieces = forget(it);
  if (outcome.whole.empty()) return {DropReason::kFragmentOverlap, pieces, {}};
  return outcome;
}

bool Reassembly::fits(const Datagram& datagram, std::uint32_t first, std::uint32_t end, bool last) {
  if (datagram.end != 0 && (end > datagram.end || last)) return false;
  return std::ranges::none_of(datagram.pieces, [&](const Piece& piece) {
    return (first < piece.end() && piece.first < end) || (last && piece.end() > end);
  });
}

Bytes Reassembly::join(const Datagram& datagram) {
  Bytes whole = datagram.header;
  for (const auto& piece : datagram.pieces) append(whole, piece.payload);
  if (whole.size() > 65535) return {};
  if ((whole[0] >> 4U) == 4U) {
    store_be16(&whole[2], static_cast<std::uint16_t>(whole.size()));
    store_be16(&whole[6], 0);
    store_be16(&whole[10], 0);
    store_be16(&whole[10], wire::internet_checksum(ByteView(whole).first(datagram.header.size())));
  } else {
    store_be16(&whole[4], static_cast<std::uint16_t>(whole.size() - wire::kIpv6HeaderOctets));
  }
  return whole;
}

std::size_t Reassembly::forget(Datagrams::iterator it) {
  const std::size_t pieces = it->second.pieces.size();
  for (const auto& piece : it->second.pieces) octets_ -= piece.payload.size() + kFragmentCost;
  datagrams_.erase(it);
  return pieces;
}

std::size_t Reassembly::expire(Instant now) {
  std::size_t lost = 0;
  for (auto it = datagrams_.begin(); it != datagrams_.end();) {
    const auto here = it++;
    if (here->second.since + timeout_ <= now) lost += forget(here);
  }
  return lost;
}

Instant Reassembly::next_deadline() const {
  Instant next = kNever;
  for (const auto& [key, datagram] : datagrams_) next = std::min(next, datagram.since + timeout_);
  return next;
}

}  // namespace cygnet::engine
