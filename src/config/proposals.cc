// SPDX-License-Identifier: Apache-2.0
#include "config/proposals.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/algorithm_names.h"
#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

using Kind = AlgorithmWord::Kind;
using model::EncryptionId;
using model::Proposal;
using model::Protocol;
using model::Transform;
using model::TransformType;
using Transforms = std::vector<Transform>;

constexpr std::size_t kMaxProposals = 50;
constexpr std::size_t kMaxWords = 60;  // of one proposal

// What one proposal of the list says, word by word.
struct Draft {
  Transforms encryption, integrity, prf, groups, esn;
  Transforms hash_prfs;       // PRFs over the hashes in integrity
  bool no_integrity = false;  // "none" or, after the cipher, "null"
  bool bad = false;
};

bool aead(const Transform& t) { return model::is_aead(static_cast<EncryptionId>(t.id)); }
bool all_aead(const Transforms& ts) { return !ts.empty() && std::all_of(ts.begin(), ts.end(), aead); }

void add(Transforms& to, const Transforms& what) {
  for (const auto& t : what) {
    if (std::find(to.begin(), to.end(), t) == to.end()) to.push_back(t);
  }
}

Transforms ids(TransformType type, std::initializer_list<std::uint16_t> values) {
  Transforms out;
  for (const auto id : values) out.push_back({type, id, 0});
  return out;
}
Transforms default_groups() { return ids(TransformType::kKeyExchange, {31, 19, 20, 21, 15, 16, 14}); }
Transforms default_prfs() { return ids(TransformType::kPrf, {5, 6, 7}); }
Transforms default_integrity() { return ids(TransformType::kIntegrity, {12, 13, 14}); }

class ListParser {
 public:
  ListParser(std::string_view text, Protocol protocol, bool legacy)
      : text_(text), ike_(protocol == Protocol::kIke), ah_(protocol == Protocol::kAh), legacy_(legacy) {}
  ParsedProposals parse();

 private:
  void parse_proposal(const Piece& piece);
  void parse_field(const Piece& field, Draft& draft);
  void place(const AlgorithmWord& word, std::string_view text, std::size_t offset, Draft& draft);
  bool serves_here(const AlgorithmWord& word, std::string_view text, std::size_t offset, Draft& draft);
  void place_hash(const AlgorithmWord& word, Draft& draft);
  void finish_ike(const Piece& piece, Draft& draft);
  void finish_esp(const Piece& piece, Draft& draft);
  void finish_ah(const Piece& piece, Draft& draft);
  static void take_gmac_as_integrity(Draft& draft);
  void emit(const Transforms& encryption, const Transforms& integrity, const Draft& draft);
  void fault(std::size_t offset, std::string message, std::string hint = {}, Level level = Level::kError) {
    out_.faults.push_back({level, offset, std::move(message), std::move(hint)});
  }

  std::string_view text_;
  bool ike_;
  bool ah_;
  bool legacy_;
  bool positional_ = false;  // Libreswan: the second hash of an IKE proposal is the PRF
  bool next_hash_is_prf_ = false;
  ParsedProposals out_;
};

ParsedProposals ListParser::parse() {
  auto text = text_;
  if (text.ends_with('!')) text.remove_suffix(1);
  const auto pieces = split(text, ",");
  if (pieces.empty())
    fault(0, "no proposal given",
          ike_  ? "for example: ike=aes256gcm16-prfsha256-x25519"
          : ah_ ? "for example: ah=sha256"
                : "for example: esp=aes256gcm16");
  if (pieces.size() > kMaxProposals) {
    fault(pieces[kMaxProposals].offset, "more than " + std::to_string(kMaxProposals) + " proposals");
    return std::move(out_);
  }
  for (const auto& piece : pieces) parse_proposal(piece);
  return std::move(out_);
}

void ListParser::parse_proposal(const Piece& piece) {
  Draft draft;
  positional_ = piece.text.find_first_of(";+") != std::string_view::npos;
  next_hash_is_prf_ = false;
  const auto fields = split(piece.text, "-;");
  if (fields.empty()) return fault(piece.offset, "empty proposal");
  if (split(piece.text, "-;+").size() > kMaxWords)
    return fault(piece.offset, "proposal of more than " + std::to_string(kMaxWords) + " words");
  for (const auto& field : fields) {
    for (const auto& word : split(field.text, "+")) positional_ = positional_ || find_algorithm(word.text).libreswan;
  }
  for (const auto& field : fields) parse_field({field.text, piece.offset + field.offset}, draft);
  if (draft.bad) return;
  if (ah_) return finish_ah(piece, draft);
  if (draft.encryption.empty())
    return fault(piece.offset, "'" + std::string(piece.text) + "' names no cipher", "for example: aes256gcm16");
  ike_ ? finish_ike(piece, draft) : finish_esp(piece, draft);
}

