// SPDX-License-Identifier: Apache-2.0
#include "config/algorithm_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <unordered_map>

#include "model/legacy.h"

namespace cygnet::config {
namespace {

using Kind = AlgorithmWord::Kind;
using model::Transform;
using model::TransformInfo;
using model::TransformType;

// The dialects and their versions disagree about underscores and case only.
std::string bare(std::string_view word) {
  std::string text;
  for (const char c : word) {
    if (c != '_') text.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return text;
}

struct Alias {
  std::string_view word;  // bare
  std::string_view of;    // bare strongSwan names, by ' '
};
constexpr std::array kAliases{
    Alias{"aes", "aes256 aes128"},
    Alias{"aescbc", "aes256 aes128"},
    Alias{"aescbc128", "aes128"},
    Alias{"aescbc192", "aes192"},
    Alias{"aescbc256", "aes256"},
    Alias{"aesgcm", "aes256gcm16 aes128gcm16"},
    Alias{"aesgcmc", "aes256gcm16 aes128gcm16"},
    Alias{"aesgcm16", "aes256gcm16 aes128gcm16"},
    Alias{"aesgcmc128", "aes128gcm16"},
    Alias{"aesgcmc256", "aes256gcm16"},
    Alias{"aesgcm16128", "aes128gcm16"},
    Alias{"aesgcm16256", "aes256gcm16"},
    Alias{"aes128gcm", "aes128gcm16"},
    Alias{"aes256gcm", "aes256gcm16"},
    Alias{"aes128gcm128", "aes128gcm16"},
    Alias{"aes256gcm128", "aes256gcm16"},
    Alias{"chacha20", "chacha20poly1305"},
    Alias{"aes128ctr128", "aes128ctr"},
    Alias{"aesctr", "aes256ctr"},
    Alias{"aesccm", "aes256ccm16"},
    Alias{"aesccmc", "aes256ccm16"},
    Alias{"aes128ccm", "aes128ccm8"},
    Alias{"aes256ccm", "aes256ccm8"},
    Alias{"camellia", "camellia256"},
    Alias{"sha", "sha1"},
    Alias{"sha2", "sha256"},
    Alias{"sha2256128", "sha256"},
    Alias{"sha256128", "sha256"},
    Alias{"hmacsha2256", "sha256"},
    Alias{"sha384192", "sha384"},
    Alias{"hmacsha2384", "sha384"},
    Alias{"sha512256", "sha512"},
    Alias{"hmacsha2512", "sha512"},
    Alias{"hmacsha1", "sha1"},
    Alias{"curve25519", "x25519"},
    Alias{"curve448", "x448"},
};

struct Weak {
  TransformType type;
  std::uint16_t id;
};
// RFC 8247 and RFC 8221: MUST NOT or SHOULD NOT.
constexpr std::array kWeak{Weak{TransformType::kEncryption, 2},   Weak{TransformType::kEncryption, 3},
                           Weak{TransformType::kEncryption, 7},   Weak{TransformType::kPrf, 1},
                           Weak{TransformType::kIntegrity, 1},    Weak{TransformType::kKeyExchange, 1},
                           Weak{TransformType::kKeyExchange, 22}, Weak{TransformType::kKeyExchange, 23},
                           Weak{TransformType::kKeyExchange, 24}};

bool is_weak(const Transform& t) {
  return std::any_of(kWeak.begin(), kWeak.end(), [&](const Weak& w) { return w.type == t.type && w.id == t.id; });
}

// By bare name; of rows with the same name, the first. A PRF's libreswan name is the hash's name, which the integrity
// row already has.
const TransformInfo* find_row(std::string_view word) {
  static const auto rows = [] {
    std::unordered_map<std::string, const TransformInfo*> by_name;
    for (const auto& row : model::all_transforms()) {
      if (!row.strongswan.empty()) by_name.emplace(bare(row.strongswan), &row);
      if (row.transform.type != TransformType::kPrf && !row.libreswan.empty())
        by_name.emplace(bare(row.libreswan), &row);
    }
    return by_name;
  }();
  const auto found = rows.find(std::string(word));
  return found == rows.end() ? nullptr : found->second;
}

std::vector<Transform> prfs_over(const TransformInfo& integrity) {
  for (const auto& row : model::all_transforms()) {
    if (row.transform.type == TransformType::kPrf && row.supported && row.libreswan == integrity.libreswan)
      return {row.transform};
  }
  return {};
}

Kind kind_of(TransformType type) {
  switch (type) {
    case TransformType::kEncryption: return Kind::kEncryption;
    case TransformType::kPrf: return Kind::kPrf;
    case TransformType::kIntegrity: return Kind::kHash;
    case TransformType::kKeyExchange: return Kind::kGroup;
    case TransformType::kEsn: return Kind::kEsn;
  }
  return Kind::kUnknown;
}

void add_row(AlgorithmWord& found, const TransformInfo& row) {
  if (!row.supported) {
    found.kind = Kind::kUnsupported;
    found.weak = is_weak(row.transform);
    return;
  }
  if (found.kind == Kind::kUnsupported) return;
  found.kind = kind_of(row.transform.type);
  found.legacy = found.legacy || model::legacy::is_legacy(row.transform);
  found.transforms.push_back(row.transform);
  if (found.kind == Kind::kHash) found.prfs = prfs_over(row);
}

}  // namespace

AlgorithmWord find_algorithm(std::string_view word) {
  AlgorithmWord found;
  const auto text = bare(word);
  found.libreswan = text != word || text.starts_with("dh") || text == "sha2";
  if (text == "none" || text == "modpnone" || text == "dh0") {
    found.kind = text == "none" ? Kind::kNone : Kind::kGroup;
    if (found.kind == Kind::kGroup) found.transforms.push_back({TransformType::kKeyExchange, 0, 0});
    return found;
  }
  if (const auto* row = find_row(text)) {
    add_row(found, *row);
    return found;
  }
  for (const auto& alias : kAliases) {
    if (alias.word != text) continue;
    auto rest = alias.of;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(' '), rest.size());
      if (const auto* row = find_row(rest.substr(0, end))) add_row(found, *row);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return found;
}

std::vector<std::string_view> algorithm_words(bool ike) {
  std::vector<std::string_view> words;
  const auto fits = [&](const TransformInfo& row) {
    if (!row.supported || model::legacy::is_legacy(row.transform)) return false;
    return ike ? row.for_ike : row.for_esp;
  };
  for (const auto& row : model::all_transforms()) {
    if (fits(row)) words.push_back(row.strongswan);
  }
  for (const auto& row : model::all_transforms()) {
    if (fits(row) && !row.libreswan.empty() && row.libreswan != row.strongswan) words.push_back(row.libreswan);
  }
  return words;
}

}  // namespace cygnet::config
