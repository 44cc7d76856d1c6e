// SPDX-License-Identifier: Apache-2.0
#include "config/setkey_script.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "config/setkey_algorithms.h"
#include "config/setkey_parser.h"
#include "config/suggest.h"

namespace cygnet::config {
namespace {

constexpr auto kVerbs = std::to_array<std::pair<std::string_view, SetkeyVerb>>({
    {"add", SetkeyVerb::kAdd},
    {"update", SetkeyVerb::kUpdate},
    {"get", SetkeyVerb::kGet},
    {"delete", SetkeyVerb::kDelete},
    {"deleteall", SetkeyVerb::kDeleteAll},
    {"flush", SetkeyVerb::kFlush},
    {"dump", SetkeyVerb::kDump},
    {"spdadd", SetkeyVerb::kSpdAdd},
    {"spdupdate", SetkeyVerb::kSpdUpdate},
    {"spddelete", SetkeyVerb::kSpdDelete},
    {"spdflush", SetkeyVerb::kSpdFlush},
    {"spddump", SetkeyVerb::kSpdDump},
});

// sadb_sa_flags: KAME's padding, Linux's, and ours for ESN.
constexpr auto kFlags = std::to_array<std::pair<std::string_view, std::uint32_t>>({
    {"seq-pad", 0},
    {"random-pad", 0x100},
    {"zero-pad", 0x200},
    {"nocyclic-seq", 0},
    {"esn", 0x0400'0000},
    {"nopmtudisc", 0x2000'0000},
    {"decap-dscp", 0x4000'0000},
    {"noecn", 0x8000'0000},
});

constexpr std::uint64_t kMostReserved = 255;  // RFC 4303 section 2.1: SPIs up to here are reserved
constexpr std::uint64_t kMostCpi = 0xffff;    // RFC 3173 section 3.3

}  // namespace

std::optional<std::uint64_t> parse_setkey_number(std::string_view text, std::uint64_t most) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failed != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

SetkeyScript parse_setkey(std::string_view text, const std::string& file) { return SetkeyParser(text, file).run(); }

SetkeyScript SetkeyParser::run() {
  while (word_) {
    if (at(";")) {
      advance();
      continue;
    }
    if (at_exit()) {
      last_ = word_->place;
      advance();
      if (!at(";")) (void)error(word_ ? word_->place : last_, "a semicolon must end the statement");
      break;
    }
    SetkeyStatement next;
    if (!statement(next)) break;
    script_.statements.push_back(std::move(next));
  }
  return std::move(script_);
}

// ---- words

std::optional<SetkeyWord> SetkeyParser::take(const std::string& what) {
  if (at_end() || !word_) {
    error_here(what);
    return std::nullopt;
  }
  auto word = std::move(*word_);
  last_ = word.place;
  advance();
  if (!word.quoted && word.text.starts_with('"')) {
    error(word.place, "the string has no closing quote on its line");
    return std::nullopt;
  }
  return word;
}

bool SetkeyParser::error(SetkeyPlace place, std::string message, std::string hint) {
  script_.diagnostics.push_back({.level = Level::kError,
                                 .file = file_,
                                 .line = static_cast<unsigned>(place.line),
                                 .column = static_cast<unsigned>(place.column),
                                 .message = std::move(message),
                                 .hint = std::move(hint),
                                 .source_line = {}});
  return false;
}

bool SetkeyParser::error_here(const std::string& expected) {
  if (!word_) return error(last_, "the text ends here; " + expected + " and a semicolon must follow");
  return error(word_->place, expected + " is missing before the semicolon");
}

template <typename T>
bool SetkeyParser::number(const SetkeyWord& word, const std::string& what, std::uint64_t most, T& out) {
  const auto value = parse_setkey_number(word.text, most);
  if (!value) {
    return error(word.place, "'" + word.text + "' is no " + what + ": a number up to " + std::to_string(most) +
                                 ", decimal or hexadecimal with 0x");
  }
  out = static_cast<T>(*value);
  return true;
}

template <typename T>
bool SetkeyParser::take_number(const std::string& what, std::uint64_t most, T& out) {
  const auto word = take("a " + what);
  return word && number(*word, what, most, out);
}

// ---- statements

bool SetkeyParser::statement(SetkeyStatement& out) {
  const auto verb = take("a statement");
  if (!verb) return false;
  out.place = verb->place;
  const auto known = std::ranges::find(kVerbs, std::string_view(verb->text), &decltype(kVerbs)::value_type::first);
  if (verb->quoted || known == kVerbs.end()) {
    std::vector<std::string_view> names;
    names.reserve(kVerbs.size());
    for (const auto& [name, value] : kVerbs) names.push_back(name);
    return error(verb->place, "setkey has no statement '" + verb->text + "'",
                 suggestion(verb->text, names, "statements are add, delete, spdadd and others: see setkey(8)"));
  }
  out.verb = known->second;
  if (!arguments(out)) return false;
  if (!word_) return error(last_, "a semicolon must end the statement");
  if (!at(";"))
    return error(word_->place, "'" + word_->text + "' is too much here: a semicolon must end the statement");
  advance();
  return true;
}

bool SetkeyParser::arguments(SetkeyStatement& out) {
  switch (out.verb) {
    case SetkeyVerb::kSpdFlush:
    case SetkeyVerb::kSpdDump: return true;
    case SetkeyVerb::kFlush:
    case SetkeyVerb::kDump: return optional_protocol(out);
    case SetkeyVerb::kSpdAdd:
    case SetkeyVerb::kSpdUpdate:
    case SetkeyVerb::kSpdDelete: return spd_statement(out);
    case SetkeyVerb::kDeleteAll: return family_options(out) && sa_name(out, false);
    case SetkeyVerb::kGet:
    case SetkeyVerb::kDelete: return family_options(out) && sa_name(out, true);
    case SetkeyVerb::kAdd:
    case SetkeyVerb::kUpdate:
      return family_options(out) && sa_name(out, true) && extensions(out.sa) && algorithms(out) && check_sa(out);
  }
  return false;
}

// -4, -6, -n, also together.
bool SetkeyParser::family_options(SetkeyStatement& out) {
  while (word_ && !word_->quoted && word_->text.size() > 1 && word_->text[0] == '-' &&
         word_->text.find_first_not_of("46n", 1) == std::string::npos) {
    const bool four = word_->text.find('4') != std::string::npos;
    const bool six = word_->text.find('6') != std::string::npos;
    if (four != six) out.family = four ? '4' : '6';
    out.no_lookup = out.no_lookup || word_->text.find('n') != std::string::npos;
    advance();
  }
  return true;
}

bool SetkeyParser::sa_name(SetkeyStatement& out, bool with_spi) {
  if (!address(out.source, false) || !address(out.destination, false) || !protocol(out.sa.protocol)) return false;
  if (!with_spi) return true;
  const auto word = take("an SPI");
  if (!word) return false;
  const bool cpi = out.sa.protocol == SetkeyProtocol::kIpComp;
  if (!number(*word, cpi ? "CPI" : "SPI", cpi ? kMostCpi : UINT32_MAX, out.sa.spi)) return false;
  if (!cpi && out.sa.protocol != SetkeyProtocol::kTcp && out.sa.spi <= kMostReserved) {
    return error(word->place, "SPIs up to 255 are reserved (RFC 4303 section 2.1)", "take one from 256 on");
  }
  return true;
}

bool SetkeyParser::protocol(SetkeyProtocol& out) {
  const auto word = take("a protocol (esp, ah, ipcomp)");
  if (!word) return false;
  if (word->is("esp")) {
    out = SetkeyProtocol::kEsp;
  } else if (word->is("esp-udp")) {
    out = SetkeyProtocol::kEspUdp;
  } else if (word->is("ah")) {
    out = SetkeyProtocol::kAh;
  } else if (word->is("ipcomp")) {
    out = SetkeyProtocol::kIpComp;
  } else if (word->is("tcp")) {
    out = SetkeyProtocol::kTcp;
  } else if (word->is("esp-old") || word->is("ah-old")) {
    return error(word->place, word->text + " is the IPsec of 1995 (RFC 1826, 1827) and is not spoken any more",
                 "say " + word->text.substr(0, word->text.size() - 4));
  } else {
    return error(word->place, "'" + word->text + "' is no protocol of IPsec", "esp, esp-udp, ah, ipcomp and tcp are");
  }
  return true;
}

bool SetkeyParser::optional_protocol(SetkeyStatement& out) {
  out.sa.protocol = SetkeyProtocol::kAny;
  return at_end() || protocol(out.sa.protocol);
}

// ---- what an SA has beside its name

bool SetkeyParser::extensions(SetkeySa& sa) {
  while (word_ && !word_->quoted && word_->text.starts_with('-') && !at("-E") && !at("-A") && !at("-C")) {
    const auto option = take("an option");
    if (!option || !extension(*option, sa)) return false;
  }
  return true;
}

bool SetkeyParser::extension(const SetkeyWord& option, SetkeySa& sa) {
  if (option.text == "-m") {
    const auto word = take("a mode");
    return word && mode(*word, sa.mode);
  }
  if (option.text == "-r") return take_number("replay window", 255, sa.replay);
  if (option.text == "-u") return take_number("reqid", UINT32_MAX, sa.reqid);
  if (option.text == "-f") return sa_flag(sa);
  if (option.text == "-ctx") return context(sa.context);
  if (option.text == "-esp_frag") return take_number("fragment size", 65535, sa.fragment);
  if (option.text == "-lh" || option.text == "-ls" || option.text == "-bh" || option.text == "-bs") {
    return lifetime(option.text, sa);
  }
  return error(option.place, "an SA has no option " + option.text,
               "-m, -r, -u, -f, -lh, -ls, -bh, -bs, -ctx and -esp_frag come before -E and -A");
}

bool SetkeyParser::lifetime(std::string_view option, SetkeySa& sa) {
  auto& which = option[2] == 'h' ? sa.hard : sa.soft;
  if (option[1] == 'l') return take_number("number of seconds", UINT32_MAX, which.seconds);
  return take_number("number of octets", UINT64_MAX, which.bytes);
}

bool SetkeyParser::mode(const SetkeyWord& word, SetkeyMode& out) {
  constexpr auto kModes = std::to_array<std::pair<std::string_view, SetkeyMode>>({{"any", SetkeyMode::kAny},
                                                                                  {"transport", SetkeyMode::kTransport},
                                                                                  {"tunnel", SetkeyMode::kTunnel},
                                                                                  {"beet", SetkeyMode::kBeet}});
  for (const auto& [name, value] : kModes) {
    if (!word.is(name)) continue;
    out = value;
    return true;
  }
  return error(word.place, "'" + word.text + "' is no mode", "transport, tunnel, beet and any are");
}

bool SetkeyParser::sa_flag(SetkeySa& sa) {
  const auto word = take("a flag");
  if (!word) return false;
  for (const auto& [name, value] : kFlags) {
    if (!word->is(name)) continue;
    sa.flags |= value;
    return true;
  }
  return error(word->place, "an SA has no flag '" + word->text + "'",
               "seq-pad, zero-pad, random-pad, nocyclic-seq, esn, noecn, nopmtudisc and decap-dscp are flags");
}

bool SetkeyParser::context(std::optional<SetkeySa::Context>& out) {
  SetkeySa::Context read;
  if (!take_number("domain of interpretation", 255, read.domain) || !take_number("algorithm", 255, read.algorithm)) {
    return false;
  }
  const auto name = take("a security context");
  if (!name) return false;
  read.name = name->text;
  out = std::move(read);
  return true;
}

// ---- algorithms

bool SetkeyParser::algorithms(SetkeyStatement& out) {
  while (word_ && (at("-E") || at("-A") || at("-C"))) {
    const char kind = word_->text[1];
    last_ = word_->place;
    advance();
    if (!algorithm(kind, out.sa)) return false;
  }
  return true;
}

bool SetkeyParser::algorithm(char kind, SetkeySa& sa) {
  const auto table = kind == 'E' ? setkey_encryption() : kind == 'A' ? setkey_authentication() : setkey_compression();
  const auto word = take("an algorithm");
  if (!word) return false;
  const auto* row = word->quoted ? nullptr : find_setkey(table, word->text);
  if (row == nullptr) {
    std::string all;
    for (const auto& one : table) all += (all.empty() ? "" : ", ") + std::string(one.name);
    // Of ipsec-tools' list, those without a number in Linux and without a transform of RFC 4303's ESP.
    if (word->text.ends_with("-deriv")) {
      return error(word->place, "'" + word->text + "' is a transform of an ESP before RFC 2406, which no system has",
                   "use aes-gcm-16, or aes-cbc with -A");
    }
    return error(word->place, "'" + word->text + "' is no algorithm for -" + std::string(1, kind), "there are " + all);
  }
  if (kind == 'C') {
    sa.compression = row->number;
    if (at("-R")) advance();  // what is not worth compressing is sent as it is: so it is always
    return true;
  }
  (kind == 'E' ? sa.encryption : sa.authentication) = row->number;
  const bool keyless = row->max_bits == 0;
  if (keyless && (at_end() || !word_ || !word_->quoted)) return true;
  auto& octets = kind == 'E' ? sa.encryption_key : sa.authentication_key;
  SetkeyPlace place;
  if (!key(octets, place)) return false;
  if (const auto fits = check_key(*row, octets.size() * 8); !fits) return error(place, fits.error().message);
  return true;
}

// 0x… or "…".
bool SetkeyParser::key(SecretBytes& out, SetkeyPlace& place) {
  const auto word = take("a key");
  if (!word) return false;
  place = word->place;
  if (word->quoted) {
    out.assign(word->text.begin(), word->text.end());
    return true;
  }
  Bytes octets;
  // The text itself is not shown: it is a secret.
  if (!word->text.starts_with("0x") && !word->text.starts_with("0X")) {
    return error(place, "a key is hexadecimal with 0x before it, or a string in double quotes");
  }
  if (!from_hex(word->text, octets)) {
    return error(place, "the key has an odd number of hexadecimal digits, or something else than digits");
  }
  out.assign(octets.begin(), octets.end());
  wipe(octets);
  return true;
}

bool SetkeyParser::check_sa(const SetkeyStatement& statement) {
  const auto& sa = statement.sa;
  using P = SetkeyProtocol;
  const auto wrong = [&](const std::string& message, const std::string& hint) {
    return error(statement.place, message, hint);
  };
  if (sa.protocol == P::kIpComp) {
    if (sa.encryption != 0 || sa.authentication != 0) return wrong("ipcomp takes -C and neither -E nor -A", "");
    return sa.compression != 0 || wrong("ipcomp needs an algorithm", "say -C deflate");
  }
  if (sa.compression != 0) return wrong("-C is for ipcomp", "");
  const bool esp = sa.protocol == P::kEsp || sa.protocol == P::kEspUdp;
  if (!esp && sa.encryption != 0) return wrong("-E is for esp", "");
  if (statement.verb == SetkeyVerb::kUpdate) return true;
  if (esp && sa.encryption == 0 && sa.authentication == 0)
    return wrong("esp needs an algorithm", "say -E aes-gcm-16 KEY");
  if (!esp && sa.authentication == 0) return wrong("this SA needs an algorithm", "say -A hmac-sha256 KEY");
  if (sa.protocol == P::kEspUdp && (statement.source.port == 0 || statement.destination.port == 0)) {
    return wrong("esp-udp needs both ports", "write the addresses as 192.0.2.1[4500]");
  }
  return true;
}

}  // namespace cygnet::config