// One place between hyphens: alternatives joined by '+' count as one.
void ListParser::parse_field(const Piece& field, Draft& draft) {
  bool hash = false;
  for (const auto& word : split(field.text, "+")) {
    const auto offset = field.offset + word.offset;
    auto algorithm = find_algorithm(word.text);
    // aes_gcm256-null: no integrity algorithm of its own.
    if (word.text == "null" && !draft.encryption.empty()) algorithm.kind = Kind::kNone;
    if (algorithm.kind == Kind::kUnknown || algorithm.kind == Kind::kUnsupported) {
      draft.bad = true;
      const std::string name(word.text);
      if (algorithm.kind == Kind::kUnknown) {
        fault(offset, "'" + name + "' is no algorithm known here",
              suggestion(word.text, algorithm_words(ike_), "see ALGORITHMS in ipsec.conf(5)"));
      } else if (algorithm.weak) {
        fault(offset, "'" + name + "' is too weak to be used (RFC 8247)",
              "ask the peer for aes256gcm16 or aes256-sha256, and x25519, ecp256 or modp2048");
      } else {
        fault(offset, "'" + name + "' is known, but not built yet", "see ALGORITHMS in ipsec.conf(5)");
      }
      continue;
    }
    if (algorithm.legacy && !legacy_) {
      draft.bad = true;
      fault(offset, "'" + std::string(word.text) + "' is too weak to be used (RFC 8247)",
            "ask the peer for aes256gcm16 or aes256-sha256, and x25519, ecp256 or modp2048; for Windows as it comes "
            "there is profile=windows-stock, for what can do nothing better weak-algorithms=yes");
      continue;
    }
    if (algorithm.legacy) {
      fault(offset, "'" + std::string(word.text) + "' is weak (RFC 8247): an attacker with means can break it", {},
            Level::kWarning);
    }
    hash = hash || algorithm.kind == Kind::kHash;
    place(algorithm, word.text, offset, draft);
  }
  if (hash) next_hash_is_prf_ = true;
}

void ListParser::place(const AlgorithmWord& word, std::string_view text, std::size_t offset, Draft& draft) {
  switch (word.kind) {
    case Kind::kEncryption:
      if (!serves_here(word, text, offset, draft)) return;
      return add(draft.encryption, word.transforms);
    case Kind::kHash:
      if (!serves_here(word, text, offset, draft)) return;
      return place_hash(word, draft);
    case Kind::kPrf:
      if (!ike_) {
        draft.bad = true;
        return fault(offset, "'" + std::string(text) + "' is a PRF, which ESP has no use for", "it belongs into ike=");
      }
      return add(draft.prf, word.transforms);
    case Kind::kGroup: return add(draft.groups, word.transforms);
    case Kind::kEsn:
      if (ike_) {
        draft.bad = true;
        return fault(offset, "'" + std::string(text) + "' belongs into esp=");
      }
      return add(draft.esn, word.transforms);
    case Kind::kNone:
      if (draft.integrity.empty() && draft.prf.empty()) {
        draft.no_integrity = true;
      } else {
        add(draft.groups, {{TransformType::kKeyExchange, 0, 0}});
      }
      return;
    case Kind::kUnknown:
    case Kind::kUnsupported: return;
  }
}

bool ListParser::serves_here(const AlgorithmWord& word, std::string_view text, std::size_t offset, Draft& draft) {
  const bool serves = std::ranges::all_of(word.transforms, [&](const Transform& t) {
    const auto* row = model::find_transform(t);
    return row != nullptr && (ike_ ? row->for_ike : row->for_esp);
  });
  if (serves) return true;
  draft.bad = true;
  fault(offset, "'" + std::string(text) + "' cannot protect IKE itself", "it belongs into esp=");
  return false;
}

void ListParser::place_hash(const AlgorithmWord& word, Draft& draft) {
  const bool prf_place = ike_ && positional_ && (next_hash_is_prf_ || all_aead(draft.encryption) || draft.no_integrity);
  if (prf_place) return add(draft.prf, word.prfs);
  add(draft.integrity, word.transforms);
  add(draft.hash_prfs, word.prfs);
}

