// SPDX-License-Identifier: Apache-2.0
#include "support/key_ring.h"

#include <iterator>

#include "crypto/ike_cipher.h"
#include "wire/ike/describe.h"

namespace cygnet::test {
namespace {

Result<crypto::IkeCipher> cipher_for(const ike::ExportedIkeKeys& keys, bool from_initiator) {
  const crypto::IkeCipherSpec spec{keys.algorithms.encryption, keys.algorithms.encryption_bits,
                                   keys.algorithms.integrity};
  return crypto::IkeCipher::create(spec, from_initiator ? keys.sk_ei : keys.sk_er,
                                   from_initiator ? keys.sk_ai : keys.sk_ar);
}

}  // namespace

void KeyRing::learn(const std::vector<ike::ExportedIkeKeys>& keys) {
  for (const auto& key : keys) keys_.try_emplace({key.spi_i, key.spi_r}, key);
}

Decoded KeyRing::decode(ByteView datagram) const {
  const auto message = wire::ike::parse_message(datagram);
  if (!message) return {{}, {}, false, "unreadable: " + message.error().message};
  Decoded out{message->header, message->payloads, false, {}};
  const auto known = keys_.find({message->header.spi_i, message->header.spi_r});
  if (known != keys_.end()) {
    const auto cipher = cipher_for(known->second, message->header.initiator);
    if (cipher) {
      if (auto inner = wire::ike::open_message(datagram, *message, *cipher)) {
        // What stands in front of the Encrypted payload counts too.
        std::erase_if(out.payloads,
                      [](const auto& p) { return std::holds_alternative<wire::ike::EncryptedPayload>(p); });
        out.payloads.insert(out.payloads.end(), std::make_move_iterator(inner->begin()),
                            std::make_move_iterator(inner->end()));
        out.opened = true;
      }
    }
  }
  out.text = wire::ike::describe(out.header, out.payloads);
  return out;
}

Result<Bytes> KeyRing::seal(const wire::ike::Header& header, const wire::ike::Payloads& inner) const {
  const auto known = keys_.find({header.spi_i, header.spi_r});
  if (known == keys_.end()) return fail("no key for this IKE SA");
  const auto cipher = cipher_for(known->second, header.initiator);
  if (!cipher) return std::unexpected<Error>(cipher.error());
  // An IV far from the counters that honest sides use.
  return wire::ike::seal_message(header, inner, *cipher, Bytes(cipher->iv_octets(), 0xee));
}

std::vector<Bytes> KeyRing::seal_pieces(const wire::ike::Header& header, const wire::ike::Payloads& inner,
                                        std::size_t limit) const {
  const auto known = keys_.find({header.spi_i, header.spi_r});
  if (known == keys_.end()) return {};
  const auto cipher = cipher_for(known->second, header.initiator);
  if (!cipher) return {};
  const auto plaintext = wire::ike::serialize_payloads(inner);
  auto pieces = wire::ike::seal_fragments(header, wire::ike::first_type(inner), ByteView(plaintext), *cipher, limit,
                                          [&] { return Bytes(cipher->iv_octets(), 0xee); });
  return pieces ? std::move(*pieces) : std::vector<Bytes>{};
}

}  // namespace cygnet::test
