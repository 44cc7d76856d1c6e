// SPDX-License-Identifier: Apache-2.0
// ipsec.secrets:
//   [identity…] : PSK "secret" | 'secret' | 0x hex | 0s base64 | 0t text
//   include pattern
// An entry starts at the beginning of a line and goes on in indented lines. No message shows anything of an entry but
// its place: a slip of the hand may have put the secret anywhere.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "config/load.h"
#include "config/sections.h"
#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

constexpr std::size_t kMaxSecret = 8192;
constexpr std::size_t kShortSecret = 12;
constexpr std::size_t kMaxIds = 64;

struct Token {
  std::string_view text;  // without quotes
  bool quoted = false;
  unsigned line = 0;
  unsigned column = 0;
};

enum class KindOfSecret { kPsk, kNotBuilt, kUnknown };

KindOfSecret kind_of(std::string_view word) {
  static constexpr std::array<std::string_view, 16> kNotBuilt{"RSA",    "ECDSA",   "BLISS", "P12",    "PKCS8", "EAP",
                                                              "NTLM",   "XAUTH",   "PIN",   "PPK",    "PPKS",  "PUBKEY",
                                                              "PKCS12", "ED25519", "ED448", "PRIVATE"};
  if (equals_ignoring_case(word, "PSK")) return KindOfSecret::kPsk;
  const bool known =
      std::any_of(kNotBuilt.begin(), kNotBuilt.end(), [&](auto w) { return equals_ignoring_case(word, w); });
  return known ? KindOfSecret::kNotBuilt : KindOfSecret::kUnknown;
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

 private:
  void parse_text(std::string_view text, unsigned depth);
  bool add_tokens(std::string_view line, unsigned number, std::vector<Token>& tokens);
  void finish_entry(std::vector<Token>& tokens, unsigned depth);
  void parse_psk(const std::vector<Token>& ids, const std::vector<Token>& rest, const Token& kind);
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
    case KindOfSecret::kNotBuilt:
      return report_.warning(
          at(kind), "private keys, passwords and tokens are not built yet; only PSK is: this entry is not used");
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
    } else if (token.text.find('=') != std::string_view::npos) {
      report_.warning(at(token),
                      "a distinguished name belongs to certificates, which are not built yet: this entry is not used");
      return false;
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
  for (const auto& path : files_.glob(target)) parse_file(path, at(tokens[1]), depth + 1);
}

}  // namespace

LoadedSecrets load_ipsec_secrets(const std::string& path, FileReader& files) {
  LoadedSecrets loaded;
  SecretsParser(files, loaded).parse_file(path, {path, 0, 0, {}}, 0);
  return loaded;
}

}  // namespace cygnet::config
