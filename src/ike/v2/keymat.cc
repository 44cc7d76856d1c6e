// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/keymat.h"

#include <array>

#include "crypto/ike_cipher.h"
#include "crypto/prf.h"

namespace cygnet::ike::v2 {
namespace {

// Cuts keying material into keys, front to back.
class Cutter {
 public:
  explicit Cutter(const SecretBytes& material) : material_(material) {}
  SecretBytes take(std::size_t octets) {
    const auto from = material_.begin() + static_cast<std::ptrdiff_t>(at_);
    at_ += octets;
    return {from, from + static_cast<std::ptrdiff_t>(octets)};
  }

 private:
  const SecretBytes& material_;
  std::size_t at_ = 0;
};

}  // namespace

SecretBytes initial_skeyseed(model::PrfId prf, ByteView nonce_i, ByteView nonce_r, ByteView shared_secret) {
  Bytes key(nonce_i.begin(), nonce_i.end());
  append(key, nonce_r);
  const std::array<ByteView, 1> data{shared_secret};
  return crypto::prf(prf, key, data);
}

SecretBytes rekeyed_skeyseed(model::PrfId old_prf, ByteView old_sk_d, ByteView nonce_i, ByteView nonce_r,
                             ByteView shared_secret) {
  const std::array<ByteView, 3> data{shared_secret, nonce_i, nonce_r};
  return crypto::prf(old_prf, old_sk_d, data);
}

Result<IkeKeys> derive_ike_keys(const model::ChosenIke& algorithms, ByteView skeyseed, ByteView nonce_i,
                                ByteView nonce_r, IkeSpi spi_i, IkeSpi spi_r) {
  const crypto::IkeCipherSpec cipher{algorithms.encryption, algorithms.encryption_bits, algorithms.integrity};
  const std::size_t p = model::key_octets(algorithms.prf);
  const std::size_t a = crypto::IkeCipher::sk_a_octets(cipher);
  const std::size_t e = crypto::IkeCipher::sk_e_octets(cipher);
  ByteWriter seed;
  seed.bytes(nonce_i).bytes(nonce_r).u64(spi_i.value).u64(spi_r.value);
  const auto material = crypto::prf_plus(algorithms.prf, skeyseed, seed.view(), 3 * p + 2 * a + 2 * e);
  if (!material) return std::unexpected(material.error());
  Cutter cut(*material);
  IkeKeys keys;
  keys.d = cut.take(p);
  keys.ai = cut.take(a);
  keys.ar = cut.take(a);
  keys.ei = cut.take(e);
  keys.er = cut.take(e);
  keys.pi = cut.take(p);
  keys.pr = cut.take(p);
  return keys;
}

Result<ChildKeys> derive_child_keys(const model::ChosenEsp& algorithms, model::PrfId prf, ByteView sk_d,
                                    ByteView nonce_i, ByteView nonce_r, ByteView shared_secret) {
  const std::size_t e =
      model::key_octets(algorithms.encryption, algorithms.encryption_bits) + model::salt_octets(algorithms.encryption);
  const std::size_t a = model::key_octets(algorithms.integrity);
  SecretBytes seed(shared_secret.begin(), shared_secret.end());
  append(seed, nonce_i);
  append(seed, nonce_r);
  const auto material = crypto::prf_plus(prf, sk_d, ByteView(seed), 2 * (e + a));
  if (!material) return std::unexpected(material.error());
  // RFC 7296 section 2.17: "All keys for SAs carrying data from the initiator to the responder are taken before SAs
  // going from the responder to the initiator", and the encryption key before the integrity key.
  Cutter cut(*material);
  ChildKeys keys;
  keys.encryption_i = cut.take(e);
  keys.integrity_i = cut.take(a);
  keys.encryption_r = cut.take(e);
  keys.integrity_r = cut.take(a);
  return keys;
}

Bytes signed_octets(model::PrfId prf, ByteView first_message, ByteView peer_nonce, ByteView sk_p, ByteView id_rest) {
  Bytes out(first_message.begin(), first_message.end());
  append(out, peer_nonce);
  const std::array<ByteView, 1> id{id_rest};
  append(out, ByteView(crypto::prf(prf, sk_p, id)));
  return out;
}

}  // namespace cygnet::ike::v2
