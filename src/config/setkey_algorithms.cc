// SPDX-License-Identifier: Apache-2.0
#include "config/setkey_algorithms.h"

#include <algorithm>
#include <array>

namespace cygnet::config {
namespace {

using Row = SetkeyAlgorithm;

constexpr auto kEncryption = std::to_array<Row>({
    {"des-cbc", 2, 64, 64, 0},
    {"3des-cbc", 3, 192, 192, 0},
    {"cast128-cbc", 6, 40, 128, 8},
    {"blowfish-cbc", 7, 40, 448, 8},
    {"null", 11, 0, 0, 0},
    {"aes-cbc", 12, 128, 256, 64},
    {"rijndael-cbc", 12, 128, 256, 64},
    {"aes-ctr", 13, 160, 288, 64},
    {"aes-ccm-8", 14, 152, 280, 64},
    {"aes-ccm-12", 15, 152, 280, 64},
    {"aes-ccm-16", 16, 152, 280, 64},
    {"aes-gcm-8", 18, 160, 288, 64},
    {"aes-gcm-12", 19, 160, 288, 64},
    {"aes-gcm-16", 20, 160, 288, 64},
    {"aes-gcm", 20, 160, 288, 64},
    {"rfc4106", 20, 160, 288, 64},
    {"camellia-cbc", 22, 128, 256, 64},
    {"aes-gmac", 23, 160, 288, 64},
    {"chacha20-poly1305", 31, 288, 288, 0},
    {"serpent-cbc", 252, 128, 256, 64},
    {"twofish-cbc", 253, 128, 256, 64},
});

constexpr auto kAuthentication = std::to_array<Row>({
    {"hmac-md5", 2, 128, 128, 0},      {"hmac-sha1", 3, 160, 160, 0},        {"hmac-sha256", 5, 256, 256, 0},
    {"hmac-sha2-256", 5, 256, 256, 0}, {"hmac-sha384", 6, 384, 384, 0},      {"hmac-sha2-384", 6, 384, 384, 0},
    {"hmac-sha512", 7, 512, 512, 0},   {"hmac-sha2-512", 7, 512, 512, 0},    {"hmac-ripemd160", 8, 160, 160, 0},
    {"aes-xcbc-mac", 9, 128, 128, 0},  {"aes128-gmac", 11, 160, 160, 0},     {"aes192-gmac", 12, 224, 224, 0},
    {"aes256-gmac", 13, 288, 288, 0},  {"hmac-sha256-96", 240, 256, 256, 0}, {"hmac-sha2-256-96", 240, 256, 256, 0},
    {"keyed-md5", 249, 0, 2048, 8},    {"keyed-sha1", 250, 0, 2048, 8},      {"null", 251, 0, 0, 0},
    {"tcp-md5", 252, 8, 640, 8},
});

constexpr auto kCompression = std::to_array<Row>({{"oui", 1, 0, 0, 0}, {"deflate", 2, 0, 0, 0}, {"lzs", 3, 0, 0, 0}});

}  // namespace

std::span<const SetkeyAlgorithm> setkey_encryption() { return kEncryption; }
std::span<const SetkeyAlgorithm> setkey_authentication() { return kAuthentication; }
std::span<const SetkeyAlgorithm> setkey_compression() { return kCompression; }

const SetkeyAlgorithm* find_setkey(std::span<const SetkeyAlgorithm> table, std::string_view name) {
  const auto row = std::ranges::find(table, name, &SetkeyAlgorithm::name);
  return row == table.end() ? nullptr : &*row;
}

const SetkeyAlgorithm* find_setkey(std::span<const SetkeyAlgorithm> table, std::uint8_t number) {
  const auto row = std::ranges::find(table, number, &SetkeyAlgorithm::number);
  return row == table.end() ? nullptr : &*row;
}

Result<void> check_key(const SetkeyAlgorithm& a, std::size_t bits) {
  const bool inside = bits >= a.min_bits && bits <= a.max_bits;
  const bool on_step =
      a.step_bits == 0 ? bits == a.min_bits || bits == a.max_bits : (bits - a.min_bits) % a.step_bits == 0;
  if (inside && on_step) return {};
  std::string text = std::string(a.name) + " takes a key of " + std::to_string(a.min_bits);
  if (a.step_bits == 8) {
    text += " to " + std::to_string(a.max_bits);
  } else if (a.step_bits != 0) {
    for (unsigned n = a.min_bits + a.step_bits; n <= a.max_bits; n += a.step_bits) text += ", " + std::to_string(n);
  }
  text += " bits (" + std::to_string(a.min_bits / 8) + (a.step_bits == 0 ? " octets" : " octets or more") +
          "), not of " + std::to_string(bits);
  return fail(text);
}

}  // namespace cygnet::config
