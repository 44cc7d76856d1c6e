// SPDX-License-Identifier: Apache-2.0
#include "daemon/token_role/spki.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "crypto/der.h"

namespace cygnet::daemon {
namespace {

constexpr std::uint8_t kBitString = 0x03;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kUncompressed = 0x04;  // first octet of a point, SEC 1
// rsaEncryption, NULL; id-ecPublicKey
constexpr std::array<std::uint8_t, 15> kRsa{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                            0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
constexpr std::array<std::uint8_t, 9> kEc{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};

Bytes element(std::uint8_t tag, std::initializer_list<ByteView> parts) {
  std::size_t length = 0;
  for (const auto part : parts) length += part.size();
  Bytes out{tag};
  if (length < 0x80) {
    out.push_back(static_cast<std::uint8_t>(length));
  } else {
    std::array<std::uint8_t, 8> octets{};
    store_be64(octets.data(), length);
    const auto zeros = static_cast<std::size_t>(
        std::find_if(octets.begin(), octets.end(), [](auto o) { return o != 0; }) - octets.begin());
    out.push_back(static_cast<std::uint8_t>(0x80U | (octets.size() - zeros)));
    append(out, ByteView(octets).subspan(zeros));
  }
  for (const auto part : parts) append(out, part);
  return out;
}

Bytes integer(ByteView number) {
  while (number.size() > 1 && number[0] == 0) number = number.subspan(1);
  static constexpr std::array<std::uint8_t, 1> kZero{0};
  const bool padded = number.empty() || (number[0] & 0x80U) != 0;
  return element(crypto::kDerInteger, {padded ? ByteView(kZero) : ByteView(), number});
}

Bytes info(ByteView algorithm, ByteView key) {
  static constexpr std::array<std::uint8_t, 1> kNoUnusedBits{0};
  const auto bits = element(kBitString, {ByteView(kNoUnusedBits), key});
  return element(crypto::kDerSequence, {algorithm, bits});
}

}  // namespace

Bytes rsa_public_key_info(ByteView modulus, ByteView exponent) {
  const auto n = integer(modulus);
  const auto e = integer(exponent);
  const auto key = element(crypto::kDerSequence, {n, e});
  return info(kRsa, key);
}

Bytes ec_public_key_info(ByteView parameters, ByteView point) {
  crypto::DerReader reader(point);
  const auto wrapped = reader.next(kOctetString);
  const bool bare = !wrapped || !reader.at_end() || wrapped->content.empty() || wrapped->content[0] != kUncompressed;
  const auto octets = bare ? point : wrapped->content;
  if (octets.empty() || octets[0] != kUncompressed) return {};
  const auto algorithm = element(crypto::kDerSequence, {ByteView(kEc), parameters});
  return info(algorithm, octets);
}

}  // namespace cygnet::daemon
