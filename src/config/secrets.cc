// SPDX-License-Identifier: Apache-2.0
// ipsec.secrets:
//   [identity…] : PSK "secret" | 'secret' | 0x hex | 0s base64 | 0t text
//   : RSA | ECDSA | PKCS8 | … FILE ["passphrase"]     : P12 FILE "passphrase"     : PIN pkcs11:URI "pin"
//   include pattern
// An entry starts at the beginning of a line and goes on in indented lines. No message shows anything of an entry but
// its place: a slip of the hand may have put the secret anywhere.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "config/credentials.h"
#include "config/load.h"
#include "config/pem.h"
#include "config/sections.h"
#include "config/suggest.h"
#include "config/values.h"
#include "model/pkcs11_uri.h"

namespace cygnet::config {
namespace {

constexpr std::size_t kMaxSecret = 8192;
constexpr std::size_t kShortSecret = 12;
constexpr std::size_t kMaxIds = 64;
constexpr std::size_t kMaxKeyFile = 262144;

struct Token {
  std::string_view text;  // without quotes
  bool quoted = false;
  unsigned line = 0;
  unsigned column = 0;
};

enum class KindOfSecret { kPsk, kPrivateKey, kPin, kNotBuilt, kUnknown };

KindOfSecret kind_of(std::string_view word) {
  struct Kind {
    std::string_view word;
    KindOfSecret kind;
  };
  static constexpr std::array<Kind, 17> kKinds{{{"PSK", KindOfSecret::kPsk},
                                                {"RSA", KindOfSecret::kPrivateKey},
                                                {"ECDSA", KindOfSecret::kPrivateKey},
                                                {"ED25519", KindOfSecret::kPrivateKey},
                                                {"ED448", KindOfSecret::kPrivateKey},
                                                {"PKCS8", KindOfSecret::kPrivateKey},
                                                {"PRIVATE", KindOfSecret::kPrivateKey},
                                                {"P12", KindOfSecret::kPrivateKey},
                                                {"PKCS12", KindOfSecret::kPrivateKey},
                                                {"PIN", KindOfSecret::kPin},
                                                {"BLISS", KindOfSecret::kNotBuilt},
                                                {"EAP", KindOfSecret::kNotBuilt},
                                                {"NTLM", KindOfSecret::kNotBuilt},
                                                {"XAUTH", KindOfSecret::kNotBuilt},
                                                {"PPK", KindOfSecret::kNotBuilt},
                                                {"PPKS", KindOfSecret::kNotBuilt},
                                                {"PUBKEY", KindOfSecret::kNotBuilt}}};
  const auto* row =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return equals_ignoring_case(word, k.word); });
  return row == kKinds.end() ? KindOfSecret::kUnknown : row->kind;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::optional<std::uint8_t> base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<std::uint8_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<std::uint8_t>(c - 'a' + 26);
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0' + 52);
  if (c == '+') return std::uint8_t{62};
  if (c == '/') return std::uint8_t{63};
  return std::nullopt;
}

std::optional<SecretBytes> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  SecretBytes out;
  out.reserve(text.size() * 3 / 4 + 1);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const auto digit = base64_digit(c);
    if (!digit) return std::nullopt;
    bits = (bits << 6) | *digit;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<std::uint8_t>(bits >> count));
    }
  }
  return out;
}

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

std::optional<SecretBytes> from_hex_secret(std::string_view text) {
  SecretBytes out;
  out.reserve(text.size() / 2 + 1);
  // Both dialects allow '_' between groups.
  std::uint8_t high = 0;
  bool have_high = false;
  for (const char c : text) {
    if (c == '_') continue;
    const auto digit = hex_digit(c);
    if (!digit) return std::nullopt;
    if (have_high) out.push_back(static_cast<std::uint8_t>((high << 4) | *digit));
    high = *digit;
    have_high = !have_high;
  }
  if (have_high) return std::nullopt;
  return out;
}

class SecretsParser {
 public:
  SecretsParser(FileReader& files, LoadedSecrets& out) : files_(files), out_(out), report_(out.diagnostics) {}
  void parse_file(const std::string& path, const Place& from, unsigned depth);
  // Keys in private/ beside the file that no line names.
  void read_private_folder(const std::string& secrets_path);

