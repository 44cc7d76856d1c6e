// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "config/load.h"

namespace cygnet::config {

inline LoadedConfiguration load_text(const std::string& text) {
  MemoryFiles files({{"/etc/ipsec.conf", text}});
  return load_ipsec_conf("/etc/ipsec.conf", files);
}

// A sound connection with more words.
inline std::string conn_with(const std::string& words) {
  std::string text =
      "conn "
      "net\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tleftsubnet=10.1.0.0/16\n\trightsubnet=10.2.0.0/16\n\tauto=add\n";
  std::string line;
  for (const char c : words + "\n") {
    if (c == '\n') {
      if (!line.empty()) text += "\t" + line + "\n";
      line.clear();
    } else {
      line += c;
    }
  }
  return text;
}

inline model::Connection load_one(const std::string& words) {
  auto loaded = load_text(conn_with(words));
  EXPECT_TRUE(loaded.ok()) << to_string(loaded.diagnostics);
  EXPECT_EQ(loaded.connections.size(), 1U);
  return loaded.connections.empty() ? model::Connection{} : loaded.connections[0];
}

// "line:column: level: message" of all diagnostics.
inline std::string lines_of(const Diagnostics& diagnostics) {
  std::string text;
  for (const auto& d : diagnostics) text += to_line(d).substr(d.file.size() + 1) + "\n";
  return text;
}

inline std::string faults_of(const std::string& words) { return lines_of(load_text(conn_with(words)).diagnostics); }

}  // namespace cygnet::config
