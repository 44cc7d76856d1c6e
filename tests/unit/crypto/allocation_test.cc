// SPDX-License-Identifier: Apache-2.0
// Sealing and opening packets asks OpenSSL for no memory; HMAC through OpenSSL for two small blocks, which it gives
// back.
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>

#include "crypto/evp.h"
#include "unit/crypto/esp_cases.h"

namespace cygnet::crypto::test {
namespace {

std::atomic<std::size_t> openssl_allocations{0};

void* counting_malloc(std::size_t octets, const char*, int) {
  ++openssl_allocations;
  return std::malloc(octets);
}
void* counting_realloc(void* old, std::size_t octets, const char*, int) {
  ++openssl_allocations;
  return std::realloc(old, octets);
}
void plain_free(void* memory, const char*, int) { std::free(memory); }

// OpenSSL takes its allocator once, before its first allocation: as early as this program can.
const bool kCounting = CRYPTO_set_mem_functions(counting_malloc, counting_realloc, plain_free) == 1;

TEST(EspCipherAllocation, PacketsCostOpensslNoMemory) {
  ASSERT_TRUE(kCounting);
  for (const auto& algorithm : algorithms()) {
    for (const auto provider : providers()) {
      const auto cipher = make(spec_of(algorithm, true), provider);
      Packet packet(*cipher, payload_of(1440, 1), 1);
      cipher->seal({&packet.job, 1});
      cipher->open({&packet.job, 1});
      const auto before = openssl_allocations.load();
      constexpr std::size_t kRounds = 100;
      for (std::size_t i = 0; i < kRounds; ++i) {
        cipher->seal({&packet.job, 1});
        cipher->open({&packet.job, 1});
        ASSERT_TRUE(packet.job.ok);
      }
      // What is seldom used is OpenSSL's in every provider, with its HMAC.
      const auto integrity = algorithm.integrity;
      const bool hmac = integrity != model::IntegrityId::kNone && digest_of(integrity) != nullptr;
      const bool in_ipsec_mb = (algorithm.encryption == model::EncryptionId::kAesCbc ||
                                algorithm.encryption == model::EncryptionId::kNull) &&
                               model::icv_octets(integrity) > 12;
      const bool openssl_hmac = hmac && (provider != EspProvider::kIpsecMb || !in_ipsec_mb);
      const std::size_t allowed = openssl_hmac ? kRounds * 2 * 2 : 0;
      EXPECT_LE(openssl_allocations.load() - before, allowed) << algorithm.name << " " << name_of(provider);
    }
  }
}

}  // namespace
}  // namespace cygnet::crypto::test
