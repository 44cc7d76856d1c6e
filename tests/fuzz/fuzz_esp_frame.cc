// SPDX-License-Identifier: Apache-2.0
// Ethernet frames that an AF_XDP socket got: what is taken for ESP lies within the frame, and made anew from what was
// read it is read as the same.
#include <algorithm>
#include <cstdlib>

#include "io/ether_frame.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes frame(data, data + size);
  const auto found = io::parse_esp_frame(frame);
  if (!found) return 0;
  check(found->esp.size() >= 8 && found->esp.data() > frame.data());
  check(found->esp.data() + found->esp.size() <= frame.data() + frame.size());
  Bytes again(64 + found->esp.size());
  const auto front = io::write_esp_headers(
      again.data(), {.source = found->remote, .destination = found->local, .tos = found->tos}, found->esp.size());
  std::ranges::copy(found->esp, again.begin() + static_cast<std::ptrdiff_t>(front));
  const auto same = io::parse_esp_frame(again);
  check(same && same->local == found->local && same->remote == found->remote && same->tos == found->tos);
  check(std::ranges::equal(same->esp, found->esp));
  return 0;
}
