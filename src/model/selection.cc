// SPDX-License-Identifier: Apache-2.0
#include "model/selection.h"

#include <algorithm>
#include <array>

namespace cygnet::model {
namespace {

constexpr std::array<TransformType, 5> kTypes = {TransformType::kEncryption, TransformType::kPrf,
                                                 TransformType::kIntegrity, TransformType::kKeyExchange,
                                                 TransformType::kEsn};

// One value of each type; transforms with id 0 stand for "none" (or, for ESN, "no").
struct Pick {
  Transform encryption, prf, integrity, group, esn;
};

struct Wants {
  bool ike = false;
  bool key_exchange = false;  // groups count
  KeGroup sent_group = KeGroup::kNone;
  bool grant_key_exchange = false;  // to a peer that insists on one where ours would do without
};

Transform none_of(TransformType type) { return {type, 0, 0}; }

// Alternatives of one type; a type that is not mentioned means "none" (RFC 7296 section 3.3.3: "omitting" equals NONE
// for integrity and key exchange; no ESN transform: no ESN).
std::vector<Transform> alternatives(const Proposal& proposal, TransformType type) {
  auto out = proposal.of(type);
  if (out.empty() &&
      (type == TransformType::kIntegrity || type == TransformType::kKeyExchange || type == TransformType::kEsn)) {
    out.push_back(none_of(type));
  }
  return out;
}

bool holds(const std::vector<Transform>& all, const Transform& t) {
  return std::find(all.begin(), all.end(), t) != all.end();
}

std::optional<Transform> first_common(const Proposal& own, const Proposal& offer, TransformType type) {
  const auto theirs = alternatives(offer, type);
  for (const auto& t : alternatives(own, type)) {
    if (holds(theirs, t)) return t;
  }
  return std::nullopt;
}

bool is_supported(const Transform& t, bool ike) {
  if (t.id == 0 && t.type != TransformType::kEncryption && t.type != TransformType::kPrf) return true;
  const auto* known = find_transform(t);
  return known != nullptr && known->supported && (ike ? known->for_ike : known->for_esp);
}

std::optional<Transform> pick_group(const Proposal& own, const Proposal& offer, const Wants& wants) {
  if (!wants.key_exchange) return none_of(TransformType::kKeyExchange);
  const auto ours = alternatives(own, TransformType::kKeyExchange);
  const auto theirs = alternatives(offer, TransformType::kKeyExchange);
  const Transform sent{TransformType::kKeyExchange, static_cast<std::uint16_t>(wants.sent_group), 0};
  if (sent.id != 0 && holds(ours, sent) && holds(theirs, sent)) return sent;
  if (const auto common = first_common(own, offer, TransformType::kKeyExchange)) return common;
  // A peer that insists on a key exchange of its own for a child gets it even if ours would do without: it only adds
  // secrecy.
  const bool we_do_without = ours.size() == 1 && ours[0].id == 0;
  if (wants.ike || !we_do_without || !wants.grant_key_exchange) return std::nullopt;
  if (sent.id != 0 && holds(theirs, sent) && is_supported(sent, true)) return sent;
  for (const auto& t : theirs) {
    if (is_supported(t, true)) return t;
  }
  return std::nullopt;
}

// Integrity that goes with an encryption algorithm.
// RFC 7296 section 3.3: "Combined-mode ciphers ... MUST either offer no integrity algorithm or a single integrity
// algorithm of 'NONE'"; encryption without integrity is refused.
std::optional<Transform> pick_integrity(const Proposal& own, const Proposal& offer, const Transform& encryption) {
  if (is_aead(static_cast<EncryptionId>(encryption.id))) {
    if (!holds(alternatives(offer, TransformType::kIntegrity), none_of(TransformType::kIntegrity))) return std::nullopt;
    return none_of(TransformType::kIntegrity);
  }
  const auto common = first_common(own, offer, TransformType::kIntegrity);
  return common && common->id != 0 ? common : std::nullopt;
}

std::optional<Pick> pick(const Proposal& own, const Proposal& offer, const Wants& wants) {
  if (own.protocol != offer.protocol) return std::nullopt;
  Pick out{none_of(TransformType::kEncryption), none_of(TransformType::kPrf), {}, {}, none_of(TransformType::kEsn)};
  if (wants.ike) {
    const auto prf = first_common(own, offer, TransformType::kPrf);
    if (!prf) return std::nullopt;
    out.prf = *prf;
  } else {
    const auto esn = first_common(own, offer, TransformType::kEsn);
    if (!esn) return std::nullopt;
    out.esn = *esn;
  }
  const auto group = pick_group(own, offer, wants);
  if (!group || (wants.ike && group->id == 0)) return std::nullopt;
  out.group = *group;
  // RFC 7296 section 3.3.3: of AH "Mandatory Types: INTEG, ESN".
  if (own.protocol == Protocol::kAh) {
    const auto integrity = first_common(own, offer, TransformType::kIntegrity);
    if (!integrity || integrity->id == 0 || !is_supported(*integrity, false)) return std::nullopt;
    out.integrity = *integrity;
    return out;
  }
  const auto theirs = offer.of(TransformType::kEncryption);
  for (const auto& encryption : own.of(TransformType::kEncryption)) {
    if (!holds(theirs, encryption) || !is_supported(encryption, wants.ike)) continue;
    if (const auto integrity = pick_integrity(own, offer, encryption)) {
      out.encryption = encryption;
      out.integrity = *integrity;
      return out;
    }
  }
  return std::nullopt;
}

ChosenIke chosen_ike(const Pick& p) {
  return {static_cast<EncryptionId>(p.encryption.id), p.encryption.key_bits, static_cast<IntegrityId>(p.integrity.id),
          static_cast<PrfId>(p.prf.id), static_cast<KeGroup>(p.group.id)};
}

ChosenEsp chosen_esp(const Pick& p) {
  return {static_cast<EncryptionId>(p.encryption.id), p.encryption.key_bits, static_cast<IntegrityId>(p.integrity.id),
          static_cast<KeGroup>(p.group.id), p.esn.id == static_cast<std::uint16_t>(EsnChoice::kYes)};
}

// RFC 7296 section 2.7: the accepted proposal carries "exactly one" transform of each type that was offered.
Proposal reply_to(const Proposal& offer, const Pick& p, bool key_exchange) {
  Proposal reply{offer.protocol, {}};
  for (const auto& t : {p.encryption, p.prf, p.integrity, p.group, p.esn}) {
    if (t.type == TransformType::kKeyExchange && !key_exchange) continue;
    if (!offer.of(t.type).empty()) reply.transforms.push_back(t);
  }
  return reply;
}

struct Choice {
  std::size_t index;
  Proposal reply;
  Pick pick;
};

std::optional<Choice> select(const std::vector<Proposal>& offered, const std::vector<Proposal>& allowed,
                             const Wants& wants) {
  std::optional<Choice> best;
  const auto group_was_sent = [&](const Pick& p) { return p.group.id == static_cast<std::uint16_t>(wants.sent_group); };
  for (const auto& own : allowed) {
    for (std::size_t i = 0; i < offered.size(); ++i) {
      const auto p = pick(own, offered[i], wants);
      if (!p) continue;
      if (!best || (!group_was_sent(best->pick) && group_was_sent(*p) && wants.sent_group != KeGroup::kNone)) {
        best = Choice{i, reply_to(offered[i], *p, wants.key_exchange), *p};
      }
    }
  }
  return best;
}

// The answer holds one transform of each type at most, and each stands in the offered proposal.
std::optional<Pick> accept(const Proposal& answer, const std::vector<Proposal>& offered, const Wants& wants) {
  for (const auto type : kTypes) {
    if (answer.of(type).size() > 1) return std::nullopt;
  }
  for (const auto& offer : offered) {
    // The peer's single choice, seen as its whole policy, must select itself out of the offer.
    const auto p = pick(answer, offer, wants);
    if (!p) continue;
    const bool nothing_foreign =
        std::all_of(answer.transforms.begin(), answer.transforms.end(), [&](const Transform& t) {
          if (t.type == TransformType::kKeyExchange && !wants.key_exchange) return true;
          return holds(alternatives(offer, t.type), t);
        });
    if (nothing_foreign) return p;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Selected<ChosenIke>> select_ike(const std::vector<Proposal>& offered,
                                              const std::vector<Proposal>& allowed, KeGroup sent_group) {
  const auto choice = select(offered, allowed, {.ike = true, .key_exchange = true, .sent_group = sent_group});
  if (!choice) return std::nullopt;
  return Selected<ChosenIke>{choice->index, choice->reply, chosen_ike(choice->pick)};
}

std::optional<Selected<ChosenEsp>> select_esp(const std::vector<Proposal>& offered,
                                              const std::vector<Proposal>& allowed, ChildKeyExchange ke,
                                              KeGroup sent_group) {
  const auto choice = select(offered, allowed,
                             {.ike = false,
                              .key_exchange = ke == ChildKeyExchange::kNegotiate,
                              .sent_group = sent_group,
                              .grant_key_exchange = true});
  if (!choice) return std::nullopt;
  return Selected<ChosenEsp>{choice->index, choice->reply, chosen_esp(choice->pick)};
}

std::optional<ChosenIke> accept_ike(const Proposal& answer, const std::vector<Proposal>& offered) {
  const auto p = accept(answer, offered, {.ike = true, .key_exchange = true});
  if (!p) return std::nullopt;
  return chosen_ike(*p);
}

std::optional<ChosenEsp> accept_esp(const Proposal& answer, const std::vector<Proposal>& offered, ChildKeyExchange ke) {
  const auto p = accept(answer, offered, {.ike = false, .key_exchange = ke == ChildKeyExchange::kNegotiate});
  if (!p) return std::nullopt;
  return chosen_esp(*p);
}

std::vector<KeGroup> groups_of(const std::vector<Proposal>& proposals) {
  std::vector<KeGroup> out;
  for (const auto& proposal : proposals) {
    for (const auto& t : proposal.of(TransformType::kKeyExchange)) {
      const auto group = static_cast<KeGroup>(t.id);
      if (group != KeGroup::kNone && std::find(out.begin(), out.end(), group) == out.end()) out.push_back(group);
    }
  }
  return out;
}

std::vector<Proposal> without_key_exchange(const std::vector<Proposal>& proposals) {
  auto out = proposals;
  for (auto& proposal : out) {
    std::erase_if(proposal.transforms, [](const Transform& t) { return t.type == TransformType::kKeyExchange; });
  }
  return out;
}

std::optional<NearestMiss> nearest_miss(const std::vector<Proposal>& offered, const std::vector<Proposal>& allowed,
                                        bool compare_key_exchange) {
  std::optional<NearestMiss> best;
  for (std::size_t a = 0; a < allowed.size(); ++a) {
    for (std::size_t o = 0; o < offered.size(); ++o) {
      NearestMiss miss{a, o, {}};
      for (const auto type : kTypes) {
        if (type == TransformType::kKeyExchange && !compare_key_exchange) continue;
        const bool mentioned = !allowed[a].of(type).empty() || !offered[o].of(type).empty();
        if (mentioned && !first_common(allowed[a], offered[o], type)) miss.missing.push_back(type);
      }
      if (!best || miss.missing.size() < best->missing.size()) best = miss;
    }
  }
  return best;
}

}  // namespace cygnet::model
