// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "cli/commands.h"
#include "cli/options.h"

int main(int argc, char** argv) {
  try {
    const auto parsed = cygnet::cli::parse_options(argc, argv, std::getenv("CYGNET_RUN_DIR"));
    return parsed.options ? cygnet::cli::run(*parsed.options) : parsed.exit_code;
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "cygnet: %s\n", error.what());
    return cygnet::cli::kFailed;
  }
}
