// SPDX-License-Identifier: Apache-2.0
#include "config/resolve.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/suggest.h"

namespace cygnet::config {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 27> kSameThing{{
    {"keylife", "lifetime"},
    {"salifetime", "lifetime"},
    {"rekeymargin", "margintime"},
    {"phase2alg", "esp"},
    {"ah", "esp"},
    {"phase2", "auth"},
    {"ipsec-max-bytes", "lifebytes"},
    {"ipsec-max-packets", "lifepackets"},
    {"encap-dscp", "copy-dscp"},
    {"interface", "ipsec-interface"},
    {"forceencaps", "encapsulation"},
    {"hw-offload", "nic-offload"},
    {"ike-port", "ikeport"},
    {"nat-port", "nat-ikeport"},
    {"half-open-limit", "max-halfopen-ike"},
    {"ddos-ike-threshold", "cookie-threshold"},
    {"ike-frag", "fragmentation"},
    {"nopmtudisc", "df"},
    {"modecfgdomain", "modecfgdomains"},
    {"leftdns", "modecfgdns"},
    {"rightdns", "modecfgdns"},
    {"leftrsasigkey", "leftpubkey"},
    {"leftecdsakey", "leftpubkey"},
    {"leftsigkey", "leftpubkey"},
    {"rightrsasigkey", "rightpubkey"},
    {"rightecdsakey", "rightpubkey"},
    {"rightsigkey", "rightpubkey"},
}};

constexpr std::size_t kMaxAlsoDepth = 16;

}  // namespace

std::string_view canonical_word(std::string_view key) {
  const auto* row =
      std::find_if(kSameThing.begin(), kSameThing.end(), [&](const auto& pair) { return pair.first == key; });
  return row != kSameThing.end() ? row->second : key;
}

Resolver::Resolver(const std::vector<Section>& sections, Reporter& report) : report_(report) {
  for (const auto& section : sections) {
    if (section.kind == SectionKind::kSetup) report_duplicates(section);
    if (section.kind != SectionKind::kConn) continue;
    report_duplicates(section);
    if (section.name == "%default") {
      defaults_.push_back(&section);
    } else if (const auto [at, fresh] = by_name_.emplace(section.name, &section); !fresh) {
      const auto& first = at->second->place;
      report_.error(section.place, "conn " + section.name + " stands here a second time",
                    "the first one is at " + first.file + ':' + std::to_string(first.line) + "; rename one of them");
    }
  }
}

void Resolver::report_duplicates(const Section& section) {
  std::map<std::string_view, const Entry*> seen;
  for (const auto& entry : section.entries) {
    if (entry.key == "also") continue;
    const auto [at, fresh] = seen.emplace(canonical_word(entry.key), &entry);
    if (fresh) continue;
    const auto& first = *at->second;
    const auto same = first.key == entry.key ? std::string("'" + entry.key + "=' is set twice")
                                             : "'" + entry.key + "=' and '" + first.key + "=' are the same setting";
    report_.error(entry.place, same, "line " + std::to_string(first.place.line) + " sets it already; keep one");
  }
}

std::vector<Entry> Resolver::resolve(const Section& conn) {
  Layer layer;
  std::vector<const Section*> chain;
  for (const auto* section : defaults_) overlay(*section, layer, chain);
  if (conn.name != "%default") overlay(conn, layer, chain);
  std::vector<Entry> entries;
  entries.reserve(layer.size());
  for (auto& [word, entry] : layer) {
    if (!entry.value.empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

void Resolver::overlay(const Section& section, Layer& layer, std::vector<const Section*>& chain) {
  chain.push_back(&section);
  for (const auto& entry : section.entries) {
    if (entry.key != "also") continue;
    const auto found = by_name_.find(entry.value);
    if (found == by_name_.end()) {
      std::vector<std::string_view> names;
      names.reserve(by_name_.size());
      for (const auto& [name, unused] : by_name_) names.push_back(name);
      report_.error(entry.value_place(), "also=" + entry.value + ": there is no such conn section",
                    suggestion(entry.value, names));
    } else if (std::find(chain.begin(), chain.end(), found->second) != chain.end()) {
      report_.error(entry.value_place(), "also=" + entry.value + " leads back to itself",
                    "remove one also= of the loop");
    } else if (chain.size() >= kMaxAlsoDepth) {
      report_.error(entry.value_place(), "also= goes deeper than " + std::to_string(kMaxAlsoDepth) + " sections");
    } else {
      overlay(*found->second, layer, chain);
    }
  }
  // mark= is both of the others: what they were in a wider section is said anew.
  if (std::ranges::any_of(section.entries, [](const Entry& entry) { return entry.key == "mark"; })) {
    layer.erase("mark-in");
    layer.erase("mark-out");
  }
  for (const auto& entry : section.entries) {
    if (entry.key != "also") layer.insert_or_assign(std::string(canonical_word(entry.key)), entry);
  }
  chain.pop_back();
}

}  // namespace cygnet::config
