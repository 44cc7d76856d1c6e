// SPDX-License-Identifier: Apache-2.0
#pragma once

// A whole IKEv2 message: bytes <-> values. Ciphers are handed in: nothing here knows an algorithm.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/ike/auth_payload.h"
#include "wire/ike/cert_payload.h"
#include "wire/ike/configuration_payload.h"
#include "wire/ike/delete_payload.h"
#include "wire/ike/eap_payload.h"
#include "wire/ike/encrypted_payload.h"
#include "wire/ike/header.h"
#include "wire/ike/id_payload.h"
#include "wire/ike/ke_payload.h"
#include "wire/ike/nonce_payload.h"
#include "wire/ike/notify_payload.h"
#include "wire/ike/parse_error.h"
#include "wire/ike/payload_type.h"
#include "wire/ike/puzzle_payload.h"
#include "wire/ike/sa_payload.h"
#include "wire/ike/ts_payload.h"
#include "wire/ike/unknown_payload.h"
#include "wire/ike/vendor_id_payload.h"

namespace cygnet::wire::ike {

using Payload =
    std::variant<SaPayload, KePayload, IdPayload, CertPayload, CertReqPayload, AuthPayload, NoncePayload, NotifyPayload,
                 DeletePayload, VendorIdPayload, TsPayload, EncryptedPayload, EncryptedFragmentPayload,
                 ConfigurationPayload, EapPayload, PuzzleSolutionPayload, UnknownPayload>;
using Payloads = std::vector<Payload>;

inline constexpr std::size_t kMaxPayloads = 64;
inline constexpr std::size_t kMaxMessageOctets = 65535;

struct Message {
  Header header;
  Payloads payloads;
  bool operator==(const Message&) const = default;
};

[[nodiscard]] PayloadType type_of(const Payload& payload);

// A datagram without the non-ESP marker. An Encrypted payload is left closed; it is the last one.
[[nodiscard]] ParseResult<Message> parse_message(ByteView datagram);
// A chain of payloads that fills bytes exactly, such as an opened Encrypted payload. SK and SKF are refused in it.
[[nodiscard]] ParseResult<Payloads> parse_payloads(PayloadType first, ByteView bytes);

// Lengths and Next Payload fields are filled in. Critical bits are clear but for an UnknownPayload that asks for it.
[[nodiscard]] Bytes serialize_message(const Message& message);
[[nodiscard]] Bytes serialize_payloads(const Payloads& payloads);
[[nodiscard]] PayloadType first_type(const Payloads& payloads);  // kNone if empty

// The message up to the IV, with all lengths final: IKE header and the SK payload's generic header.
// sealed_octets: size of IV || ciphertext || ICV. `outside`: payloads in front of SK, in the clear yet authenticated.
[[nodiscard]] Bytes serialize_encrypted_prefix(const Header& header, PayloadType first_inner, std::size_t sealed_octets,
                                               const Payloads& outside = {});

// The first payload of type T, or null. For IdPayload and TsPayload see find_id and find_ts.
template <typename T>
[[nodiscard]] const T* find_payload(const Payloads& payloads) {
  for (const auto& payload : payloads) {
    if (const auto* found = std::get_if<T>(&payload)) return found;
  }
  return nullptr;
}
[[nodiscard]] const IdPayload* find_id(const Payloads& payloads, bool initiator);
[[nodiscard]] const TsPayload* find_ts(const Payloads& payloads, bool initiator);
[[nodiscard]] const NotifyPayload* find_notify(const Payloads& payloads, NotifyType type);
[[nodiscard]] const NotifyPayload* find_error_notify(const Payloads& payloads);  // the first of an error type

// header || outside || SK { inner }. Cipher has the shape of crypto::IkeCipher: sealed_octets(n) and seal(header,
// plaintext, iv).
template <typename Cipher>
[[nodiscard]] Result<Bytes> seal_message(const Header& header, const Payloads& inner, const Cipher& cipher, ByteView iv,
                                         const Payloads& outside = {}) {
  const Bytes plaintext = serialize_payloads(inner);
  Bytes out = serialize_encrypted_prefix(header, first_type(inner), cipher.sealed_octets(plaintext.size()), outside);
  auto sealed = cipher.seal(ByteView(out), ByteView(plaintext), iv);
  if (!sealed) return std::unexpected<Error>(sealed.error());
  if (out.size() + sealed->size() > kMaxMessageOctets) return fail("message too long for one datagram");
  append(out, *sealed);
  return out;
}

// Opens the Encrypted payload of `outer`, which parse_message read from `datagram`; gives the inner payloads.
// kNotAuthentic: forged or damaged. Other errors: authentic, but not to be understood.
template <typename Cipher>
[[nodiscard]] ParseResult<Payloads> open_message(ByteView datagram, const Message& outer, const Cipher& cipher) {
  const auto* encrypted = find_payload<EncryptedPayload>(outer.payloads);
  if (encrypted == nullptr || encrypted->header_octets > datagram.size()) {
    return std::unexpected<ParseError>(ParseError{ParseError::Kind::kNotAuthentic, 0, "there is no Encrypted payload"});
  }
  const auto plaintext = cipher.open(datagram.first(encrypted->header_octets), ByteView(encrypted->body));
  if (!plaintext) {
    return std::unexpected<ParseError>(ParseError{ParseError::Kind::kNotAuthentic, 0, plaintext.error().message});
  }
  return parse_payloads(encrypted->first_inner, ByteView(*plaintext));
}

// ---- IKE fragmentation (RFC 7383 section 2.5)

inline constexpr std::size_t kMostFragments = 64;

// One IKE Fragment Message: header || SKF { a piece of the serialized inner payloads }. first_inner: of the whole
// message.
[[nodiscard]] Bytes serialize_fragment_prefix(const Header& header, PayloadType first_inner, std::uint16_t number,
                                              std::uint16_t total, std::size_t sealed_octets,
                                              const Payloads& outside = {});

// How many octets of plaintext go into a fragment of at most `limit` octets, IKE header included; 0: none.
template <typename Cipher>
[[nodiscard]] std::size_t fragment_capacity(std::size_t limit, const Cipher& cipher) {
  constexpr std::size_t kFront = kHeaderOctets + kPayloadHeaderOctets + 4;
  const auto fits = [&](std::size_t n) { return kFront + cipher.sealed_octets(n) <= limit; };
  std::size_t n = limit;
  while (n > 0 && !fits(n)) --n;
  return n;
}

// The message as fragments of at most `limit` octets each. next_iv gives a fresh IV for each of them. Fails if that
// takes more than kMostFragments. RFC 7383 section 2.5.3: payloads `outside` of the encryption go into the first one.
template <typename Cipher, typename NextIv>
[[nodiscard]] Result<std::vector<Bytes>> seal_fragments(const Header& header, PayloadType first_inner,
                                                        ByteView plaintext, const Cipher& cipher, std::size_t limit,
                                                        NextIv next_iv, const Payloads& outside = {}) {
  const auto taken = outside.empty() ? 0 : serialize_payloads(outside).size();
  const auto piece = taken < limit ? fragment_capacity(limit - taken, cipher) : 0;
  const auto total = piece == 0 ? kMostFragments + 1 : (plaintext.size() + piece - 1) / piece;
  if (total == 0 || total > kMostFragments) return fail("the message does not fit into 64 fragments");
  std::vector<Bytes> out;
  out.reserve(total);
  for (std::size_t i = 0; i < total; ++i) {
    const auto part = plaintext.subspan(i * piece, std::min(piece, plaintext.size() - i * piece));
    Bytes bytes = serialize_fragment_prefix(header, first_inner, static_cast<std::uint16_t>(i + 1),
                                            static_cast<std::uint16_t>(total), cipher.sealed_octets(part.size()),
                                            i == 0 ? outside : Payloads{});
    const Bytes iv = next_iv();
    auto sealed = cipher.seal(ByteView(bytes), part, ByteView(iv));
    if (!sealed) return std::unexpected<Error>(sealed.error());
    append(bytes, *sealed);
    out.push_back(std::move(bytes));
  }
  return out;
}

// The plaintext of one fragment. Any error: forged or damaged.
template <typename Cipher>
[[nodiscard]] auto open_fragment(ByteView datagram, const EncryptedFragmentPayload& piece, const Cipher& cipher) {
  return cipher.open(datagram.first(std::min(piece.header_octets, datagram.size())), ByteView(piece.body));
}

}  // namespace cygnet::wire::ike
