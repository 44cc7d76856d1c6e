// SPDX-License-Identifier: Apache-2.0
#pragma once

// AH's integrity check (RFC 4302): keys of one SA in one direction, whole IP packets. For one thread at a time.
#include <array>
#include <memory>

#include "base/result.h"
#include "crypto/mac.h"
#include "model/sa_spec.h"
#include "wire/ah_header.h"

namespace cygnet::engine {

class AhTransform {
 public:
  // Refuses unknown algorithms, wrong key sizes and an encryption algorithm beside it, with the reason.
  [[nodiscard]] static Result<std::unique_ptr<AhTransform>> create(const model::SaSpec& spec);

  // Of the ICV field without padding: the check value, and with AES-GMAC the IV in front of it (RFC 4543 section 4).
  [[nodiscard]] std::size_t icv_octets() const { return iv_octets_ + tag_octets_; }
  // The header with ICV and padding.
  [[nodiscard]] std::size_t header_octets(Family family) const { return wire::ah_octets(icv_octets(), family); }

  // `packet`: a whole IP packet with an AH header whose ICV is zero at `at`. False: something in front of it cannot be
  // authenticated.
  [[nodiscard]] bool seal(MutableByteView packet, std::size_t at, std::uint64_t sequence);
  enum class Outcome : std::uint8_t { kGood, kBad, kUnknownOption, kBadLength };
  [[nodiscard]] Outcome verify(ByteView packet, std::size_t at, std::uint64_t sequence);

 private:
  explicit AhTransform(const model::SaSpec& spec);
  using Icv = std::array<std::uint8_t, crypto::kMaxDigestOctets>;
  [[nodiscard]] bool compute(ByteView packet, std::size_t at, std::uint64_t sequence, wire::AhEnd end, Icv& out);

  std::unique_ptr<crypto::Mac> mac_;
  std::size_t iv_octets_;
  std::size_t tag_octets_;
  std::uint64_t iv_mask_;
  bool esn_;
};

// The packet without its AH header at `at`: what is in front moves up to what follows. In place, at the end of
// `packet`.
[[nodiscard]] MutableByteView strip_ah(MutableByteView packet, std::size_t at);

}  // namespace cygnet::engine
