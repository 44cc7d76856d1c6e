// SPDX-License-Identifier: Apache-2.0

// PF_KEY messages: what is taken is written back, and that means the same when it is read again.
#include <cstdlib>

#include "wire/pfkey/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace pfkey = cygnet::wire::pfkey;
  const auto messages = pfkey::split_messages({data, size});
  if (!messages) return 0;
  for (const auto& bytes : *messages) {
    auto message = pfkey::Message::parse(bytes);
    if (!message) continue;
    message->unknown.clear();  // is skipped and does not come back
    const auto again = pfkey::Message::parse(message->serialize());
    if (!again) std::abort();
    auto back = *again;
    back.header.words = message->header.words;
    if (!(back == *message)) std::abort();
  }
  return 0;
}
