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
  world.spent_puzzles.turn_over();
  if (stale) world.spent_puzzles.turn_over();
  ++world.cookie_version;
}

constexpr std::size_t kFrontOctets = 3;  // before the PRF's output

Bytes cookie_with(const SecretBytes& secret, std::uint8_t version, ByteView nonce, const Endpoint& peer, IkeSpi spi_i,
                  const wire::ike::PuzzleDemand& puzzle) {
  Bytes out{version, puzzle.difficulty, static_cast<std::uint8_t>(puzzle.prf)};
  std::array<std::uint8_t, 12> numbers{};
  store_be64(numbers.data(), spi_i.value);
  store_be16(numbers.data() + 8, peer.port);
  numbers[10] = out[1];
  numbers[11] = out[2];
  const std::array<ByteView, 3> pieces{nonce, peer.address.bytes(), ByteView(numbers)};
  append(out, ByteView(crypto::prf(model::PrfId::kHmacSha2_256, ByteView(secret), pieces)));
  return out;
}

}  // namespace

Bytes make_cookie(World& world, ByteView nonce, const Endpoint& peer, IkeSpi spi_i,
                  const wire::ike::PuzzleDemand& puzzle) {
  rotate_if_due(world);
  return cookie_with(world.cookie_secret, world.cookie_version, nonce, peer, spi_i, puzzle);
}

std::optional<wire::ike::PuzzleDemand> read_cookie(World& world, ByteView cookie, ByteView nonce, const Endpoint& peer,
                                                   IkeSpi spi_i) {
  rotate_if_due(world);
  if (cookie.size() <= kFrontOctets) return std::nullopt;
  const auto previous = static_cast<std::uint8_t>(world.cookie_version - 1);
  const bool old = cookie[0] == previous;
  if (cookie[0] != world.cookie_version && (!old || world.previous_cookie_secret.empty())) return std::nullopt;
  const wire::ike::PuzzleDemand puzzle{static_cast<model::PrfId>(cookie[2]), cookie[1]};
  const auto& secret = old ? world.previous_cookie_secret : world.cookie_secret;
  if (!constant_time_equal(cookie, cookie_with(secret, cookie[0], nonce, peer, spi_i, puzzle))) return std::nullopt;
  return puzzle;
}

}  // namespace cygnet::ike::v2