 private:
  void parse_text(std::string_view text, unsigned depth);
  bool add_tokens(std::string_view line, unsigned number, std::vector<Token>& tokens);
  void finish_entry(std::vector<Token>& tokens, unsigned depth);
  void parse_psk(const std::vector<Token>& ids, const std::vector<Token>& rest, const Token& kind);
  void parse_private_key(const std::vector<Token>& rest, const Token& kind);
  void parse_pin(const std::vector<Token>& rest, const Token& kind);
  bool read_key_file(const std::string& path, model::PrivateKeySource& key);
  bool read_ids(const std::vector<Token>& tokens, model::SharedSecret& secret);
  std::optional<SecretBytes> read_value(const Token& token);
  void include(const std::vector<Token>& tokens, unsigned depth);
  [[nodiscard]] Place at(unsigned line, unsigned column) const { return {path_, line, column, {}}; }
  [[nodiscard]] Place at(const Token& token) const { return at(token.line, token.column); }

  FileReader& files_;
  LoadedSecrets& out_;
  Reporter report_;
  std::string path_;
  std::vector<std::string> stack_;
  std::size_t file_count_ = 0;
  std::set<std::string> key_files_;  // read already
};

void SecretsParser::parse_file(const std::string& path, const Place& from, unsigned depth) {
  if (std::find(stack_.begin(), stack_.end(), path) != stack_.end())
    return report_.error(from, "'" + path + "' includes itself");
  if (depth > kMaxIncludeDepth || ++file_count_ > kMaxFiles)
    return report_.error(from, "include goes too deep or names too many files");
  auto text = files_.read(path);
  if (!text) return report_.error(from, text.error().message);
  if (text->size() > kMaxFileBytes) return report_.error(from, "'" + path + "' is too large");
  stack_.push_back(path);
  const auto outer = std::exchange(path_, path);
  parse_text(*text, depth);
  path_ = outer;
  stack_.pop_back();
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
}

void SecretsParser::parse_text(std::string_view text, unsigned depth) {
  std::vector<Token> entry;
  unsigned number = 0;
  bool skip = false;  // the rest of an entry with a bad line
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const bool continues = !line.empty() && is_blank(line[0]);
    if (!continues) {
      if (!skip) finish_entry(entry, depth);
      entry.clear();
      skip = false;
    }
    // The closing brace of a private key may stand at the beginning of its line.
    if (!skip && !line.starts_with('}')) skip = !add_tokens(line, number, entry);
  }
  if (!skip) finish_entry(entry, depth);
}

bool SecretsParser::add_tokens(std::string_view line, unsigned number, std::vector<Token>& tokens) {
  for (std::size_t i = 0; i < line.size();) {
    if (is_blank(line[i])) {
      ++i;
      continue;
    }
    if (line[i] == '#') return true;
    Token token{{}, false, number, static_cast<unsigned>(i) + 1};
    std::size_t end = 0;
    if (line[i] == '"' || line[i] == '\'') {
      end = line.find(line[i], i + 1);
      if (end == std::string_view::npos) {
        report_.error(at(token), "the quote is not closed on this line");
        return false;
      }
      token.quoted = true;
      token.text = line.substr(i + 1, end - i - 1);
      ++end;
    } else {
      end = i;
      while (end < line.size() && !is_blank(line[end])) ++end;
      token.text = line.substr(i, end - i);
    }
    tokens.push_back(token);
    i = end;
  }
  return true;
}

// Index of the token that ends the identities; text of that token that belongs to the identity, or to what follows.
struct Separator {
  std::size_t index = 0;
  std::string_view id;    // "@a:" leaves "@a"
  std::string_view rest;  // ":PSK" leaves "PSK"
};
std::optional<Separator> find_separator(const std::vector<Token>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto text = tokens[i].text;
    if (tokens[i].quoted) continue;
    if (text == ":") return Separator{i, {}, {}};
    if (text.starts_with(':') && kind_of(text.substr(1)) != KindOfSecret::kUnknown)
      return Separator{i, {}, text.substr(1)};
    const bool next_is_kind =
        i + 1 < tokens.size() && !tokens[i + 1].quoted && kind_of(tokens[i + 1].text) != KindOfSecret::kUnknown;
    if (text.ends_with(':') && next_is_kind) return Separator{i, text.substr(0, text.size() - 1), {}};
  }
  return std::nullopt;
}

