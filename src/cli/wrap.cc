// SPDX-License-Identifier: Apache-2.0
#include "cli/wrap.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "cli/options.h"
#include "io/errno_text.h"
#include "io/unix_socket.h"
#include "model/connection.h"
#include "wire/pfkey/constants.h"
#include "wire/xfrm/wrap_message.h"

namespace cygnet::cli {

namespace {

constexpr const char* kLibrary = "libcygnet-wrap.so";

// Beside this program, as it is built, or where a package puts it.
std::string find_library() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const auto& path : {self.parent_path() / kLibrary, self.parent_path() / "../lib/cygnet" / kLibrary}) {
    if (std::filesystem::exists(path, error)) return std::filesystem::canonical(path, error).string();
  }
  return {};
}

int complain(const std::string& message) {
  (void)std::fprintf(stderr, "cygnet: %s\n", message.c_str());
  return kFailed;
}

}  // namespace

int run_wrap(const WrapCommand& command, const std::string& run_dir) {
  const auto path = std::filesystem::absolute(run_dir + "/" + std::string(wire::pfkey::kSocketName)).string();
  if (const auto there = io::connect_seqpacket(path); !there) {
    return complain(there.error().message + ": is cygnetd running with this run directory? (only root may connect)");
  }
  const auto library = find_library();
  if (library.empty()) return complain(std::string(kLibrary) + " is missing: install Cygnet again, or build it");
  const char* others = std::getenv("LD_PRELOAD");
  const bool alone = others == nullptr || *others == '\0';
  (void)::setenv("LD_PRELOAD", (alone ? library : library + ":" + others).c_str(), 1);
  const auto xfrm = std::filesystem::absolute(run_dir + "/" + wire::xfrm::kSocketName).string();
  (void)::setenv("CYGNET_PFKEY", path.c_str(), 1);
  (void)::setenv("CYGNET_XFRM", xfrm.c_str(), 1);
  (void)::setenv("CYGNET_MARK", std::to_string(model::Setup{}.fwmark).c_str(), 0);
  std::vector<char*> arguments;
  arguments.reserve(command.command.size() + 1);
  for (const auto& word : command.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  (void)::execvp(arguments.front(), arguments.data());
  return complain("cannot run " + command.command.front() + ": " + io::errno_text(errno));
}

}  // namespace cygnet::cli
