// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "config/conflicts.h"
#include "config/connection_draft.h"
#include "config/credentials.h"
#include "config/keywords.h"
#include "config/resolve.h"
#include "config/sections.h"
#include "config/setup_words.h"
#include "config/suggest.h"
#include "model/everything.h"

namespace cygnet::config {
namespace {

class Loader {
 public:
  Loader(const std::string& path, FileReader& files, LoadedConfiguration& out)
      : out_(out),
        report_(out.diagnostics),
        sections_(parse_sections(path, files, out.diagnostics)),
        credentials_(path, files, report_) {}

  void load() {
    check_words();
    read_setup();
    credentials_.read_directories();
    for (const auto& section : sections_) {
      if (section.kind == SectionKind::kCa) credentials_.read_ca_section(section);
    }
    Resolver resolver(sections_, report_);
    for (const auto& section : sections_) {
      if (section.kind == SectionKind::kConn) read_conn(section, resolver);
    }
    find_conflicts(drafts_, setup_.setup, report_);
    for (auto& draft : drafts_) out_.connections.push_back(std::move(draft.connection));
    out_.setup = std::move(setup_.setup);
    out_.threads = std::move(setup_.threads);
    out_.pkcs11_module = std::move(setup_.pkcs11_module);
    out_.credentials = credentials_.take();
  }

 private:
  void check_words();
  void check_word(const Entry& entry, bool setup);
  void read_setup();
  void warn_of_revocation_behind(const ConnectionDraft& draft);
  void warn_of_idle_clones(const ConnectionDraft& draft);
  void warn_of_idle_traffic(const ConnectionDraft& draft);
  void read_conn(const Section& section, Resolver& resolver);
  void report_ignored(const Section& section, const ConnectionDraft& draft);
  void add_devices(const model::Connection& connection);

