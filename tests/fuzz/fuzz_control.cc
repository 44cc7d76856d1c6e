// SPDX-License-Identifier: Apache-2.0
// Hostile control messages, framed and bare: what is accepted encodes to something that decodes to the same.
#include <cstdlib>
#include <string>

#include "control/frame.h"
#include "control/messages.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void try_text(std::string_view text) {
  if (const auto request = control::decode_request(text)) {
    const auto again = control::decode_request(control::encode(*request));
    check(again.has_value());
    check(*again == *request);
  }
  if (const auto response = control::decode_response(text)) {
    const auto once = control::encode(*response);
    const auto again = control::decode_response(once);
    check(again.has_value());
    // Octets that are no UTF-8 are replaced the first time; after that nothing changes.
    check(control::encode(*again) == once);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_text({reinterpret_cast<const char*>(data), size});
  control::FrameReader reader(4096);
  const auto half = size / 2;
  for (const auto piece : {ByteView(data, half), ByteView(data + half, size - half)}) {
    reader.feed(piece);
    for (;;) {
      const auto message = reader.next();
      if (!message) return 0;
      if (!*message) break;
      check((*message)->size() <= 4096);
      try_text(**message);
    }
  }
  return 0;
}
