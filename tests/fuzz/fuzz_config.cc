// SPDX-License-Identifier: Apache-2.0
// Hostile ipsec.conf: the loader neither crashes nor hangs, says why it refuses, and its messages stay printable.
#include <cstdlib>
#include <string>

#include "config/load.h"
#include "model/connection.h"

using namespace cygnet;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // The file includes itself and a neighbour, so that include= is exercised too.
  config::MemoryFiles files({{"/f.conf", text}, {"/g.conf", text}});
  const auto loaded = config::load_ipsec_conf("/f.conf", files);
  check(loaded.diagnostics.size() <= 1000);
  for (const auto& diagnostic : loaded.diagnostics) {
    check(!diagnostic.message.empty());
    for (const char c : config::to_line(diagnostic)) check(static_cast<unsigned char>(c) >= 0x20 || c == '\t');
  }
  for (const auto& connection : loaded.connections) {
    check(!connection.name.empty());
    if (!loaded.ok()) continue;
    check(!connection.children.empty() && !connection.proposals.empty());
    for (const auto& child : connection.children) {
      check(!child.proposals.empty() && !child.device.empty());
      for (const auto& selector : child.local) check(selector.range.valid());
    }
  }
  return 0;
}
