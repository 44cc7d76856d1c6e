// SPDX-License-Identifier: Apache-2.0
#include "wire/pfkey/message.h"

namespace cygnet::wire::pfkey {
namespace {

constexpr std::size_t kExtensionHeader = 4;

// Every extension with its type, in the order they are written.
template <typename M, typename Visit>
void for_each_extension(M& m, Visit visit) {
  using E = ExtensionType;
  visit(E::kSa, m.sa);
  visit(E::kLifetimeCurrent, m.current);
  visit(E::kLifetimeHard, m.hard);
  visit(E::kLifetimeSoft, m.soft);
  visit(E::kAddressSource, m.source);
  visit(E::kAddressDestination, m.destination);
  visit(E::kAddressProxy, m.proxy);
  visit(E::kKeyAuth, m.auth_key);
  visit(E::kKeyEncrypt, m.encrypt_key);
  visit(E::kIdentitySource, m.source_identity);
  visit(E::kIdentityDestination, m.destination_identity);
  visit(E::kSensitivity, m.sensitivity);
  visit(E::kProposal, m.proposal);
  visit(E::kSupportedAuth, m.supported_auth);
  visit(E::kSupportedEncrypt, m.supported_encrypt);
  visit(E::kSpiRange, m.spi_range);
  visit(E::kPolicy, m.policy);
  visit(E::kSa2, m.sa2);
  visit(E::kNatType, m.nat_type);
  visit(E::kNatSourcePort, m.nat_source_port);
  visit(E::kNatDestinationPort, m.nat_destination_port);
  visit(E::kNatOriginalAddress, m.nat_original);
  visit(E::kSecurityContext, m.security_context);
  visit(E::kKmAddress, m.km_address);
  visit(E::kFilter, m.filter);
  visit(E::kCygnetOptions, m.options);
  visit(E::kCygnetErrorText, m.error_text);
  visit(E::kCygnetCursor, m.cursor);
  visit(E::kCygnetStatistics, m.statistics);
  visit(E::kCygnetNatFragment, m.nat_fragment);
}

Parsed<void> take_extension(Message& message, ExtensionType type, ByteView body) {
  Parsed<void> result;
  bool known = false;
  for_each_extension(message, [&](ExtensionType slot_type, auto& slot) {
    if (slot_type != type) return;
    known = true;
    if (slot) {
      result = refuse(Refusal::kDuplicateExtension, "the " + name_of(type) + " extension stands there twice");
      return;
    }
    auto parsed = std::decay_t<decltype(*slot)>::parse(body);
    if (parsed) {
      slot = std::move(*parsed);
    } else {
      result = refuse(parsed.error().why, name_of(type) + " extension: " + parsed.error().message);
    }
  });
  if (!known) message.unknown.push_back(static_cast<std::uint16_t>(type));
  return result;
}

}  // namespace

Parsed<Message> Message::parse(ByteView bytes) {
  const auto header = MessageHeader::parse(bytes);
  if (!header) return std::unexpected(header.error());
  if (header->octets() != bytes.size()) {
    return refuse(Refusal::kBadLength, "the message says it has " + std::to_string(header->octets()) + " octets, and " +
                                           std::to_string(bytes.size()) + " are there");
  }
  Message message;
  message.header = *header;
  Reader reader(bytes.subspan(MessageHeader::kOctets));
  // What X_PROMISC encloses is a message and no extension.
  if (header->type == MessageType::kPromisc) {
    const auto enclosed = reader.rest();
    message.enclosed.assign(enclosed.begin(), enclosed.end());
    return message;
  }
  while (reader.remaining() != 0) {
    const std::size_t octets = reader.u16() * kWord;
    const auto type = static_cast<ExtensionType>(reader.u16());
    if (octets < kWord || octets - kExtensionHeader > reader.remaining()) {
      return refuse(Refusal::kBadLength, "the " + name_of(type) + " extension says it has " + std::to_string(octets) +
                                             " octets, and " + std::to_string(reader.remaining() + kExtensionHeader) +
                                             " are left");
    }
    const auto taken = take_extension(message, type, reader.take(octets - kExtensionHeader));
    if (!taken) return std::unexpected(taken.error());
  }
  return message;
}

Bytes Message::serialize() const {
  Writer writer;
  header.serialize(writer);
  for_each_extension(*this, [&](ExtensionType type, const auto& slot) {
    if (!slot) return;
    const auto start = writer.size();
    writer.u16(0);
    writer.u16(static_cast<std::uint16_t>(type));
    slot->serialize(writer);
    writer.pad_to_word();
    writer.patch_u16(start, static_cast<std::uint16_t>((writer.size() - start) / kWord));
  });
  writer.bytes(enclosed);
  writer.pad_to_word();
  constexpr std::size_t kLengthAt = 4;
  writer.patch_u16(kLengthAt, static_cast<std::uint16_t>(writer.size() / kWord));
  return std::move(writer).take();
}

Parsed<std::vector<ByteView>> split_messages(ByteView datagram) {
  std::vector<ByteView> messages;
  while (!datagram.empty()) {
    const auto header = MessageHeader::parse(datagram);
    if (!header) return std::unexpected(header.error());
    if (header->octets() > datagram.size()) {
      return refuse(Refusal::kBadLength, "the message says it has " + std::to_string(header->octets()) +
                                             " octets, and " + std::to_string(datagram.size()) + " are there");
    }
    messages.push_back(datagram.first(header->octets()));
    datagram = datagram.subspan(header->octets());
  }
  return messages;
}

}  // namespace cygnet::wire::pfkey
