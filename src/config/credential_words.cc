// SPDX-License-Identifier: Apache-2.0
// The words of a conn section about who the ends are and how they prove it.
#include <algorithm>
#include <array>

#include "config/credentials.h"
#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

using model::AuthMethod;

struct Context {
  const Entry& entry;
  ConnectionDraft& draft;
  Reporter& report;
  EndDraft* end_draft = nullptr;
  model::End* end = nullptr;

  void bad(std::string message, std::string hint = {}) const {
    report.error(entry.value_place(), std::move(message), std::move(hint));
  }
};

// ---- how an end proves itself

constexpr std::array<std::string_view, 8> kSignatures{"pubkey",   "cert",  "rsasig",  "rsa",
                                                      "ecdsasig", "ecdsa", "ed25519", "eddsa"};

std::optional<AuthMethod> method_of(std::string_view word) {
  if (word == "secret" || word == "psk") return AuthMethod::kPsk;
  if (word == "null") return AuthMethod::kNull;
  if (std::find(kSignatures.begin(), kSignatures.end(), word) != kSignatures.end()) return AuthMethod::kSignature;
  // Libreswan's rsa-sha2, rsa-sha2_512, ecdsa-sha2_256, …: SHA-2 is all we sign with.
  if (word.starts_with("rsa-sha2") || word.starts_with("ecdsa-sha2")) return AuthMethod::kSignature;
  return std::nullopt;
}

void refuse_method(const Context& c, const Piece& piece) {
  const auto place = c.entry.value_place(piece.offset);
  const std::string what = c.entry.key + "=" + std::string(piece.text);
  const auto& word = piece.text;
  if (word == "rsa-sha1") {
    // RFC 8247 section 4: RSA digital signatures with SHA-1 are no more than "MUST NOT".
    return c.report.error(place, what + ": signatures with SHA-1 are not made", "write rsasig or pubkey");
  }
  if (word.starts_with("eap") || word.starts_with("xauth")) {
    return c.report.error(place, what + ": EAP and XAUTH are not built yet", "write psk or pubkey");
  }
  if (word == "any" || word == "never") {
    return c.report.error(place, what + ": say how the ends prove who they are", "write secret, pubkey or null");
  }
  if (word.starts_with("rsa-") || word.starts_with("ecdsa-") || word.starts_with("pubkey-")) {
    return c.report.error(place, what + ": limits on keys and hashes are not built yet", "write pubkey");
  }
  c.report.error(place, "'" + std::string(word) + "' is no value of " + c.entry.key + "=",
                 suggestion(word, {"secret", "psk", "pubkey", "rsasig", "ecdsa", "null"},
                            "write secret (or psk), pubkey (or rsasig, ecdsa, cert) or null"));
}

std::optional<AuthMethod> read_method(const Context& c) {
  std::optional<AuthMethod> method;
  for (const auto& piece : split(c.entry.value, ",|")) {
    const auto one = method_of(piece.text);
    if (!one) {
      refuse_method(c, piece);
      return std::nullopt;
    }
    if (method && *method != *one) {
      c.report.error(c.entry.value_place(piece.offset), c.entry.key + "= names different ways to authenticate",
                     "name one; leftauth= and rightauth= may differ from each other");
      return std::nullopt;
    }
    method = one;
  }
  return method;
}

void on_authby(const Context& c) {
  if (const auto method = read_method(c)) c.draft.authby = method;
}
void on_auth(const Context& c) {
  if (const auto method = read_method(c)) c.end_draft->auth = method;
}

// ---- who an end is

void on_id(const Context& c) {
  const auto& text = c.entry.value;
  if (text == "%any" || text == "%fromcert") {
    c.end->id_any = true;
    c.end_draft->from_certificate = text == "%fromcert";
    return;
  }
  if (text == "%null") {
    c.end->id = model::Identity{};
    return;
  }
  if (text.starts_with('%')) {
    if (text == "%myid" || text == "%none") return c.bad(text + " is not built", "write the identity itself");
    return c.bad("'" + text + "' is no value of " + c.entry.key + "=",
                 suggestion(text, {"%any", "%fromcert", "%null"}, "write @name, user@host, an address or %any"));
  }
  auto id = model::Identity::parse(text);
  if (!id) {
    return c.bad("'" + text + "' is no identity",
                 "write @name, user@host, an address, C=DE, O=…, CN=…, or @#hex for a key ID");
  }
  c.end->id = std::move(*id);
}

