// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ciphers that work elsewhere: on threads of their own, or on an accelerator. Work is handed out and comes back later,
// in whatever order it is done; who handed it out puts it back into order (engine/flights.h).
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/esp_cipher.h"
#include "model/sa_spec.h"

namespace cygnet::crypto {

// Packets of one SA that follow each other. Before they come back nobody else touches them.
struct CipherTask {
  // Does the work, on any thread (it is shareable()).
  EspCipher* cipher = nullptr;
  std::span<EspJob> jobs;
  // For an accelerator that keeps keys itself: those of the SA, and a number that no other SA ever has.
  const model::SaSpec* spec = nullptr;
  std::uint64_t serial = 0;
};

// What is handed out at once and comes back whole.
struct CipherBatch {
  std::span<const CipherTask> tasks;
  std::uint64_t tag = 0;  // of who handed it out
  bool seal = false;      // else: open
  // By the provider: it could not do the work, and no packet was touched. Whoever handed it out does it then.
  bool failed = false;
};

class AsyncCipher {
 public:
  virtual ~AsyncCipher() = default;
  AsyncCipher(const AsyncCipher&) = delete;
  AsyncCipher& operator=(const AsyncCipher&) = delete;
  // Takes the batch. All that it points at stays until it comes back. False: there is no room now; nothing was taken.
  [[nodiscard]] virtual bool submit(CipherBatch& batch) = 0;
  // Batches that came back, at most as many as fit; EspJob::ok tells what became of each packet. How many.
  [[nodiscard]] virtual std::size_t completed(std::span<CipherBatch*> done) = 0;

 protected:
  AsyncCipher() = default;
};

// Does the work here and now.
inline void work_on(CipherBatch& batch) {
  for (const auto& task : batch.tasks) {
    if (batch.seal) {
      task.cipher->seal(task.jobs);
    } else {
      task.cipher->open(task.jobs);
    }
  }
  batch.failed = false;
}

}  // namespace cygnet::crypto
