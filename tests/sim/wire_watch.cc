// SPDX-License-Identifier: Apache-2.0
#include "sim/wire_watch.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "wire/ike/describe.h"

namespace cygnet::sim {
namespace {

namespace wi = wire::ike;

std::uint64_t hash_of(ByteView bytes) {
  return std::hash<std::string_view>{}(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// What may travel outside an Encrypted payload once keys exist (RFC 7296 sections 1.5 and 2.21): a hint that nobody
// obeys.
bool may_be_clear(const wi::Message& message) {
  return std::ranges::all_of(message.payloads, [](const wi::Payload& payload) {
    const auto* notify = std::get_if<wi::NotifyPayload>(&payload);
    return notify != nullptr &&
           (notify->type == wi::NotifyType::kInvalidIkeSpi || notify->type == wi::NotifyType::kInvalidSpi ||
            notify->type == wi::NotifyType::kInvalidMajorVersion);
  });
}

bool may_be_in_init(const wi::Message& message) {
  return std::ranges::all_of(message.payloads, [](const wi::Payload& payload) {
    return std::holds_alternative<wi::SaPayload>(payload) || std::holds_alternative<wi::KePayload>(payload) ||
           std::holds_alternative<wi::NoncePayload>(payload) || std::holds_alternative<wi::NotifyPayload>(payload) ||
           std::holds_alternative<wi::VendorIdPayload>(payload) ||
           std::holds_alternative<wi::CertReqPayload>(payload) ||
           std::holds_alternative<wi::PuzzleSolutionPayload>(payload);
  });
}

}  // namespace

std::optional<std::string> WireWatch::inspect(ByteView datagram, const test::KeyRing& keys) {
  const auto message = wi::parse_message(datagram);
  if (!message) return "sent what cannot be read: " + message.error().message;
  const std::array<std::string_view, 6> names = {"a.test", "b.test", "c.test", "d.test", "e.test", "f.test"};
  for (const auto name : names) {
    const auto text = view_of(name);
    if (std::search(datagram.begin(), datagram.end(), text.begin(), text.end()) != datagram.end()) {
      return "an identity in clear: " + wi::describe(message->header, message->payloads);
    }
  }
  if (wi::find_payload<wi::EncryptedPayload>(message->payloads) == nullptr &&
      wi::find_payload<wi::EncryptedFragmentPayload>(message->payloads) == nullptr)
    return inspect_clear(*message);
  return inspect_sealed(datagram, *message, keys);
}

std::optional<std::string> WireWatch::inspect_clear(const wi::Message& message) {
  const auto text = wi::describe(message.header, message.payloads);
  if (message.header.exchange != wi::ExchangeType::kIkeSaInit) {
    if (!may_be_clear(message)) return "sent in clear: " + text;
    return std::nullopt;
  }
  if (!may_be_in_init(message)) return "sent in clear: " + text;
  // A request that comes again because of COOKIE or INVALID_KE_PAYLOAD keeps its SPI and may keep its values.
  const std::string owner =
      std::to_string(message.header.spi_i.value) + (message.header.response ? " answered" : " asked");
  if (const auto* nonce = wi::find_payload<wi::NoncePayload>(message.payloads)) {
    if (auto fault = remember_value("nonce", nonce->data, owner)) return fault;
  }
  if (const auto* ke = wi::find_payload<wi::KePayload>(message.payloads)) {
    if (auto fault = remember_value("public value", ke->data, owner)) return fault;
  }
  return std::nullopt;
}

std::optional<std::string> WireWatch::inspect_sealed(ByteView datagram, const wi::Message& message,
                                                     const test::KeyRing& keys) {
  const auto& header = message.header;
  const auto hash = hash_of(datagram);
  const auto* sk = wi::find_payload<wi::EncryptedPayload>(message.payloads);
  const auto* skf = wi::find_payload<wi::EncryptedFragmentPayload>(message.payloads);
  const std::uint32_t piece = skf == nullptr ? 0 : (std::uint32_t{skf->total_fragments} << 16U) | skf->fragment_number;
  const MessageKey key{header.spi_i.value, header.spi_r.value,      header.initiator,
                       header.response,    header.message_id.value, piece};
  const auto [known, fresh] = sealed_.try_emplace(key, hash);
  // RFC 7296 section 2.1: retransmissions are bitwise identical; so a Message ID stands for one message for ever.
  if (!fresh) {
    if (known->second != hash) return "two different messages under one Message ID: " + wi::describe(header);
    return std::nullopt;
  }
  const Bytes& body = sk != nullptr ? sk->body : skf->body;
  if (body.size() < 8) return "Encrypted payload without an IV";
  // RFC 5282 section 3.1: an IV is used once under a key, whatever happens to the process that counts them.
  const std::uint64_t iv = load_be64(body.data());
  const auto [iv_known, iv_fresh] =
      ivs_.try_emplace({header.spi_i.value, header.spi_r.value, header.initiator, iv}, hash);
  if (!iv_fresh) return "IV used twice under one key: " + wi::describe(header);
  if (header.exchange != wi::ExchangeType::kCreateChildSa) return std::nullopt;
  const auto decoded = keys.decode(datagram);
  if (!decoded.opened) return std::nullopt;
  const std::string owner =
      wi::describe(header) + " of " + std::to_string(header.spi_i.value) + (header.initiator ? " I" : " R");
  if (const auto* nonce = wi::find_payload<wi::NoncePayload>(decoded.payloads)) {
    if (auto fault = remember_value("nonce", nonce->data, owner)) return fault;
  }
  if (const auto* ke = wi::find_payload<wi::KePayload>(decoded.payloads)) {
    if (auto fault = remember_value("public value", ke->data, owner)) return fault;
  }
  return std::nullopt;
}

std::optional<std::string> WireWatch::remember_value(const char* what, const Bytes& value, const std::string& owner) {
  const auto [known, fresh] = values_.try_emplace(std::string(what) + to_hex(value), owner);
  if (fresh || known->second == owner) return std::nullopt;
  return std::string(what) + " used twice: by " + known->second + " and by " + owner;
}

}  // namespace cygnet::sim
