// SPDX-License-Identifier: Apache-2.0
#pragma once

// What both providers of EspCipher share: where the parts of a packet stand, and the octets beside it that are
// authenticated.
#include <array>
#include <cstring>

#include "crypto/aead.h"
#include "crypto/esp_cipher.h"

namespace cygnet::crypto {

inline constexpr std::size_t kEspHeaderOctets = 8;
inline constexpr std::size_t kEsnHighOctets = 4;
// An IP packet has at most 65535 octets, its ESP part fewer.
inline constexpr std::size_t kMaxEspOctets = 65535 - 20;

class EspTransform : public EspCipher {
 public:
  [[nodiscard]] std::size_t iv_octets() const final { return iv_octets_; }
  [[nodiscard]] std::size_t icv_octets() const final { return icv_octets_; }
  [[nodiscard]] std::size_t block_octets() const final { return block_octets_; }

 protected:
  explicit EspTransform(const model::SaSpec& spec)
      : iv_mask_(spec.iv_mask),
        esn_(spec.esn),
        whole_blocks_(model::block_octets(spec.encryption) > 4),
        iv_octets_(static_cast<std::uint8_t>(model::iv_octets(spec.encryption))),
        icv_octets_(static_cast<std::uint8_t>(model::is_aead(spec.encryption) ? model::icv_octets(spec.encryption)
                                                                              : model::icv_octets(spec.integrity))),
        block_octets_(static_cast<std::uint8_t>(model::block_octets(spec.encryption))) {}

  [[nodiscard]] bool esn() const { return esn_; }
  [[nodiscard]] std::uint64_t iv_mask() const { return iv_mask_; }
  // What is unique to each packet under the SA's key; the explicit IV is this, or comes from it.
  [[nodiscard]] std::uint64_t iv_number(const EspJob& job) const { return job.sequence ^ iv_mask_; }
  // Whether the job can hold a packet of this transform at all.
  [[nodiscard]] bool fits(const EspJob& job) const {
    const std::size_t around = kEspHeaderOctets + iv_octets_ + icv_octets_;
    if (job.octets < around || job.octets > kMaxEspOctets) return false;
    // RFC 3602 section 2.4: CBC works on whole blocks; the trailer alone makes at least one.
    return !whole_blocks_ || (job.octets > around && (job.octets - around) % block_octets_ == 0);
  }
  [[nodiscard]] MutableByteView payload(const EspJob& job) const {
    return {job.esp + kEspHeaderOctets + iv_octets_, job.octets - kEspHeaderOctets - iv_octets_ - icv_octets_};
  }
  [[nodiscard]] std::uint8_t* iv(const EspJob& job) const { return job.esp + kEspHeaderOctets; }
  [[nodiscard]] std::uint8_t* icv(const EspJob& job) const { return job.esp + job.octets - icv_octets_; }

 private:
  std::uint64_t iv_mask_;
  bool esn_;
  bool whole_blocks_;
  std::uint8_t iv_octets_;
  std::uint8_t icv_octets_;
  std::uint8_t block_octets_;
};

// Associated data of the AEADs: the ESP header, with ESN the high word in its middle (RFC 4106 section 5, RFC 4309
// section 5, RFC 7634 section 2.1).
class EspAad {
 public:
  EspAad(const EspJob& job, bool esn) : size_(esn ? kEspHeaderOctets + kEsnHighOctets : kEspHeaderOctets) {
    std::memcpy(octets_.data(), job.esp, 4);
    if (esn) store_be32(octets_.data() + 4, static_cast<std::uint32_t>(job.sequence >> 32));
    std::memcpy(octets_.data() + size_ - 4, job.esp + 4, 4);
  }
  [[nodiscard]] ByteView view() const { return {octets_.data(), size_}; }

 private:
  std::array<std::uint8_t, kEspHeaderOctets + kEsnHighOctets> octets_{};
  std::size_t size_;
};

// Up to four octets; AES-CCM has three.
struct Salt {
  std::array<std::uint8_t, 4> octets{};
  std::size_t size = 0;
};

// Salt | IV (RFC 4106 section 4, RFC 4309 section 4, RFC 7634 section 2).
class EspNonce {
 public:
  EspNonce(const Salt& salt, const std::uint8_t* iv) : EspNonce(salt) {
    std::memcpy(octets_.data() + salt.size, iv, kIvOctets);
  }
  // RFC 8750 section 3: the sequence number in the place of the IV; without ESN "the 4 most significant octets of the
  // IV are set to zero".
  static EspNonce implicit(const Salt& salt, std::uint64_t sequence, bool esn) {
    EspNonce nonce(salt);
    store_be64(nonce.octets_.data() + salt.size, esn ? sequence : static_cast<std::uint32_t>(sequence));
    return nonce;
  }
  [[nodiscard]] ByteView view() const { return {octets_.data(), size_}; }
  [[nodiscard]] const std::uint8_t* data() const { return octets_.data(); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kIvOctets = 8;
  explicit EspNonce(const Salt& salt) : size_(salt.size + kIvOctets) {
    std::memcpy(octets_.data(), salt.octets.data(), salt.octets.size());
  }
  std::array<std::uint8_t, kAeadNonceOctets> octets_{};
  std::size_t size_;
};

// Keys cut out of a SaSpec whose sizes have been checked.
struct EspKeys {
  ByteView key;
  Salt salt{};
  ByteView integrity_key;
};

// The providers. `keys` is read during the call only.
[[nodiscard]] std::unique_ptr<EspCipher> create_openssl_esp_cipher(const model::SaSpec& spec, const EspKeys& keys);
[[nodiscard]] std::unique_ptr<EspCipher> create_ipsec_mb_esp_cipher(const model::SaSpec& spec, const EspKeys& keys);
[[nodiscard]] bool ipsec_mb_available();
[[nodiscard]] std::string ipsec_mb_name();

}  // namespace cygnet::crypto
