// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/message.h"

namespace cygnet::wire::ike {
namespace {

struct TypeOf {
  PayloadType operator()(const SaPayload&) const { return PayloadType::kSa; }
  PayloadType operator()(const KePayload&) const { return PayloadType::kKe; }
  PayloadType operator()(const IdPayload& p) const { return p.initiator ? PayloadType::kIdi : PayloadType::kIdr; }
  PayloadType operator()(const CertPayload&) const { return PayloadType::kCert; }
  PayloadType operator()(const CertReqPayload&) const { return PayloadType::kCertReq; }
  PayloadType operator()(const AuthPayload&) const { return PayloadType::kAuth; }
  PayloadType operator()(const NoncePayload&) const { return PayloadType::kNonce; }
  PayloadType operator()(const NotifyPayload&) const { return PayloadType::kNotify; }
  PayloadType operator()(const DeletePayload&) const { return PayloadType::kDelete; }
  PayloadType operator()(const VendorIdPayload&) const { return PayloadType::kVendorId; }
  PayloadType operator()(const TsPayload& p) const { return p.initiator ? PayloadType::kTsi : PayloadType::kTsr; }
  PayloadType operator()(const EncryptedPayload&) const { return PayloadType::kEncrypted; }
  PayloadType operator()(const EncryptedFragmentPayload&) const { return PayloadType::kEncryptedFragment; }
  PayloadType operator()(const ConfigurationPayload&) const { return PayloadType::kConfiguration; }
  PayloadType operator()(const EapPayload&) const { return PayloadType::kEap; }
  PayloadType operator()(const PuzzleSolutionPayload&) const { return PayloadType::kPuzzleSolution; }
  PayloadType operator()(const UnknownPayload& p) const { return p.type; }
};

ParseResult<Payload> parse_unknown(PayloadType type, bool critical, ByteView body) {
  // RFC 7296 section 2.5: "If the critical flag is set and the payload type is unrecognized, the message MUST be
  // rejected"; "if the critical flag is not set and the payload type is unsupported, that payload MUST be ignored."
  if (critical) {
    return std::unexpected<ParseError>(ParseError{
        ParseError::Kind::kUnsupportedCritical, static_cast<std::uint8_t>(type),
        "payload type " + std::to_string(static_cast<unsigned>(type)) + " is marked critical and not known here"});
  }
  return UnknownPayload{type, false, Bytes(body.begin(), body.end())};
}

// `offset`: where body begins in the message; `next`: the Next Payload field in front of it.
ParseResult<Payload> parse_payload(PayloadType type, const PayloadHeader& header, ByteView body, std::size_t offset) {
  switch (type) {
    case PayloadType::kSa: return parse_sa(body);
    case PayloadType::kKe: return parse_ke(body);
    case PayloadType::kIdi: return parse_id(true, body);
    case PayloadType::kIdr: return parse_id(false, body);
    case PayloadType::kCert: return parse_cert(body);
    case PayloadType::kCertReq: return parse_cert_req(body);
    case PayloadType::kAuth: return parse_auth(body);
    case PayloadType::kNonce: return parse_nonce(body);
    case PayloadType::kNotify: return parse_notify(body);
    case PayloadType::kDelete: return parse_delete(body);
    case PayloadType::kVendorId: return parse_vendor_id(body);
    case PayloadType::kTsi: return parse_ts(true, body);
    case PayloadType::kTsr: return parse_ts(false, body);
    case PayloadType::kEncrypted: return parse_encrypted(header.next, body, offset);
    case PayloadType::kEncryptedFragment: return parse_encrypted_fragment(header.next, body, offset);
    case PayloadType::kConfiguration: return parse_configuration(body);
    case PayloadType::kEap: return parse_eap(body);
    case PayloadType::kPuzzleSolution: return parse_puzzle_solution(body);
    case PayloadType::kNone: break;
  }
  return parse_unknown(type, header.critical, body);
}

// The chain that starts at `offset` of the message and ends with it.
ParseResult<Payloads> parse_chain(PayloadType type, ByteView message, std::size_t offset, bool inner) {
  Payloads payloads;
  while (type != PayloadType::kNone) {
    const auto number = static_cast<std::uint8_t>(type);
    if (payloads.size() == kMaxPayloads)
      return malformed(number, "more than " + std::to_string(kMaxPayloads) + " payloads");
    const auto header = parse_payload_header(type, message.subspan(offset));
    if (!header) return std::unexpected<ParseError>(header.error());
    const bool encrypted = type == PayloadType::kEncrypted || type == PayloadType::kEncryptedFragment;
    if (encrypted && inner) return malformed(number, "an Encrypted payload inside an Encrypted payload");
    const std::size_t body_at = offset + kPayloadHeaderOctets;
    auto payload =
        parse_payload(type, *header, message.subspan(body_at, header->length - kPayloadHeaderOctets), body_at);
    if (!payload) return std::unexpected<ParseError>(payload.error());
    payloads.push_back(std::move(*payload));
    offset += header->length;
    // RFC 7296 section 3.14: the Encrypted payload "MUST be the last payload in the message"; its Next Payload field
    // names the first embedded one.
    type = encrypted ? PayloadType::kNone : header->next;
  }
  if (offset != message.size()) {
    return malformed(0, std::to_string(message.size() - offset) + " octets behind the last payload");
  }
  return payloads;
}

PayloadType next_field(const Payloads& payloads, std::size_t index, PayloadType behind) {
  if (const auto* sk = std::get_if<EncryptedPayload>(&payloads[index])) return sk->first_inner;
  if (const auto* skf = std::get_if<EncryptedFragmentPayload>(&payloads[index])) return skf->first_inner;
  return index + 1 < payloads.size() ? type_of(payloads[index + 1]) : behind;
}

// `behind`: what follows the last of them.
void serialize_chain(const Payloads& payloads, ByteWriter& out, PayloadType behind = PayloadType::kNone) {
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const std::size_t start = out.size();
    const auto* unknown = std::get_if<UnknownPayload>(&payloads[i]);
    // RFC 7296 section 3.2: the critical bit "MUST be set to zero for payload types defined in this document".
    serialize_payload_header({next_field(payloads, i, behind), unknown != nullptr && unknown->critical, 0}, out);
    std::visit([&out](const auto& payload) { serialize(payload, out); }, payloads[i]);
    out.patch_u16(start + 2, static_cast<std::uint16_t>(out.size() - start));
  }
}

}  // namespace

