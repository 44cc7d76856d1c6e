// SPDX-License-Identifier: Apache-2.0
#include "config/missing_secrets.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cygnet::config {
namespace {

constexpr std::size_t kMostNamed = 10;

using Names = std::vector<model::Identity>;

// What a line of ipsec.secrets may call this end; nothing: only a look-up or the peer will tell.
Names names_of(const model::End& end) {
  Names out;
  if (end.id_any || end.host.kind != model::HostSpec::Kind::kAddress || !end.alternatives.empty()) return out;
  if (end.id && end.id->is_pattern()) return out;
  if (end.id) out.push_back(*end.id);
  out.push_back(model::Identity::of(end.host.address));
  return out;
}

// Equal for identities that match each other; none: of a kind with rules of its own.
std::optional<std::string> key_of(const model::Identity& id) {
  switch (id.type) {
    case model::IdType::kIpv4Addr:
    case model::IdType::kIpv6Addr:
    case model::IdType::kFqdn:
    case model::IdType::kRfc822Addr: break;
    default: return std::nullopt;
  }
  std::string out = id.to_string();
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

class Secrets {
 public:
  explicit Secrets(const std::vector<model::SharedSecret>& all) : all_(all) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (const auto& id : all[i].ids) {
        if (const auto key = key_of(id)) {
          naming_[*key].push_back(i);
        } else {
          others_.push_back(i);
        }
      }
      if (all[i].ids.empty()) others_.push_back(i);
    }
  }
  // As ike/auth/local_keys.h finds them: a secret that names two ends belongs to these two.
  [[nodiscard]] bool fit(const Names& a, const Names& b) const {
    const auto serves = [&](std::size_t i) {
      const auto& secret = all_[i];
      const bool serves_one = secret.ids.size() < 2 || secret.any_peer;
      return serves_one ? secret.ids.empty() || lists(secret, a) || lists(secret, b)
                        : lists(secret, a) && lists(secret, b);
    };
    if (std::ranges::any_of(others_, serves)) return true;
    for (const auto* names : {&a, &b}) {
      for (const auto& id : *names) {
        const auto key = key_of(id);
        if (!key) return true;  // not known to be missing
        const auto at = naming_.find(*key);
        if (at != naming_.end() && std::ranges::any_of(at->second, serves)) return true;
      }
    }
    return false;
  }

 private:
  static bool lists(const model::SharedSecret& secret, const Names& names) {
    return std::ranges::any_of(secret.ids, [&](const auto& listed) {
      return std::ranges::any_of(names, [&](const auto& name) { return listed.matches(name); });
    });
  }

  const std::vector<model::SharedSecret>& all_;
  std::unordered_map<std::string, std::vector<std::size_t>> naming_;
  std::vector<std::size_t> others_;
};

// "file:line" apart.
Diagnostic warning_at(std::string_view source, std::string message) {
  Diagnostic out{.level = Level::kWarning, .file = std::string(source), .message = std::move(message)};
  const auto colon = source.rfind(':');
  if (colon == std::string_view::npos) return out;
  const auto digits = source.substr(colon + 1);
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), out.line);
  if (out.line != 0) out.file = source.substr(0, colon);
  return out;
}

}  // namespace

Diagnostics missing_secrets(const LoadedConfiguration& configuration, const LoadedSecrets& secrets) {
  Diagnostics out;
  if (!configuration.ok() || !secrets.ok()) return out;
  const Secrets known(secrets.secrets);
  std::size_t unnamed = 0;
  for (const auto& connection : configuration.connections) {
    const auto& local = connection.local;
    const auto& remote = connection.remote;
    if (local.auth != model::AuthMethod::kPsk && remote.auth != model::AuthMethod::kPsk) continue;
    const auto a = names_of(local);
    const auto b = names_of(remote);
    if (a.empty() || b.empty() || known.fit(a, b)) continue;
    if (out.size() == kMostNamed) {
      ++unnamed;
      continue;
    }
    auto warning = warning_at(connection.source, "conn " + connection.name + ": no pre-shared key fits '" +
                                                     a.front().to_string() + "' and '" + b.front().to_string() + "'");
    warning.hint =
        "add a line to ipsec.secrets: " + a.front().to_string() + " " + b.front().to_string() + " : PSK \"...\"";
    out.push_back(std::move(warning));
  }
  if (unnamed != 0) {
    out.push_back({.level = Level::kWarning,
                   .file = out.front().file,
                   .message = "of " + std::to_string(unnamed) + " more connections the pre-shared key is missing"});
  }
  return out;
}

}  // namespace cygnet::config
