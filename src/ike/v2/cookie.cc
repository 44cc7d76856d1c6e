// SPDX-License-Identifier: Apache-2.0
#include "ike/v2/cookie.h"

#include <array>

#include "crypto/prf.h"

namespace cygnet::ike::v2 {
namespace {

constexpr Duration kSecretLife = std::chrono::seconds(60);
constexpr std::size_t kSecretOctets = 32;

void rotate_if_due(World& world) {
  if (!world.cookie_secret.empty() && world.now - world.cookie_rotated < kSecretLife) return;
  // After a long quiet time the secret before this one is stale as well.
  const bool stale = world.now - world.cookie_rotated >= 2 * kSecretLife;
  world.previous_cookie_secret = stale ? SecretBytes{} : world.cookie_secret;
  world.cookie_secret.resize(kSecretOctets);
  world.random.fill(world.cookie_secret);
  world.cookie_rotated = world.now;
  ++world.cookie_version;
}

Bytes cookie_with(const SecretBytes& secret, std::uint8_t version, ByteView nonce, const Endpoint& peer, IkeSpi spi_i) {
  ByteWriter data;
  data.bytes(nonce).bytes(peer.address.bytes()).u16(peer.port).u64(spi_i.value);
  const std::array<ByteView, 1> pieces{data.view()};
  Bytes out{version};
  append(out, ByteView(crypto::prf(model::PrfId::kHmacSha2_256, ByteView(secret), pieces)));
  return out;
}

}  // namespace

Bytes make_cookie(World& world, ByteView nonce, const Endpoint& peer, IkeSpi spi_i) {
  rotate_if_due(world);
  return cookie_with(world.cookie_secret, world.cookie_version, nonce, peer, spi_i);
}

bool cookie_is_good(World& world, ByteView cookie, ByteView nonce, const Endpoint& peer, IkeSpi spi_i) {
  rotate_if_due(world);
  if (cookie.empty()) return false;
  const auto previous = static_cast<std::uint8_t>(world.cookie_version - 1);
  if (cookie[0] == world.cookie_version) {
    return constant_time_equal(cookie, cookie_with(world.cookie_secret, cookie[0], nonce, peer, spi_i));
  }
  if (cookie[0] == previous && !world.previous_cookie_secret.empty()) {
    return constant_time_equal(cookie, cookie_with(world.previous_cookie_secret, cookie[0], nonce, peer, spi_i));
  }
  return false;
}

}  // namespace cygnet::ike::v2