void ListParser::finish_ike(const Piece& piece, Draft& draft) {
  if (draft.no_integrity && !all_aead(draft.encryption)) {
    return fault(piece.offset, "'" + std::string(piece.text) + "' encrypts without integrity",
                 "add sha256, or use aes256gcm16");
  }
  if (draft.prf.empty()) draft.prf = draft.hash_prfs.empty() ? default_prfs() : draft.hash_prfs;
  if (draft.groups.empty()) draft.groups = default_groups();
  if (std::any_of(draft.groups.begin(), draft.groups.end(), [](const Transform& t) { return t.id == 0; })) {
    return fault(piece.offset, "IKE cannot do without a key exchange", "name a group: x25519, ecp256 or modp2048");
  }
  // RFC 7296 section 2.7, of normal ciphers and combined-mode ones: "then two proposals are needed".
  Transforms combined, plain;
  for (const auto& t : draft.encryption) (aead(t) ? combined : plain).push_back(t);
  if (!combined.empty()) emit(combined, {}, draft);
  if (!plain.empty()) emit(plain, draft.integrity.empty() ? default_integrity() : draft.integrity, draft);
}

void ListParser::finish_esp(const Piece& piece, Draft& draft) {
  Transforms combined, plain;
  for (const auto& t : draft.encryption) (aead(t) ? combined : plain).push_back(t);
  const bool null = std::any_of(plain.begin(), plain.end(), [](const Transform& t) {
    return t.id == static_cast<std::uint16_t>(EncryptionId::kNull);
  });
  if (null && (draft.no_integrity || draft.integrity.empty())) {
    return fault(piece.offset, "'" + std::string(piece.text) + "' neither encrypts nor authenticates",
                 "for packets in clear text that nobody can change: null-sha256");
  }
  if (draft.no_integrity && !plain.empty()) {
    // RFC 8221 section 4: encryption without authentication "MUST NOT be used".
    return fault(piece.offset, "'" + std::string(piece.text) + "' encrypts without integrity",
                 "add sha256, or use aes256gcm16");
  }
  const bool only_authenticates = std::ranges::any_of(
      combined, [](const Transform& t) { return t.id == static_cast<std::uint16_t>(EncryptionId::kNullAesGmac); });
  if (only_authenticates) {
    fault(piece.offset,
          "'" + std::string(piece.text) + "' does not hide the packets, it only protects them from change", {},
          Level::kWarning);
  }
  if (null)
    fault(piece.offset, "null does not hide the packets, it only protects them from change", {}, Level::kWarning);
  if (plain.empty() && !draft.integrity.empty()) {
    fault(piece.offset,
          "the cipher of '" + std::string(piece.text) + "' authenticates by itself; the hash has no effect",
          "remove it", Level::kWarning);
  }
  if (!combined.empty()) emit(combined, {}, draft);
  if (!plain.empty()) emit(plain, draft.integrity.empty() ? default_integrity() : draft.integrity, draft);
}

// RFC 4543: ESP's cipher that only authenticates is one of AH's integrity algorithms, by the same name.
void ListParser::take_gmac_as_integrity(Draft& draft) {
  Transforms rest;
  for (const auto& t : draft.encryption) {
    if (t.id != static_cast<std::uint16_t>(EncryptionId::kNullAesGmac)) {
      rest.push_back(t);
      continue;
    }
    const auto id = t.key_bits == 128   ? model::IntegrityId::kAes128Gmac
                    : t.key_bits == 192 ? model::IntegrityId::kAes192Gmac
                                        : model::IntegrityId::kAes256Gmac;
    add(draft.integrity, {{TransformType::kIntegrity, static_cast<std::uint16_t>(id), 0}});
  }
  draft.encryption = std::move(rest);
}

// RFC 4302: AH authenticates and does nothing else.
void ListParser::finish_ah(const Piece& piece, Draft& draft) {
  take_gmac_as_integrity(draft);
  if (!draft.encryption.empty() || draft.integrity.empty() || draft.no_integrity) {
    return fault(piece.offset, "'" + std::string(piece.text) + "' is not what AH is made of: it encrypts nothing",
                 "name a hash alone, for example: ah=sha256; or use esp=");
  }
  emit({}, draft.integrity, draft);
}