void on_cert(const Context& c) { c.end_draft->cert = c.entry; }

void on_public_key(const Context& c) {
  const auto& text = c.entry.value;
  if (text == "%cert" || text == "%none") return;  // the certificate, or nothing: as if not written
  if (text.starts_with("%dns") || text.starts_with("dns:") || text.starts_with("ssh:")) {
    return c.bad(text + ": keys from the DNS and in SSH's form are not built yet",
                 "write a file with the key, or 0s and its base64");
  }
  c.end_draft->public_key = c.entry;
}

void on_ca(const Context& c) {
  const auto& text = c.entry.value;
  if (text == "%any") return;
  if (text == "%same") {
    c.end->same_authority = true;
    return;
  }
  auto id = model::Identity::parse(text);
  if (!id || id->type != model::IdType::kDerAsn1Dn)
    return c.bad("'" + text + "' is no distinguished name", "write C=DE, O=…, CN=…, or %same or %any");
  c.end->authority = std::move(*id);
}

void on_groups(const Context& c) {
  for (const auto& piece : split(c.entry.value, ",")) c.end->groups.emplace_back(piece.text);
}

template <typename T>
struct Choice {
  std::string_view word;
  T value;
};
template <typename T, std::size_t N>
std::optional<T> choose(const Context& c, const std::array<Choice<T>, N>& choices) {
  std::vector<std::string_view> words;
  for (const auto& choice : choices) {
    if (equals_ignoring_case(choice.word, c.entry.value)) return choice.value;
    words.push_back(choice.word);
  }
  c.bad("'" + c.entry.value + "' is no value of " + c.entry.key + "=",
        suggestion(c.entry.value, words, "write " + one_of(words)));
  return std::nullopt;
}

void on_sendcert(const Context& c) {
  using model::SendCertificate;
  static constexpr std::array<Choice<SendCertificate>, 8> kChoices{{{"always", SendCertificate::kAlways},
                                                                    {"ifasked", SendCertificate::kIfAsked},
                                                                    {"never", SendCertificate::kNever},
                                                                    {"yes", SendCertificate::kAlways},
                                                                    {"no", SendCertificate::kNever},
                                                                    {"sendifasked", SendCertificate::kIfAsked},
                                                                    {"alwayssend", SendCertificate::kAlways},
                                                                    {"forcesend", SendCertificate::kAlways}}};
  if (const auto value = choose(c, kChoices)) c.end->send_certificate = *value;
}

void on_revocation(const Context& c) {
  using model::Revocation;
  static constexpr std::array<Choice<Revocation>, 3> kChoices{
      {{"strict", Revocation::kStrict}, {"relaxed", Revocation::kRelaxed}, {"ignore", Revocation::kIgnore}}};
  if (const auto value = choose(c, kChoices)) {
    c.end->revocation = *value;
    c.end_draft->revocation_set = true;
  }
}

struct Word {
  std::string_view name;
  void (*apply)(const Context&);
};
constexpr std::array kConnWords{Word{"authby", on_authby}};
constexpr std::array kEndWords{
    Word{"id", on_id},
    Word{"auth", on_auth},
    Word{"cert", on_cert},
    Word{"ca", on_ca},
    Word{"groups", on_groups},
    Word{"sendcert", on_sendcert},
    Word{"revocation", on_revocation},
    Word{"rsasigkey", on_public_key},
    Word{"ecdsakey", on_public_key},
    Word{"sigkey", on_public_key},
    Word{"pubkey", on_public_key},
};

}  // namespace

bool apply_credential_word(const Entry& entry, ConnectionDraft& draft, Reporter& report) {
  for (const auto& word : kConnWords) {
    if (word.name != entry.key) continue;
    word.apply({entry, draft, report});
    return true;
  }
  const bool left = entry.key.starts_with("left");
  if (!left && !entry.key.starts_with("right")) return false;
  const auto name = std::string_view(entry.key).substr(left ? 4 : 5);
  for (const auto& word : kEndWords) {
    if (word.name != name) continue;
    word.apply({entry, draft, report, left ? &draft.left : &draft.right,
                left ? &draft.connection.local : &draft.connection.remote});
    return true;
  }
  return false;
}

std::vector<std::string_view> credential_words(bool of_an_end) {
  std::vector<std::string_view> names;
  if (of_an_end) {
    for (const auto& word : kEndWords) names.push_back(word.name);
  } else {
    for (const auto& word : kConnWords) names.push_back(word.name);
  }
  return names;
}

}  // namespace cygnet::config
