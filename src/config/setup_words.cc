// SPDX-License-Identifier: Apache-2.0
#include "config/setup_words.h"

#include <algorithm>
#include <array>

#include "config/connection_draft.h"
#include "config/kernel_words.h"
#include "config/suggest.h"
#include "config/values.h"
#include "model/any_cpu.h"

namespace cygnet::config {
namespace {

struct Context {
  const Entry& entry;
  SetupDraft& draft;
  Reporter& report;

  [[nodiscard]] model::Setup& setup() const { return draft.setup; }
  void bad_value(std::string hint) const {
    report.error(entry.value_place(), "'" + entry.value + "' is no value of " + entry.key + "=", std::move(hint));
  }
};

template <typename T>
void number(const Context& c, std::uint64_t min, std::uint64_t max, T& to) {
  const auto value = parse_number(c.entry.value, max);
  if (!value || *value < min)
    return c.bad_value("write a number from " + std::to_string(min) + " to " + std::to_string(max));
  to = static_cast<T>(*value);
}

void on_pkcs11_module(const Context& c) {
  if (!c.entry.value.starts_with('/')) return c.bad_value("write the library's absolute path");
  c.draft.pkcs11_module = c.entry.value;
}

void on_devices(const Context& c) {
  std::vector<std::string> names;
  for (const auto& piece : split(c.entry.value, ", ")) {
    if (!is_device_name(piece.text)) {
      return c.report.error(c.entry.value_place(piece.offset), "'" + std::string(piece.text) + "' is no device name",
                            "at most 15 letters, digits, '-', '_' and '.'");
    }
    if (std::find(names.begin(), names.end(), piece.text) == names.end()) names.emplace_back(piece.text);
  }
  if (names.empty()) return c.bad_value("for example: devices=ipsec0");
  c.setup().devices = std::move(names);
}

void on_allow_key_export(const Context& c) {
  const auto yes = parse_bool(c.entry.value);
  if (!yes) return c.bad_value("write yes or no");
  c.setup().allow_key_export = *yes;
  if (*yes)
    c.report.warning(c.entry.place, "allow-key-export=yes lets root on this host read all session keys",
                     "remove it when you have seen enough");
}

void on_ike_port(const Context& c) { number(c, 1, 65535, c.setup().ike_port); }
void on_nat_port(const Context& c) { number(c, 1, 65535, c.setup().nat_port); }
void on_fwmark(const Context& c) { number(c, 1, 0xffffffffULL, c.setup().fwmark); }
void on_rule_priority(const Context& c) { number(c, 1, 32765, c.setup().rule_priority); }
void on_cookie_threshold(const Context& c) { number(c, 0, 1'000'000, c.setup().cookie_threshold); }
void on_per_address(const Context& c) { number(c, 2, 1'000'000, c.setup().half_open_per_address); }
void on_per_network(const Context& c) { number(c, 2, 1'000'000, c.setup().half_open_per_network); }
void on_puzzle_threshold(const Context& c) { number(c, 0, 1'000'000, c.setup().puzzle_threshold); }
void on_puzzle_difficulty(const Context& c) { number(c, 1, 20, c.setup().puzzle_difficulty); }
void on_auth_puzzle_threshold(const Context& c) { number(c, 0, 100, c.setup().auth_puzzle_threshold); }
void on_auth_puzzle_difficulty(const Context& c) { number(c, 1, 20, c.setup().auth_puzzle_difficulty); }
void on_hardest_puzzle(const Context& c) { number(c, 0, 24, c.setup().hardest_puzzle); }
void on_half_open_limit(const Context& c) { number(c, 1, 1'000'000, c.setup().half_open_limit); }

void on_route_table(const Context& c) {
  std::uint32_t table = c.setup().route_table;
  number(c, 1, 0xfffffffeULL, table);
  if (table >= 253 && table <= 255) return c.bad_value("tables 253 to 255 are the kernel's own");
  c.setup().route_table = table;
}

void on_unique_ids(const Context& c) {
  using model::UniqueIds;
  static constexpr std::array<std::pair<std::string_view, UniqueIds>, 5> kValues{{{"yes", UniqueIds::kReplace},
                                                                                  {"replace", UniqueIds::kReplace},
                                                                                  {"keep", UniqueIds::kKeep},
                                                                                  {"no", UniqueIds::kInitialContact},
                                                                                  {"never", UniqueIds::kNever}}};
  for (const auto& [word, value] : kValues) {
    if (equals_ignoring_case(c.entry.value, word)) {
      c.setup().unique_ids = value;
      return;
    }
  }
  c.bad_value("write yes (or replace), no, keep or never");
}

// Whoever proves himself anew has two for a moment.
void on_per_identity(const Context& c) {
  std::uint32_t most = c.setup().ike_sas_per_identity;
  number(c, 0, 1'000'000, most);
  if (most == 1) return c.bad_value("write 2 or more, for reauthentication needs a second one; 0 allows any number");
  c.setup().ike_sas_per_identity = most;
}

void on_log_level(const Context& c) {
  static constexpr std::array<Severity, 5> kLevels{Severity::kDebug, Severity::kInfo, Severity::kNotice,
                                                   Severity::kWarning, Severity::kError};
  std::vector<std::string_view> words;
  for (const auto level : kLevels) {
    if (equals_ignoring_case(c.entry.value, to_string(level))) {
      c.setup().log_level = level;
      return;
    }
    words.push_back(to_string(level));
  }
  c.bad_value("write " + one_of(words));
}

void on_workers(const Context& c) {
  c.draft.workers_place = c.entry.place;
  if (equals_ignoring_case(c.entry.value, "auto")) {
    c.draft.threads.count = 0;
    return;
  }
  const auto value = parse_number(c.entry.value, 16);
  if (!value || *value < 1) return c.bad_value("write a number from 1 to 16, or auto");
  c.draft.threads.count = static_cast<std::uint32_t>(*value);
}

void on_busy_poll(const Context& c) { number(c, 0, 10'000, c.draft.threads.busy_poll_us); }

void on_esp_path(const Context& c) {
  const bool xdp = equals_ignoring_case(c.entry.value, "xdp");
  if (!xdp && !equals_ignoring_case(c.entry.value, "socket")) return c.bad_value("write socket or xdp");
  c.draft.esp_path_place = c.entry.place;
  c.draft.threads.esp_over_xdp = xdp;
}

// The CPUs of threads: at most `most` numbers, or, where that may stand there, `any`.
void cpu_list(const Context& c, std::size_t most, bool any, std::vector<std::uint16_t>& into) {
  const std::string example = c.entry.key + "=2,3";
  std::vector<std::uint16_t> cpus;
  for (const auto& piece : split(c.entry.value, ", ")) {
    if (any && equals_ignoring_case(piece.text, "any")) {
      cpus.push_back(model::kAnyCpu);
      continue;
    }
    const auto cpu = parse_number(piece.text, 1023);
    if (!cpu) {
      return c.report.error(c.entry.value_place(piece.offset), "'" + std::string(piece.text) + "' is no CPU's number",
                            "for example: " + example);
    }
    cpus.push_back(static_cast<std::uint16_t>(*cpu));
  }
  if (cpus.empty() || cpus.size() > most) {
    return c.bad_value("write 1 to " + std::to_string(most) + " numbers: " + example);
  }
  into = std::move(cpus);
}

void on_worker_cpus(const Context& c) {
  c.draft.worker_cpus_place = c.entry.place;
  cpu_list(c, 16, true, c.draft.threads.cpus);
}

constexpr std::size_t kMostCryptoThreads = model::EngineThreads::kMostCryptoThreads;
void on_crypto_threads(const Context& c) {
  c.draft.crypto_threads_place = c.entry.place;
  number(c, 0, kMostCryptoThreads, c.draft.threads.crypto_count);
}
void on_crypto_cpus(const Context& c) {
  c.draft.crypto_place = c.entry.place;
  cpu_list(c, kMostCryptoThreads, false, c.draft.threads.crypto_cpus);
}
void on_crypto_cpu(const Context& c) {
  c.draft.crypto_place = c.entry.place;
  auto text = c.entry.value;
  if (text.ends_with('%')) text.pop_back();
  const auto percent = parse_number(text, 100);
  if (!percent || *percent < 1)
    return c.bad_value("write what each of the crypto-threads may use of a CPU: 1% to 100%");
  c.draft.threads.crypto_percent = static_cast<std::uint32_t>(*percent);
}

void on_keep_alive(const Context& c) {
  const auto seconds = parse_duration_s(c.entry.value);
  if (!seconds || *seconds > 3600) return c.bad_value("write a time up to 1h: 20s; 0 sends none");
  c.draft.keepalive_s = static_cast<std::uint32_t>(*seconds);
}

void on_strict_revocation(const Context& c) {
  const auto yes = parse_bool(c.entry.value);
  if (!yes) return c.bad_value("write yes or no");
  c.draft.strict_revocation = c.draft.strict_revocation || *yes;
}

void on_engine(const Context& c) {
  const auto engine = parse_engine(c.entry.value);
  if (!engine) return c.bad_value(std::string(kEngineHint));
  c.setup().engine = *engine;
}

struct Word {
  std::string_view name;
  void (*apply)(const Context&);
};
constexpr std::array kWords{
    Word{"devices", on_devices},
    Word{"engine", on_engine},
    Word{"allow-key-export", on_allow_key_export},
    Word{"ikeport", on_ike_port},
    Word{"ike-port", on_ike_port},
    Word{"nat-ikeport", on_nat_port},
    Word{"nat-port", on_nat_port},
    Word{"fwmark", on_fwmark},
    Word{"route-table", on_route_table},
    Word{"rule-priority", on_rule_priority},
    Word{"ddos-ike-threshold", on_cookie_threshold},
    Word{"cookie-threshold", on_cookie_threshold},
    Word{"max-halfopen-ike", on_half_open_limit},
    Word{"half-open-limit", on_half_open_limit},
    Word{"half-open-per-address", on_per_address},
    Word{"half-open-per-network", on_per_network},
    Word{"puzzle-threshold", on_puzzle_threshold},
    Word{"puzzle-difficulty", on_puzzle_difficulty},
    Word{"auth-puzzle-threshold", on_auth_puzzle_threshold},
    Word{"auth-puzzle-difficulty", on_auth_puzzle_difficulty},
    Word{"hardest-puzzle", on_hardest_puzzle},
    Word{"log-level", on_log_level},
    Word{"keep-alive", on_keep_alive},
    Word{"workers", on_workers},
    Word{"worker-cpus", on_worker_cpus},
    Word{"busy-poll", on_busy_poll},
    Word{"esp-path", on_esp_path},
    Word{"crypto-threads", on_crypto_threads},
    Word{"crypto-cpus", on_crypto_cpus},
    Word{"crypto-cpu", on_crypto_cpu},
    Word{"uniqueids", on_unique_ids},
    Word{"ike-sas-per-identity", on_per_identity},
    Word{"pkcs11module", on_pkcs11_module},
    Word{"strictcrlpolicy", on_strict_revocation},
    Word{"crl-strict", on_strict_revocation},
    Word{"ocsp-strict", on_strict_revocation},
};

}  // namespace

bool apply_setup_word(const Entry& entry, SetupDraft& draft, Reporter& report) {
  const auto* word = std::find_if(kWords.begin(), kWords.end(), [&](const Word& w) { return w.name == entry.key; });
  if (word == kWords.end()) return false;
  if (!entry.value.empty()) word->apply({entry, draft, report});
  return true;
}

namespace {

// The rings of AF_XDP have one owner; and the kernel's own ESP has no use for them.
void check_esp_path(const Place& place, const SetupDraft& draft, Reporter& report) {
  const auto engine = draft.setup.engine;
  if (engine == model::EngineKind::kXfrm || engine == model::EngineKind::kPfkey) {
    report.error(place, "esp-path=xdp is for Cygnet's own engine, and engine= names the kernel's",
                 "remove one of the two lines");
  }
  if (draft.threads.count == 1 && draft.threads.crypto_count == 0) return;
  report.error(place, "esp-path=xdp goes with one thread that does everything",
               "remove workers= and crypto-threads=, or write esp-path=socket");
}

}  // namespace

void finish_setup(SetupDraft& draft, Reporter& report) {
  auto& threads = draft.threads;
  if (draft.worker_cpus_place && threads.count != 0 && threads.cpus.size() > threads.count) {
    report.error(*draft.worker_cpus_place,
                 "worker-cpus= names " + std::to_string(threads.cpus.size()) +
                     " CPUs for workers=" + std::to_string(threads.count),
                 "write workers=" + std::to_string(threads.cpus.size()) + ", or fewer CPUs");
  }
  // Limits of threads that nobody wanted by number: there is one.
  if (!draft.crypto_threads_place && draft.crypto_place) threads.crypto_count = 1;
  if (threads.esp_over_xdp && draft.esp_path_place) check_esp_path(*draft.esp_path_place, draft, report);
  if (threads.crypto_count == 0) {
    if (!draft.crypto_place) return;
    return report.error(*draft.crypto_place, "crypto-cpu= and crypto-cpus= say nothing with crypto-threads=0",
                        "write how many threads there shall be, or remove the line");
  }
  if (draft.crypto_place && threads.crypto_cpus.size() > threads.crypto_count) {
    report.error(*draft.crypto_place,
                 "crypto-cpus= names " + std::to_string(threads.crypto_cpus.size()) + " CPUs for " +
                     std::to_string(threads.crypto_count) + " threads",
                 "write crypto-threads=" + std::to_string(threads.crypto_cpus.size()) + ", or fewer CPUs");
  }
  if (threads.count == 1 || !draft.workers_place) return;
  report.error(*draft.workers_place, "crypto-threads= and several workers= do not go together",
               "workers=1: one thread moves packets, and the others encrypt and decrypt for it");
}

std::vector<std::string_view> applied_setup_words() {
  std::vector<std::string_view> names;
  names.reserve(kWords.size());
  for (const auto& word : kWords) names.push_back(word.name);
  return names;
}

}  // namespace cygnet::config
