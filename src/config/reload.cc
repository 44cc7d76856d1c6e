// SPDX-License-Identifier: Apache-2.0
#include "config/reload.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "config/conflicts.h"
#include "config/sections.h"
#include "config/values.h"

namespace cygnet::config {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The first word of a line, and what follows up to a comment.
std::pair<std::string_view, std::string_view> words_of(std::string_view line) {
  const auto end = std::min(line.find_first_of(" \t"), line.size());
  auto rest = line.substr(end);
  for (std::size_t i = 0; i + 1 < rest.size(); ++i) {
    if (is_blank(rest[i]) && rest[i + 1] == '#') {
      rest = rest.substr(0, i);
      break;
    }
  }
  return {line.substr(0, end), without_blanks(rest)};
}

// The value of an also= line.
std::optional<std::string_view> also_of(std::string_view line) {
  line = without_blanks(line);
  if (line.size() < 5 || !equals_ignoring_case(line.substr(0, 4), "also")) return std::nullopt;
  line = without_blanks(line.substr(4));
  if (!line.starts_with('=')) return std::nullopt;
  return words_of(without_blanks(line.substr(1))).first;
}

// A certificate or key is in other files too, and a device of its own is made for all.
bool bears_on_others(const model::Connection& connection, const model::Setup& setup) {
  const auto has_key = [](const model::End& end) {
    return !end.certificate.empty() || !end.public_key.empty() || end.authority;
  };
  return has_key(connection.local) || has_key(connection.remote) ||
         std::ranges::any_of(connection.children, [&](const auto& child) {
           return child.device != setup.devices.front() || child.interface_number != 0;
         });
}

}  // namespace

// Reads each file once, and remembers what was read and looked for.
struct Reloader::Round final : FileReader {
  explicit Round(FileReader& from) : files(from) {}
  Result<std::string> read(const std::string& path) override {
    const auto instead = replaced.find(path);
    if (instead != replaced.end()) return instead->second;
    auto at = texts.find(path);
    if (at == texts.end()) at = texts.emplace(path, files.read(path)).first;
    return at->second;
  }
  std::vector<std::string> glob(const std::string& pattern) override {
    const auto at = globs.find(pattern);
    return at != globs.end() ? at->second : globs.emplace(pattern, files.glob(pattern)).first->second;
  }

  FileReader& files;
  std::map<std::string, Result<std::string>> texts;
  Globs globs;
  std::map<std::string, std::string> replaced;
};

struct Reloader::Facts {
  bool loaded = false;
  bool bears = false;                // see bears_on_others()
  std::vector<std::uint64_t> marks;  // conflict_marks()
};

struct Reloader::Text {
  enum class Kind : std::uint8_t { kOther, kInclude, kConn };
  struct Section {
    Kind kind = Kind::kOther;
    std::string_view name;  // of a conn
    std::string_view text;  // from its first line to that of the next section
    const std::string* file = nullptr;
    unsigned line = 0;
  };

  // False: something in it is better left to load().
  [[nodiscard]] bool split(const std::string& path, Round& round, unsigned depth);
  [[nodiscard]] bool settle();
  [[nodiscard]] bool is_plain(const Section& section) const {
    return section.kind == Kind::kConn && section.name != "%default" && !templates.contains(section.name);
  }
  [[nodiscard]] std::string source_of(const Section& section) const {
    return *section.file + ':' + std::to_string(section.line);
  }

  std::deque<std::string> files, texts;  // do not move
  std::vector<Section> sections;
  std::set<std::string_view> templates;  // named by also=
  std::string environment;               // all but plain conn sections, with the names of their files
  std::unordered_map<std::string_view, std::size_t> places;  // of plain sections
  std::vector<std::string> include_globs;
  std::size_t octets = 0;

 private:
  [[nodiscard]] bool on_header(std::string_view line, Round& round, unsigned depth);
  [[nodiscard]] bool include(const std::string& name, Round& round, unsigned depth);
};