PayloadType type_of(const Payload& payload) { return std::visit(TypeOf{}, payload); }

ParseResult<Message> parse_message(ByteView datagram) {
  auto header = parse_header(datagram);
  if (!header) return std::unexpected<ParseError>(header.error());
  // RFC 7296 section 2.5: "If an endpoint receives a message with a higher major version number, it MUST drop the
  // message and SHOULD send an unauthenticated Notify message of type INVALID_MAJOR_VERSION".
  if (header->major_version != 2) {
    return std::unexpected<ParseError>(ParseError{ParseError::Kind::kMajorVersion, 0,
                                                  "IKE version " + std::to_string(header->major_version) + "." +
                                                      std::to_string(header->minor_version) + " (2 is spoken here)"});
  }
  if (header->length != datagram.size() || datagram.size() > kMaxMessageOctets) {
    return malformed(0, "IKE header claims " + std::to_string(header->length) + " octets in a datagram of " +
                            std::to_string(datagram.size()));
  }
  auto payloads = parse_chain(header->next_payload, datagram, kHeaderOctets, false);
  if (!payloads) return std::unexpected<ParseError>(payloads.error());
  return Message{*header, std::move(*payloads)};
}

ParseResult<Payloads> parse_payloads(PayloadType first, ByteView bytes) { return parse_chain(first, bytes, 0, true); }

Bytes serialize_message(const Message& message) {
  Header header = message.header;
  header.next_payload = first_type(message.payloads);
  ByteWriter out;
  serialize_header(header, out);
  serialize_chain(message.payloads, out);
  out.patch_u32(kHeaderOctets - 4, static_cast<std::uint32_t>(out.size()));
  return std::move(out).take();
}

Bytes serialize_payloads(const Payloads& payloads) {
  ByteWriter out;
  serialize_chain(payloads, out);
  return std::move(out).take();
}

PayloadType first_type(const Payloads& payloads) {
  return payloads.empty() ? PayloadType::kNone : type_of(payloads.front());
}

namespace {

// The IKE header and what stands in front of the encrypted payload, whose size is given.
void serialize_front(Header header, const Payloads& outside, PayloadType encrypted, std::size_t payload_octets,
                     ByteWriter& out) {
  header.next_payload = outside.empty() ? encrypted : first_type(outside);
  serialize_header(header, out);
  serialize_chain(outside, out, encrypted);
  out.patch_u32(kHeaderOctets - 4, static_cast<std::uint32_t>(out.size() + payload_octets));
}

}  // namespace

Bytes serialize_encrypted_prefix(const Header& header, PayloadType first_inner, std::size_t sealed_octets,
                                 const Payloads& outside) {
  const std::size_t payload_octets = kPayloadHeaderOctets + sealed_octets;
  ByteWriter out;
  serialize_front(header, outside, PayloadType::kEncrypted, payload_octets, out);
  serialize_payload_header({first_inner, false, static_cast<std::uint16_t>(payload_octets)}, out);
  return std::move(out).take();
}

Bytes serialize_fragment_prefix(const Header& header, PayloadType first_inner, std::uint16_t number,
                                std::uint16_t total, std::size_t sealed_octets, const Payloads& outside) {
  const std::size_t payload_octets = kPayloadHeaderOctets + 4 + sealed_octets;
  ByteWriter out;
  serialize_front(header, outside, PayloadType::kEncryptedFragment, payload_octets, out);
  // RFC 7383 section 2.5: Next Payload "in the very first fragment ... is set to the first embedded payload's type ...
  // in the rest of the Fragment messages MUST be set to zero".
  const auto next = number == 1 ? first_inner : PayloadType::kNone;
  serialize_payload_header({next, false, static_cast<std::uint16_t>(payload_octets)}, out);
  out.u16(number).u16(total);
  return std::move(out).take();
}

const IdPayload* find_id(const Payloads& payloads, bool initiator) {
  for (const auto& payload : payloads) {
    const auto* id = std::get_if<IdPayload>(&payload);
    if (id != nullptr && id->initiator == initiator) return id;
  }
  return nullptr;
}

const TsPayload* find_ts(const Payloads& payloads, bool initiator) {
  for (const auto& payload : payloads) {
    const auto* ts = std::get_if<TsPayload>(&payload);
    if (ts != nullptr && ts->initiator == initiator) return ts;
  }
  return nullptr;
}

const NotifyPayload* find_notify(const Payloads& payloads, NotifyType type) {
  for (const auto& payload : payloads) {
    const auto* notify = std::get_if<NotifyPayload>(&payload);
    if (notify != nullptr && notify->type == type) return notify;
  }
  return nullptr;
}

const NotifyPayload* find_error_notify(const Payloads& payloads) {
  for (const auto& payload : payloads) {
    const auto* notify = std::get_if<NotifyPayload>(&payload);
    if (notify != nullptr && is_error(notify->type)) return notify;
  }
  return nullptr;
}

}  // namespace cygnet::wire::ike
