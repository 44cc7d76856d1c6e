// SPDX-License-Identifier: Apache-2.0
#include "algorithms.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <utility>

#include "measure.h"
#include "model/transform.h"
#include "wire/esp_header.h"

namespace cygnet::bench {
namespace {

SecretBytes key_of(std::size_t octets) {
  SecretBytes key(octets);
  for (std::size_t i = 0; i < octets; ++i) key[i] = static_cast<std::uint8_t>(i * 29 + 5);
  return key;
}

bool works(const Algorithm& algorithm) {
  model::SaSpec spec;
  algorithm.apply(spec);
  return crypto::create_esp_cipher(spec).has_value();
}

std::vector<Algorithm> find_algorithms() {
  using model::TransformType;
  constexpr auto kHmac = model::IntegrityId::kHmacSha2_256_128;
  std::vector<Algorithm> all;
  std::vector<Algorithm> with_aes;
  for (const auto& row : model::all_transforms()) {
    if (!row.supported || !row.for_esp) continue;
    const std::string name(row.strongswan);
    if (row.transform.type == TransformType::kEncryption) {
      const auto id = static_cast<model::EncryptionId>(row.transform.id);
      const bool aead = model::is_aead(id);
      all.push_back(
          {aead ? name : name + "-sha256", id, row.transform.key_bits, aead ? model::IntegrityId::kNone : kHmac});
    } else if (row.transform.type == TransformType::kIntegrity) {
      const auto id = static_cast<model::IntegrityId>(row.transform.id);
      if (id != kHmac && id != model::IntegrityId::kNone)
        with_aes.push_back({"aes128-" + name, model::EncryptionId::kAesCbc, 128, id});
    }
  }
  all.insert(all.end(), with_aes.begin(), with_aes.end());
  std::erase_if(all, [](const Algorithm& a) { return !works(a); });
  std::ranges::stable_partition(all, [](const Algorithm& a) { return a.name == "aes128gcm16"; });
  return all;
}

// Seals bursts, or seals and opens them: nobody can open a packet twice.
double measure_cipher(const Algorithm& algorithm, std::size_t inner_octets, bool open_too) {
  constexpr std::size_t kBurst = 32;
  constexpr int kRounds = 64;
  const auto cipher = algorithm.create();
  const std::size_t octets = esp_size(*cipher, inner_octets);
  Bytes memory(octets * kBurst, 0x5a);
  std::vector<crypto::EspJob> jobs(kBurst);
  std::uint64_t sequence = 0;
  const auto round = [&] {
    for (std::size_t i = 0; i < kBurst; ++i)
      jobs[i] = {.esp = memory.data() + i * octets, .octets = octets, .sequence = ++sequence};
    cipher->seal(jobs);
    if (open_too) cipher->open(jobs);
  };
  round();
  double best = 1;
  for (int repeat = 0; repeat < 5; ++repeat) {
    Stopwatch watch;
    std::uint64_t packets = 0;
    while (watch.total() < 0.01) {
      watch.start();
      for (int i = 0; i < kRounds; ++i) round();
      watch.stop();
      packets += kRounds * kBurst;
    }
    best = std::min(best, watch.total() / static_cast<double>(packets));
  }
  if (!jobs[0].ok) {
    std::cerr << "the cipher " << algorithm.name << " does not work\n";
    std::exit(1);
  }
  return best;
}

}  // namespace

void Algorithm::apply(model::SaSpec& spec) const {
  spec.encryption = encryption;
  spec.encryption_bits = bits;
  spec.integrity = integrity;
  spec.encryption_key = key_of(model::key_octets(encryption, bits) + model::salt_octets(encryption));
  if (integrity != model::IntegrityId::kNone) spec.integrity_key = key_of(model::key_octets(integrity));
}

std::unique_ptr<crypto::EspCipher> Algorithm::create() const {
  model::SaSpec spec;
  apply(spec);
  return std::move(crypto::create_esp_cipher(spec).value());
}

const std::vector<Algorithm>& algorithms() {
  static const std::vector<Algorithm> kAll = find_algorithms();
  return kAll;
}

std::size_t esp_size(const crypto::EspCipher& cipher, std::size_t inner_octets) {
  const std::size_t pad = wire::esp_pad_octets(inner_octets, std::max<std::size_t>(4, cipher.block_octets()));
  return wire::kEspHeaderOctets + cipher.iv_octets() + inner_octets + pad + wire::kEspTrailerOctets +
         cipher.icv_octets();
}

double cipher_seconds(const Algorithm& algorithm, std::size_t inner_octets, model::Direction direction) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::size_t>, std::pair<double, double>> known;
  const std::scoped_lock lock(mutex);
  auto& [seal, open] = known[{algorithm.name, inner_octets}];
  if (seal == 0) {
    seal = measure_cipher(algorithm, inner_octets, false);
    open = measure_cipher(algorithm, inner_octets, true) - seal;
  }
  return direction == model::Direction::kOutbound ? seal : open;
}

}  // namespace cygnet::bench
