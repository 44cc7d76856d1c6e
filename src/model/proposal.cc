// SPDX-License-Identifier: Apache-2.0
#include "model/proposal.h"

#include <algorithm>
#include <array>

#include "model/legacy.h"

namespace cygnet::model {
namespace {

// The order in which people read and write them.
constexpr std::array<TransformType, 5> kOrder = {TransformType::kEncryption, TransformType::kIntegrity,
                                                 TransformType::kPrf, TransformType::kKeyExchange, TransformType::kEsn};

void add_word(std::string& out, std::string_view word, char separator) {
  if (word.empty()) return;
  if (!out.empty()) out += separator;
  out += word;
}

Transform transform_of(TransformType type, std::uint16_t id, std::uint16_t key_bits = 0) {
  return {type, id, key_bits};
}

bool says_nothing(const Transform& t) {
  return (t.type == TransformType::kIntegrity || t.type == TransformType::kKeyExchange) && t.id == 0;
}

// In both dialects a PRF that matches the integrity algorithm's hash goes without saying.
bool prf_is_implied(const Proposal& proposal) {
  std::vector<std::uint16_t> implied;
  for (const auto& t : proposal.of(TransformType::kIntegrity)) {
    if (legacy::is_legacy(t)) {
      implied.push_back(static_cast<std::uint16_t>(legacy::kPrfHmacSha1));
      continue;
    }
    switch (static_cast<IntegrityId>(t.id)) {
      case IntegrityId::kHmacSha2_256_128: implied.push_back(static_cast<std::uint16_t>(PrfId::kHmacSha2_256)); break;
      case IntegrityId::kHmacSha2_384_192: implied.push_back(static_cast<std::uint16_t>(PrfId::kHmacSha2_384)); break;
      case IntegrityId::kHmacSha2_512_256: implied.push_back(static_cast<std::uint16_t>(PrfId::kHmacSha2_512)); break;
      default: return false;
    }
  }
  const auto prfs = proposal.of(TransformType::kPrf);
  return std::equal(prfs.begin(), prfs.end(), implied.begin(), implied.end(),
                    [](const Transform& t, std::uint16_t id) { return t.id == id; });
}

}  // namespace

std::vector<Transform> Proposal::of(TransformType type) const {
  std::vector<Transform> out;
  std::copy_if(transforms.begin(), transforms.end(), std::back_inserter(out),
               [&](const Transform& t) { return t.type == type; });
  return out;
}

std::string to_string(const Proposal& proposal) {
  std::string out;
  for (const auto type : kOrder) {
    for (const auto& t : proposal.of(type)) {
      if (!says_nothing(t)) add_word(out, to_string(t), '/');
    }
  }
  return out;
}

std::string to_string(const ChosenIke& chosen) {
  std::string out = to_string(
      transform_of(TransformType::kEncryption, static_cast<std::uint16_t>(chosen.encryption), chosen.encryption_bits));
  if (chosen.integrity != IntegrityId::kNone) {
    add_word(out, to_string(transform_of(TransformType::kIntegrity, static_cast<std::uint16_t>(chosen.integrity))),
             '/');
  }
  add_word(out, to_string(transform_of(TransformType::kPrf, static_cast<std::uint16_t>(chosen.prf))), '/');
  add_word(out, to_string(transform_of(TransformType::kKeyExchange, static_cast<std::uint16_t>(chosen.group))), '/');
  return out;
}

std::string to_string(const ChosenEsp& chosen) {
  std::string out;
  if (!chosen.is_ah()) {
    out = to_string(transform_of(TransformType::kEncryption, static_cast<std::uint16_t>(chosen.encryption),
                                 chosen.encryption_bits));
  }
  if (chosen.integrity != IntegrityId::kNone) {
    add_word(out, to_string(transform_of(TransformType::kIntegrity, static_cast<std::uint16_t>(chosen.integrity))),
             '/');
  }
  if (chosen.group != KeGroup::kNone) {
    add_word(out, to_string(transform_of(TransformType::kKeyExchange, static_cast<std::uint16_t>(chosen.group))), '/');
  }
  if (chosen.esn) add_word(out, "ESN", '/');
  return out;
}

std::string to_config(const Proposal& proposal) {
  std::string out;
  for (const auto type : kOrder) {
    if (type == TransformType::kPrf && prf_is_implied(proposal)) continue;
    const auto alternatives = proposal.of(type);
    // Without a word about ESN there is none: only a choice or a wish for it has to be written.
    const bool plain_no_esn = type == TransformType::kEsn && alternatives.size() == 1 &&
                              alternatives[0].id == static_cast<std::uint16_t>(EsnChoice::kNo);
    if (plain_no_esn) continue;
    for (const auto& t : alternatives) {
      const auto* known = says_nothing(t) ? nullptr : find_transform(t);
      if (known != nullptr && known->supported) add_word(out, known->strongswan, '-');
    }
  }
  return out;
}

}  // namespace cygnet::model
