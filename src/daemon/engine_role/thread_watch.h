// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the threads of the engine are, where they run and how much they do.
#include <pthread.h>

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "sadb/backend.h"

namespace cygnet::daemon {

class ThreadWatch {
 public:
  void add(std::string work, pthread_t thread, std::optional<std::uint16_t> cpu);
  // A thread, numbered as they were added, runs on this CPU alone for now; none: anywhere.
  void keeps_to(std::size_t thread, std::optional<std::uint16_t> cpu);
  // Loads count from the last time.
  [[nodiscard]] std::vector<sadb::EngineThread> look(Instant now);

 private:
  struct Watched {
    sadb::EngineThread state;
    pthread_t thread{};
    Duration used{};  // at last_
  };
  std::vector<Watched> all_;
  Instant last_{};
};

}  // namespace cygnet::daemon
