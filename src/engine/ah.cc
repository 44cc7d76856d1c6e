// SPDX-License-Identifier: Apache-2.0
#include "engine/ah.h"

#include <algorithm>
#include <string>

#include "wire/ip_checksum.h"
#include "wire/ip_packet.h"

namespace cygnet::engine {

Result<std::unique_ptr<AhTransform>> AhTransform::create(const model::SaSpec& spec) {
  if (spec.encryption != model::EncryptionId::kNone || !spec.encryption_key.empty()) {
    return fail("AH encrypts nothing (RFC 4302): it takes an integrity algorithm alone");
  }
  if (spec.integrity == model::IntegrityId::kNone || !crypto::is_known_mac(spec.integrity)) {
    return fail("AH integrity number " + std::to_string(static_cast<unsigned>(spec.integrity)) + " is not built in");
  }
  const auto needs = model::key_octets(spec.integrity);
  if (spec.integrity_key.size() != needs) {
    return fail("the integrity key has " + std::to_string(spec.integrity_key.size()) + " octets, the algorithm takes " +
                std::to_string(needs));
  }
  return std::unique_ptr<AhTransform>(new AhTransform(spec));
}

AhTransform::AhTransform(const model::SaSpec& spec)
    : mac_(crypto::create_mac(spec.integrity, spec.integrity_key)),
      iv_octets_(model::iv_octets(spec.integrity)),
      tag_octets_(model::icv_octets(spec.integrity)),
      iv_mask_(spec.iv_mask),
      esn_(spec.esn) {}

bool AhTransform::compute(ByteView packet, std::size_t at, std::uint64_t sequence, wire::AhEnd end, Icv& out) {
  std::array<std::uint8_t, wire::kMaxAhFrontOctets> front;
  if (at > front.size()) return false;
  std::ranges::copy(packet.first(at), front.begin());
  const MutableByteView headers(front.data(), at);
  if (!wire::mask_mutable_fields(headers, end)) return false;
  const auto ah = packet.subspan(at);
  mac_->start(ah.subspan(wire::kAhFixedOctets, iv_octets_));
  mac_->update(headers);
  // RFC 4302 section 3.3.3: the ICV field itself counts as zeros, its padding as it is. The IV of AES-GMAC is a part of
  // that field, and protected by being the nonce.
  constexpr std::array<std::uint8_t, crypto::kMaxDigestOctets> kZeros{};
  mac_->update(ah.first(wire::kAhFixedOctets));
  mac_->update(ByteView(kZeros).first(icv_octets()));
  mac_->update(ah.subspan(wire::kAhFixedOctets + icv_octets()));
  if (esn_) {
    // RFC 4302 section 2.5.1: the high 32 bits "are ... included in the ICV computation", behind the packet
    // (3.3.3.2.2).
    std::array<std::uint8_t, 4> high{};
    store_be32(high.data(), static_cast<std::uint32_t>(sequence >> 32U));
    mac_->update(high);
  }
  mac_->finish(out);
  return true;
}

bool AhTransform::seal(MutableByteView packet, std::size_t at, std::uint64_t sequence) {
  auto* const field = packet.data() + at + wire::kAhFixedOctets;
  // RFC 4543 section 3.1: the IV is different for each packet under one key, as the sequence number is.
  if (iv_octets_ != 0) store_be64(field, sequence ^ iv_mask_);
  Icv icv{};
  if (!compute(packet, at, sequence, wire::AhEnd::kSender, icv)) return false;
  std::copy_n(icv.begin(), tag_octets_, field + iv_octets_);
  return true;
}

AhTransform::Outcome AhTransform::verify(ByteView packet, std::size_t at, std::uint64_t sequence) {
  // The padding is as long as the family's alignment asks for. Linux pads to 64 bits with IPv4 too unless it is told
  // otherwise, and nothing is lost by taking that: the ICV covers it.
  constexpr std::size_t kMostPadding = 7;
  const std::size_t octets = wire::ah_octets_of(packet[at + 1]);
  const std::size_t needs = wire::kAhFixedOctets + icv_octets();
  if (octets < needs || octets > needs + kMostPadding) return Outcome::kBadLength;
  Icv icv{};
  if (!compute(packet, at, sequence, wire::AhEnd::kReceiver, icv)) return Outcome::kUnknownOption;
  const auto got = packet.subspan(at + wire::kAhFixedOctets + iv_octets_, tag_octets_);
  return constant_time_equal(got, ByteView(icv).first(tag_octets_)) ? Outcome::kGood : Outcome::kBad;
}

MutableByteView strip_ah(MutableByteView packet, std::size_t at) {
  const std::uint8_t next_header = packet[at];
  const std::size_t octets = wire::ah_octets_of(packet[at + 1]);
  // Whoever names what follows the last header in front: only that octet says "AH".
  const bool v4 = (packet[0] >> 4U) == 4U;
  std::size_t names_it = v4 ? 9 : 6;
  for (std::size_t here = wire::kIpv6HeaderOctets; !v4 && here < at;) {
    names_it = here;
    here += (static_cast<std::size_t>(packet[here + 1]) + 1U) * 8U;
  }
  packet[names_it] = next_header;
  std::copy_backward(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(at),
                     packet.begin() + static_cast<std::ptrdiff_t>(at + octets));
  const auto rest = packet.subspan(octets);
  if (v4) {
    store_be16(rest.data() + 2, static_cast<std::uint16_t>(rest.size()));
    store_be16(rest.data() + 10, 0);
    store_be16(rest.data() + 10, wire::internet_checksum(rest.first(at)));
  } else {
    store_be16(rest.data() + 4, static_cast<std::uint16_t>(rest.size() - wire::kIpv6HeaderOctets));
  }
  return rest;
}

}  // namespace cygnet::engine
