// SPDX-License-Identifier: Apache-2.0
#include "model/distinguished_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <optional>
#include <vector>

#include "model/printable.h"

namespace cygnet::model {
namespace {

constexpr std::size_t kMaxText = 8192;
constexpr std::size_t kMaxAttributes = 64;

constexpr std::uint8_t kSequence = 0x30;
constexpr std::uint8_t kSet = 0x31;
constexpr std::uint8_t kObjectIdentifier = 0x06;
constexpr std::uint8_t kUtf8String = 0x0c;
constexpr std::uint8_t kPrintableString = 0x13;
constexpr std::uint8_t kIa5String = 0x16;

// ---- attribute types
struct Type {
  std::string_view name;
  std::string_view oid;  // encoded
  std::uint8_t string = kUtf8String;
};
using namespace std::string_view_literals;
// The first name of a type is the one that is printed. RFC 4514 section 3, and what else stands in certificates.
constexpr std::array kTypes{
    Type{"C", "\x55\x04\x06"sv, kPrintableString},
    Type{"countryName", "\x55\x04\x06"sv, kPrintableString},
    Type{"ST", "\x55\x04\x08"sv},
    Type{"S", "\x55\x04\x08"sv},
    Type{"stateOrProvinceName", "\x55\x04\x08"sv},
    Type{"L", "\x55\x04\x07"sv},
    Type{"localityName", "\x55\x04\x07"sv},
    Type{"O", "\x55\x04\x0a"sv},
    Type{"organizationName", "\x55\x04\x0a"sv},
    Type{"OU", "\x55\x04\x0b"sv},
    Type{"organizationalUnitName", "\x55\x04\x0b"sv},
    Type{"CN", "\x55\x04\x03"sv},
    Type{"commonName", "\x55\x04\x03"sv},
    Type{"E", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"sv, kIa5String},
    Type{"emailAddress", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"sv, kIa5String},
    Type{"Email", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"sv, kIa5String},
    Type{"DC", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"sv, kIa5String},
    Type{"domainComponent", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"sv, kIa5String},
    Type{"UID", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"sv},
    Type{"userId", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"sv},
    Type{"serialNumber", "\x55\x04\x05"sv, kPrintableString},
    Type{"SN", "\x55\x04\x04"sv},
    Type{"surname", "\x55\x04\x04"sv},
    Type{"G", "\x55\x04\x2a"sv},
    Type{"GN", "\x55\x04\x2a"sv},
    Type{"givenName", "\x55\x04\x2a"sv},
    Type{"I", "\x55\x04\x2b"sv},
    Type{"initials", "\x55\x04\x2b"sv},
    Type{"T", "\x55\x04\x0c"sv},
    Type{"title", "\x55\x04\x0c"sv},
    Type{"D", "\x55\x04\x0d"sv},
    Type{"description", "\x55\x04\x0d"sv},
    Type{"STREET", "\x55\x04\x09"sv},
    Type{"streetAddress", "\x55\x04\x09"sv},
    Type{"postalCode", "\x55\x04\x11"sv},
    Type{"N", "\x55\x04\x29"sv},
    Type{"name", "\x55\x04\x29"sv},
    Type{"generationQualifier", "\x55\x04\x2c"sv},
    Type{"dnQualifier", "\x55\x04\x2e"sv, kPrintableString},
    Type{"pseudonym", "\x55\x04\x41"sv},
    Type{"organizationIdentifier", "\x55\x04\x61"sv},
    Type{"unstructuredName", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02"sv},
    Type{"unstructuredAddress", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08"sv},
};

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool is(ByteView oid, std::string_view encoded) {
  const auto other = view_of(encoded);
  return std::equal(oid.begin(), oid.end(), other.begin(), other.end());
}

std::optional<std::uint64_t> decimal(std::string_view text) {
  if (text.empty() || text.size() > 18 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

void put_base128(Bytes& out, std::uint64_t value) {
  std::array<std::uint8_t, 10> digits{};
  std::size_t n = 0;
  do {
    digits[n++] = static_cast<std::uint8_t>(value & 0x7f);
    value >>= 7;
  } while (value != 0);
  while (n-- > 0) out.push_back(static_cast<std::uint8_t>(digits[n] | (n > 0 ? 0x80 : 0)));
}

std::optional<Bytes> encode_oid(std::string_view dotted) {
  std::vector<std::uint64_t> arcs;
  while (true) {
    const auto dot = std::min(dotted.find('.'), dotted.size());
    const auto arc = decimal(dotted.substr(0, dot));
    if (!arc || arcs.size() == 32) return std::nullopt;
    arcs.push_back(*arc);
    if (dot == dotted.size()) break;
    dotted.remove_prefix(dot + 1);
  }
  if (arcs.size() < 2 || arcs[0] > 2 || (arcs[0] < 2 && arcs[1] > 39)) return std::nullopt;
  Bytes out;
  put_base128(out, arcs[0] * 40 + arcs[1]);
  for (std::size_t i = 2; i < arcs.size(); ++i) put_base128(out, arcs[i]);
  return out;
}

std::string dotted(ByteView oid) {
  std::string text;
  std::uint64_t arc = 0;
  for (const auto octet : oid) {
    arc = (arc << 7) | (octet & 0x7fU);
    if ((octet & 0x80U) != 0) continue;
    if (text.empty()) {
      const auto top = std::min<std::uint64_t>(arc / 40, 2);
      text = std::to_string(top) + '.' + std::to_string(arc - top * 40);
    } else {
      text += '.' + std::to_string(arc);
    }
    arc = 0;
  }
  return text;
}

// ---- DER
void put_der(Bytes& out, std::uint8_t tag, ByteView value) {
  out.push_back(tag);
  if (value.size() < 0x80) {
    out.push_back(static_cast<std::uint8_t>(value.size()));
  } else if (value.size() < 0x100) {
    out.insert(out.end(), {0x81, static_cast<std::uint8_t>(value.size())});
  } else {
    out.insert(out.end(),
               {0x82, static_cast<std::uint8_t>(value.size() >> 8), static_cast<std::uint8_t>(value.size())});
  }
  append(out, value);
}

// The next element of `in`, which is shortened by it; nothing if it is no DER of less than 64 KiB.
struct Element {
  std::uint8_t tag = 0;
  ByteView value;
  ByteView whole;
};
std::optional<Element> take(ByteView& in) {
  if (in.size() < 2 || (in[0] & 0x1fU) == 0x1f) return std::nullopt;
  std::size_t length = in[1];
  std::size_t header = 2;
  if (length >= 0x80) {
    const auto octets = length & 0x7fU;
    if (octets == 0 || octets > 2 || in.size() < 2 + octets) return std::nullopt;
    length = octets == 1 ? in[2] : load_be16(in.data() + 2);
    if (length < (octets == 1 ? 0x80U : 0x100U)) return std::nullopt;
    header += octets;
  }
  if (in.size() - header < length) return std::nullopt;
  const Element element{in[0], in.subspan(header, length), in.first(header + length)};
  in = in.subspan(header + length);
  return element;
}

struct Attribute {
  ByteView oid;
  Element value;
  bool joined = false;  // in one RDN with the attribute before it
};

std::optional<Attribute> read_attribute(ByteView& set) {
  const auto pair = take(set);
  if (!pair || pair->tag != kSequence) return std::nullopt;
  auto inner = pair->value;
  const auto oid = take(inner);
  if (!oid || oid->tag != kObjectIdentifier || oid->value.empty() || (oid->value.back() & 0x80U) != 0 ||
      oid->value.size() > 64)
    return std::nullopt;
  const auto value = take(inner);
  if (!value || !inner.empty()) return std::nullopt;
  return Attribute{oid->value, *value};
}

// Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY } (RFC 5280 section 4.1.2.4).
std::optional<std::vector<Attribute>> read_name(ByteView der) {
  const auto name = take(der);
  if (!name || name->tag != kSequence || !der.empty()) return std::nullopt;
  std::vector<Attribute> attributes;
  auto sets = name->value;
  while (!sets.empty()) {
    const auto rdn = take(sets);
    if (!rdn || rdn->tag != kSet || rdn->value.empty()) return std::nullopt;
    auto set = rdn->value;
    for (bool first = true; !set.empty(); first = false) {
      auto attribute = read_attribute(set);
      if (!attribute || attributes.size() == kMaxAttributes) return std::nullopt;
      attribute->joined = !first;
      attributes.push_back(*attribute);
    }
  }
  return attributes;
}

// ---- values
// UTF-8 of a string value; nothing for other types and for octets that are none.
std::optional<std::string> text_of(const Element& value) {
  std::string text;
  const auto octets = value.value;
  switch (value.tag) {
    case kUtf8String:
      text.assign(octets.begin(), octets.end());
      return is_utf8(text) ? std::optional(text) : std::nullopt;
    case 0x12:  // NumericString
    case kPrintableString:
    case kIa5String:
    case 0x1a:  // VisibleString
      if (std::any_of(octets.begin(), octets.end(), [](auto c) { return c >= 0x80; })) return std::nullopt;
      text.assign(octets.begin(), octets.end());
      return text;
    case 0x14:  // TeletexString: in certificates, Latin 1
      for (const auto c : octets) append_utf8(text, c);
      return text;
    case 0x1e:  // BMPString
      if (octets.size() % 2 != 0) return std::nullopt;
      for (std::size_t i = 0; i < octets.size(); i += 2) {
        const std::uint32_t c = load_be16(octets.data() + i);
        if (c >= 0xd800 && c < 0xe000) return std::nullopt;
        append_utf8(text, c);
      }
      return text;
    default: return std::nullopt;
  }
}

// RFC 4518 as far as names in use need it: outer white space goes, inner white space is one blank, ASCII has no case.
std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
    } else {
      out.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

bool same_value(const Element& a, const Element& b) {
  const auto text_a = text_of(a);
  const auto text_b = text_of(b);
  if (text_a && text_b) return folded(*text_a) == folded(*text_b);
  return std::equal(a.whole.begin(), a.whole.end(), b.whole.begin(), b.whole.end());
}

bool is_any(const Element& value) { return value.value.size() == 1 && value.value[0] == '*' && text_of(value); }

bool fits(const Attribute& pattern, const Attribute& name, bool wildcards) {
  return std::equal(pattern.oid.begin(), pattern.oid.end(), name.oid.begin(), name.oid.end()) &&
         ((wildcards && is_any(pattern.value)) || same_value(pattern.value, name.value));
}

using Rdn = std::vector<Attribute>;
std::vector<Rdn> rdns_of(const std::vector<Attribute>& attributes) {
  std::vector<Rdn> rdns;
  for (const auto& attribute : attributes) {
    if (!attribute.joined) rdns.emplace_back();
    rdns.back().push_back(attribute);
  }
  return rdns;
}

// A set: each attribute of the pattern has one of the name to itself.
bool rdn_fits(const Rdn& pattern, const Rdn& name, bool wildcards) {
  if (pattern.size() != name.size()) return false;
  std::vector<bool> used(name.size(), false);
  for (const auto& wanted : pattern) {
    std::size_t i = 0;
    while (i < name.size() && (used[i] || !fits(wanted, name[i], wildcards))) ++i;
    if (i == name.size()) return false;
    used[i] = true;
  }
  return true;
}

bool is_outermost(const Rdn& rdn) {
  static constexpr auto kCountry = "\x55\x04\x06"sv;
  static constexpr auto kDomain = "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"sv;
  return rdn.size() == 1 && (is(rdn[0].oid, kCountry) || is(rdn[0].oid, kDomain));
}

bool compare(ByteView pattern, ByteView name, bool wildcards) {
  const auto a = read_name(pattern);
  const auto b = read_name(name);
  if (!a || !b || a->size() != b->size()) return false;
  const auto x = rdns_of(*a);
  const auto y = rdns_of(*b);
  const auto same = [&](const Rdn& p, const Rdn& n) { return rdn_fits(p, n, wildcards); };
  // RFC 5280 section 7.1: "the matching RDNs appear in the same order in both DNs".
  if (std::equal(x.begin(), x.end(), y.begin(), y.end(), same)) return true;
  const bool turned = x.size() > 1 && is_outermost(x.front()) != is_outermost(x.back());
  return turned && std::equal(x.begin(), x.end(), y.rbegin(), y.rend(), same);
}

// ---- text to DER
class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {
    if (rest_.starts_with('/')) {
      slashes_ = true;
      rest_.remove_prefix(1);
    }
  }
  Result<Bytes> read();

 private:
  [[nodiscard]] char separator() const { return slashes_ ? '/' : ','; }
  Result<Bytes> read_pair();
  Result<Bytes> read_value(std::uint8_t string);
  Result<std::string> read_characters();
  Result<std::string> read_quoted();
  Result<char> read_escape();
  void skip_blanks() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }

  std::string_view rest_;
  bool slashes_ = false;
};

Result<Bytes> TextReader::read() {
  Bytes name;
  std::vector<Bytes> rdn;
  const auto end_rdn = [&] {
    // X.690 section 11.6: the elements of a SET OF stand in ascending order.
    std::sort(rdn.begin(), rdn.end());
    Bytes set;
    for (const auto& pair : rdn) append(set, pair);
    put_der(name, kSet, set);
    rdn.clear();
  };
  for (std::size_t count = 0;; ++count) {
    if (count == kMaxAttributes) return fail("more than 64 attributes");
    auto pair = read_pair();
    if (!pair) return pair;
    rdn.push_back(std::move(*pair));
    skip_blanks();
    const bool joined = rest_.starts_with('+');
    if (!joined) end_rdn();
    if (rest_.empty()) break;
    if (!joined && rest_[0] != separator()) return fail("something follows the value of an attribute");
    rest_.remove_prefix(1);
  }
  Bytes out;
  put_der(out, kSequence, name);
  return out;
}

Result<Bytes> TextReader::read_pair() {
  skip_blanks();
  const auto equals = rest_.find('=');
  if (equals == std::string_view::npos) return fail("an attribute without '=' (write C=DE, O=Example, CN=name)");
  auto word = rest_.substr(0, equals);
  while (word.ends_with(' ')) word.remove_suffix(1);
  rest_.remove_prefix(equals + 1);
  if (same_word(word.substr(0, 4), "oid.")) word.remove_prefix(4);
  Bytes pair;
  std::uint8_t string = kUtf8String;
  const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return same_word(t.name, word); });
  if (type != kTypes.end()) {
    put_der(pair, kObjectIdentifier, view_of(type->oid));
    string = type->string;
  } else if (const auto oid = encode_oid(word)) {
    put_der(pair, kObjectIdentifier, *oid);
  } else {
    return fail("'" + std::string(word) + "' is no attribute of distinguished names");
  }
  auto value = read_value(string);
  if (!value) return value;
  append(pair, *value);
  Bytes out;
  put_der(out, kSequence, pair);
  return out;
}

Result<Bytes> TextReader::read_value(std::uint8_t string) {
  skip_blanks();
  const bool quoted = rest_.starts_with('"');
  if (rest_.starts_with('#')) {
    const auto end = std::min(rest_.find_first_of(std::string(" +") + separator()), rest_.size());
    Bytes der;
    ByteView view;
    const auto element = from_hex(rest_.substr(1, end - 1), der) ? (view = der, take(view)) : std::nullopt;
    if (!element || !view.empty()) return fail("the value after '#' is not the hexadecimal DER of one value");
    rest_.remove_prefix(end);
    return der;
  }
  auto text = quoted ? read_quoted() : read_characters();
  if (!text) return std::unexpected(text.error());
  if (text->empty()) return fail("an attribute without a value");
  if (!is_utf8(*text)) return fail("a value is not UTF-8");
  const bool ascii =
      std::all_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
  Bytes out;
  put_der(out, ascii ? string : kUtf8String, view_of(*text));
  return out;
}

Result<std::string> TextReader::read_characters() {
  std::string text;
  std::size_t kept = 0;  // octets that blanks at the end do not belong to
  while (!rest_.empty()) {
    const char c = rest_[0];
    if (c == separator() && !slashes_ && rest_.starts_with(",,")) {
      rest_.remove_prefix(2);
      text.push_back(',');
      kept = text.size();
      continue;
    }
    // A '+' inside a value is common ("C++"): it joins attributes only if one follows.
    if (c == separator()) break;
    if (c == '+' && rest_.find('=') < rest_.find(separator())) break;
    rest_.remove_prefix(1);
    if (c == '\\') {
      auto escaped = read_escape();
      if (!escaped) return std::unexpected(escaped.error());
      text.push_back(*escaped);
      kept = text.size();
    } else {
      text.push_back(c);
      if (c != ' ') kept = text.size();
    }
  }
  text.resize(kept);
  return text;
}

Result<std::string> TextReader::read_quoted() {
  rest_.remove_prefix(1);
  std::string text;
  while (!rest_.empty()) {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    if (c == '"') return text;
    if (c != '\\') {
      text.push_back(c);
      continue;
    }
    auto escaped = read_escape();
    if (!escaped) return std::unexpected(escaped.error());
    text.push_back(*escaped);
  }
  return fail("a quote is not closed");
}

// RFC 4514 section 2.4: a backslash and the character itself, or two hexadecimal digits.
Result<char> TextReader::read_escape() {
  Bytes octet;
  if (rest_.size() >= 2 && from_hex(rest_.substr(0, 2), octet) && octet.size() == 1) {
    rest_.remove_prefix(2);
    return static_cast<char>(octet[0]);
  }
  static constexpr std::string_view kEscapable = " \"#+,;<=>\\/*";
  if (rest_.empty() || kEscapable.find(rest_[0]) == std::string_view::npos)
    return fail("after a backslash stand two hexadecimal digits or one of  \"#+,;<=>\\/");
  const char c = rest_[0];
  rest_.remove_prefix(1);
  return c;
}

// ---- DER to text
std::string value_text(const Element& value) {
  const auto text = text_of(value);
  if (!text || text->empty()) return "#" + to_hex(value.whole);
  std::string out;
  for (std::size_t i = 0; i < text->size();) {
    const auto piece = next_character(*text, i);
    const char c = piece[0];
    const bool at_end = i == 0 || i + piece.size() == text->size();
    if (!is_printable(piece)) {
      for (const char octet : piece) out += '\\' + to_hex(view_of({&octet, 1}));
    } else {
      if ("\"+,;<>\\/="sv.find(c) != std::string_view::npos || (c == '#' && i == 0) || (c == ' ' && at_end))
        out.push_back('\\');
      out += piece;
    }
    i += piece.size();
  }
  return out;
}

}  // namespace

Result<Bytes> parse_distinguished_name(std::string_view text) {
  if (text.size() > kMaxText) return fail("a distinguished name of more than 8192 characters");
  return TextReader(text).read();
}

std::string distinguished_name_to_string(ByteView der) {
  const auto attributes = read_name(der);
  if (!attributes)
    return "(not a distinguished name: " + to_hex(der.first(std::min<std::size_t>(der.size(), 64))) + ")";
  std::string text;
  for (const auto& attribute : *attributes) {
    if (!text.empty()) text += attribute.joined ? " + " : ", ";
    const auto* type =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return is(attribute.oid, t.oid); });
    text +=
        (type != kTypes.end() ? std::string(type->name) : dotted(attribute.oid)) + '=' + value_text(attribute.value);
  }
  return text;
}

bool is_distinguished_name(ByteView der) { return read_name(der).has_value(); }
bool distinguished_names_equal(ByteView a, ByteView b) { return compare(a, b, false); }
bool distinguished_names_match(ByteView pattern, ByteView name) { return compare(pattern, name, true); }

bool has_wildcard_attribute(ByteView name) {
  const auto attributes = read_name(name);
  return attributes &&
         std::any_of(attributes->begin(), attributes->end(), [](const Attribute& a) { return is_any(a.value); });
}

}  // namespace cygnet::model
