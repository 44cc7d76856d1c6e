// SPDX-License-Identifier: Apache-2.0
#pragma once

// The threads of the engine, as config setup wants them.
#include <cstdint>
#include <vector>

namespace cygnet::model {

struct EngineThreads {
  std::uint32_t count = 1;          // at most 16; 0: as many as the machine is good for
  std::vector<std::uint16_t> cpus;  // the CPU of each; those without one run anywhere
  std::uint32_t busy_poll_us = 0;   // they look for packets so long before they sleep
  bool operator==(const EngineThreads&) const = default;
};

}  // namespace cygnet::model