void ListParser::emit(const Transforms& encryption, const Transforms& integrity, const Draft& draft) {
  Proposal proposal{ike_ ? Protocol::kIke : ah_ ? Protocol::kAh : Protocol::kEsp, encryption};
  for (const auto* list : {&integrity, &draft.prf, &draft.groups, &draft.esn}) {
    proposal.transforms.insert(proposal.transforms.end(), list->begin(), list->end());
  }
  out_.proposals.push_back(std::move(proposal));
}

Transform encryption(EncryptionId id, std::uint16_t bits) {
  return {TransformType::kEncryption, static_cast<std::uint16_t>(id), bits};
}

Transforms aead_ciphers() {
  return {encryption(EncryptionId::kAesGcm16, 256), encryption(EncryptionId::kAesGcm16, 128),
          encryption(EncryptionId::kChaCha20Poly1305, 0)};
}
Transforms cbc_ciphers() { return {encryption(EncryptionId::kAesCbc, 256), encryption(EncryptionId::kAesCbc, 128)}; }

Proposal joined(Protocol protocol, std::initializer_list<Transforms> parts) {
  Proposal proposal{protocol, {}};
  for (const auto& part : parts) proposal.transforms.insert(proposal.transforms.end(), part.begin(), part.end());
  return proposal;
}

}  // namespace

ParsedProposals parse_ike_proposals(std::string_view text, bool legacy) {
  return ListParser(text, Protocol::kIke, legacy).parse();
}
ParsedProposals parse_esp_proposals(std::string_view text, bool legacy) {
  return ListParser(text, Protocol::kEsp, legacy).parse();
}
ParsedProposals parse_ah_proposals(std::string_view text, bool legacy) {
  return ListParser(text, Protocol::kAh, legacy).parse();
}

std::vector<Proposal> default_ike_proposals() {
  return {joined(Protocol::kIke, {aead_ciphers(), default_prfs(), default_groups()}),
          joined(Protocol::kIke, {cbc_ciphers(), default_integrity(), default_prfs(), default_groups()})};
}

std::vector<Proposal> default_esp_proposals() {
  return {joined(Protocol::kEsp, {aead_ciphers()}), joined(Protocol::kEsp, {cbc_ciphers(), default_integrity()})};
}

std::vector<Proposal> default_ah_proposals() { return {joined(Protocol::kAh, {default_integrity()})}; }

namespace {

void append_stock_windows(std::vector<Proposal>& out) {
  const auto groups = ids(TransformType::kKeyExchange, {20, 19, 14, 2});
  const std::array<std::pair<std::uint16_t, std::uint16_t>, 3> hashes{{{13, 6}, {12, 5}, {2, 2}}};  // and their PRFs
  for (const auto& [integrity, prf] : hashes) {
    for (const auto& cipher : {encryption(EncryptionId::kAesGcm16, 256), encryption(EncryptionId::kAesGcm16, 128)})
      out.push_back(joined(Protocol::kIke, {{cipher}, ids(TransformType::kPrf, {prf}), groups}));
  }
  for (const auto& [integrity, prf] : hashes) {
    for (const auto& cipher : cbc_ciphers()) {
      out.push_back(
          joined(Protocol::kIke,
                 {{cipher}, ids(TransformType::kIntegrity, {integrity}), ids(TransformType::kPrf, {prf}), groups}));
    }
  }
}

}  // namespace

std::vector<Proposal> profile_ike_proposals(model::Profile profile) {
  auto out = default_ike_proposals();
  if (profile == model::Profile::kAndroid) {
    // Android guesses modp4096 first; a second round trip with Curve25519 is cheaper for both than that exponentiation.
    for (auto& proposal : out)
      std::erase_if(proposal.transforms, [](const Transform& t) {
        return t.type == TransformType::kKeyExchange && (t.id == 15 || t.id == 16);
      });
  }
  // Windows offers each combination by itself, the weakest first: the strongest are named one by one, too.
  if (profile == model::Profile::kWindowsStock) append_stock_windows(out);
  return out;
}

std::vector<Proposal> profile_esp_proposals(model::Profile profile) {
  auto out = default_esp_proposals();
  if (profile == model::Profile::kWindowsStock)
    out.push_back(joined(Protocol::kEsp, {cbc_ciphers(), ids(TransformType::kIntegrity, {2})}));
  return out;
}

}  // namespace cygnet::config
