// SPDX-License-Identifier: Apache-2.0
#pragma once

// The threads of the engine, as config setup wants them.
#include <cstdint>
#include <vector>

namespace cygnet::model {

struct EngineThreads {
  static constexpr std::uint32_t kMostCryptoThreads = 7;
  std::uint32_t count = 1;          // at most 16; 0: as many as the machine is good for
  std::vector<std::uint16_t> cpus;  // the CPU of each; those without one run anywhere
  std::uint32_t busy_poll_us = 0;   // they look for packets so long before they sleep
  // Threads that only encrypt and decrypt, beside one that moves packets. 0: none.
  std::uint32_t crypto_count = 0;          // at most kMostCryptoThreads
  std::uint32_t crypto_percent = 0;        // of a CPU, that each of them may use; 0: all of it
  std::vector<std::uint16_t> crypto_cpus;  // as cpus
  // Plain ESP past the kernel's stack where that can be had: one thread that does everything (count 1, no
  // crypto_count).
  bool esp_over_xdp = false;
  bool operator==(const EngineThreads&) const = default;
};

}  // namespace cygnet::model
