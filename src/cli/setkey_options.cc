// SPDX-License-Identifier: Apache-2.0
#include "cli/setkey_options.h"

namespace cygnet::cli {

namespace {

using Action = SetkeyOptions::Action;

Result<void> choose(SetkeyOptions& options, Action action) {
  if (options.action != Action::kNone && options.action != action) {
    return fail("only one of -c, -f, -D, -F and -x can be asked for at a time");
  }
  options.action = action;
  return {};
}

// One letter of a cluster like -DPp. takes_file: it wants the next argument.
Result<void> letter(char c, SetkeyOptions& o, bool& takes_file) {
  switch (c) {
    case 'a': o.dead_too = true; return {};
    case 'c': return choose(o, Action::kScript);
    case 'D': return choose(o, Action::kDump);
    case 'F': return choose(o, Action::kFlush);
    case 'f': takes_file = true; return choose(o, Action::kScript);
    case 'h':
    case 'H': o.hexadecimal = true; return {};
    case 'k': o.kernel_mode = true; return {};
    case 'l': o.forever = true; return {};
    case 'n': o.only_check = true; return {};
    case 'P': o.policies = true; return {};
    case 'p': o.ports = true; return {};
    case 'r': o.kernel_mode = false; return {};
    case 'v': o.verbose = true; return {};
    case 'V': return choose(o, Action::kVersion);
    case 'x': o.raw_time = o.action == Action::kMonitor; return choose(o, Action::kMonitor);
    case '?': return choose(o, Action::kHelp);
    default: return fail(std::string("setkey has no option -") + c);
  }
}

Result<bool> long_option(const std::vector<std::string>& arguments, std::size_t& at, SetkeyOptions& o) {
  const std::string name = arguments[at];  // a copy: `at` moves on
  if (!name.starts_with("--") || name == "--") return false;
  if (name == "--show-keys") {
    o.show_keys = true;
  } else if (name == "--kernel") {
    o.kernel = true;
  } else if (name == "--statistics") {
    if (auto done = choose(o, Action::kStatistics); !done) return std::unexpected(done.error());
  } else if (name == "--algorithms") {
    if (auto done = choose(o, Action::kRegister); !done) return std::unexpected(done.error());
  } else if (name == "--help") {
    o.action = Action::kHelp;
  } else if (name == "--version") {
    o.action = Action::kVersion;
  } else if (name == "--run-dir" || name.starts_with("--run-dir=")) {
    if (name == "--run-dir" && at + 1 >= arguments.size()) return fail("--run-dir needs a directory");
    o.run_dir = name == "--run-dir" ? arguments[++at] : name.substr(std::string_view("--run-dir=").size());
    o.run_dir_given = true;
  } else {
    return fail("setkey has no option " + name);
  }
  return true;
}

}  // namespace

Result<SetkeyOptions> parse_setkey_options(const std::vector<std::string>& arguments,
                                           const char* run_dir_from_environment) {
  SetkeyOptions o;
  if (run_dir_from_environment != nullptr && *run_dir_from_environment != '\0') {
    o.run_dir = run_dir_from_environment;
    o.run_dir_given = true;
  }
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const auto& argument = arguments[at];
    const auto taken = long_option(arguments, at, o);
    if (!taken) return std::unexpected(taken.error());
    if (*taken) continue;
    if (argument.size() < 2 || argument[0] != '-') {
      // ipsec-tools: "setkey file ..." without -f.
      if (o.action != Action::kNone && o.action != Action::kScript) {
        return fail("'" + argument + "' is too much: -D, -F and -x take no file");
      }
      o.action = Action::kScript;
      o.files.push_back(argument);
      continue;
    }
    bool takes_file = false;
    for (const char c : argument.substr(1)) {
      if (auto done = letter(c, o, takes_file); !done) return std::unexpected(done.error());
    }
    if (!takes_file) continue;
    if (at + 1 >= arguments.size()) return fail("-f needs a file");
    o.files.push_back(arguments[++at]);
  }
  if (o.action == Action::kNone) return fail("setkey needs one of -c, -f, -D, -F and -x");
  if (o.action == Action::kScript && o.files.empty()) o.files.emplace_back("-");
  if (o.kernel && o.run_dir_given && run_dir_from_environment == nullptr) {
    return fail("--kernel and --run-dir exclude each other");
  }
  if (o.run_dir.empty()) o.run_dir = "/run/cygnet";
  return o;
}

std::string setkey_usage() {
  return "usage: setkey [-knrv] FILE ... | -f FILE | -c  carry out statements of a file, or of standard input\n"
         "       setkey [-alPpv] -D                 show SAs, or with -P policies\n"
         "       setkey [-Pv] -F                    remove all SAs, or with -P all policies\n"
         "       setkey [-h] -x                     show messages as they come\n"
         "       setkey --algorithms | --statistics | -V\n"
         "  -a dead SAs too           -k policies as the kernel keeps them    -r with an fwd for each in (default)\n"
         "  -h hexadecimal too        -l again and again                      -n check only, send nothing\n"
         "  -p ports of tunnel ends   -v show messages                        --show-keys\n"
         "  --run-dir DIR  of the daemon (or CYGNET_RUN_DIR; default /run/cygnet)\n"
         "  --kernel       talk to the kernel's PF_KEY, not to the engine\n";
}

}  // namespace cygnet::cli
