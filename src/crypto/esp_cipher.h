// SPDX-License-Identifier: Apache-2.0
#pragma once

// ESP's transforms, in bursts and in place: AES-GCM and CBC+HMAC through intel-ipsec-mb where the CPU has it, else
// OpenSSL.
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "model/sa_spec.h"

namespace cygnet::crypto {

// One ESP packet to seal or open in place. The buffer holds, contiguous:
//   esp header (8 octets: SPI, low 32 bits of the sequence number) | IV (iv_octets) | payload+trailer | ICV
//   (icv_octets)
// seal: payload with padding, pad length and next header is there in clear; IV and ICV are written by the cipher.
// open: verifies ICV first, then decrypts payload in place; ok tells. A payload that does not verify is overwritten
// with
//   zeros: nothing unauthenticated can be read by mistake.
// Jobs too short for their headers, longer than an IP packet can be, or (CBC) not of whole blocks are left alone, ok =
// false.
struct EspJob {
  std::uint8_t* esp = nullptr;  // first octet of the ESP header
  std::size_t octets = 0;       // from the ESP header to the end of the ICV
  std::uint64_t sequence = 0;   // full 64 bits; used for ESN (AAD or trailing high word) and as AEAD nonce counter
  bool ok = false;              // result
  // seal: payload and trailer are here and go, encrypted, to their place; nullptr: they are there. For ciphers that
  // seal from elsewhere only.
  const std::uint8_t* from = nullptr;
};

// Keys of one SA in one direction; usable from one thread at a time, unless shareable() says otherwise. The first call
// makes the key schedule. After that neither call allocates, apart from the first use of intel-ipsec-mb on a thread,
// and HMAC through OpenSSL: its digests take a small block anew for each of the two hashes of a packet.
class EspCipher {
 public:
  virtual ~EspCipher() = default;
  EspCipher(const EspCipher&) = delete;
  EspCipher& operator=(const EspCipher&) = delete;
  [[nodiscard]] virtual std::size_t iv_octets() const = 0;
  [[nodiscard]] virtual std::size_t icv_octets() const = 0;
  [[nodiscard]] virtual std::size_t block_octets() const = 0;  // payload+trailer is a multiple of this (at least 4)
  // All jobs of this SA. AEADs: explicit IV = sequence XOR SaSpec::iv_mask (RFC 4106 section 3.1: unique). CBC: IV must
  // be unpredictable: derived by encrypting that number under the SA's key (NIST SP 800-38A appendix C, first method).
  virtual void seal(std::span<EspJob> jobs) = 0;
  virtual void open(std::span<EspJob> jobs) = 0;

  // The cipher that does the work, its key schedule made: what a busy SA calls instead. Lives as long as this one.
  [[nodiscard]] virtual EspCipher& ready() { return *this; }
  // Understands EspJob::from.
  [[nodiscard]] virtual bool seals_from_elsewhere() const { return false; }
  // seal() and open() may be called by several threads at once, for different packets.
  [[nodiscard]] virtual bool shareable() const { return false; }
  // For prefetch_keys(); nullptr: nothing to fetch.
  [[nodiscard]] virtual const std::uint8_t* key_memory() const { return nullptr; }

 protected:
  EspCipher() = default;
};

// Fetches what a packet of this size will read of key_memory(), so that SAs in random order do not wait for memory.
inline void prefetch_keys(const std::uint8_t* key_memory, std::size_t octets) {
  if (key_memory == nullptr) return;
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kLines = 17;  // of a cipher of AES-GCM
  constexpr std::size_t kFront = 4;   // salt and round keys
  constexpr std::size_t kBack = 15;   // the powers of H that a short packet takes
  constexpr std::size_t kShort = 128;
  for (std::size_t i = 0; i < kFront; ++i) __builtin_prefetch(key_memory + i * kLine);
  for (std::size_t i = octets <= kShort ? kBack : kFront; i < kLines; ++i) __builtin_prefetch(key_memory + i * kLine);
}

// Which library does the work. kBest takes what this CPU runs fastest (with CBC and HMAC: by the size of the burst);
// the others exist for tests and benchmarks.
enum class EspProvider : std::uint8_t { kBest, kOpenSsl, kIpsecMb };

// Refuses encryption without integrity, unknown algorithms and wrong key sizes, with the reason.
// esn: the high 32 bits of the sequence enter the AAD (RFC 4106 section 5) or follow the packet in the ICV (RFC 4303
// section 2.2.1).
[[nodiscard]] Result<std::unique_ptr<EspCipher>> create_esp_cipher(const model::SaSpec& spec,
                                                                   EspProvider provider = EspProvider::kBest);
// Whether the provider can be used in this build on this CPU (kBest and kOpenSsl: always).
[[nodiscard]] bool is_available(EspProvider provider);
// "intel-ipsec-mb 1.3 (AVX512)" or "OpenSSL 3.0.19" for the given algorithm: shown by status and benchmarks.
[[nodiscard]] std::string provider_name(model::EncryptionId encryption);

}  // namespace cygnet::crypto
