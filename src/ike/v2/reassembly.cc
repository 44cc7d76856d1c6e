// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/reassembly.h"

#include <utility>

namespace cygnet::ike::v2 {

bool Reassembly::wants(const wire::ike::EncryptedFragmentPayload& piece) const {
  // RFC 7383 section 2.6: the Total Fragments field must be "equal to or greater than" that of the fragments stored;
  // and a fragment that "is already present in the reassembling queue" is a replay.
  if (piece.total_fragments < total_) return false;
  return piece.total_fragments > total_ || !pieces_.contains(piece.fragment_number);
}

bool Reassembly::take(const wire::ike::EncryptedFragmentPayload& piece, SecretBytes plaintext) {
  if (piece.total_fragments > total_) {
    // Section 2.6: the peer cut the message smaller: "all the previously received ... fragments" are discarded.
    pieces_.clear();
    octets_ = 0;
    total_ = piece.total_fragments;
  }
  if (octets_ + plaintext.size() > kMostOctets) return false;
  if (piece.fragment_number == 1) first_inner_ = piece.first_inner;
  octets_ += plaintext.size();
  pieces_.emplace(piece.fragment_number, std::move(plaintext));
  return true;
}

SecretBytes Reassembly::plaintext() const {
  SecretBytes out;
  out.reserve(octets_);
  for (const auto& [number, piece] : pieces_) append(out, ByteView(piece));
  return out;
}

}  // namespace cygnet::ike::v2