void SecretsParser::finish_entry(std::vector<Token>& tokens, unsigned depth) {
  if (tokens.empty()) return;
  if (!tokens[0].quoted && tokens[0].text == "include") return include(tokens, depth);
  const auto separator = find_separator(tokens);
  if (!separator) {
    return report_.error(at(tokens[0]), "this entry has no ':' between identities and secret",
                         "write: @here @there : PSK \"secret\"");
  }
  std::vector<Token> ids(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(separator->index));
  std::vector<Token> rest(tokens.begin() + static_cast<std::ptrdiff_t>(separator->index) + 1, tokens.end());
  const auto& middle = tokens[separator->index];
  if (!separator->id.empty()) ids.push_back({separator->id, false, middle.line, middle.column});
  if (!separator->rest.empty()) rest.insert(rest.begin(), Token{separator->rest, false, middle.line, middle.column});
  if (rest.empty()) return report_.error(at(middle), "nothing follows the ':'", "write: : PSK \"secret\"");
  const auto kind = rest[0];
  rest.erase(rest.begin());
  switch (kind.quoted ? KindOfSecret::kUnknown : kind_of(kind.text)) {
    case KindOfSecret::kPsk: return parse_psk(ids, rest, kind);
    case KindOfSecret::kPrivateKey: return parse_private_key(rest, kind);
    case KindOfSecret::kPin: return parse_pin(rest, kind);
    case KindOfSecret::kNotBuilt:
      return report_.warning(at(kind), "passwords (EAP, XAUTH) are not built yet: this entry is not used");
    case KindOfSecret::kUnknown:
      return report_.error(at(kind), "the kind of the secret is missing or not known", "write: : PSK \"secret\"");
  }
}

void SecretsParser::parse_psk(const std::vector<Token>& ids, const std::vector<Token>& rest, const Token& kind) {
  if (rest.empty()) return report_.error(at(kind), "PSK without a secret", "write: : PSK \"secret\"");
  if (rest.size() > 1) {
    return report_.error(at(rest[1]), "something follows the secret",
                         "put a secret with blanks in quotes, and begin each entry at the start of a line");
  }
  model::SharedSecret secret;
  secret.source = path_ + ':' + std::to_string(kind.line);
  auto value = read_value(rest[0]);
  if (!read_ids(ids, secret) || !value) return;
  secret.secret = std::move(*value);
  if (secret.secret.size() < kShortSecret) {
    // RFC 7296 section 2.15: a shared secret derived from a password is open to guessing; it must be as random as the
    // keys.
    report_.warning(at(rest[0]), "this secret is short enough to be guessed", "make one with: openssl rand -base64 32");
  }
  out_.secrets.push_back(std::move(secret));
}

void SecretsParser::parse_private_key(const std::vector<Token>& rest, const Token& kind) {
  if (rest.empty()) return report_.error(at(kind), "the file of the key is missing", "write: : RSA moon.key");
  if (!rest[0].quoted && rest[0].text.starts_with('{'))
    return report_.warning(at(kind), "keys written out in this file are not read: this entry is not used",
                           "put the key into a file in PEM and name that");
  if (rest.size() > 2) return report_.error(at(rest[2]), "something follows the passphrase");
  if (model::is_pkcs11_uri(rest[0].text)) return parse_pin(rest, kind);  // ": RSA pkcs11:…"
  model::PrivateKeySource key;
  key.source = path_ + ':' + std::to_string(kind.line);
  if (rest.size() == 2) {
    if (!rest[1].quoted && rest[1].text == "%prompt")
      return report_.error(at(rest[1]), "nobody is there to be asked for a passphrase", "write it here in quotes");
    auto passphrase = read_value(rest[1]);
    if (!passphrase) return;
    key.passphrase = std::move(*passphrase);
  }
  const std::string name(rest[0].text);
  const auto beside = folder_of(path_);
  const bool absolute = name.starts_with('/');
  if (!read_key_file(absolute ? name : beside + "private/" + name, key) &&
      (absolute || !read_key_file(beside + name, key))) {
    return report_.error(at(rest[0]), "the file of the key cannot be read",
                         absolute ? "" : "relative names are looked for in private/ and beside this file");
  }
  out_.private_keys.push_back(std::move(key));
}

bool SecretsParser::read_key_file(const std::string& path, model::PrivateKeySource& key) {
  auto text = files_.read(path);
  if (!text || text->empty() || text->size() > kMaxKeyFile) return false;
  key.bytes.assign(text->begin(), text->end());
  key.source += (key.source.empty() ? "" : " ") + path;
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  key_files_.insert(path);
  return true;
}

void SecretsParser::parse_pin(const std::vector<Token>& rest, const Token& kind) {
  if (rest.empty() || rest.size() > 2 || !rest[0].text.starts_with("pkcs11:")) {
    return report_.error(at(kind), "PIN belongs to a key on a token (RFC 7512)",
                         "write: : PIN \"pkcs11:token=…;object=…;type=private\" \"pin\"");
  }
  const auto uri = model::Pkcs11Uri::parse(rest[0].text);
  // RFC 7512 section 2.4: pin-value in the URI would show wherever the URI does.
  if (!uri) return report_.error(at(rest[0]), uri.error().message);
  if (!uri->type.empty() && uri->type != "private") {
    return report_.error(at(rest[0]), "this URI is of no private key (type=" + uri->type + ")",
                         "write type=private here; the certificate belongs into ipsec.conf: leftcert=pkcs11:…");
  }
  model::PrivateKeySource key;
  key.source = path_ + ':' + std::to_string(kind.line);
  key.uri = std::string(rest[0].text);
  if (rest.size() == 2) {
    if (!rest[1].quoted && rest[1].text == "%prompt")
      return report_.error(at(rest[1]), "nobody is there to be asked for a PIN", "write it here in quotes");
    auto pin = read_value(rest[1]);
    if (!pin) return;
    key.passphrase = std::move(*pin);
  }
  out_.private_keys.push_back(std::move(key));
}

