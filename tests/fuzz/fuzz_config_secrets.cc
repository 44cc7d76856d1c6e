// SPDX-License-Identifier: Apache-2.0
// Hostile ipsec.secrets: no crash, no empty secret, and no message that shows one.
#include <cctype>
#include <cstdlib>
#include <string>

#include "config/load.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

auto load(const std::string& text) {
  config::MemoryFiles files({{"/f.secrets", text}});
  return config::load_ipsec_secrets("/f.secrets", files);
}

// Letters and digits become an x, so that what the file means else stays.
std::string masked(std::string text, std::size_t at, std::size_t size) {
  for (std::size_t i = at; i < at + size; ++i) {
    if (std::isalnum(static_cast<unsigned char>(text[i])) != 0) text[i] = 'x';
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto loaded = load(text);
  const auto messages = config::to_string(loaded.diagnostics);
  for (const auto& secret : loaded.secrets) {
    check(!secret.secret.empty());
    const std::string value(secret.secret.begin(), secret.secret.end());
    const auto at = text.find(value);
    if (value.size() < 8 || at == std::string::npos || !messages.contains(value)) continue;
    // "s:20:11: error: " may well be somebody's secret, and in our sentences all the same. Only where the words leave
    // the messages together with the secret were they taken from it. (Twice in the file: the other place is no secret.)
    if (text.find(value, at + 1) != std::string::npos) continue;
    check(config::to_string(load(masked(text, at, value.size())).diagnostics).contains(value));
  }
  return 0;
}
