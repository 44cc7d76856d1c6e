// SPDX-License-Identifier: Apache-2.0

// NETLINK_XFRM messages: what is taken is written back, and that means the same when it is read again.
#include <cstdlib>

#include "wire/xfrm/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace xfrm = cygnet::wire::xfrm;
  const auto messages = xfrm::split_messages({data, size});
  if (!messages) return 0;
  for (const auto& bytes : *messages) {
    auto message = xfrm::Message::parse(bytes);
    if (!message) continue;
    message->attributes.unknown.clear();  // is skipped and does not come back
    auto again = xfrm::Message::parse(message->serialize());
    if (!again) std::abort();
    again->header.flags = message->header.flags;  // an error says itself how much of its request it repeats
    if (!(*again == *message)) std::abort();
  }
  return 0;
}
