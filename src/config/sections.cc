// SPDX-License-Identifier: Apache-2.0
#include "config/sections.h"

#include <algorithm>
#include <cctype>

#include "config/suggest.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::size_t skip_blanks(std::string_view line, std::size_t at) {
  while (at < line.size() && is_blank(line[at])) ++at;
  return at;
}

// Where the comment starts that ends this line, outside of quotes; npos: none.
std::size_t find_comment(std::string_view line, std::size_t from) {
  char quote = 0;
  for (std::size_t i = from; i < line.size(); ++i) {
    if (quote != 0) {
      if (line[i] == '\\') {
        ++i;
      } else if (line[i] == quote) {
        quote = 0;
      }
    } else if (line[i] == '"') {
      quote = line[i];
    } else if (line[i] == '#' && (i == 0 || is_blank(line[i - 1]))) {
      return i;
    }
  }
  return std::string_view::npos;
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string normalised(std::string_view key) {
  std::string text(key);
  for (auto& c : text) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// ": PSK …": a line of ipsec.secrets, which must not be shown.
bool looks_like_secret(std::string_view line) {
  for (auto colon = line.find(':'); colon != std::string_view::npos; colon = line.find(':', colon + 1)) {
    const auto word = line.substr(skip_blanks(line, colon + 1), 4);
    if (word.size() >= 3 && equals_ignoring_case(word.substr(0, 3), "psk") && (word.size() == 3 || is_blank(word[3])))
      return true;
  }
  return false;
}

bool is_name_char(char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '#'; }

class Parser {
 public:
  Parser(FileReader& files, Diagnostics& diagnostics) : files_(files), report_(diagnostics) {}

  void parse_file(const std::string& path, const Place& from, unsigned depth);
  std::vector<Section> take() { return std::move(sections_); }

 private:
  void parse_line(std::string_view raw, const std::string& path, unsigned number, unsigned depth);
  void parse_header(std::string_view line, const Place& place, unsigned depth);
  void parse_section(std::string_view word, std::string_view rest, const Place& place);
  void parse_include(std::string_view rest, const Place& place, unsigned depth);
  void parse_entry(std::string_view line, std::size_t at, Place place);
  bool unquote(std::string_view text, const Place& place, std::string& out);
  void open(SectionKind kind, std::string name, const Place& place);

  FileReader& files_;
  Reporter report_;
  std::vector<Section> sections_;
  std::vector<std::string> stack_;  // files being read, outermost first
  std::size_t file_count_ = 0;
  std::size_t total_bytes_ = 0;
  bool in_section_ = false;
  bool skipping_ = false;  // in a section whose header was wrong: one message is enough
};

void Parser::parse_file(const std::string& path, const Place& from, unsigned depth) {
  if (std::find(stack_.begin(), stack_.end(), path) != stack_.end()) {
    return report_.error(from, "'" + path + "' includes itself", "remove this include line");
  }
  if (depth > kMaxIncludeDepth)
    return report_.error(from, "include goes deeper than " + std::to_string(kMaxIncludeDepth) + " files");
  if (++file_count_ > kMaxFiles) {
    if (file_count_ == kMaxFiles + 1)
      report_.error(from, "more than " + std::to_string(kMaxFiles) + " files are included");
    return;
  }
  auto text = files_.read(path);
  if (!text) return report_.error(from, text.error().message);
  total_bytes_ += text->size();
  if (text->size() > kMaxFileBytes || total_bytes_ > kMaxTotalBytes)
    return report_.error(from, "'" + path + "' is too large");
  stack_.push_back(path);
  std::string_view rest = *text;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);  // byte order mark of some editors
  unsigned number = 0;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    parse_line(rest.substr(0, end), path, ++number, depth);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  stack_.pop_back();
}

void Parser::parse_line(std::string_view raw, const std::string& path, unsigned number, unsigned depth) {
  if (raw.ends_with('\r')) raw.remove_suffix(1);
  Place place{path, number, 1, std::string(raw.substr(0, kMaxLine))};
  if (raw.size() > kMaxLine)
    return report_.error(place, "line is longer than " + std::to_string(kMaxLine) + " characters");
  if (looks_like_secret(raw)) {
    place.source_line.clear();
    return report_.error(place, "a pre-shared key does not belong here",
                         "put it into ipsec.secrets, or name this file with --secrets");
  }
  const auto bad = std::find_if(raw.begin(), raw.end(), [](char c) {
    return c != '\t' && (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f);
  });
  if (bad != raw.end()) {
    place.column = static_cast<unsigned>(bad - raw.begin()) + 1;
    return report_.error(place, "control character in the file", "is this a text file?");
  }
  const auto line = trim_end(raw.substr(0, std::min(find_comment(raw, 0), raw.size())));
  const auto at = skip_blanks(line, 0);
  if (at >= line.size()) return;
  place.column = static_cast<unsigned>(at) + 1;
  if (at == 0) return parse_header(line, place, depth);
  parse_entry(line, at, std::move(place));
}

void Parser::parse_header(std::string_view line, const Place& place, unsigned depth) {
  const auto end = std::min(line.find_first_of(" \t="), line.size());
  const auto word = line.substr(0, end);
  const auto at = skip_blanks(line, end);
  const auto rest = line.substr(at);
  if (rest.starts_with('=')) {
    skipping_ = false;
    return report_.error(place, "'" + std::string(word) + "=' stands at the start of the line",
                         in_section_ ? "indent it with a space or a tab" : "open a section first: conn NAME");
  }
  Place rest_place = place;
  rest_place.column = static_cast<unsigned>(at) + 1;
  if (word == "include") return parse_include(rest, rest_place, depth);
  if (word == "version") {
    if (rest != "2" && rest != "2.0")
      report_.error(rest_place, "version '" + std::string(rest) + "' is not known", "write: version 2");
    return;
  }
  parse_section(word, rest, place);
}

void Parser::parse_section(std::string_view word, std::string_view rest, const Place& place) {
  skipping_ = true;
  in_section_ = false;
  const std::string name(rest);
  if (word == "config") {
    if (rest != "setup") return report_.error(place, "'config " + name + "' is not known", "write: config setup");
    return open(SectionKind::kSetup, {}, place);
  }
  if (word != "conn" && word != "ca") {
    return report_.error(place, "'" + std::string(word) + "' opens no section",
                         suggestion(word, std::vector<std::string_view>{"config", "conn", "ca", "include", "version"},
                                    "a section starts with: config setup, or conn NAME"));
  }
  if (rest.empty())
    return report_.error(place, std::string(word) + " without a name", "write: " + std::string(word) + " NAME");
  if (!std::all_of(rest.begin(), rest.end(), is_name_char) || rest.size() > 128) {
    return report_.error(place, "the name '" + name + "' has a blank or a character that no name may have",
                         "use letters, digits, '-', '_' and '.'");
  }
  if (rest.find('/') != std::string_view::npos) {
    return report_.error(place, "the name '" + name + "' has a '/', which separates a connection from its children",
                         "use letters, digits, '-', '_' and '.'");
  }
  open(word == "conn" ? SectionKind::kConn : SectionKind::kCa, name, place);
}

void Parser::open(SectionKind kind, std::string name, const Place& place) {
  sections_.push_back({kind, std::move(name), place, {}});
  in_section_ = true;
  skipping_ = false;
}

void Parser::parse_include(std::string_view rest, const Place& place, unsigned depth) {
  std::string name;
  if (!unquote(rest, place, name)) return;
  if (name.empty()) return report_.error(place, "include without a file name");
  // What follows an include belongs to no section: the file may have opened one.
  const auto target = relative_to(place.file, name);
  if (has_wildcard(target)) {
    const auto found = files_.glob(target);
    if (found.empty()) report_.warning(place, "include " + name + ": there is no such file: " + target);
    for (const auto& path : found) parse_file(path, place, depth + 1);
  } else {
    parse_file(target, place, depth + 1);
  }
  in_section_ = false;
  skipping_ = false;
}

void Parser::parse_entry(std::string_view line, std::size_t at, Place place) {
  if (skipping_) return;
  const auto equals = line.find('=', at);
  const auto key = trim_end(line.substr(at, equals == std::string_view::npos ? std::string_view::npos : equals - at));
  if (equals == std::string_view::npos) {
    const auto first = key.substr(0, key.find_first_of(" \t"));
    const bool header =
        first == "conn" || first == "config" || first == "include" || first == "ca" || first == "version";
    return report_.error(place, "'" + std::string(key) + "' is not of the form key=value",
                         header ? "remove the white space before '" + std::string(first) + "'" : "write: key=value");
  }
  if (!in_section_)
    return report_.error(place, "'" + std::string(key) + "=' stands in no section", "open one first: conn NAME");
  if (key.empty() || !std::all_of(key.begin(), key.end(), is_name_char)) {
    return report_.error(place, "'" + std::string(key) + "' cannot be a key", "write: key=value");
  }
  const auto value_at = skip_blanks(line, equals + 1);
  Entry entry{normalised(key), {}, std::move(place), static_cast<unsigned>(value_at) + 1};
  if (!unquote(line.substr(value_at), entry.value_place(), entry.value)) return;
  sections_.back().entries.push_back(std::move(entry));
}

// Takes the quotes off a value that is quoted as a whole; \" and \\ stand for themselves inside.
bool Parser::unquote(std::string_view text, const Place& place, std::string& out) {
  out.assign(text);
  if (!text.starts_with('"')) {
    if (text.find('"') == std::string_view::npos) return true;
    report_.error(place, "a quote in the middle of a value", "quote the whole value: key=\"…\"");
    return false;
  }
  out.clear();
  std::size_t i = 1;
  for (; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
    out.push_back(text[i]);
  }
  if (i >= text.size()) {
    report_.error(place, "the quote is not closed", "end the value with \"");
    return false;
  }
  if (i + 1 != text.size()) {
    report_.error(place, "text follows the closing quote", "quote the whole value: key=\"…\"");
    return false;
  }
  return true;
}

}  // namespace

