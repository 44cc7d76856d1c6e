// SPDX-License-Identifier: Apache-2.0
// Hostile ipsec.secrets: no crash, no empty secret, and no message that shows one.
#include <cstdlib>
#include <string>

#include "config/load.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  config::MemoryFiles files({{"/f.secrets", text}});
  const auto loaded = config::load_ipsec_secrets("/f.secrets", files);
  const auto messages = config::to_string(loaded.diagnostics);
  for (const auto& secret : loaded.secrets) {
    check(!secret.secret.empty());
    const std::string value(secret.secret.begin(), secret.secret.end());
    // Our own sentences have no such long words with digits; names of included files may.
    const bool telling = value.size() >= 8 && value.find_first_of("0123456789") != std::string::npos;
    if (telling && text.find("include") == std::string::npos) check(messages.find(value) == std::string::npos);
  }
  return 0;
}
