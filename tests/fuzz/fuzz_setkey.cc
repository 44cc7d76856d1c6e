// SPDX-License-Identifier: Apache-2.0

// setkey scripts: parsed or refused at a place that exists.
#include <algorithm>
#include <cstdlib>

#include "config/setkey_script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto script = cygnet::config::parse_setkey(text, "fuzz");
  if (script.diagnostics.size() > 1) std::abort();
  const auto lines = static_cast<unsigned>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const auto& d : script.diagnostics) {
    if (d.line > lines || d.column == 0) std::abort();
  }
  return 0;
}
