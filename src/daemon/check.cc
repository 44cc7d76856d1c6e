// SPDX-License-Identifier: Apache-2.0
#include "daemon/check.h"

#include <cstdio>
#include <string>

#include "daemon/config_bundle.h"
#include "daemon/engine_plan.h"

namespace cygnet::daemon {

namespace {

std::string start_sentence(model::StartAction start) {
  switch (start) {
    case model::StartAction::kIgnore: return "is ignored";
    case model::StartAction::kAdd: return "waits for `cygnet up` or for the peer";
    case model::StartAction::kOnDemand: return "comes up with the first packet";
    case model::StartAction::kStart: return "comes up at once and is kept up";
  }
  return "";
}

std::string describe(const model::Connection& connection) {
  std::string out =
      connection.name + ": " + connection.local.host.to_string() + " === " + connection.remote.host.to_string() + "\n";
  for (const auto& child : connection.children) {
    out += "  " + child.name + ": " + (child.local.empty() ? "own address" : model::to_string(child.local)) +
           " === " + (child.remote.empty() ? "peer's address" : model::to_string(child.remote)) + " through " +
           child.device + "; " + start_sentence(child.start) + "\n";
  }
  return out;
}

}  // namespace

int check_configuration(const Options& options) {
  config::DiskFiles disk;
  const auto loaded = load(options.config, options.secrets, disk);
  (void)std::fputs(loaded.problems().c_str(), stderr);
  if (!loaded.ok()) {
    return 1;
  }
  if (const auto why = why_not_anywhere(loaded.conf); !why.empty()) {
    (void)std::fprintf(stderr, "%s\n", why.c_str());
    return 1;
  }
  for (const auto& connection : loaded.conf.connections) {
    (void)std::fputs(describe(connection).c_str(), stdout);
  }
  (void)std::printf("%zu connections, %zu pre-shared keys: the configuration is sound\n",
                    loaded.conf.connections.size(), loaded.secrets.secrets.size());
  return 0;
}

}  // namespace cygnet::daemon