bool Reloader::Text::split(const std::string& path, Round& round, unsigned depth) {
  auto read = round.read(path);
  if (!read || depth > kMaxIncludeDepth || files.size() >= kMaxFiles) return false;
  octets += read->size();
  if (octets > kMaxTotalBytes || read->starts_with("\xef\xbb\xbf")) return false;
  const auto& file = files.emplace_back(path);
  std::string_view rest = texts.emplace_back(std::move(*read));
  sections.push_back({Kind::kOther, {}, rest.substr(0, 0), &file, 1});
  // Where the section that is being read began.
  const char* begin = rest.data();
  const auto end_section = [&](const char* here) {
    sections.back().text = {begin, static_cast<std::size_t>(here - begin)};
    if (sections.back().kind == Kind::kOther && here == begin) sections.pop_back();
    begin = here;
  };
  for (unsigned number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto from_here = rest;
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.front() == '#') continue;
    if (is_blank(line.front())) {
      if (const auto target = also_of(line)) {
        if (target->starts_with('"')) return false;
        templates.insert(*target);
      }
      continue;
    }
    end_section(from_here.data());
    const auto count = sections.size();
    sections.push_back({Kind::kOther, {}, {}, &file, number});
    if (!on_header(line, round, depth)) return false;
    // After an include its file's sections stand behind it: what follows begins one of its own.
    if (sections.size() > count + 1) {
      sections[count].text = from_here.substr(0, from_here.size() - rest.size());
      begin = rest.data();
      sections.push_back({Kind::kOther, {}, {}, &file, number + 1});
    }
  }
  end_section(rest.data());
  return true;
}

bool Reloader::Text::on_header(std::string_view line, Round& round, unsigned depth) {
  const auto [word, value] = words_of(line);
  auto& section = sections.back();
  if (word == "include") {
    section.kind = Kind::kInclude;
    return !value.empty() && value.find('"') == std::string_view::npos &&
           include(relative_to(*section.file, std::string(value)), round, depth);
  }
  if (word != "conn") return true;
  // What the name may consist of is left to load(); here it must only be one word.
  if (value.empty() || value.find_first_of(" \t\"=#/") != std::string_view::npos) return false;
  section.kind = Kind::kConn;
  section.name = value;
  return true;
}

bool Reloader::Text::include(const std::string& name, Round& round, unsigned depth) {
  if (!has_wildcard(name)) return split(name, round, depth + 1);
  include_globs.push_back(name);
  for (const auto& path : round.glob(name)) {
    if (!split(path, round, depth + 1)) return false;
  }
  return true;
}

// Once all files are read.
bool Reloader::Text::settle() {
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const auto& section = sections[i];
    if (is_plain(section)) {
      if (!places.emplace(section.name, i).second) return false;
    } else {
      environment.append(*section.file).append(1, '\n').append(section.text);
    }
  }
  return true;
}

Reloader::Reloader() = default;
Reloader::~Reloader() = default;

LoadedConfiguration Reloader::load(const std::string& path, FileReader& files) {
  Round round(files);
  auto loaded = load_ipsec_conf(path, round);
  if (loaded.ok()) remember(path, round, loaded);
  return loaded;
}

void Reloader::remember(const std::string& path, Round& round, const LoadedConfiguration& loaded) {
  setup_ = loaded.setup;
  text_.reset();
  facts_.clear();
  // Messages speak of lines, and may come from two sections that do not fit together.
  if (!loaded.diagnostics.empty()) return;
  auto text = std::make_unique<Text>();
  if (!text->split(path, round, 0) || !text->settle()) return;
  std::unordered_map<std::string_view, const model::Connection*> by_name;
  for (const auto& connection : loaded.connections) by_name.emplace(connection.name, &connection);
  std::size_t found = 0;
  std::vector<Facts> facts;
  for (const auto& section : text->sections) {
    auto& fact = facts.emplace_back();
    const auto at = section.kind == Text::Kind::kConn ? by_name.find(section.name) : by_name.end();
    if (at == by_name.end()) continue;
    ++found;
    fact = {true, bears_on_others(*at->second, setup_), conflict_marks(*at->second)};
  }
  if (found != loaded.connections.size()) return;
  globs_ = round.globs;
  for (const auto& pattern : text->include_globs) globs_.erase(pattern);
  others_.clear();
  for (const auto& [name, content] : round.texts) {
    if (std::ranges::find(text->files, name) != text->files.end()) continue;
    others_[name] = content ? std::pair(content->size(), std::hash<std::string>{}(*content))
                            : std::pair(~std::size_t{0}, std::size_t{0});
  }
  text_ = std::move(text);
  facts_ = std::move(facts);
}