void SecretsParser::read_private_folder(const std::string& secrets_path) {
  for (const auto* ending : {"pem", "key", "der"}) {
    for (const auto& path : files_.glob(folder_of(secrets_path) + "private/*." + ending)) {
      if (key_files_.contains(path)) continue;
      model::PrivateKeySource key;
      if (!read_key_file(path, key)) {
        report_.warning({path, 0, 0, {}}, "this key cannot be read: it is not used");
        continue;
      }
      const std::string_view text(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size());
      if (text.find("ENCRYPTED") != std::string_view::npos) {
        report_.warning({path, 0, 0, {}}, "this key is under a passphrase that no line gives: it is not used",
                        "write into ipsec.secrets: : PKCS8 FILE \"passphrase\"");
        continue;
      }
      if (text.find("PRIVATE KEY-----") == std::string_view::npos && !is_der_sequence(key.bytes)) {
        report_.warning({path, 0, 0, {}}, "this file holds no private key: it is not used");
        continue;
      }
      out_.private_keys.push_back(std::move(key));
    }
  }
}

bool SecretsParser::read_ids(const std::vector<Token>& tokens, model::SharedSecret& secret) {
  if (tokens.size() > kMaxIds) {
    report_.error(at(tokens[kMaxIds]), "more than " + std::to_string(kMaxIds) + " identities");
    return false;
  }
  secret.any_peer = tokens.empty();
  for (const auto& token : tokens) {
    if (token.text == "%any" || token.text == "%any6" || token.text == "0.0.0.0" || token.text == "::") {
      secret.any_peer = true;
    } else if (auto id = model::Identity::parse(token.text)) {
      secret.ids.push_back(std::move(*id));
    } else {
      report_.error(at(token), "this is no identity", "write @name, user@host, an address or %any");
      return false;
    }
  }
  return true;
}

std::optional<SecretBytes> SecretsParser::read_value(const Token& token) {
  std::optional<SecretBytes> value;
  if (!token.quoted && (token.text.starts_with("0x") || token.text.starts_with("0X"))) {
    value = from_hex_secret(token.text.substr(2));
    if (!value)
      report_.error(at(token), "the secret starts with 0x but is not hexadecimal with an even number of digits",
                    "quote it if it is text");
  } else if (!token.quoted && token.text.starts_with("0s")) {
    value = from_base64(token.text.substr(2));
    if (!value) report_.error(at(token), "the secret starts with 0s but is not base64", "quote it if it is text");
  } else {
    auto text = token.text;
    if (!token.quoted && text.starts_with("0t")) text.remove_prefix(2);
    value = SecretBytes(text.begin(), text.end());
  }
  if (value && value->empty()) {
    report_.error(at(token), "the secret is empty", "make one with: openssl rand -base64 32");
    return std::nullopt;
  }
  if (value && value->size() > kMaxSecret) {
    report_.error(at(token), "the secret is longer than " + std::to_string(kMaxSecret) + " octets");
    return std::nullopt;
  }
  return value;
}

void SecretsParser::include(const std::vector<Token>& tokens, unsigned depth) {
  if (tokens.size() != 2) return report_.error(at(tokens[0]), "include takes one file name");
  const auto target = relative_to(path_, std::string(tokens[1].text));
  if (!has_wildcard(target)) return parse_file(target, at(tokens[1]), depth + 1);
  const auto found = files_.glob(target);
  if (found.empty())
    report_.warning(at(tokens[1]), "include " + std::string(tokens[1].text) + ": there is no such file: " + target);
  for (const auto& path : found) parse_file(path, at(tokens[1]), depth + 1);
}

}  // namespace

LoadedSecrets load_ipsec_secrets(const std::string& path, FileReader& files) {
  LoadedSecrets loaded;
  SecretsParser parser(files, loaded);
  parser.parse_file(path, {path, 0, 0, {}}, 0);
  parser.read_private_folder(path);
  return loaded;
}

}  // namespace cygnet::config
