// SPDX-License-Identifier: Apache-2.0
#include "wire/ike/describe.h"

namespace cygnet::wire::ike {
namespace {

std::string protocol_name(model::Protocol protocol) {
  switch (protocol) {
    case model::Protocol::kIke: return "IKE";
    case model::Protocol::kAh: return "AH";
    case model::Protocol::kEsp: return "ESP";
    case model::Protocol::kNone: break;
  }
  return "protocol " + std::to_string(static_cast<unsigned>(protocol));
}

}  // namespace

std::string describe(const Payload& payload) {
  if (const auto* notify = std::get_if<NotifyPayload>(&payload)) return "N(" + to_string(notify->type) + ")";
  if (const auto* gone = std::get_if<DeletePayload>(&payload)) return "D(" + protocol_name(gone->protocol) + ")";
  if (const auto* piece = std::get_if<EncryptedFragmentPayload>(&payload)) {
    return "SKF(" + std::to_string(piece->fragment_number) + "/" + std::to_string(piece->total_fragments) + ")";
  }
  return to_string(type_of(payload));
}

std::string describe(const Payloads& payloads) {
  std::string text;
  for (const auto& payload : payloads) {
    if (!text.empty()) text += ' ';
    text += describe(payload);
  }
  return text;
}

std::string describe(const Header& header) {
  return to_string(header.exchange) + (header.response ? " response " : " request ") +
         std::to_string(header.message_id.value);
}

std::string describe(const Header& header, const Payloads& payloads) {
  std::string text = describe(header) + ":";
  for (const auto& payload : payloads) {
    const bool nonce = std::holds_alternative<NoncePayload>(payload);
    text += ' ';
    text += nonce ? (header.response ? "Nr" : "Ni") : describe(payload);
  }
  return text;
}

}  // namespace cygnet::wire::ike
