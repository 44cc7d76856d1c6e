// SPDX-License-Identifier: Apache-2.0
// What arrives from the network before anything vouches for it: KE payloads, Encrypted payloads, ESP packets. Nothing
// crashes; nothing forged opens; a packet that does not open leaves no clear text; the two ESP providers agree.
#include <array>
#include <cstdlib>

#include "base/random.h"
#include "crypto/esp_cipher.h"
#include "crypto/ike_cipher.h"
#include "crypto/key_exchange.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

struct Suite {
  model::EncryptionId encryption;
  std::uint16_t bits;
  model::IntegrityId integrity;
};
constexpr std::array<Suite, 5> kSuites = {{{model::EncryptionId::kAesGcm16, 128, model::IntegrityId::kNone},
                                           {model::EncryptionId::kChaCha20Poly1305, 0, model::IntegrityId::kNone},
                                           {model::EncryptionId::kAesCbc, 256, model::IntegrityId::kHmacSha2_256_128},
                                           {model::EncryptionId::kAesCbc, 128, model::IntegrityId::kHmacSha2_512_256},
                                           {model::EncryptionId::kNull, 0, model::IntegrityId::kHmacSha2_384_192}}};

void exchange_keys(std::uint8_t choice, ByteView peer_public) {
  constexpr std::array kGroups = {model::KeGroup::kX25519, model::KeGroup::kEcp256, model::KeGroup::kEcp384,
                                  model::KeGroup::kEcp521, model::KeGroup::kModp2048};
  SeededRandom random(7);
  static const auto kOwn = [&] {
    std::vector<crypto::KeyPair> pairs;
    for (const auto group : kGroups) pairs.push_back(crypto::generate_key_pair(group, random).value());
    return pairs;
  }();
  const auto& own = kOwn[choice % kOwn.size()];
  const auto shared = crypto::derive_shared_secret(own, peer_public);
  if (shared) check(peer_public.size() == own.public_value.size() && !shared->empty());
}

void open_ike(std::uint8_t choice, ByteView bytes) {
  const auto& suite = kSuites[choice % (kSuites.size() - 1)];
  const crypto::IkeCipherSpec spec{suite.encryption, suite.bits, suite.integrity};
  const auto cipher = crypto::IkeCipher::create(spec, Bytes(crypto::IkeCipher::sk_e_octets(spec), 1),
                                                Bytes(crypto::IkeCipher::sk_a_octets(spec), 2));
  check(cipher.has_value());
  const auto header = bytes.first(std::min<std::size_t>(bytes.size(), 32));
  check(!cipher->open(header, bytes.subspan(header.size())).has_value());
  // And what we seal of it opens again.
  const auto sealed = cipher->seal(header, bytes, Bytes(cipher->iv_octets(), 3));
  if (!sealed) return;
  const auto opened = cipher->open(header, *sealed);
  check(opened.has_value() && std::equal(opened->begin(), opened->end(), bytes.begin(), bytes.end()));
}

// The result of opening, with the packet as it then is.
std::pair<bool, Bytes> open_esp(const model::SaSpec& spec, crypto::EspProvider provider, ByteView packet) {
  const auto cipher = crypto::create_esp_cipher(spec, provider);
  check(cipher.has_value());
  Bytes copy(packet.begin(), packet.end());
  crypto::EspJob job{.esp = copy.data(), .octets = copy.size(), .sequence = 0x100000001};
  (*cipher)->open({&job, 1});
  return {job.ok, std::move(copy)};
}

void open_esp(std::uint8_t choice, ByteView packet) {
  const auto& suite = kSuites[choice % kSuites.size()];
  model::SaSpec spec;
  spec.encryption = suite.encryption;
  spec.encryption_bits = suite.bits;
  spec.integrity = suite.integrity;
  spec.encryption_key =
      SecretBytes(model::key_octets(suite.encryption, suite.bits) + model::salt_octets(suite.encryption), 4);
  spec.integrity_key = SecretBytes(model::key_octets(suite.integrity), 5);
  spec.esn = (choice & 0x80) != 0;
  const auto one = open_esp(spec, crypto::EspProvider::kOpenSsl, packet);
  check(!one.first);
  if (crypto::is_available(crypto::EspProvider::kIpsecMb))
    check(open_esp(spec, crypto::EspProvider::kIpsecMb, packet) == one);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  const ByteView rest{data + 2, size - 2};
  switch (data[0] % 3) {
    case 0: exchange_keys(data[1], rest); break;
    case 1: open_ike(data[1], rest); break;
    default: open_esp(data[1], rest); break;
  }
  return 0;
}