bool Reloader::others_are_the_same(Round& round) const {
  for (const auto& [name, known] : others_) {
    const auto content = round.read(name);
    const auto now = content ? std::pair(content->size(), std::hash<std::string>{}(*content))
                             : std::pair(~std::size_t{0}, std::size_t{0});
    if (now != known) return false;
  }
  return std::ranges::all_of(globs_, [&](const auto& glob) { return round.glob(glob.first) == glob.second; });
}

std::optional<ConfigurationChange> Reloader::reload(const std::string& path, FileReader& files) {
  if (!text_) return std::nullopt;
  Round round(files);
  auto now = std::make_unique<Text>();
  if (!now->split(path, round, 0) || !now->settle() || now->environment != text_->environment ||
      !others_are_the_same(round)) {
    return std::nullopt;
  }
  ConfigurationChange change;
  std::vector<Facts> facts(now->sections.size());
  if (!read_fresh(path, round, *now, facts, change)) return std::nullopt;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const auto& section = now->sections[i];
    if (section.kind != Text::Kind::kConn || section.name == "%default") continue;
    if (facts[i].loaded) {
      change.order.push_back({std::string(section.name), now->source_of(section)});
    } else {
      change.ignored.emplace_back(section.name);
    }
  }
  for (const auto& [name, place] : text_->places) {
    const auto at = now->places.find(name);
    const bool still = at != now->places.end() && facts[at->second].loaded;
    if (facts_[place].loaded && !still) change.removed.emplace_back(name);
  }
  std::ranges::sort(change.removed);
  text_ = std::move(now);
  facts_ = std::move(facts);
  return change;
}

// The sections with another text, in a file of their own with all that bears upon them; facts of all. False: what
// comes out may bear upon others.
bool Reloader::read_fresh(const std::string& path, Round& round, Text& now, std::vector<Facts>& facts,
                          ConfigurationChange& change) const {
  std::string fresh;
  std::vector<std::size_t> places;
  // Templates and the rest come in the same order as before.
  std::vector<std::size_t> environment;
  for (std::size_t i = 0; i < text_->sections.size(); ++i) {
    if (!text_->is_plain(text_->sections[i])) environment.push_back(i);
  }
  auto next = environment.begin();
  for (std::size_t i = 0; i < now.sections.size(); ++i) {
    const auto& section = now.sections[i];
    if (now.is_plain(section)) {
      const auto known = text_->places.find(section.name);
      if (known != text_->places.end() && text_->sections[known->second].text == section.text) {
        facts[i] = facts_[known->second];
        continue;
      }
      if (known != text_->places.end() && facts_[known->second].bears) return false;
      places.push_back(i);
    } else {
      if (next == environment.end()) return false;
      facts[i] = facts_[*next++];
      if (section.kind == Text::Kind::kInclude) continue;
    }
    fresh.append(section.text);
    if (!fresh.ends_with('\n')) fresh.push_back('\n');
  }
  for (const auto& [name, place] : text_->places) {
    if (facts_[place].bears && !now.places.contains(name)) return false;
  }
  if (places.empty()) return true;
  round.replaced[path] = std::move(fresh);
  auto loaded = load_ipsec_conf(path, round);
  if (!loaded.diagnostics.empty()) return false;
  std::unordered_map<std::string_view, model::Connection*> by_name;
  for (auto& connection : loaded.connections) by_name.emplace(connection.name, &connection);
  std::unordered_set<std::uint64_t> marks;
  for (const auto place : places) {
    const auto at = by_name.find(now.sections[place].name);
    if (at == by_name.end()) continue;
    auto& connection = *at->second;
    facts[place] = {true, bears_on_others(connection, setup_), conflict_marks(connection)};
    if (facts[place].bears) return false;
    for (const auto mark : facts[place].marks) {
      if (!marks.insert(mark).second) return false;
    }
    connection.source = now.source_of(now.sections[place]);
    change.fresh.push_back(std::move(connection));
  }
  // Others that have the same ends, or carry the same packets?
  auto place = places.begin();
  for (std::size_t i = 0; i < facts.size(); ++i) {
    if (place != places.end() && *place == i) {
      ++place;
    } else if (std::ranges::any_of(facts[i].marks, [&](auto mark) { return marks.contains(mark); })) {
      return false;
    }
  }
  return true;
}

}  // namespace cygnet::config
