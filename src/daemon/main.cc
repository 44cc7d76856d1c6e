// SPDX-License-Identifier: Apache-2.0
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/version.h"
#include "daemon/check.h"
#include "daemon/engine_role/engine_role.h"
#include "daemon/ike_role/ike_role.h"
#include "daemon/kernel_role/kernel_role.h"
#include "daemon/keys_role/keys_role.h"
#include "daemon/monitor/monitor.h"
#include "daemon/options.h"
#include "daemon/token_role/token_role.h"
#include "io/log_sink.h"
#include "io/process.h"

namespace {

using namespace cygnet;

std::unique_ptr<Logger> make_logger(const daemon::Options& options) {
  const std::string role = options.role.empty() ? "monitor" : options.role;
  if (options.foreground) {
    return std::make_unique<io::StderrLogger>(role);
  }
  return std::make_unique<io::SyslogLogger>(role);
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = daemon::parse_options({argv + 1, argv + argc});
  if (!options) {
    (void)std::fprintf(stderr, "cygnetd: %s", options.error().message.c_str());
    return 2;
  }
  if (options->help) {
    (void)std::fputs(daemon::usage().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    (void)std::puts(("cygnetd " + std::string(version())).c_str());
    return 0;
  }
  if (options->check) {
    return daemon::check_configuration(*options);
  }
  if (options->clean_up) {
    io::StderrLogger to_person("monitor");
    return daemon::Monitor(*options, to_person).clean_up();
  }
  const auto log = make_logger(*options);
  if (!options->role.empty() && !options->foreground) io::close_standard_streams();
  if (options->role == "engine") {
    return daemon::run_engine_role(*options, *log);
  }
  if (options->role == "kernel") {
    return daemon::run_kernel_role(*options, *log);
  }
  if (options->role == "ike") {
    return daemon::run_ike_role(*options, *log);
  }
  if (options->role == "token") {
    return daemon::run_token_role(*options, *log);
  }
  if (options->role == "keys") {
    return daemon::run_keys_role(*options, *log);
  }
  if (!options->foreground) {
    return daemon::run_monitor_in_background(*options, *log);
  }
  return daemon::Monitor(*options, *log).run();
}
