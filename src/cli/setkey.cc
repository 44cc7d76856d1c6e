// SPDX-License-Identifier: Apache-2.0
#include "cli/setkey.h"

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include "base/version.h"
#include "cli/setkey_messages.h"
#include "cli/setkey_print.h"
#include "cli/setkey_socket.h"
#include "io/errno_text.h"

namespace cygnet::cli {

namespace {

namespace pf = wire::pfkey;

constexpr int kOk = 0;
constexpr int kFailed = 1;

int complain(const std::string& message) {
  (void)std::fprintf(stderr, "setkey: %s\n", message.c_str());
  return kFailed;
}

void say(const std::string& text) { (void)std::fwrite(text.data(), 1, text.size(), stdout); }

Result<std::string> read_file(const std::string& name) {
  if (name == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(name, std::ios::binary);
  if (!file) return fail("cannot read " + name + ": " + io::errno_text(errno));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class Setkey {
 public:
  Setkey(const SetkeyOptions& options, SetkeySocket socket) : options_(options), socket_(std::move(socket)) {
    if (!options_.verbose) return;
    socket_.on_traffic(
        [](const pf::Message& message, bool sent) { say((sent ? "sent: " : "received: ") + print_message(message)); });
  }

  int carry_out(const config::SetkeyScript& script, const std::string& file);
  int dump(pf::SaType type, bool policies);
  int flush(bool policies);
  int monitor();
  int list_algorithms();
  int statistics();

 private:
  bool carry_out(const config::SetkeyStatement& statement, const std::string& where);
  bool send(const SetkeyMessage& message, const config::SetkeyStatement& statement, const std::string& where);
  bool delete_all_in_kernel(const pf::Message& which, const std::string& where);
  [[nodiscard]] SetkeyStyle style() const;

  const SetkeyOptions& options_;
  SetkeySocket socket_;
};

SetkeyStyle Setkey::style() const {
  return {.ports = options_.ports,
          .keys_hidden = socket_.where() == SetkeySocket::Where::kEngine && !options_.show_keys,
          .short_form = options_.forever,
          .now_s = static_cast<std::int64_t>(std::time(nullptr))};
}

int Setkey::carry_out(const config::SetkeyScript& script, const std::string& file) {
  bool good = true;
  for (const auto& statement : script.statements) {
    const auto where =
        file + ":" + std::to_string(statement.place.line) + ":" + std::to_string(statement.place.column) + ": ";
    good = carry_out(statement, where) && good;
  }
  return good ? kOk : kFailed;
}

bool Setkey::carry_out(const config::SetkeyStatement& statement, const std::string& where) {
  const auto messages = messages_of(statement, resolve_name, !options_.kernel_mode);
  if (!messages) {
    (void)complain(where + messages.error().message);
    return false;
  }
  if (statement.verb == config::SetkeyVerb::kDump || statement.verb == config::SetkeyVerb::kSpdDump) {
    return dump(messages->front().message.header.sa_type, statement.verb == config::SetkeyVerb::kSpdDump) == kOk;
  }
  bool good = true;
  for (const auto& message : *messages) good = send(message, statement, where) && good;
  return good;
}

bool Setkey::send(const SetkeyMessage& message, const config::SetkeyStatement& statement, const std::string& where) {
  const bool all = statement.verb == config::SetkeyVerb::kDeleteAll;
  if (all && socket_.where() == SetkeySocket::Where::kKernel) return delete_all_in_kernel(message.message, where);
  const auto reply = socket_.ask(message.message);
  if (!reply) {
    (void)complain(where + reply.error().message);
    return false;
  }
  const auto error = reply->message.header.error;
  if (message.implied && (error == EEXIST || error == ESRCH || error == ENOENT)) return true;
  if (error != 0) {
    (void)complain(where + "the result of line " + std::to_string(statement.place.line) + ": " + reply->error);
    return false;
  }
  if (statement.verb == config::SetkeyVerb::kGet) say(print_sa(reply->message, style()));
  return true;
}

// Linux wants an SPI with each DELETE.
bool Setkey::delete_all_in_kernel(const pf::Message& which, const std::string& where) {
  std::vector<pf::Message> found;
  pf::Message request;
  request.header.type = pf::MessageType::kDump;
  request.header.sa_type = which.header.sa_type;
  const auto dumped = socket_.dump(request, [&](const pf::Message& entry) {
    if (!entry.sa || !entry.source || !entry.destination || entry.header.sa_type != which.header.sa_type) return;
    if (entry.source->endpoint.address == which.source->endpoint.address &&
        entry.destination->endpoint.address == which.destination->endpoint.address) {
      auto one = which;
      one.sa = pf::SaExtension{.spi = entry.sa->spi};
      found.push_back(std::move(one));
    }
  });
  std::string error = dumped ? "" : dumped.error().message;
  for (const auto& one : found) {
    const auto reply = socket_.ask(one);
    if (!reply)
      error = reply.error().message;
    else if (!reply->error.empty())
      error = reply->error;
  }
  if (error.empty()) return true;
  (void)complain(where + error);
  return false;
}

int Setkey::dump(pf::SaType type, bool policies) {
  pf::Message request;
  request.header.type = policies ? pf::MessageType::kSpdDump : pf::MessageType::kDump;
  request.header.sa_type = type;
  do {
    const auto shown = style();
    const auto reply = socket_.dump(request, [&](const pf::Message& entry) {
      if (policies) {
        say(print_policy(entry, shown));
      } else if (options_.dead_too || !entry.sa || entry.sa->state != pf::SaState::kDead) {
        say(print_sa(entry, shown));
      }
    });
    if (!reply) return complain(reply.error().message);
    if (reply->message.header.error == ENOENT || reply->message.header.error == ESRCH) {
      say(policies ? "No SPD entries.\n" : "No SAD entries.\n");
    } else if (!reply->error.empty()) {
      return complain(reply->error);
    }
    (void)std::fflush(stdout);
    if (options_.forever) std::this_thread::sleep_for(std::chrono::seconds(1));
  } while (options_.forever);
  return kOk;
}

int Setkey::flush(bool policies) {
  pf::Message request;
  request.header.type = policies ? pf::MessageType::kSpdFlush : pf::MessageType::kFlush;
  const auto reply = socket_.ask(std::move(request));
  if (!reply) return complain(reply.error().message);
  const auto error = reply->message.header.error;
  return error == 0 || error == ESRCH ? kOk : complain(reply->error);
}

int Setkey::monitor() {
  pf::Message request;
  request.header.type = pf::MessageType::kPromisc;
  request.header.sa_type = static_cast<pf::SaType>(1);
  const auto reply = socket_.ask(std::move(request));
  if (!reply) return complain(reply.error().message);
  if (!reply->error.empty()) return complain(reply->error);
  for (;;) {
    auto message = socket_.receive(-1);
    if (!message) return complain(message.error().message);
    const auto seen = std::chrono::system_clock::now().time_since_epoch();
    const auto micro = std::chrono::duration_cast<std::chrono::microseconds>(seen).count();
    auto fraction = std::to_string(micro % 1'000'000);
    fraction.insert(0, 6 - fraction.size(), '0');
    const auto seconds = static_cast<std::uint64_t>(micro / 1'000'000);
    say((options_.raw_time ? std::to_string(seconds) : print_time(seconds)) + "." + fraction + "\n");
    if (!message->enclosed.empty()) {
      auto inner = pf::Message::parse(message->enclosed);
      if (inner) message = std::move(*inner);
    }
    if (options_.hexadecimal) say(print_octets(message->serialize()));
    say(print_message(*message));
    (void)std::fflush(stdout);
  }
}

int Setkey::list_algorithms() {
  pf::Message request;
  request.header.type = pf::MessageType::kRegister;
  request.header.sa_type = pf::SaType::kEsp;
  const auto reply = socket_.ask(std::move(request));
  if (!reply) return complain(reply.error().message);
  if (!reply->error.empty()) return complain(reply->error);
  say(print_algorithms(reply->message));
  return kOk;
}

int Setkey::statistics() {
  if (socket_.where() != SetkeySocket::Where::kEngine) return complain("a kernel has no statistics of its PF_KEY");
  pf::Message request;
  request.header.type = pf::MessageType::kCygnetStatistics;
  const auto reply = socket_.ask(std::move(request));
  if (!reply) return complain(reply.error().message);
  if (!reply->error.empty()) return complain(reply->error);
  const auto& statistics = reply->message.statistics;
  say(statistics ? statistics->text : "");
  return kOk;
}

// All files are read before anything is sent: a mistake in the last line leaves nothing half done.
int run_scripts(const SetkeyOptions& options) {
  std::vector<std::pair<std::string, config::SetkeyScript>> scripts;
  for (const auto& file : options.files) {
    auto text = read_file(file);
    if (!text) return complain(text.error().message);
    const auto name = file == "-" ? std::string("(standard input)") : file;
    auto script = config::parse_setkey(*text, name);
    wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
    if (config::has_errors(script.diagnostics)) {
      (void)std::fputs(config::to_string(script.diagnostics).c_str(), stderr);
      return kFailed;
    }
    scripts.emplace_back(name, std::move(script));
  }
  if (options.only_check) return kOk;
  auto socket = SetkeySocket::open(options.run_dir, options.kernel, !options.run_dir_given, options.show_keys);
  if (!socket) return complain(socket.error().message);
  Setkey setkey(options, std::move(*socket));
  int status = kOk;
  for (const auto& [name, script] : scripts) status = std::max(status, setkey.carry_out(script, name));
  return status;
}

}  // namespace

int run_setkey(const SetkeyOptions& options) {
  using Action = SetkeyOptions::Action;
  if (options.action == Action::kScript) return run_scripts(options);
  if (options.action == Action::kHelp) {
    say(setkey_usage());
    return kOk;
  }
  if (options.action == Action::kVersion) {
    say("setkey of Cygnet " + std::string(version()) + "\n");
    return kOk;
  }
  auto socket = SetkeySocket::open(options.run_dir, options.kernel, !options.run_dir_given, options.show_keys);
  if (!socket) return complain(socket.error().message);
  Setkey setkey(options, std::move(*socket));
  switch (options.action) {
    case Action::kDump: return setkey.dump(pf::SaType::kUnspecified, options.policies);
    case Action::kFlush: return setkey.flush(options.policies);
    case Action::kMonitor: return setkey.monitor();
    case Action::kRegister: return setkey.list_algorithms();
    case Action::kStatistics: return setkey.statistics();
    default: return kFailed;
  }
}

}  // namespace cygnet::cli
