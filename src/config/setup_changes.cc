// SPDX-License-Identifier: Apache-2.0
#include "config/setup_changes.h"

#include <string_view>
#include <tuple>

namespace cygnet::config {
namespace {

using model::EngineThreads;
using model::Setup;

template <typename Owner, typename T>
struct Word {
  std::string_view name;
  T Owner::* value;
};

constexpr std::tuple kSetupWords{
    Word{"engine", &Setup::engine},
    Word{"devices", &Setup::devices},
    Word{"allow-key-export", &Setup::allow_key_export},
    Word{"ikeport", &Setup::ike_port},
    Word{"nat-ikeport", &Setup::nat_port},
    Word{"fwmark", &Setup::fwmark},
    Word{"route-table", &Setup::route_table},
    Word{"rule-priority", &Setup::rule_priority},
    Word{"cookie-threshold", &Setup::cookie_threshold},
    Word{"half-open-limit", &Setup::half_open_limit},
    Word{"half-open-per-address", &Setup::half_open_per_address},
    Word{"half-open-per-network", &Setup::half_open_per_network},
    Word{"puzzle-threshold", &Setup::puzzle_threshold},
    Word{"puzzle-difficulty", &Setup::puzzle_difficulty},
    Word{"auth-puzzle-threshold", &Setup::auth_puzzle_threshold},
    Word{"auth-puzzle-difficulty", &Setup::auth_puzzle_difficulty},
    Word{"hardest-puzzle", &Setup::hardest_puzzle},
    Word{"uniqueids", &Setup::unique_ids},
    Word{"ike-sas-per-identity", &Setup::ike_sas_per_identity},
};
constexpr std::tuple kThreadWords{
    Word{"workers", &EngineThreads::count},
    Word{"worker-cpus", &EngineThreads::cpus},
    Word{"busy-poll", &EngineThreads::busy_poll_us},
    Word{"esp-path", &EngineThreads::esp_over_xdp},
    Word{"crypto-threads", &EngineThreads::crypto_count},
    Word{"crypto-cpu", &EngineThreads::crypto_percent},
    Word{"crypto-cpus", &EngineThreads::crypto_cpus},
};

template <typename Owner, typename... T>
void collect(const Owner& was, const Owner& now, const std::tuple<Word<Owner, T>...>& words, std::string& out) {
  const auto look = [&](const auto& word) {
    if (was.*word.value == now.*word.value) return;
    out += out.empty() ? "" : ", ";
    out += word.name;
  };
  std::apply([&](const auto&... word) { (look(word), ...); }, words);
}

}  // namespace

std::string words_for_restart(const SetupInForce& was, const SetupInForce& now) {
  std::string out;
  collect(was.setup, now.setup, kSetupWords, out);
  collect(was.threads, now.threads, kThreadWords, out);
  return out;
}

}  // namespace cygnet::config