Place Entry::value_place(std::size_t offset) const {
  Place where = place;
  where.column = value_column + static_cast<unsigned>(offset);
  return where;
}

void Reporter::add(Level level, const Place& place, std::string message, std::string hint) {
  if (out_.size() > kMaxDiagnostics) return;
  if (out_.size() == kMaxDiagnostics) {
    message = "more than " + std::to_string(kMaxDiagnostics) + " messages: the rest is not shown";
    hint.clear();
    level = Level::kError;
  }
  Diagnostic diagnostic{level,           place.file,       place.line, place.column, std::move(message),
                        std::move(hint), place.source_line};
  if (seen_.insert(to_line(diagnostic)).second) out_.push_back(std::move(diagnostic));
}

std::string relative_to(const std::string& including_file, const std::string& name) {
  const auto slash = including_file.rfind('/');
  if (name.starts_with('/') || slash == std::string::npos) return name;
  return including_file.substr(0, slash + 1) + name;
}

bool has_wildcard(const std::string& name) { return name.find_first_of("*?[") != std::string::npos; }

std::vector<Section> parse_sections(const std::string& path, FileReader& files, Diagnostics& diagnostics) {
  Parser parser(files, diagnostics);
  parser.parse_file(path, {path, 0, 0, {}}, 0);
  return parser.take();
}

}  // namespace cygnet::config
