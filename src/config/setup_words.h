// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words of config setup.
#include <optional>
#include <string_view>
#include <vector>

#include "config/sections.h"
#include "model/connection.h"
#include "model/engine_threads.h"

namespace cygnet::config {

struct SetupDraft {
  model::Setup setup;
  model::EngineThreads threads;
  // Of the last such word; crypto_place: crypto-cpu(s).
  std::optional<Place> workers_place, worker_cpus_place, crypto_threads_place, crypto_place, esp_path_place;
  std::optional<std::uint32_t> keepalive_s;
  std::string pkcs11_module;
  bool strict_revocation = false;  // of every connection that does not say otherwise
};

[[nodiscard]] bool apply_setup_word(const Entry& entry, SetupDraft& draft, Reporter& report);
// Once all words have been read: what they want together.
void finish_setup(SetupDraft& draft, Reporter& report);
[[nodiscard]] std::vector<std::string_view> applied_setup_words();

}  // namespace cygnet::config
