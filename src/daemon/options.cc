// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <array>
#include <string_view>

namespace cygnet::daemon {

namespace {

struct Valued {
  std::string_view name;
  std::string Options::* member;
};
struct Flag {
  std::string_view name;
  bool Options::* member;
};
constexpr std::array kValued{
    Valued{"--config", &Options::config},   Valued{"--secrets", &Options::secrets},
    Valued{"--run-dir", &Options::run_dir}, Valued{"--user", &Options::user},
    Valued{"--role", &Options::role},       Valued{"--state-dir", &Options::state_dir},
};
constexpr std::array kFlags{
    Flag{"--foreground", &Options::foreground},
    Flag{"--check", &Options::check},
    Flag{"--clean-up", &Options::clean_up},
    Flag{"--allow-unconfined", &Options::allow_unconfined},
    Flag{"--help", &Options::help},
    Flag{"-h", &Options::help},
    Flag{"--version", &Options::version},
};

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    std::string value;
    const auto equals = name.find('=');
    const bool has_value = equals != std::string::npos;
    if (has_value) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    bool known = false;
    for (const auto& flag : kFlags) {
      if (name == flag.name && !has_value) {
        options.*flag.member = true;
        known = true;
      }
    }
    for (const auto& valued : kValued) {
      if (name != valued.name) {
        continue;
      }
      known = true;
      if (!has_value) {
        if (i + 1 >= arguments.size()) {
          return fail(name + " needs a value\n" + usage());
        }
        value = arguments[++i];
      }
      options.*valued.member = value;
    }
    if (!known) {
      return fail("unknown option '" + arguments[i] + "'\n" + usage());
    }
  }
  return options;
}

std::string usage() {
  return "usage: cygnetd [--config FILE] [--secrets FILE] [--run-dir DIR] [--state-dir DIR] [--user NAME] "
         "[--foreground] "
         "[--allow-unconfined] [--check | --clean-up]\n"
         "  --config FILE   connections (default /etc/cygnet/ipsec.conf)\n"
         "  --secrets FILE  pre-shared keys (default /etc/cygnet/ipsec.secrets)\n"
         "  --run-dir DIR   control socket and pid files (default /run/cygnet)\n"
         "  --state-dir DIR what outlives a restart: leases (default /var/lib/cygnet)\n"
         "  --user NAME     whom the unprivileged processes run as (default cygnet, else nobody)\n"
         "  --foreground    stay in the foreground and log to standard error\n"
         "  --allow-unconfined  go on where the kernel takes no system call filter\n"
         "  --check         read the configuration, say what it means, and end\n"
         "  --clean-up      take back what a killed cygnetd left: devices, routes, rule, resolver; and end\n";
}

}  // namespace cygnet::daemon
