// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/setkey.h"

int main(int argc, char** argv) {
  constexpr int kUsage = 2;
  const auto options =
      cygnet::cli::parse_setkey_options(std::vector<std::string>(argv + 1, argv + argc), std::getenv("CYGNET_RUN_DIR"));
  if (!options) {
    (void)std::fprintf(stderr, "setkey: %s\n%s", options.error().message.c_str(), cygnet::cli::setkey_usage().c_str());
    return kUsage;
  }
  return cygnet::cli::run_setkey(*options);
}
