// SPDX-License-Identifier: Apache-2.0

// Messages between ike and engine: whatever is taken is written back as the same octets.
#include <algorithm>
#include <cstdlib>

#include "sadb/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const cygnet::ByteView bytes(data, size);
  if (const auto request = cygnet::sadb::decode_request(bytes)) {
    const auto again = cygnet::sadb::encode(request->first, request->second);
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) {
      std::abort();
    }
  }
  if (const auto answer = cygnet::sadb::decode_from_engine(bytes)) {
    if (const auto* event = std::get_if<cygnet::sadb::Event>(&answer->second)) {
      (void)cygnet::sadb::encode(*event);
    } else {
      (void)cygnet::sadb::encode(answer->first, std::get<cygnet::sadb::Reply>(answer->second));
    }
  }
  return 0;
}
