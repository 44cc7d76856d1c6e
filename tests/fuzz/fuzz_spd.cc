// SPDX-License-Identifier: Apache-2.0
// The SPD's classifier against a plain linear scan, with policies coming and going.
#include <cstdint>
#include <cstdlib>

#include "engine/spd.h"
#include "fuzz/spd_world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (!cygnet::engine::fuzz::SpdWorld({data, size}).play()) std::abort();
  return 0;
}