  LoadedConfiguration& out_;
  Reporter report_;
  std::vector<Section> sections_;
  CredentialFiles credentials_;
  SetupDraft setup_;
  std::vector<ConnectionDraft> drafts_;
  std::set<std::string> templates_;  // sections named by also=
};

// Each word once, where it stands, however many connections inherit it.
void Loader::check_words() {
  for (const auto& section : sections_) {
    if (section.kind == SectionKind::kCa) continue;  // has words of its own
    for (const auto& entry : section.entries) {
      check_word(entry, section.kind == SectionKind::kSetup);
      if (entry.key == "also") templates_.insert(entry.value);
    }
  }
}

void Loader::check_word(const Entry& entry, bool setup) {
  if (entry.key.starts_with("x-")) return;  // both dialects leave these to people
  const auto* keyword = find_keyword(entry.key, setup);
  if (keyword == nullptr) {
    const auto* elsewhere = find_keyword(entry.key, !setup);
    if (elsewhere != nullptr) {
      return report_.error(entry.place, "'" + entry.key + "=' does not belong here",
                           setup ? "it belongs into a conn section" : "it belongs into config setup");
    }
    return report_.error(entry.place, "'" + entry.key + "' is not known",
                         suggestion(entry.key, candidate_words(setup), "see ipsec.conf(5) for the words there are"));
  }
  if (keyword->standing == Standing::kSupported || is_harmless(*keyword, entry.value)) return;
  if (keyword->standing == Standing::kNoEffect) {
    return report_.warning(entry.place, "'" + entry.key + "=' has no effect: " + std::string(keyword->note));
  }
  report_.error(entry.place, "'" + entry.key + "=" + entry.value + "' is not built yet: " + std::string(keyword->note),
                keyword->harmless.empty() ? "remove the line if you can do without"
                                          : "without it: " + entry.key + "=" +
                                                std::string(keyword->harmless.substr(0, keyword->harmless.find(','))));
}

void Loader::read_setup() {
  for (const auto& section : sections_) {
    if (section.kind != SectionKind::kSetup) continue;
    for (const auto& entry : section.entries) (void)apply_setup_word(entry, setup_, report_);
  }
  finish_setup(setup_, report_);
}

void Loader::read_conn(const Section& section, Resolver& resolver) {
  ConnectionDraft draft;
  draft.place = section.place;
  draft.connection.name = section.name;
  draft.connection.source = section.place.file + ':' + std::to_string(section.place.line);
  draft.child.start = model::StartAction::kIgnore;
  bool all_known = true;
  auto entries = resolver.resolve(section);
  // What a client is, and what it may do, decides how other words are read.
  std::ranges::stable_partition(entries, [](const auto& entry) {
    return entry.key == "profile" || entry.key == "weak-algorithms" || entry.key == "phase2" || entry.key == "auth";
  });
  for (const auto& entry : entries) {
    if (!apply_word(entry, draft, report_) && find_keyword(entry.key, false) == nullptr && !entry.key.starts_with("x-"))
      all_known = false;
  }
  if (section.name == "%default") return;
  if (draft.start() == model::StartAction::kIgnore) return report_ignored(section, draft);
  // After a misspelt word, what seems to be missing is probably what was misspelt: one message is enough.
  if (!all_known) return;
  finish_connection(draft, {setup_.setup.devices.front(), setup_.keepalive_s}, report_);
  credentials_.finish(draft);
  if (setup_.strict_revocation) {
    if (!draft.left.revocation_set) draft.connection.local.revocation = model::Revocation::kStrict;
    if (!draft.right.revocation_set) draft.connection.remote.revocation = model::Revocation::kStrict;
  }
  warn_of_revocation_behind(draft);
  warn_of_idle_clones(draft);
  warn_of_idle_traffic(draft);
  add_devices(draft.connection);
  drafts_.push_back(std::move(draft));
}

// A thread that is alone sends on the SA for all.
void Loader::warn_of_idle_clones(const ConnectionDraft& draft) {
  if (setup_.threads.count != 1 || draft.connection.engine.value_or(setup_.setup.engine) == model::EngineKind::kXfrm)
    return;
  if (std::ranges::none_of(draft.connection.children, [](const auto& c) { return c.clones.value_or(0) != 0; })) return;
  report_.warning(draft.place, "conn " + draft.connection.name + ": with workers=1 only the peer sends on clones=",
                  "write workers= in config setup, or leave clones= out");
}

// Where the kernel carries the packets, the word is refused by name.
void Loader::warn_of_idle_traffic(const ConnectionDraft& draft) {
  const auto engine = draft.connection.engine.value_or(setup_.setup.engine);
  if (engine == model::EngineKind::kXfrm || engine == model::EngineKind::kPfkey) return;
  const auto is = [&](model::Traffic traffic) {
    return std::ranges::any_of(draft.connection.children, [&](const auto& child) { return child.traffic == traffic; });
  };
  const std::string conn = "conn " + draft.connection.name + ": ";
  if (is(model::Traffic::kThroughput) && setup_.threads.crypto_count == 0) {
    report_.warning(draft.place, conn + "traffic=throughput lets crypto threads encrypt, and there are none",
                    "write crypto-threads= in config setup, or leave traffic= out");
  }
  if (is(model::Traffic::kLatency) && setup_.threads.count != 1) {
    report_.warning(draft.place, conn + "with several workers= traffic=latency changes nothing",
                    "leave workers= or traffic= out");
  }
}

// The question whether the peer's certificate is revoked would wait for the tunnel that waits for the answer.
void Loader::warn_of_revocation_behind(const ConnectionDraft& draft) {
  const auto& connection = draft.connection;
  if (connection.remote.revocation != model::Revocation::kStrict ||
      connection.remote.auth != model::AuthMethod::kSignature)
    return;
  const auto held = [&](const model::Child& child) {
    return child.start == model::StartAction::kOnDemand ||
           (child.start == model::StartAction::kStart && !connection.local.requests_address());
  };
  if (!model::take_all_traffic(model::remote_of(connection, held))) return;
  report_.warning(
      draft.place,
      "conn " + connection.name +
          ": the peer is let in only when it is known that its certificate is not revoked, and all traffic, the "
          "questions to CRL and OCSP servers too, waits for this tunnel: they would wait for each other",
      "put the CRL into crls/, let the peer send OCSP responses along, or write revocation=relaxed");
}

// A section without auto= is a template for also=, or it was forgotten: if it has both ends of its own, say so.
void Loader::report_ignored(const Section& section, const ConnectionDraft& draft) {
  out_.ignored.push_back(section.name);
  if (draft.auto_set || !draft.left.host_set || !draft.right.host_set) return;
  if (templates_.contains(section.name)) return;
  report_.warning(section.place, "conn " + section.name + " is not loaded: it has no auto=",
                  "write auto=add (answer), auto=ondemand or auto=start (bring it up)");
}

void Loader::add_devices(const model::Connection& connection) {
  auto& devices = setup_.setup.devices;
  for (const auto& child : connection.children) {
    if (std::find(devices.begin(), devices.end(), child.device) == devices.end()) devices.push_back(child.device);
  }
}

}  // namespace

LoadedConfiguration load_ipsec_conf(const std::string& path, FileReader& files) {
  LoadedConfiguration loaded;
  Loader(path, files, loaded).load();
  if (!loaded.ok()) std::erase_if(loaded.diagnostics, [](const Diagnostic& d) { return d.level == Level::kNote; });
  std::sort(loaded.diagnostics.begin(), loaded.diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column, b.level, a.message) <
           std::tie(b.file, b.line, b.column, a.level, b.message);
  });
  return loaded;
}

}  // namespace cygnet::config
