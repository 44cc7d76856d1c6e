// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cli/check_credentials.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/host_facts.h"
#include "cli/render.h"
#include "config/engine_plan.h"
#include "config/load.h"
#include "config/missing_secrets.h"

namespace cygnet::cli {
namespace {

using control::Done;
using control::Progress;
using control::Request;

constexpr unsigned kQuestionTimeout_s = 15;

void out(const std::string& text) {
  (void)std::fputs(text.c_str(), stdout);
  (void)std::fflush(stdout);
}
void err(const std::string& text) {
  (void)std::fflush(stdout);
  (void)std::fputs(text.c_str(), stderr);
}

Style style_of_stdout() { return {::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr}; }

int report(const ClientError& error, bool json) {
  if (json) {
    out(control::to_json_text(Done{false, error.message, {}}, 2) + '\n');
  } else {
    err("cygnet: " + error.message + '\n');
  }
  return error.trouble == Trouble::kBroken ? kFailed : kNoDaemon;
}

// Negotiations and reloads take as long as they take; a question is answered at once or something is wrong.
unsigned timeout_of(const Request& request) {
  const bool slow = std::holds_alternative<control::UpRequest>(request) ||
                    std::holds_alternative<control::DownRequest>(request) ||
                    std::holds_alternative<control::RekeyRequest>(request) ||
                    std::holds_alternative<control::ReloadRequest>(request) ||
                    std::holds_alternative<control::MonitorRequest>(request);
  return slow ? 0 : kQuestionTimeout_s;
}

std::string done_sentence(const Request& request) {
  if (const auto* up = std::get_if<control::UpRequest>(&request))
    return (up->child.empty() ? up->connection : up->child) + " is up";
  if (const auto* down = std::get_if<control::DownRequest>(&request))
    return (down->child.empty() ? down->connection : down->child) + " is down";
  if (const auto* rekey = std::get_if<control::RekeyRequest>(&request))
    return (rekey->child.empty() ? rekey->connection : rekey->child) + " has new keys";
  if (std::holds_alternative<control::ShutdownRequest>(request)) return "cygnetd is shutting down";
  return {};
}

std::string data_text(const control::Data& data, const Style& style) {
  return std::visit(
      [&](const auto& report) -> std::string {
        if constexpr (requires { render(report, style); }) {
          return render(report, style);
        } else {
          return {};
        }
      },
      data);
}

// {"ok":…,"message":…,"events":[…]} for commands that do something; what was asked for otherwise.
std::string json_answer(const Request& request, const Done& done, const std::vector<std::string>& events) {
  const bool acts = !done_sentence(request).empty();
  if (!acts && done.ok) return control::to_json_text(done.data, 2);
  auto json = nlohmann::ordered_json::parse(control::to_json_text(done, -1), nullptr, false);
  if (acts) {
    json["events"] = nlohmann::ordered_json::array();
    for (const auto& event : events) json["events"].push_back(nlohmann::ordered_json::parse(event, nullptr, false));
  }
  return json.dump(2);
}

int ask_daemon(const Options& options, const Request& request) {
  auto client = Client::connect(options.run_dir);
  if (!client) return report(client.error(), options.json);
  const auto style = style_of_stdout();
  const bool monitor = std::holds_alternative<control::MonitorRequest>(request);
  std::vector<std::string> events;
  std::string last_message;
  const auto on_progress = [&](const Progress& progress) {
    last_message = progress.message;
    if (!options.json) return out(render(progress, style, monitor));
    const auto line = control::to_json_text(progress);
    monitor ? out(line + '\n') : events.push_back(line);
  };
  const auto done = client->ask(request, timeout_of(request), on_progress);
  if (!done) return report(done.error(), options.json);
  if (options.json) {
    if (!monitor) out(json_answer(request, *done, events) + '\n');
  } else if (done->ok) {
    out(data_text(done->data, style));
    const auto sentence = done->message.empty() ? done_sentence(request) : done->message;
    if (!sentence.empty() && sentence != last_message) out(style.paint(Tone::kGood, harmless(sentence)) + '\n');
  } else if (done->message != last_message) {
    // The reason may have come as the last event already.
    err("cygnet: " + harmless(done->message) + (done->message.ends_with('\n') ? "" : "\n"));
  }
  return done->ok ? kOk : kFailed;
}

int run_doctor(const Options& options) {
  std::optional<control::DoctorFacts> facts;
  std::string reason;
  int code = kOk;
  if (auto client = Client::connect(options.run_dir)) {
    const auto done = client->ask(control::DoctorRequest{}, kQuestionTimeout_s, {});
    if (done && done->ok && std::holds_alternative<control::DoctorFacts>(done->data)) {
      facts = std::get<control::DoctorFacts>(done->data);
    } else {
      reason = done ? done->message : done.error().message;
      code = kFailed;
    }
  } else {
    reason = client.error().message;
    code = kNoDaemon;
  }
  const auto checks = examine(facts, reason, gather_host_facts(facts));
  out(options.json ? to_json_text(checks) + '\n' : render(checks, style_of_stdout()));
  if (code == kOk && has_problem(checks)) code = kFailed;
  return code;
}

const char* level_word(config::Level level) {
  switch (level) {
    case config::Level::kNote: return "note";
    case config::Level::kWarning: return "warning";
    case config::Level::kError: return "error";
  }
  return "error";
}

int run_check(const Options& options, const CheckCommand& command) {
  config::DiskFiles files;
  const auto loaded = config::load_ipsec_conf(command.config, files);
  auto diagnostics = loaded.diagnostics;
  const auto more = check_credentials(loaded.credentials, static_cast<std::int64_t>(std::time(nullptr)));
  diagnostics.insert(diagnostics.end(), more.begin(), more.end());
  std::size_t secrets = 0;
  if (!command.secrets.empty()) {
    auto of_secrets = config::load_ipsec_secrets(command.secrets, files);
    secrets = of_secrets.secrets.size();
    diagnostics.insert(diagnostics.end(), of_secrets.diagnostics.begin(), of_secrets.diagnostics.end());
    const auto missing = config::missing_secrets(loaded, of_secrets);
    diagnostics.insert(diagnostics.end(), missing.begin(), missing.end());
  }
  if (loaded.ok()) {
    // Of no one line; its sentence says which connections it is about.
    const auto why = config::why_not_anywhere(loaded);
    if (!why.empty()) diagnostics.push_back({.level = config::Level::kError, .file = command.config, .message = why});
  }
  const bool ok = !config::has_errors(diagnostics);
  if (options.json) {
    nlohmann::ordered_json json{
        {"ok", ok}, {"connections", nlohmann::ordered_json::array()}, {"diagnostics", nlohmann::ordered_json::array()}};
    for (const auto& connection : loaded.connections) json["connections"].push_back(connection.name);
    for (const auto& d : diagnostics) {
      json["diagnostics"].push_back({{"level", level_word(d.level)},
                                     {"file", d.file},
                                     {"line", d.line},
                                     {"column", d.column},
                                     {"message", d.message},
                                     {"hint", d.hint}});
    }
    out(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n');
    return ok ? kOk : kFailed;
  }
  err(config::to_string(diagnostics));
  if (ok) {
    out(command.config + ": " + count_text(loaded.connections.size(), "connection") +
        (command.secrets.empty() ? "" : ", " + count_text(secrets, "secret")) + ", no error\n");
  }
  return ok ? kOk : kFailed;
}

}  // namespace

int run(const Options& options) {
  if (const auto* check = std::get_if<CheckCommand>(&options.command)) return run_check(options, *check);
  if (const auto* import = std::get_if<ImportCommand>(&options.command)) return run_import(*import);
  if (const auto* wrap = std::get_if<WrapCommand>(&options.command)) return run_wrap(*wrap, options.run_dir);
  const auto& request = std::get<Request>(options.command);
  if (std::holds_alternative<control::DoctorRequest>(request)) return run_doctor(options);
  return ask_daemon(options, request);
}

}  // namespace cygnet::cli
