// SPDX-License-Identifier: Apache-2.0
#pragma once

// Protection of the Encrypted payload of IKEv2: AEADs (RFC 5282) and CBC with HMAC (RFC 7296 section 3.14).
#include "base/bytes.h"
#include "base/result.h"
#include "model/transform.h"

namespace cygnet::crypto {

struct IkeCipherSpec {
  model::EncryptionId encryption{};
  std::uint16_t encryption_bits = 0;
  model::IntegrityId integrity{};  // kNone with an AEAD
};

// One direction: SK_e (key, followed by salt for AEADs) and SK_a.
// seal: plaintext already padded by the caller? No: seal pads (Pad Length octet included) and returns IV || ciphertext
// || ICV.
//   header: everything of the message before the IV (IKE header and payload headers up to the SK payload's generic
//   header), with all length fields already final: sealed_octets() tells the size beforehand. For CBC+HMAC the ICV
//   covers header too. iv: iv_octets() octets; AEAD: 8 octets unique per key (message counter), CBC: 16 unpredictable
//   octets.
// open: body is IV || ciphertext || ICV; returns the plaintext without padding. Errors say nothing about which check
// failed.
class IkeCipher {
 public:
  static Result<IkeCipher> create(const IkeCipherSpec& spec, ByteView sk_e, ByteView sk_a);
  [[nodiscard]] std::size_t iv_octets() const;
  [[nodiscard]] std::size_t sealed_octets(std::size_t plaintext_octets) const;
  [[nodiscard]] Result<Bytes> seal(ByteView header, ByteView plaintext, ByteView iv) const;
  [[nodiscard]] Result<SecretBytes> open(ByteView header, ByteView body) const;

  [[nodiscard]] static std::size_t sk_e_octets(const IkeCipherSpec& spec);  // key + salt
  [[nodiscard]] static std::size_t sk_a_octets(const IkeCipherSpec& spec);  // 0 for AEADs

 private:
  IkeCipher() = default;
  IkeCipherSpec spec_;
  SecretBytes sk_e_;
  SecretBytes sk_a_;
};

}  // namespace cygnet::crypto
