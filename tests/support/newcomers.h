// SPDX-License-Identifier: Apache-2.0
#pragma once

// What those send who begin an IKE SA and mean no good.
#include "wire/ike/message.h"

namespace cygnet::test {

// An IKE_AUTH request that nobody can decrypt, to the IKE_SA_INIT response with this header.
[[nodiscard]] inline wire::ike::Message unreadable_auth(const wire::ike::Header& answer) {
  wire::ike::Message out;
  out.header = answer;
  out.header.exchange = wire::ike::ExchangeType::kIkeAuth;
  out.header.initiator = true;
  out.header.response = false;
  out.header.message_id = MessageId(1);
  wire::ike::EncryptedPayload body;
  body.first_inner = wire::ike::PayloadType::kIdi;
  body.body = Bytes(120, 0x5a);
  out.payloads = {body};
  return out;
}

}  // namespace cygnet::test
